//! The engine at work with its own threads and the machine's clocks. Only what cannot be had by hand is tested here.

use crate::common::*;
use nightlatch_core::{Activity, EndReason, Span};
use nightlatch_engine::{Admission, Engine, OsTime, Running, Start, Tighter};
use nightlatch_ledger::{Options, OsDisk};
use std::{path::Path, sync::Arc, time::Duration};

fn open(dir: &Path) -> (Engine, nightlatch_engine::Recovery) {
    let options = Options { segment_bytes: 1 << 20 };
    Engine::open_on(Arc::new(OsDisk), options, dir, policy(), Box::new(OsTime), "test").unwrap()
}

/// Whoever waited for a start was woken when its entry was on disk, and a moment before the session was in the table. The
/// first request after a sign-in was refused now and then.
#[test]
fn on_the_record_a_session_whose_credential_was_given_out_is_known() {
    let house = House::new();
    let running = Running::start(open(house.folder.path()).0).unwrap();
    let engine = running.engine();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..200 {
        let starting = engine.start(request("ada")).unwrap();
        let (_, token) = runtime.block_on(starting.known(engine));
        assert!(matches!(engine.check(&token.hash(), Activity::Active, "test"), Admission::Granted(_)));
    }
}

#[test]
fn never_late_the_threads_end_what_is_quiet_and_leave_the_files_in_order() {
    let house = House::new();
    let running = Running::start(open(house.folder.path()).0).unwrap();
    let engine = running.engine();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let tighter = Tighter { idle: Some(Span::from_millis(30)), absolute: None };
    let starting = engine.start(Start { tighter, ..request("ada") }).unwrap();
    let (session, token) = runtime.block_on(starting.known(engine));
    let due = session.deadline().at;
    // On a busy machine the check may come too late already; then there is nothing to wait for.
    if let Admission::Granted(permit) = engine.check(&token.hash(), Activity::Passive, "test") {
        let ended = async { tokio::time::timeout(Duration::from_secs(20), permit.ended()).await };
        let end = runtime.block_on(ended).unwrap();
        assert_eq!((end.reason, end.at), (EndReason::IdleTimeout, due));
        assert!(engine.clock().now() >= due);
    }
    drop(running);
    let (engine, recovery) = open(house.folder.path());
    assert!(recovery.clean && recovery.live == 0 && recovery.ended_while_down == 0);
    assert!(!end_entry(&engine, session.facts.id).while_down);
}
