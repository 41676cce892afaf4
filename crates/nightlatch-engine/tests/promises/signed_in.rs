//! Where a subject is signed in: its own sessions and nobody else's, from where, and the end of all but one.

use crate::common::*;
use nightlatch_core::{EndReason, SessionId, Subject};
use nightlatch_engine::{Device, EndOrder, Engine, Session, Start};
use std::{fs, sync::Arc};

const ELSEWHERE: EndOrder<'static> =
    EndOrder { reason: EndReason::Logout, by: "user", cause: Some("by the user from session ses_1") };

fn listed(engine: &Engine, of: &Session) -> Vec<SessionId> {
    engine.signed_in(&of.facts.who.subject).iter().map(|session| session.facts.id).collect()
}

fn sorted<const N: usize>(sessions: [&Arc<Session>; N]) -> Vec<SessionId> {
    let mut ids = sessions.map(|session| session.facts.id).to_vec();
    ids.sort();
    ids
}

#[test]
fn only_what_lives_and_was_signed_in_to_by_the_same_subject_is_listed() {
    let house = House::new();
    let engine = house.open();
    let (first, _) = sign_in(&engine, "ada");
    house.time.advance(1_000 * MS);
    let (second, _) = sign_in(&engine, "ada");
    lease(&engine, &second);
    sign_in(&engine, "bob");
    let same_name = Subject { provider: "another".into(), name: "ada".into() };
    begin(&engine, Start { subject: same_name, ..request("ada") });
    let (over, _) = sign_in(&engine, "ada");
    revoke(&engine, &over).unwrap();
    assert_eq!(listed(&engine, &first), sorted([&first, &second]));
    // The first one's deadline is now, and nobody has noticed.
    house.time.advance((IDLE - 1_000) * MS);
    assert_eq!(listed(&engine, &second), [second.facts.id]);
}

#[test]
fn all_others_end_and_this_one_with_its_leases_goes_on() {
    let house = House::new();
    let engine = house.open();
    let (kept, token) = sign_in(&engine, "ada");
    let (own_lease, _) = lease(&engine, &kept);
    let (other, other_token) = sign_in(&engine, "ada");
    let (others_lease, _) = lease(&engine, &other);
    let (bob, _) = sign_in(&engine, "bob");
    let mut ending = Waiting::begin(engine.end_all_but(&kept, ELSEWHERE));
    assert!(look(&engine, &other_token).is_err(), "at once");
    engine.commit().unwrap();
    assert_eq!(ending.woken().unwrap(), [other.facts.id]);
    assert!(look(&engine, &token).is_ok() && own_lease.end().is_none() && bob.end().is_none());
    assert_eq!(others_lease.end().map(|end| end.reason), Some(EndReason::ParentEnded));
    let end = end_entry(&engine, other.facts.id);
    assert_eq!(
        (end.reason.as_str(), end.by.as_str(), end.cause.as_deref()),
        ("logout", "user", ELSEWHERE.cause)
    );
}

#[test]
fn one_that_is_on_its_way_to_disk_does_not_slip_through() {
    let house = House::new();
    let engine = house.open();
    let (kept, _) = sign_in(&engine, "ada");
    let (under_way, _) = engine.start(request("ada")).unwrap().into_parts();
    let mut ending = Waiting::begin(engine.end_all_but(&kept, ELSEWHERE));
    let (later, _) = engine.start(request("ada")).unwrap().into_parts();
    // The start becomes known with this, and its end goes to disk with the next.
    engine.commit().unwrap();
    assert!(ending.woken().is_none());
    engine.commit().unwrap();
    let ended = ending.woken().unwrap();
    assert!(ended.contains(&under_way.facts.id), "{ended:?}");
    assert!(under_way.end().is_some() && kept.end().is_none());
    // Whether it is among them is a matter of when it was seen; that none is forgotten half ended is not.
    assert_eq!(later.end().is_some(), ended.contains(&later.facts.id));
}

#[test]
fn a_device_is_known_after_a_restart_and_forgotten_with_its_session() {
    let device = Device { address: "203.0.113.7".parse().ok(), words: "Firefox on Windows".to_owned() };
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    let (other, _) = sign_in(&engine, "ada");
    engine.note_device(&session, &device);
    assert_eq!((engine.device(&session), engine.device(&other)), (Some(device.clone()), None));
    drop(engine);

    let engine = house.open();
    let session = engine.session(session.facts.id).unwrap();
    assert_eq!(engine.device(&session), Some(device));
    revoke(&engine, &session).unwrap();
    engine.commit().unwrap();
    assert!(engine.device(&session).is_some(), "who held it may still be told");
    house.pass(&engine, 25 * 3_600_000);
    house.pass(&engine, 1);
    assert!(engine.session(session.facts.id).is_none());
    let kept = fs::read(engine.data().devices()).unwrap();
    assert!(kept.iter().all(|&byte| byte == 0), "nothing of it is left");
    // Nor was it ever where nothing can be forgotten.
    let record = format!("{:?}", entries(&engine));
    assert!(!record.contains("203.0.113.7") && !record.contains("Firefox"));
}
