//! never-longer: the absolute limit counts from authentication and never slides; limits of a running session only go down.

use crate::common::*;
use nightlatch_core::{EndReason, Span};
use nightlatch_engine::{Entry, Lower, Start, StartError, Tighter};

#[test]
fn never_longer_passive_traffic_extends_nothing() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    for _ in 0..59 {
        house.time.advance(1_000 * MS);
        look(&engine, &token).unwrap().ask().unwrap();
    }
    house.time.advance(1_000 * MS);
    assert!(look(&engine, &token).is_err());
    assert_eq!((end_of(&session), session.passive()), (Some((EndReason::IdleTimeout, IDLE)), 59));
}

#[test]
fn never_longer_the_absolute_limit_counts_from_authentication() {
    let house = House::new();
    let engine = house.open();
    house.time.advance(ABSOLUTE * MS);
    let start = |authenticated| Start { authenticated: Some(at(authenticated)), ..request("ada") };
    assert!(matches!(engine.start(start(0)), Err(StartError::AuthenticationTooOld)));
    assert!(matches!(
        engine.start(start(ABSOLUTE + 5_001)),
        Err(StartError::AuthenticatedInTheFuture { by }) if by == Span::from_millis(5_001)
    ));
    let rows = [(1, ABSOLUTE + 1), (ABSOLUTE - 1, 2 * ABSOLUTE - 1), (ABSOLUTE + 5_000, 2 * ABSOLUTE)];
    for (authenticated, hard_end) in rows {
        let (session, _) = begin(&engine, start(authenticated));
        assert_eq!(session.hard_end().time(), at(hard_end));
    }
}

#[test]
fn never_longer_limits_only_go_down() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    let lower = |idle, hard_end| {
        let lower = Lower { idle: Some(Span::from_millis(idle)), hard_end: Some(at(hard_end)), rule: "app" };
        engine.lower(&session, lower)
    };
    assert!(!lower(IDLE + 1, ABSOLUTE + 1));
    assert!(lower(30_000, ABSOLUTE + 1));
    assert!(!lower(40_000, ABSOLUTE));
    assert!(lower(40_000, 500_000));
    assert_eq!((session.idle().span(), session.hard_end().time()), (Span::from_millis(30_000), at(500_000)));
    assert_eq!(engine.rule_name(session.idle().rule()), "app");
}

#[test]
fn never_longer_whoever_starts_a_session_may_ask_for_less_and_not_for_more() {
    let house = House::new();
    let engine = house.open();
    let tighter = |idle, absolute| Tighter {
        idle: Some(Span::from_millis(idle)),
        absolute: Some(Span::from_millis(absolute)),
    };
    for (asked, got) in
        [(tighter(1_000, 2_000), (1_000, 2_000)), (tighter(IDLE * 9, ABSOLUTE * 9), (IDLE, ABSOLUTE))]
    {
        let (session, _) = begin(&engine, Start { tighter: asked, ..request("ada") });
        assert_eq!((session.idle().span().as_millis(), session.hard_end().time()), (got.0, at(got.1)));
    }
}

#[test]
fn never_longer_a_wall_clock_set_forward_counts_and_set_back_does_not() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    house.time.set_wall((BEGIN - 3_600_000) * MS);
    house.time.advance(IDLE / 2 * MS);
    look(&engine, &token).unwrap();
    house.time.set_wall((BEGIN + IDLE) * MS);
    assert!(look(&engine, &token).is_err());
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, IDLE)));
}

#[test]
fn never_longer_a_lease_cannot_outlive_its_parent_by_its_own_activity() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    let (worker, token) = lease(&engine, &session);
    house.time.advance((IDLE - 1) * MS);
    assert_eq!(touch(&engine, &token).unwrap().ask().unwrap().at, at(IDLE));
    house.time.advance(MS);
    assert!(touch(&engine, &token).is_err());
    assert_eq!(end_of(&worker), Some((EndReason::ParentEnded, IDLE)));
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, IDLE)));
}

#[test]
fn never_longer_time_in_which_the_machine_slept_counts_and_is_on_the_record() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    house.time.suspend(2 * IDLE * MS);
    assert!(look(&engine, &token).is_err());
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, IDLE)));
    engine.upkeep();
    engine.upkeep();
    engine.commit().unwrap();
    let is_suspension =
        |entry: &Entry| matches!(entry, Entry::MachineSuspended { by_ms, .. } if *by_ms == 2 * IDLE);
    assert_eq!(entries(&engine).iter().filter(|entry| is_suspension(entry)).count(), 1);
}
