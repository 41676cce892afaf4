//! fail-closed: when it cannot decide, it refuses and says so.

use crate::common::*;
use nightlatch_core::{Activity, EndReason};
use nightlatch_engine::{
    Admission, ClockFault, Engine, Entry, OpenError, SessionEnded, StartError, TimeSource, hash,
};
use std::{fs, sync::atomic::Ordering::SeqCst};

#[test]
fn fail_closed_an_unknown_credential_is_refused() {
    let engine = House::new().open();
    assert!(matches!(engine.check(&hash(b"nlt_guess"), Activity::Active, "test"), Admission::Unknown));
    assert_eq!(engine.stats().refused_unknown.load(SeqCst), 1);
}

#[test]
fn fail_closed_a_boot_behind_the_reservation_ends_everything() {
    let house = House::new();
    let engine = house.open();
    let id = sign_in(&engine, "ada").0.facts.id;
    house.pass(&engine, 10_000);
    drop(engine);
    house.time.reboot();
    house.time.set_wall((BEGIN + 5_000) * MS);
    let (engine, recovery) = house.try_open().unwrap();
    assert!(matches!(recovery.clock_fault, Some(ClockFault::BehindReservation { .. })));
    assert_eq!(end_of(&engine.session(id).unwrap()), Some((EndReason::ClockFault, 11_000)));
    assert_eq!(end_entry(&engine, id).reason, "clock_fault");
    assert!(entries(&engine).iter().any(|entry| matches!(entry, Entry::ClockFault { .. })));
    sign_in(&engine, "bob");
}

#[test]
fn fail_closed_a_steady_clock_that_went_back_within_a_boot_ends_everything() {
    #[derive(Clone, Copy)]
    struct Steady(u64);
    impl TimeSource for Steady {
        fn boot_nanos(&self) -> u64 {
            self.0
        }
        fn wall_nanos(&self) -> u64 {
            BEGIN * MS + self.0
        }
        fn boot_id(&self) -> [u8; 16] {
            [7; 16]
        }
    }
    let house = House::new();
    let open = |source| Engine::open(house.folder.path(), policy(), Box::new(source), "test").unwrap();
    let (engine, _) = open(Steady(9_000 * MS));
    let id = sign_in(&engine, "ada").0.facts.id;
    drop(engine);
    let (engine, recovery) = open(Steady(8_000 * MS));
    assert!(matches!(recovery.clock_fault, Some(ClockFault::BootTimeWentBack { .. })));
    assert_eq!(engine.session(id).unwrap().end().unwrap().reason, EndReason::ClockFault);
}

#[test]
fn fail_closed_an_unreadable_reservation_ends_everything() {
    let house = House::new();
    let engine = house.open();
    let id = sign_in(&engine, "ada").0.facts.id;
    drop(engine);
    let path = house.folder.path().join("time");
    let length = fs::read(&path).unwrap().len();
    fs::write(&path, vec![9; length]).unwrap();
    let (engine, recovery) = house.try_open().unwrap();
    assert_eq!(recovery.clock_fault, Some(ClockFault::ReservationUnreadable));
    assert_eq!(engine.session(id).unwrap().end().unwrap().reason, EndReason::ClockFault);
}

/// Somebody may have been told of an end that follows from how far time had gone.
#[test]
fn fail_closed_a_removed_reservation_ends_everything_whatever_the_clock_says() {
    for wall in [BEGIN + 5_000, BEGIN + 4_999] {
        let house = House::new();
        let engine = house.open();
        let id = sign_in(&engine, "ada").0.facts.id;
        house.time.advance(5_000 * MS);
        engine.stop();
        drop(engine);
        fs::remove_file(house.folder.path().join("time")).unwrap();
        house.time.set_wall(wall * MS);
        let (engine, recovery) = house.try_open().unwrap();
        assert_eq!(recovery.clock_fault, Some(ClockFault::ReservationUnreadable));
        assert_eq!(engine.session(id).unwrap().end().unwrap().reason, EndReason::ClockFault);
        assert_eq!(engine.clock().now(), at(5_000), "and goes on from what is on record");
    }
}

/// A step forward that no reservation has seen, and back again while nothing ran.
#[test]
fn fail_closed_a_clock_behind_the_record_ends_everything() {
    for (back, lives) in [(0, true), (1, false)] {
        let house = House::new();
        let engine = house.open();
        house.time.set_wall((BEGIN + 5_000) * MS);
        let id = sign_in(&engine, "ada").0.facts.id;
        drop(engine);
        house.time.set_wall((BEGIN + 5_000 - back) * MS);
        let (engine, recovery) = house.try_open().unwrap();
        assert_eq!(matches!(recovery.clock_fault, Some(ClockFault::BehindRecord { .. })), !lives);
        assert_eq!(engine.session(id).unwrap().end().is_none(), lives);
        assert_eq!(engine.clock().now(), at(5_000), "and goes on from there");
    }
}

#[test]
fn fail_closed_no_session_starts_while_the_ledger_cannot_be_written() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    house.disk.fails.store(true, SeqCst);
    let (late, late_token) = engine.start(request("bob")).unwrap().into_parts();
    assert!(engine.commit().is_err());
    assert!(!engine.health().recording);
    assert!(matches!(engine.start(request("cy")), Err(StartError::NotRecording)));
    assert!(matches!(engine.check(&late_token.hash(), Activity::Active, "test"), Admission::Unknown));
    revoke(&engine, &session).unwrap();
    assert!(engine.commit().is_err());
    assert!(touch(&engine, &token).is_err() && !session.settled(), "ended, and not told");
    house.disk.fails.store(false, SeqCst);
    engine.commit().unwrap();
    assert!(session.settled() && engine.health().recording);
    touch(&engine, &late_token).unwrap();
    assert_eq!(about(&engine, late.facts.id).len(), 1);
}

#[test]
fn fail_closed_a_full_disk_stops_starts_while_every_end_still_has_room() {
    let house = House::with_segments(64 << 10);
    let engine = house.open();
    house.disk.full.store(true, SeqCst);
    let mut sessions = Vec::new();
    loop {
        match engine.start(request("ada")) {
            Ok(starting) => sessions.push(starting.into_parts().0),
            Err(error) => break assert!(matches!(error, StartError::NotRecording)),
        }
        if sessions.len() % 4 != 0 {
            revoke(&engine, &sessions[sessions.len() - 1]).unwrap();
        }
        engine.commit().unwrap();
        assert!(sessions.len() < 1_000);
    }
    assert!(sessions.len() > 20 && !engine.health().recording);
    house.pass(&engine, IDLE);
    engine.turn();
    assert!(sessions.iter().all(|session| session.settled()));
    engine.commit().unwrap();
    for session in &sessions {
        end_entry(&engine, session.facts.id);
    }
    house.disk.full.store(false, SeqCst);
    engine.commit().unwrap();
    sign_in(&engine, "bob");
}

#[test]
fn fail_closed_one_engine_at_a_time_on_a_directory() {
    let house = House::new();
    let engine = house.open();
    assert!(matches!(house.try_open(), Err(OpenError::Data(_))));
    drop(engine);
    house.open();
}

#[test]
fn fail_closed_a_ledger_that_was_set_back_is_refused() {
    let house = House::new();
    let engine = house.open();
    let ledger = house.folder.path().join("ledger");
    let segment = ledger.join(
        fs::read_dir(&ledger)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .find(|name| name.to_string_lossy().ends_with(".segment"))
            .unwrap(),
    );
    let before = fs::read(&segment).unwrap();
    sign_in(&engine, "ada");
    engine.stop();
    drop(engine);
    fs::write(&segment, before).unwrap();
    for file in ["checkpoint", "checkpoints"] {
        fs::remove_file(ledger.join(file)).unwrap();
    }
    assert!(matches!(house.try_open(), Err(OpenError::LedgerSetBack { .. })));
}

#[test]
fn fail_closed_a_disk_that_does_not_come_back_shows() {
    let house = House::new();
    let engine = house.open();
    // Appended, and nobody commits: as with a write that hangs.
    engine.start(request("ada")).unwrap();
    house.time.advance(2_000 * MS);
    assert!(engine.health().recording, "a slow disk is no stuck one");
    house.time.advance(1);
    assert!(!engine.health().recording);
    engine.commit().unwrap();
    assert!(engine.health().recording);
}

/// What was ordered to be closed does not wait for a stuck disk for ever, and is not told what a crash could undo.
#[test]
fn fail_closed_what_is_open_is_closed_without_a_word_when_the_disk_takes_too_long() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let (lease, lease_token) = lease(&engine, &session);
    let (permit, under_lease) = (touch(&engine, &token).unwrap(), touch(&engine, &lease_token).unwrap());
    let (mut waiting, mut lease_waiting) =
        (Waiting::begin(permit.ended()), Waiting::begin(under_lease.ended()));
    revoke(&engine, &session).unwrap();
    house.time.advance(2_000 * MS);
    engine.turn();
    assert!(waiting.woken().is_none() && lease_waiting.woken().is_none());
    house.time.advance(MS);
    engine.turn();
    for (waiting, session) in [(&mut waiting, &session), (&mut lease_waiting, &lease)] {
        assert!(!waiting.woken().unwrap().told && !session.settled());
    }
    engine.commit().unwrap();
    assert!(ready(permit.ended()).unwrap().told && lease.end().unwrap().told);
}

#[test]
fn fail_closed_a_stop_that_could_not_write_its_last_entries_is_not_clean() {
    for (fails, clean) in [(true, false), (false, true)] {
        let house = House::new();
        let engine = house.open();
        house.disk.fails.store(fails, SeqCst);
        engine.stop();
        house.disk.fails.store(false, SeqCst);
        drop(engine);
        assert_eq!(house.try_open().unwrap().1.clean, clean);
    }
}

/// A later version has more words. Half understood, they would be told wrongly on every page that is made of the record.
#[test]
fn fail_closed_an_end_for_a_reason_of_a_later_version_is_not_read_as_another() {
    let house = House::new();
    let engine = house.open();
    let (id, node) = (sign_in(&engine, "ada").0.facts.id, engine.node().to_owned());
    revoke(&engine, &engine.session(id).unwrap());
    engine.commit().unwrap();
    let end = end_entry(&engine, id);
    drop(engine);
    append_by_hand(
        &house,
        &node,
        &[Entry::SessionEnded(SessionEnded { reason: "left_the_desk".into(), ..end })],
    );
    let said = house.try_open().map(drop).unwrap_err().to_string();
    assert!(said.contains("field `reason`"), "{said}");
}
