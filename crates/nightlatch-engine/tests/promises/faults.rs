//! What fails by itself: what it stops, that everything else goes on, and that it mends itself.

use crate::common::*;
use nightlatch_engine::{Engine, Entry, Part, StartError};
use std::{collections::BTreeMap, fs, sync::atomic::Ordering::SeqCst};

fn faults(engine: &Engine) -> Vec<Part> {
    engine.health().faults.into_iter().map(|fault| fault.part).collect()
}

fn is_refused(engine: &Engine, name: &str) -> bool {
    matches!(engine.start(request(name)), Err(StartError::NotRecording | StartError::People(_)))
}

fn spares(house: &House) -> usize {
    let files = fs::read_dir(house.folder.path().join("ledger")).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("spare")).count()
}

/// So many sessions that their ends take many segments, and then no more space: all of them end on the record.
#[test]
fn on_the_record_room_grows_with_the_sessions_that_live() {
    let house = House::with_segments(64 << 10);
    let engine = house.open();
    let mut sessions = Vec::new();
    for number in 0..600 {
        sessions.push(sign_in(&engine, &format!("user {}", number % 50)).0);
    }
    // 600 ends and cuts of 1,152 bytes, and the eighth that stays empty, in segments of 64 KiB.
    assert!(spares(&house) >= 12, "{} spares", spares(&house));
    house.disk.full.store(true, SeqCst);
    while engine.start(request("late")).map(|starting| sessions.push(starting.into_parts().0)).is_ok() {
        engine.commit().unwrap();
        assert!(sessions.len() < 1_000);
    }
    assert_eq!(faults(&engine), [Part::Room]);
    assert!(engine.health().enforcing && !engine.health().recording);
    // With the longest words that an operator may use.
    let cause = "\u{1f512}".repeat(250);
    for session in &sessions[..300] {
        let order = nightlatch_engine::EndOrder {
            reason: nightlatch_core::EndReason::Revoked,
            by: "key:operator",
            cause: Some(&cause),
        };
        engine.end(session, order).unwrap();
        engine.commit().unwrap();
    }
    house.pass(&engine, IDLE);
    engine.turn();
    engine.commit().unwrap();
    let written = entries(&engine).into_iter().filter_map(|entry| match entry {
        Entry::SessionEnded(ended) => Some((ended.session, ended.cause)),
        _ => None,
    });
    let written: Vec<_> = written.collect();
    assert_eq!(written.len(), sessions.len(), "each once");
    let ends: BTreeMap<_, _> = written.into_iter().collect();
    assert!(
        sessions.iter().all(|session| session.settled() && ends.contains_key(&session.facts.id.to_string()))
    );
    let told = ends[&sessions[299].facts.id.to_string()].clone().unwrap();
    assert!(cause.starts_with(&told) && !told.is_empty(), "as many of the words as fit");

    house.disk.full.store(false, SeqCst);
    for _ in 0..20 {
        house.pass(&engine, 500);
    }
    assert_eq!(faults(&engine), []);
    assert!(spares(&house) <= 3, "what is not owed any more is given back: {}", spares(&house));
    sign_in(&engine, "later");
}

/// Cuts and refusals give way to the ends of others, and that is told.
#[test]
fn on_the_record_what_gave_way_on_a_full_disk_is_counted() {
    let house = House::with_segments(64 << 10);
    let engine = house.open();
    let (_, token) = sign_in(&engine, "ada");
    let permits: Vec<_> = (0..600).map(|_| touch(&engine, &token).unwrap()).collect();
    let others: Vec<_> = (0..20).map(|number| sign_in(&engine, &format!("user {number}")).0).collect();
    house.disk.full.store(true, SeqCst);
    revoke(&engine, permits[0].session()).unwrap();
    engine.commit().unwrap();
    for permit in &permits {
        permit.record_cut(nightlatch_engine::CutNote {
            channel: nightlatch_engine::Channel::Sse,
            route: "GET /news",
            point: "test",
            how: "event nightlatch-ended",
        });
        engine.commit().unwrap();
    }
    house.pass(&engine, IDLE);
    engine.turn();
    engine.commit().unwrap();
    for other in others {
        end_entry(&engine, other.facts.id);
    }
    let cuts = || entries(&engine).iter().filter(|entry| matches!(entry, Entry::Cut(_))).count() as u64;
    let gave_way = engine.stats().gave_way.load(SeqCst);
    assert!(
        gave_way > 0 && cuts() > 100 && cuts() + gave_way == 600,
        "{} written, {gave_way} gave way",
        cuts()
    );
    house.disk.full.store(false, SeqCst);
    house.pass(&engine, 500);
    engine.commit().unwrap();
    let told = entries(&engine).into_iter().find_map(|entry| match entry {
        Entry::EntriesGaveWay { count, .. } => Some(count),
        _ => None,
    });
    assert_eq!(told, Some(gave_way));
}

/// The disk is back, and nobody has asked for anything: the next round of upkeep finds out.
#[test]
fn fail_closed_a_disk_that_is_back_is_noticed_by_itself() {
    let house = House::new();
    let engine = house.open();
    house.disk.fails.store(true, SeqCst);
    engine.start(request("ada")).unwrap();
    assert!(engine.commit().is_err());
    let since = engine.health().faults[0].since;
    house.pass(&engine, 700);
    assert_eq!((faults(&engine), engine.health().faults[0].since), (vec![Part::Ledger], since));
    house.disk.fails.store(false, SeqCst);
    house.pass(&engine, 500);
    assert_eq!(faults(&engine), []);
    assert_eq!(engine.times_at_fault(Part::Ledger), 1);
    sign_in(&engine, "bob");
}

/// A file of the store that cannot be written: no session starts, running ones go on, and it mends itself.
#[test]
fn fail_closed_each_file_that_cannot_be_written_stops_starts_and_nothing_else() {
    // A directory stands where a file is to be prepared, or a file where a directory is to be made.
    let rows: [(Part, &str, bool); 2] =
        [(Part::People, "people.new", true), (Part::Snapshot, "snapshot", false)];
    for (part, name, stops) in rows {
        let house = House::new();
        let engine = house.open();
        let (_, token) = sign_in(&engine, "ada");
        let obstacle = house.folder.path().join(name);
        let _ = fs::remove_dir_all(&obstacle);
        match part {
            Part::People => {
                fs::create_dir_all(obstacle.join("in the way")).unwrap();
                break_people(&engine);
            }
            _ => {
                fs::write(&obstacle, "in the way").unwrap();
                engine.stop();
            }
        }
        assert_eq!(faults(&engine), [part]);
        assert_eq!(is_refused(&engine, "ada"), stops, "{part:?}");
        touch(&engine, &token).unwrap();
        assert!(engine.health().enforcing);
        let _ = fs::remove_file(&obstacle);
        let _ = fs::remove_dir_all(&obstacle);
        if part == Part::People {
            house.pass(&engine, 500);
            assert_eq!(faults(&engine), []);
        }
        sign_in(&engine, "carol");
    }
}

/// A change of the file that fails makes its end suspect: the next one writes it anew, which fails as well.
fn break_people(engine: &Engine) {
    let ada = engine.people().known("test", "ada").unwrap();
    assert!(engine.people().erase(&ada).is_err());
    assert!(matches!(engine.start(request("new")), Err(StartError::People(_))));
}
