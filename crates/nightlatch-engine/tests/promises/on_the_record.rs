//! on-the-record: no session starts or ends but by a ledger entry, with its cause, its numbers and its lateness.

use crate::common::*;
use nightlatch_core::{Activity, EndReason, Span};
use nightlatch_engine::{Admission, Channel, CutNote, EndOrder, Entry, Lower, Start};

#[test]
fn on_the_record_a_session_is_known_when_its_start_is() {
    let house = House::new();
    let engine = house.open();
    // A name that no row of hexadecimal digits can spell.
    let (session, token) = engine.start(request("lovelace")).unwrap().into_parts();
    let id = session.facts.id;
    assert!(matches!(engine.check(&token.hash(), Activity::Active, "test"), Admission::Unknown));
    assert!(engine.session(id).is_none() && about(&engine, id).is_empty());
    engine.commit().unwrap();
    touch(&engine, &token).unwrap();
    let [Entry::SessionStarted(started)] = &about(&engine, id)[..] else { panic!("one start") };
    assert_eq!((started.at, started.started, started.last_activity), (BEGIN, BEGIN, BEGIN));
    assert_eq!((started.idle_ms, started.hard_end), (IDLE, BEGIN + ABSOLUTE));
    assert_eq!(
        (&*started.cause, &*started.kind, &started.groups[..]),
        ("test", "person", &["desk".to_owned()][..])
    );
    assert!(!format!("{started:?}").contains("lovelace"), "people are pseudonyms");
}

#[test]
fn on_the_record_an_end_by_deadline_with_its_numbers_and_its_lateness() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    house.time.advance(5_000 * MS);
    let permit = touch(&engine, &token).unwrap();
    look(&engine, &token).unwrap();
    house.time.advance(IDLE * MS + 1_234_000);
    engine.turn();
    engine.commit().unwrap();
    let end = end_entry(&engine, session.facts.id);
    assert_eq!((&*end.reason, &*end.by), ("idle_timeout", "deadline"));
    assert_eq!((end.ended_at, end.deadline), (BEGIN + 5_000 + IDLE, BEGIN + 5_000 + IDLE));
    assert_eq!((end.at, end.lateness_us), (BEGIN + 5_001 + IDLE, Some(1_234)));
    assert_eq!((end.last_activity, end.passive, end.open), (BEGIN + 5_000, 1, 1));
    assert!(!end.while_down);
    drop(permit);
}

#[test]
fn on_the_record_before_a_revocation_is_told_and_after_an_idle_end() {
    let house = House::new();
    let engine = house.open();
    let (revoked, token) = sign_in(&engine, "ada");
    let permit = look(&engine, &token).unwrap();
    let mut waiting = Waiting::begin(permit.ended());
    revoke(&engine, &revoked).unwrap();
    let refusal = touch(&engine, &token).unwrap_err();
    let mut told = Waiting::begin(refusal.told());
    assert!(permit.ask().is_err(), "it takes effect at once");
    assert!(waiting.woken().is_none() && told.woken().is_none() && !revoked.settled());
    engine.commit().unwrap();
    assert_eq!(waiting.woken().unwrap().reason, EndReason::Revoked);
    assert!(told.woken().is_some());

    let (idle, token) = sign_in(&engine, "bob");
    house.pass(&engine, IDLE);
    let refusal = touch(&engine, &token).unwrap_err();
    assert!(ready(refusal.told()).is_some(), "an idle end follows from the numbers");
    engine.commit().unwrap();
    assert_eq!(end_entry(&engine, idle.facts.id).by, "check");
    assert_eq!(end_entry(&engine, revoked.facts.id).cause.as_deref(), Some("CHG-1"));
}

#[test]
fn on_the_record_each_cut_and_the_first_refusal_once_and_over_restarts() {
    let house = House::new();
    let mut engine = house.open();
    let (id, token) = {
        let (session, token) = sign_in(&engine, "ada");
        (session.facts.id, token)
    };
    let permit = look(&engine, &token).unwrap();
    house.time.advance(IDLE * MS + 2_000_000);
    permit.ask().unwrap_err();
    let note = CutNote { channel: Channel::WebSocket, route: "/ws", point: "gateway", how: "close 3008" };
    permit.record_cut(note);
    drop(permit);
    for clean in [false, true, false] {
        for _ in 0..3 {
            look(&engine, &token).unwrap_err();
        }
        if clean {
            engine.stop();
        } else {
            engine.commit().unwrap();
        }
        drop(engine);
        engine = house.open();
    }
    let entries = about(&engine, id);
    let refusals = entries.iter().filter(|entry| matches!(entry, Entry::RefusedAfterEnd { .. })).count();
    let cuts: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Cut(cut) => Some(cut),
            _ => None,
        })
        .collect();
    assert_eq!(refusals, 1);
    assert_eq!(cuts.len(), 1);
    assert_eq!((cuts[0].ended_at, cuts[0].at, cuts[0].lateness_us), (BEGIN + IDLE, BEGIN + IDLE + 2, 2_000));
    assert_eq!(
        (&*cuts[0].channel, &*cuts[0].reason, &*cuts[0].how),
        ("websocket", "idle_timeout", "close 3008")
    );
    end_entry(&engine, id);
}

/// The snapshot forgot that a recovered session's end was on record, and the restart after it recorded a second one.
#[test]
fn on_the_record_an_end_once_however_often_it_is_recovered() {
    let house = House::new();
    let mut engine = house.open();
    let id = sign_in(&engine, "ada").0.facts.id;
    house.pass(&engine, IDLE);
    engine.turn();
    for _ in 0..4 {
        engine.stop();
        drop(engine);
        engine = house.open();
        end_entry(&engine, id);
    }
}

#[test]
fn on_the_record_an_end_of_a_session_that_is_not_on_record_yet_comes_after_its_start() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = engine.start(request("ada")).unwrap().into_parts();
    revoke(&engine, &session).unwrap();
    engine.commit().unwrap();
    assert!(look(&engine, &token).is_err() && session.settled());
    let what: Vec<_> = about(&engine, session.facts.id);
    assert!(matches!(what[..], [Entry::SessionStarted(_), Entry::SessionEnded(_)]));
}

#[test]
fn on_the_record_lowered_limits_and_what_they_make_overdue() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    house.time.advance(30_000 * MS);
    let lower = |idle| Lower { idle: Some(Span::from_millis(idle)), hard_end: None, rule: "kiosk" };
    assert!(engine.lower(&session, lower(40_000)));
    look(&engine, &token).unwrap();
    assert!(engine.lower(&session, lower(20_000)));
    engine.commit().unwrap();
    let Entry::LimitsLowered { at, idle_ms, idle_rule, hard_end_rule, .. } =
        &about(&engine, session.facts.id)[1]
    else {
        panic!("limits lowered")
    };
    assert_eq!((*at, *idle_ms, &**idle_rule, &**hard_end_rule), (BEGIN + 30_000, 40_000, "kiosk", "policy"));
    let end = end_entry(&engine, session.facts.id);
    assert_eq!((&*end.reason, end.ended_at, end.lateness_us), ("policy_tightened", BEGIN + 30_000, None));
    assert!(!engine.lower(&session, lower(10)), "what is over has no limits to lower");
}

/// An operator's words had no bound. An entry beyond the ledger's limit was never recorded, and nobody could be told.
#[test]
fn on_the_record_an_end_whatever_the_length_of_the_words() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    let words = "\u{1}é".repeat(100_000);
    let order = EndOrder { reason: EndReason::Revoked, by: &words, cause: Some(&words) };
    assert!(engine.end(&session, order).is_some());
    engine.commit().unwrap();
    assert!(session.settled());
    assert!(words.starts_with(&end_entry(&engine, session.facts.id).by));
}

#[test]
fn on_the_record_a_start_that_does_not_fit_is_refused_and_harms_nobody() {
    let house = House::new();
    let engine = house.open();
    let groups = vec!["\"".repeat(32_768)];
    assert!(engine.start(Start { groups, ..request("ada") }).is_err());
    let (session, _) = sign_in(&engine, "bob");
    let Entry::SessionStarted(started) = &about(&engine, session.facts.id)[0] else { panic!("a start") };
    assert_eq!(started.slot, 0, "the slot that was taken is given back");
}

#[test]
fn on_the_record_what_finds_an_end_was_not_open_itself() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    house.time.advance(IDLE * MS);
    assert!(touch(&engine, &token).is_err());
    engine.commit().unwrap();
    let end = end_entry(&engine, session.facts.id);
    assert_eq!((&*end.by, end.open, session.open()), ("check", 0, 0));
}
