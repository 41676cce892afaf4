//! never-late: nothing is let through by a decision made at or after the deadline.

use crate::common::*;
use nightlatch_core::{EndReason, Span};
use nightlatch_engine::Lower;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[test]
fn never_late_the_instant_before_at_and_after_the_idle_deadline() {
    for (nanos, over) in [(IDLE * MS - 1, false), (IDLE * MS, true), (IDLE * MS + 1, true)] {
        let house = House::new();
        let engine = house.open();
        let (session, token) = sign_in(&engine, "ada");
        house.time.advance(nanos);
        assert_eq!(look(&engine, &token).is_err(), over, "{nanos} ns after the start");
        assert_eq!(end_of(&session), over.then_some((EndReason::IdleTimeout, IDLE)));
    }
}

#[test]
fn never_late_the_instant_before_at_and_after_the_absolute_deadline() {
    for (millis, over) in [(ABSOLUTE - 1, false), (ABSOLUTE, true), (ABSOLUTE + 1, true)] {
        let house = House::new();
        let engine = house.open();
        let (session, token) = sign_in(&engine, "ada");
        while house.time.wall() + 50_000 * MS < (BEGIN + ABSOLUTE) * MS {
            house.time.advance(50_000 * MS);
            touch(&engine, &token).unwrap();
        }
        house.time.advance((BEGIN + millis) * MS - house.time.wall());
        assert_eq!(touch(&engine, &token).is_err(), over, "{millis} ms after the start");
        assert_eq!(end_of(&session), over.then_some((EndReason::AbsoluteTimeout, ABSOLUTE)));
    }
}

#[test]
fn never_late_a_permit_says_no_from_the_deadline_on_without_any_timer() {
    let house = House::new();
    let engine = house.open();
    let (_session, token) = sign_in(&engine, "ada");
    let permit = look(&engine, &token).unwrap();
    house.time.advance(IDLE * MS - 1);
    assert_eq!(permit.ask().unwrap().at, at(IDLE));
    house.time.advance(1);
    assert_eq!(permit.ask().unwrap_err().reason, EndReason::IdleTimeout);
    assert_eq!(permit.touch().unwrap_err().at, at(IDLE));
}

#[test]
fn never_late_what_is_open_and_quiet_is_woken_at_the_deadline() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let permit = look(&engine, &token).unwrap();
    let mut waiting = Waiting::begin(permit.ended());
    loop {
        let next = engine.turn().unwrap();
        assert!(next <= at(IDLE), "the next turn would come too late");
        if next == at(IDLE) {
            break;
        }
        assert_eq!(session.end(), None);
        house.time.advance(next.as_nanos() - house.time.wall());
    }
    house.time.advance((BEGIN + IDLE) * MS - house.time.wall() - 1);
    engine.upkeep();
    engine.turn();
    assert!(waiting.woken().is_none(), "a nanosecond early");
    house.time.advance(1);
    engine.turn();
    assert_eq!(waiting.woken().unwrap().reason, EndReason::IdleTimeout);
}

#[test]
fn never_late_a_lowered_limit_does_not_wait_for_the_timer_of_the_one_before() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    engine.turn();
    let lower = Lower { idle: Some(Span::from_millis(20)), hard_end: None, rule: "kiosk" };
    assert!(engine.lower(&session, lower));
    assert!(engine.turn().unwrap() <= at(20));
    house.time.advance(20 * MS);
    engine.turn();
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, 20)));
}

#[test]
fn never_late_no_lease_starts_under_a_parent_whose_deadline_nobody_noticed() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    house.time.advance(IDLE * MS);
    let start = nightlatch_engine::Start { parent: Some(session.facts.id), ..request("worker") };
    assert!(matches!(engine.start(start), Err(nightlatch_engine::StartError::ParentNotLive(_))));
}

/// Prints how long a burst takes; it asserts only that everybody is out. `NIGHTLATCH_BURST` says how many, in hundreds.
#[test]
fn never_late_many_that_fall_due_together() {
    let hundreds = std::env::var("NIGHTLATCH_BURST").map_or(100, |text| text.parse().unwrap());
    let house = House::with_segments(64 << 20);
    let engine = house.open();
    let mut sessions = Vec::new();
    for _ in 0..hundreds {
        sessions.extend((0..100).map(|_| engine.start(request("ada")).unwrap().into_parts().0));
        engine.commit().unwrap();
    }
    house.pass(&engine, IDLE - 1);
    engine.turn();
    assert!(sessions.iter().all(|session| session.end().is_none()));
    house.time.advance(MS);
    let begin = std::time::Instant::now();
    let turned = AtomicBool::new(false);
    let (out, noted) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            for session in &sessions {
                while session.end().is_none() && !turned.load(SeqCst) {
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
            }
            begin.elapsed()
        });
        engine.turn();
        turned.store(true, SeqCst);
        (watcher.join().unwrap(), begin.elapsed())
    });
    engine.commit().unwrap();
    println!(
        "{} ends: all out after {out:?}, noted after {noted:?}, on record after {:?}",
        sessions.len(),
        begin.elapsed()
    );
    assert!(sessions.iter().all(|session| session.settled()));
    assert_eq!(engine.health().timers, 0);
}
