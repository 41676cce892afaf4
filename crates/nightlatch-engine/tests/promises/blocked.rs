//! A subject that is blocked has no live session, whatever is under way, and whatever happens to the program.

use crate::common::*;
use nightlatch_core::{EndReason, Subject};
use nightlatch_engine::{BlockOrder, BlockRecord, Engine, Entry, StartError};
use std::sync::{
    Barrier,
    atomic::{AtomicBool, Ordering::SeqCst},
};

fn subject(name: &str) -> Subject {
    request(name).subject
}

fn order() -> BlockOrder<'static> {
    BlockOrder { by: "key:operator", cause: Some("INC-1") }
}

fn block(engine: &Engine, name: &str) {
    engine.block(&subject(name), order()).unwrap();
    engine.commit().unwrap();
}

fn live(engine: &Engine, name: &str) -> usize {
    engine.sessions_of(&subject(name)).iter().filter(|session| session.end().is_none()).count()
}

#[test]
fn on_the_record_a_block_ends_what_lives_and_refuses_what_would_start() {
    let house = House::new();
    let engine = house.open();
    let (ada, token) = sign_in(&engine, "ada");
    let (lease, lease_token) = lease(&engine, &ada);
    let (bob, _) = sign_in(&engine, "bob");
    house.time.advance(5_000 * MS);
    engine.block(&subject("ada"), order()).unwrap();
    assert!(touch(&engine, &token).is_err() && touch(&engine, &lease_token).is_err(), "at once");
    assert!(!ada.settled(), "and told when it is on disk");
    engine.commit().unwrap();
    engine.commit().unwrap();
    assert!(ada.settled() && lease.settled() && bob.end().is_none());
    let end = end_entry(&engine, ada.facts.id);
    assert_eq!(
        (end.reason.as_str(), end.by.as_str(), end.cause.as_deref(), end.ended_at),
        ("blocked", "key:operator", Some("INC-1"), BEGIN + 5_000)
    );
    assert!(matches!(engine.start(request("ada")), Err(StartError::Blocked(_))));
    assert!(ready(engine.blocked(&subject("ada"), &engine.block_of(&subject("ada")).unwrap())).is_some());

    assert!(engine.unblock(&subject("ada"), order()).is_some());
    assert!(engine.unblock(&subject("ada"), order()).is_none());
    sign_in(&engine, "ada");
    assert!(touch(&engine, &token).is_err(), "what ended stays ended");
    let order: Vec<&str> = entries(&engine).iter().map(what).collect();
    let at = |what: &str| order.iter().position(|found| *found == what).unwrap();
    assert!(at("blocked") < at("ended") && at("ended") < at("unblocked"), "{order:?}");
}

fn what(entry: &Entry) -> &'static str {
    match entry {
        Entry::SubjectBlocked(_) => "blocked",
        Entry::SubjectUnblocked(_) => "unblocked",
        Entry::SessionEnded(_) => "ended",
        _ => "",
    }
}

/// The start's entry may be on disk, or not; either way it comes before the block's.
#[test]
fn on_the_record_a_start_on_its_way_to_disk_ends_as_it_is_admitted() {
    for lifted in [false, true] {
        let engine = House::new().open();
        let (session, token) = engine.start(request("ada")).unwrap().into_parts();
        engine.block(&subject("ada"), order()).unwrap();
        if lifted {
            engine.unblock(&subject("ada"), order()).unwrap();
        }
        engine.commit().unwrap();
        assert_eq!(session.end().map(|end| end.reason), Some(EndReason::Blocked), "lifted: {lifted}");
        assert!(touch(&engine, &token).is_err());
    }
}

#[test]
fn fail_closed_a_race_of_start_and_block_leaves_nothing_alive() {
    const STARTERS: usize = 4;
    for round in 0..60 {
        let house = House::new();
        let engine = house.open();
        let (go, stop) = (Barrier::new(STARTERS + 2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let committer = scope.spawn(|| {
                go.wait();
                while !stop.load(SeqCst) {
                    engine.commit().unwrap();
                }
            });
            let starters: Vec<_> = (0..STARTERS)
                .map(|_| {
                    scope.spawn(|| {
                        go.wait();
                        let mut started = Vec::new();
                        while let Ok(starting) = engine.start(request("ada")) {
                            started.push(starting.into_parts().0);
                        }
                        started
                    })
                })
                .collect();
            go.wait();
            for _ in 0..round * 50 {
                std::hint::spin_loop();
            }
            let block = engine.block(&subject("ada"), order()).unwrap();
            let started: Vec<_> = starters.into_iter().flat_map(|starter| starter.join().unwrap()).collect();
            while ready(engine.blocked(&subject("ada"), &block)).is_none() {
                std::thread::yield_now();
            }
            assert_eq!(live(&engine, "ada"), 0);
            assert!(started.iter().all(|session| session.end().is_some() && session.settled()));
            stop.store(true, SeqCst);
            committer.join().unwrap();
        });
        let entries = entries(&engine);
        let blocked = entries.iter().position(|entry| what(entry) == "blocked").unwrap();
        let late = entries[blocked..].iter().any(|entry| matches!(entry, Entry::SessionStarted(_)));
        assert!(!late, "no start stands after the block");
    }
}

#[test]
fn never_revived_a_block_survives_restart_crash_and_snapshot() {
    for (stop, snapshot) in [(true, true), (false, false), (true, false)] {
        let house = House::new();
        let engine = house.open();
        let (session, _) = sign_in(&engine, "ada");
        block(&engine, "ada");
        block(&engine, "bob");
        engine.unblock(&subject("bob"), order()).unwrap();
        engine.commit().unwrap();
        if stop {
            engine.stop();
        }
        drop(engine);
        if !snapshot {
            let _ = std::fs::remove_dir_all(house.folder.path().join("snapshot"));
        }
        let engine = house.open();
        assert!(matches!(engine.start(request("ada")), Err(StartError::Blocked(_))));
        assert_eq!(engine.session(session.facts.id).unwrap().end().unwrap().reason, EndReason::Blocked);
        sign_in(&engine, "bob");
        assert_eq!(engine.blocks_after(None, 10).len(), 1);
    }
}

/// Only the block's entry reached the disk, or that and its lifting; the ends did not.
#[test]
fn never_revived_a_crash_between_the_block_and_its_ends_finds_them() {
    for lifted in [false, true] {
        let house = House::new();
        let engine = house.open();
        let (session, _) = sign_in(&engine, "ada");
        let (before, node) = (session.facts.who.pseudonym.to_string(), engine.node().to_owned());
        house.pass(&engine, 5_000);
        drop(engine);
        let record = |at| BlockRecord { subject: before.clone(), at, by: "key:operator".into(), cause: None };
        let mut entries = vec![Entry::SubjectBlocked(record(BEGIN + 5_000))];
        if lifted {
            entries.push(Entry::SubjectUnblocked(record(BEGIN + 5_001)));
        }
        append_by_hand(&house, &node, &entries);
        house.time.advance(1_000 * MS);
        let engine = house.open();
        let end = end_entry(&engine, session.facts.id);
        assert_eq!((end.reason.as_str(), end.ended_at, end.while_down), ("blocked", BEGIN + 5_000, true));
        assert_eq!(engine.start(request("ada")).is_ok(), lifted);
    }
}

/// One whose deadline had come before the block ended by that.
#[test]
fn on_the_record_a_deadline_before_the_block_stays_the_reason() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    house.pass(&engine, IDLE + 10);
    block(&engine, "ada");
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, IDLE)));
}

/// A block and its lifting of which only a part is on disk, and a snapshot in between.
#[test]
fn never_revived_a_snapshot_has_blocks_as_they_stood_on_disk() {
    let house = House::new();
    let engine = house.open();
    block(&engine, "ada");
    house.disk.fails.store(true, SeqCst);
    engine.unblock(&subject("ada"), order()).unwrap();
    engine.block(&subject("bob"), order()).unwrap();
    // Writes the snapshot, and cannot write the entries.
    engine.stop();
    drop(engine);
    house.disk.fails.store(false, SeqCst);
    let engine = house.open();
    assert!(matches!(engine.start(request("ada")), Err(StartError::Blocked(_))), "the lifting was lost");
    sign_in(&engine, "bob");
}
