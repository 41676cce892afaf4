//! never-early: an active user is not thrown out before the deadline.

use crate::common::*;
use nightlatch_core::EndReason;
use nightlatch_engine::{Clock, TimeSource};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

#[test]
fn never_early_activity_keeps_a_session_to_the_last_instant_of_the_absolute_limit() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let mut passed = 0;
    while passed + IDLE - 1 < ABSOLUTE {
        passed += IDLE - 1;
        house.time.advance((IDLE - 1) * MS);
        engine.turn();
        touch(&engine, &token).unwrap();
    }
    house.time.advance((ABSOLUTE - 1 - passed) * MS);
    touch(&engine, &token).unwrap();
    house.time.advance(MS);
    engine.turn();
    assert_eq!(end_of(&session), Some((EndReason::AbsoluteTimeout, ABSOLUTE)));
}

#[test]
fn never_early_a_touch_through_a_permit_counts() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let permit = look(&engine, &token).unwrap();
    house.time.advance(40_000 * MS);
    assert_eq!(permit.touch().unwrap().at, at(40_000 + IDLE));
    assert_eq!(session.last_activity(), at(40_000));
}

#[test]
fn never_early_a_crash_costs_no_activity_that_was_flushed() {
    let house = House::new();
    let engine = house.open();
    let (id, token) = {
        let (session, token) = sign_in(&engine, "ada");
        (session.facts.id, token)
    };
    house.time.advance(10_000 * MS);
    touch(&engine, &token).unwrap();
    engine.upkeep();
    house.time.advance(400 * MS);
    touch(&engine, &token).unwrap();
    drop(engine);
    let session = house.open().session(id).unwrap();
    assert_eq!(session.last_activity(), at(10_000), "what came after the flush is lost, and nothing else");
}

/// The steady clock was read first and the wall clock second. A thread that was held up between the two took the pause for
/// a step of the wall clock, and the offset, which only goes up, kept it for good.
#[test]
fn never_early_a_pause_between_the_two_readings_of_the_clocks_is_not_time_twice() {
    /// The thread is held up for a second at each of the first four readings, and then never again.
    struct HeldUp(AtomicU64);
    impl HeldUp {
        fn read(&self) -> u64 {
            self.0.fetch_add(1, SeqCst).min(4) * 1_000 * MS
        }
    }
    impl TimeSource for HeldUp {
        fn boot_nanos(&self) -> u64 {
            self.read()
        }
        fn wall_nanos(&self) -> u64 {
            BEGIN * MS + self.read()
        }
        fn boot_id(&self) -> [u8; 16] {
            [1; 16]
        }
    }
    let (clock, _) = Clock::start(Box::new(HeldUp(AtomicU64::new(0))), None);
    let last = (0..10).map(|_| clock.now_nanos()).last().unwrap();
    assert_eq!(last, (BEGIN + 4_000) * MS, "what both clocks say");
}

/// A place in the slots file still held the end of a session that was long forgotten. A restart forgot which generation had
/// been there, the next tenant got the same one, and a crash before its first flush ended it by the other's end.
#[test]
fn never_early_a_new_tenant_of_a_slot_does_not_inherit_the_end_of_a_forgotten_one() {
    let house = House::new();
    let engine = house.open();
    let (_keeper, _) = sign_in(&engine, "keeper");
    let (gone, _) = sign_in(&engine, "gone");
    revoke(&engine, &gone).unwrap();
    engine.commit().unwrap();
    engine.upkeep();
    house.pass(&engine, 25 * 3_600_000);
    assert!(engine.session(gone.facts.id).is_none(), "forgotten after a day");
    engine.stop();
    drop((engine, gone));
    let engine = house.open();
    let ids: Vec<_> = (0..4).map(|_| sign_in(&engine, "new").0.facts.id).collect();
    drop(engine);
    let engine = house.open();
    assert!(ids.iter().all(|id| engine.session(*id).unwrap().end().is_none()));
}

/// Without a snapshot the whole ledger is read, and with it a session that ended days ago and one that has had its slot since.
/// The old one took the place back, and when it was forgotten gave it away once more: two live sessions with one slot.
#[test]
fn never_early_a_recovered_session_that_ended_does_not_take_its_slot_back() {
    let house = House::new();
    let engine = house.open();
    for round in 0..8 {
        let (session, _) = sign_in(&engine, "ada");
        revoke(&engine, &session).unwrap();
        engine.commit().unwrap();
        house.pass(&engine, 25 * 3_600_000 + round);
    }
    let (id, token) = {
        let (session, token) = sign_in(&engine, "ada");
        (session.facts.id, token)
    };
    drop(engine);
    let engine = house.open();
    house.time.advance(50_000 * MS);
    touch(&engine, &token).unwrap();
    engine.upkeep();
    let last = engine.session(id).unwrap().last_activity();
    drop(engine);
    assert_eq!(house.open().session(id).unwrap().last_activity(), last, "its activity was flushed");
}
