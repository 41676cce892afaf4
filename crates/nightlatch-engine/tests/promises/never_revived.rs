//! never-revived: an end absorbs. Nothing makes an ended session live again.

use crate::common::*;
use nightlatch_core::{EndReason, Span};
use nightlatch_engine::Lower;

#[test]
fn never_revived_by_a_touch_a_turn_a_second_end_or_a_clock_set_back() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let permit = look(&engine, &token).unwrap();
    house.time.advance(1_000 * MS);
    assert!(revoke(&engine, &session).is_some());
    let ended = Some((EndReason::Revoked, 1_000));
    house.time.set_wall(0);
    assert!(touch(&engine, &token).is_err());
    assert!(permit.touch().is_err());
    assert!(revoke(&engine, &session).is_none(), "the first end stays");
    engine.turn();
    house.pass(&engine, ABSOLUTE);
    engine.turn();
    assert!(touch(&engine, &token).is_err());
    assert_eq!(end_of(&session), ended);
}

#[test]
fn never_revived_by_a_restart_of_any_kind() {
    let house = House::new();
    let mut engine = house.open();
    let (id, token) = {
        let (session, token) = sign_in(&engine, "ada");
        (session.facts.id, token)
    };
    house.time.advance(1_000 * MS);
    revoke(&engine, &engine.session(id).unwrap()).unwrap();
    engine.commit().unwrap();
    for clean in [false, true, true, false] {
        if clean {
            engine.stop();
        }
        drop(engine);
        house.time.advance(100 * MS);
        engine = house.open();
        assert!(touch(&engine, &token).is_err());
        assert_eq!(end_of(&engine.session(id).unwrap()), Some((EndReason::Revoked, 1_000)));
        engine.commit().unwrap();
        assert!(!end_entry(&engine, id).while_down, "and it is written down once");
    }
}

/// An idle end follows from the numbers, so it is told before its entry is on disk. But the idle limit had been lowered a
/// moment before, and that was not on disk either: after a crash the higher limit stood again, and the session lived.
#[test]
fn never_revived_an_end_by_limits_that_a_crash_forgets_is_not_told_before_its_entry() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    let lower = Lower { idle: Some(Span::from_millis(100)), hard_end: None, rule: "kiosk" };
    assert!(engine.lower(&session, lower));
    house.pass(&engine, 100);
    engine.turn();
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, 100)), "it takes effect at once");
    assert!(!session.settled(), "and is told when it is on disk");
    engine.commit().unwrap();
    assert!(session.settled());
    let (session, _) = sign_in(&engine, "bob");
    assert!(engine.lower(&session, lower));
    engine.commit().unwrap();
    house.pass(&engine, 100);
    engine.turn();
    assert!(session.settled(), "the limit is on disk: told at once");
}

/// The same with the clock: a step forward that no reservation had seen, a crash, and a step back.
#[test]
fn never_revived_an_end_by_a_step_that_a_crash_forgets_is_not_told_before_its_entry() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    house.time.set_wall((BEGIN + IDLE) * MS);
    engine.turn();
    assert_eq!((end_of(&session), session.settled()), (Some((EndReason::IdleTimeout, IDLE)), false));
    engine.commit().unwrap();
    assert!(session.settled());
    let (session, _) = sign_in(&engine, "bob");
    house.time.set_wall((BEGIN + 2 * IDLE) * MS);
    engine.upkeep();
    engine.turn();
    assert!(session.settled(), "the step is reserved: told at once");
}

#[test]
fn never_revived_an_end_that_reached_only_the_slots_still_ends() {
    let house = House::new();
    let engine = house.open();
    let id = sign_in(&engine, "ada").0.facts.id;
    house.time.advance(1_000 * MS);
    revoke(&engine, &engine.session(id).unwrap()).unwrap();
    engine.upkeep();
    drop(engine);
    let engine = house.open();
    assert_eq!(end_of(&engine.session(id).unwrap()).unwrap().0, EndReason::Revoked);
    assert!(end_entry(&engine, id).while_down);
}
