#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail the test they serve")]

use super::*;
use nightlatch_core::{Activity, Kind, Limits, Policy, Span, Subject};
use nightlatch_engine::{Admission, Engine, ManualTime, OsTime, Running, Start, Tighter, TimeSource};
use std::time::Duration;

/// A session, what it holds open, and its clock.
pub(crate) struct Stage {
    running: Running,
    pub(crate) guarded: Guarded,
    _data: tempfile::TempDir,
}

pub(crate) async fn stage(time: Box<dyn TimeSource>) -> Stage {
    let data = tempfile::tempdir().unwrap();
    let limits = Limits::new(Span::from_secs(600), Span::from_secs(3600), Span::from_secs(60)).unwrap();
    let (engine, _) = Engine::open(data.path(), Policy { version: 1, limits }, time, "test").unwrap();
    let running = Running::start(engine).unwrap();
    let start = Start {
        subject: Subject { provider: "test".into(), name: "ada".into() },
        kind: Kind::Person,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: None,
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "test",
    };
    let (_, token) = running.engine().start(start).unwrap().known(running.engine()).await;
    let Admission::Granted(permit) = running.engine().check(&token.hash(), Activity::Passive, POINT) else {
        panic!("live")
    };
    let guarded = Guarded { permit: Arc::new(permit), channel: Channel::Sse, route: "GET /".into() };
    Stage { running, guarded, _data: data }
}

fn gate(guarded: &Guarded) -> Gate {
    let gate = Gate::default();
    gate.hold(guarded.clone());
    gate
}

/// Whether last words may be said now, without saying them.
fn may_speak(gate: &Gate) -> bool {
    gate.state().flushed
}

#[tokio::test]
async fn a_flush_says_nothing_about_bytes_that_no_write_has_followed() {
    let stage = stage(Box::new(OsTime)).await;
    let gate = gate(&stage.guarded);
    // A flush of nothing: what was announced is still above the socket.
    gate.left();
    assert!(!may_speak(&gate) && !gate.wrote());
    gate.ask().unwrap();
    assert!(!may_speak(&gate) && gate.wrote(), "taken, perhaps in part");
    gate.left();
    assert!(may_speak(&gate));
    // The next piece: the flush of the one before does not count for it.
    gate.put();
    gate.left();
    assert!(!may_speak(&gate) && !gate.wrote());
    assert!(!gate.last_words(&stage.guarded, "event"));
    gate.ask().unwrap();
    gate.left();
    assert!(gate.last_words(&stage.guarded, "event"));
}

#[tokio::test]
async fn a_permit_is_held_until_what_it_was_for_has_left() {
    let stage = stage(Box::new(OsTime)).await;
    let holders = || Arc::strong_count(&stage.guarded.permit);
    let before = holders();
    let gate = gate(&stage.guarded);
    gate.put();
    gate.release();
    assert_eq!(holders(), before + 1, "complete, and still on its way");
    gate.ask().unwrap();
    gate.left();
    assert_eq!(holders(), before);
    // Complete after it has left.
    gate.hold(stage.guarded.clone());
    gate.ask().unwrap();
    gate.left();
    assert_eq!(holders(), before + 1);
    gate.release();
    assert_eq!(holders(), before);
    // The next exchange begins while the one before is still on its way: both are held, then one.
    gate.hold(stage.guarded.clone());
    gate.hold(stage.guarded.clone());
    assert_eq!(holders(), before + 2);
    gate.ask().unwrap();
    gate.left();
    assert_eq!(holders(), before + 1);
    drop(gate);
    assert_eq!(holders(), before);
}

#[tokio::test]
async fn never_late_a_closed_gate_stays_closed() {
    let time = Arc::new(ManualTime::new(1_800_000_000_000_000_000));
    let stage = stage(Box::new(Arc::clone(&time))).await;
    let (passing, releasing, speaking) = (gate(&stage.guarded), gate(&stage.guarded), gate(&stage.guarded));
    for gate in [&passing, &releasing, &speaking] {
        gate.ask().unwrap();
    }
    speaking.left();
    releasing.release();
    time.advance(600 * 1_000_000_000 - 1_000_000);
    passing.ask().unwrap();
    time.advance(1_000_000);
    // Bytes of an exchange that is complete, and has not left, are not let through for being complete.
    for gate in [&passing, &releasing] {
        assert_eq!(gate.ask().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        gate.left();
        assert!(!gate.last_words(&stage.guarded, "event"), "nothing may follow a piece that was held back");
        gate.open();
        assert!(gate.ask().is_err());
    }
    // Nothing was on its way here: the words may pass, and nothing before them.
    assert!(speaking.last_words(&stage.guarded, "event"));
    speaking.ask().unwrap();
    let cuts = |running: &Running| {
        let entries = running.engine().ledger().iter_from(0);
        entries.filter(|entry| contains(&entry.as_ref().unwrap().payload, b"\"what\":\"cut\"")).count()
    };
    running_durable(&stage.running).await;
    assert_eq!(cuts(&stage.running), 0, "said, and not yet gone");
    speaking.left();
    speaking.left();
    running_durable(&stage.running).await;
    assert_eq!(cuts(&stage.running), 1);
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

async fn running_durable(running: &Running) {
    while running.engine().ledger().pending() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
