//! together: all channels of one session end from one clock and one word of state.

use crate::common::*;
use nightlatch_core::EndReason;

#[test]
fn together_every_permit_of_a_session_hears_of_its_end() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let permits: Vec<_> = (0..5).map(|_| look(&engine, &token).unwrap()).collect();
    let more = look(&engine, &token).unwrap();
    assert_eq!(session.open(), 6);
    let mut waiting: Vec<_> =
        permits.iter().chain([&more]).map(|permit| Waiting::begin(permit.ended())).collect();
    revoke(&engine, &session).unwrap();
    assert!(permits.iter().all(|permit| permit.ask().is_err()));
    engine.commit().unwrap();
    for waiting in &mut waiting {
        assert_eq!(waiting.woken().unwrap().reason, EndReason::Revoked);
    }
    drop(waiting);
    drop((permits, more));
    assert_eq!(session.open(), 0);
}

#[test]
fn together_leases_and_leases_of_leases_end_with_their_root() {
    for idle in [false, true] {
        let house = House::new();
        let engine = house.open();
        let (root, _) = sign_in(&engine, "ada");
        let (worker, worker_token) = lease(&engine, &root);
        let (tool, tool_token) = lease(&engine, &worker);
        let permit = look(&engine, &tool_token).unwrap();
        let mut waiting = Waiting::begin(permit.ended());
        let instant = if idle {
            // Their own idle deadlines are later than the root's.
            house.time.advance(1_000 * MS);
            touch(&engine, &worker_token).unwrap();
            touch(&engine, &tool_token).unwrap();
            house.pass(&engine, IDLE - 1_000);
            engine.turn();
            IDLE
        } else {
            house.time.advance(1_000 * MS);
            revoke(&engine, &root).unwrap();
            assert!(permit.ask().is_err(), "at once");
            assert!(waiting.woken().is_none(), "not told before the root's end is on disk");
            1_000
        };
        engine.commit().unwrap();
        assert_eq!(waiting.woken().unwrap().reason, EndReason::ParentEnded);
        assert!(touch(&engine, &worker_token).is_err() && touch(&engine, &tool_token).is_err());
        for lease in [&worker, &tool] {
            assert_eq!(end_of(lease), Some((EndReason::ParentEnded, instant)));
            assert_eq!(end_entry(&engine, lease.facts.id).ended_at, BEGIN + instant);
        }
    }
}

#[test]
fn together_a_lease_ends_alone_and_leaves_its_parent() {
    let house = House::new();
    let engine = house.open();
    let (root, token) = sign_in(&engine, "ada");
    let (worker, _) = lease(&engine, &root);
    let permit = look(&engine, &token).unwrap();
    let mut waiting = Waiting::begin(permit.ended());
    revoke(&engine, &worker).unwrap();
    engine.commit().unwrap();
    assert!(waiting.woken().is_none() && permit.ask().is_ok());
    assert_eq!((end_of(&worker).unwrap().0, end_of(&root)), (EndReason::Revoked, None));
}

/// A lease was written down when its own timer came up, minutes after its parent had been revoked, and with that as lateness.
#[test]
fn together_a_lease_that_nobody_uses_is_on_record_with_its_parent() {
    let house = House::new();
    let engine = house.open();
    let (root, _) = sign_in(&engine, "ada");
    let (worker, _) = lease(&engine, &root);
    revoke(&engine, &root).unwrap();
    engine.commit().unwrap();
    let end = end_entry(&engine, worker.facts.id);
    assert_eq!((&*end.reason, end.at, end.lateness_us), ("parent_ended", BEGIN, Some(0)));
}

/// Parent and lease fell due unnoticed, the lease first. Its end was put down to the parent's.
#[test]
fn together_a_lease_that_was_over_before_its_parent_keeps_its_own_reason() {
    let house = House::new();
    let engine = house.open();
    let (root, token) = sign_in(&engine, "ada");
    let (worker, worker_token) = lease(&engine, &root);
    house.time.advance(30_000 * MS);
    touch(&engine, &token).unwrap();
    house.time.advance(IDLE * MS);
    look(&engine, &worker_token).unwrap_err();
    assert_eq!(end_of(&worker), Some((EndReason::IdleTimeout, IDLE)));
    assert_eq!(end_of(&root), Some((EndReason::IdleTimeout, IDLE + 30_000)));
}
