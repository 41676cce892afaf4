//! A restart: what ended stays ended, what fell due meanwhile is ended, what lives goes on with the deadline it had.

use crate::common::*;
use nightlatch_core::{EndReason, Limits, Policy, SessionId, Span, Time};
use nightlatch_engine::{Engine, Lower};
use std::{collections::BTreeMap, fs, sync::atomic::Ordering::SeqCst};

#[test]
fn never_longer_what_fell_due_while_down_ends_at_the_deadline_it_had() {
    for (down, over) in [(IDLE - 1, false), (IDLE, true), (IDLE + 5_000, true)] {
        let house = House::new();
        let engine = house.open();
        let (id, token) = {
            let (session, token) = sign_in(&engine, "ada");
            (session.facts.id, token)
        };
        engine.upkeep();
        drop(engine);
        house.time.advance(down * MS);
        let (engine, recovery) = house.try_open().unwrap();
        assert_eq!((recovery.live, recovery.ended_while_down), if over { (0, 1) } else { (1, 0) });
        assert!(!recovery.clean);
        assert_eq!(look(&engine, &token).is_err(), over);
        if over {
            let end = end_entry(&engine, id);
            assert_eq!((&*end.reason, &*end.by), ("idle_timeout", "recovery"));
            assert_eq!((end.ended_at, end.deadline, end.at), (BEGIN + IDLE, BEGIN + IDLE, BEGIN + down));
            assert_eq!((end.while_down, end.lateness_us), (true, None));
        } else {
            house.time.advance(MS);
            engine.turn();
            assert_eq!(end_of(&engine.session(id).unwrap()), Some((EndReason::IdleTimeout, IDLE)));
        }
    }
}

#[test]
fn never_longer_a_reboot_counts_the_time_the_machine_was_off() {
    let house = House::new();
    let engine = house.open();
    let id = sign_in(&engine, "ada").0.facts.id;
    engine.stop();
    drop(engine);
    house.time.reboot();
    house.time.set_wall((BEGIN + 50_000) * MS);
    let (engine, recovery) = house.try_open().unwrap();
    assert!(recovery.clean);
    assert_eq!(engine.session(id).unwrap().deadline().at, at(IDLE));
    house.time.advance(10_000 * MS);
    engine.turn();
    assert_eq!(end_of(&engine.session(id).unwrap()), Some((EndReason::IdleTimeout, IDLE)));
}

#[test]
fn together_a_lease_that_comes_back_hangs_on_its_parent() {
    let house = House::new();
    let engine = house.open();
    let (root, _) = sign_in(&engine, "ada");
    let (worker, token) = lease(&engine, &root);
    let (root, worker) = (root.facts.id, worker.facts.id);
    drop(engine);
    let engine = house.open();
    let permit = look(&engine, &token).unwrap();
    let mut waiting = Waiting::begin(permit.ended());
    revoke(&engine, &engine.session(root).unwrap()).unwrap();
    engine.commit().unwrap();
    assert_eq!(waiting.woken().unwrap().reason, EndReason::ParentEnded);
    assert_eq!(end_entry(&engine, worker).ended_at, BEGIN);
}

#[test]
fn never_longer_a_lease_whose_parent_is_gone_ends() {
    let house = House::new();
    let engine = house.open();
    let (root, _) = sign_in(&engine, "ada");
    let (worker, token) = lease(&engine, &root);
    let (root, worker) = (root.facts.id, worker.facts.id);
    engine.stop();
    drop(engine);
    // A snapshot without the parent, as one that was taken a day after the parent's end is. A session's record begins with
    // what it is and the id.
    rewrite_snapshot(&house, |record| (!record[1..].starts_with(&root.0)).then(|| record.to_vec()));
    let engine = house.open();
    assert!(look(&engine, &token).is_err());
    assert_eq!(end_entry(&engine, worker).reason, "parent_ended");
}

#[test]
fn fail_closed_an_erased_person_has_no_session_after_a_restart() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let (_, other) = sign_in(&engine, "bob");
    assert!(engine.people().erase(&session.facts.who.pseudonym).unwrap());
    drop((engine, session));
    let engine = house.open();
    assert_eq!(look(&engine, &token).unwrap_err().end.reason, EndReason::Revoked);
    look(&engine, &other).unwrap();
}

/// Everything that a restart may say of a session.
type Told = BTreeMap<SessionId, (Option<EndReason>, Option<Time>, Time, Span, Time, Option<SessionId>)>;

fn told(engine: &Engine) -> Told {
    let row = |session: &nightlatch_engine::Session| {
        let end = session.end();
        (
            end.map(|end| end.reason),
            end.map(|end| end.at),
            session.last_activity(),
            session.idle().span(),
            session.hard_end().time(),
            session.parent_id(),
        )
    };
    engine.sessions(None, 1_000).iter().map(|session| (session.facts.id, row(session))).collect()
}

#[test]
fn recovery_from_snapshot_tail_and_slots_equals_recovery_from_the_ledger_alone() {
    let house = House::new();
    let mut engine = house.open();
    let mut tokens = Vec::new();
    for round in 0..3 {
        for number in 0..12 {
            let (session, token) = sign_in(&engine, "ada");
            house.time.advance(1_000 * MS);
            match number % 4 {
                0 => drop(revoke(&engine, &session)),
                1 => tokens.push(lease(&engine, &session).1),
                2 => drop(engine.lower(
                    &session,
                    Lower { idle: Some(Span::from_millis(30_000)), hard_end: None, rule: "app" },
                )),
                _ => tokens.push(token),
            }
            engine.turn();
        }
        engine.commit().unwrap();
        engine.upkeep();
        if round == 1 {
            engine.stop();
            drop(engine);
            engine = house.open();
        }
    }
    for token in &tokens {
        let _ = touch(&engine, token);
    }
    engine.commit().unwrap();
    engine.upkeep();
    let before = told(&engine);
    drop(engine);
    let copy = House::new();
    copy_dir(house.folder.path(), copy.folder.path());
    let whole = house.open();
    assert_eq!(told(&whole), before, "with everything there, nothing differs");

    fs::remove_dir_all(copy.folder.path().join("snapshot")).unwrap();
    fs::remove_file(copy.folder.path().join("slots")).unwrap();
    let bare = House { time: house.time, ..copy }.open();
    let bare = told(&bare);
    assert_eq!(bare.len(), before.len());
    let mut earlier = 0;
    for (id, (reason, end, last, idle, hard_end, parent)) in &bare {
        let whole = &before[id];
        assert_eq!((idle, hard_end, parent), (&whole.3, &whole.4, &whole.5));
        assert!(*last <= whole.2, "never later");
        earlier += usize::from(*last < whole.2);
        if whole.0.is_some() {
            assert_eq!((reason, end), (&whole.0, &whole.1), "what ended ended so");
        }
    }
    assert!(earlier > 0, "the slots know what the ledger does not");
}

/// An end by such a limit would be told from the numbers, and be undone when the snapshot is lost.
#[test]
fn never_revived_a_stop_that_cannot_record_leaves_no_limit_that_only_the_snapshot_knows() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    assert!(engine.lower(&session, Lower { idle: None, hard_end: Some(at(20_000)), rule: "app" }));
    house.disk.fails.store(true, SeqCst);
    engine.stop();
    drop((engine, session));
    house.disk.fails.store(false, SeqCst);

    let engine = house.open();
    house.time.advance(20_000 * MS);
    let was_told = look(&engine, &token).is_err_and(|refusal| refusal.session.settled());
    drop(engine);
    let _ = fs::remove_dir_all(house.folder.path().join("snapshot"));
    let engine = house.open();
    assert_eq!(look(&engine, &token).is_err(), was_told, "what was told stays");
    assert_eq!(told(&engine).into_values().next().unwrap().4, at(ABSOLUTE), "the ledger knows of no other");
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_dir(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

#[test]
fn never_longer_a_tighter_policy_holds_for_sessions_that_run_and_a_looser_one_does_not() {
    let house = House::new();
    let under = |idle, absolute| {
        let [idle, absolute] = [idle, absolute].map(Span::from_millis);
        let limits = Limits::new(idle, absolute, Span::from_millis(1)).unwrap();
        house.try_open_under(Policy { version: 1, limits }).unwrap()
    };
    let (engine, _) = under(IDLE, ABSOLUTE);
    let [first, second] = ["ada", "bob"].map(|name| sign_in(&engine, name).0.facts.id);
    house.time.advance(10_000 * MS);
    let third = sign_in(&engine, "cleo").0.facts.id;
    engine.stop();
    drop(engine);

    let (engine, recovery) = under(2 * IDLE, 2 * ABSOLUTE);
    let session = engine.session(first).unwrap();
    assert_eq!((session.idle().span().as_millis(), session.hard_end().time()), (IDLE, at(ABSOLUTE)));
    assert_eq!((engine.policy().version, recovery.live), (2, 3));
    engine.stop();
    drop((engine, session));

    let (engine, recovery) = under(8_000, ABSOLUTE / 2);
    assert_eq!((engine.policy().version, recovery.live), (3, 1));
    for id in [first, second] {
        let end = end_entry(&engine, id);
        assert_eq!((&*end.reason, &*end.by, end.ended_at), ("policy_tightened", "policy", BEGIN + 10_000));
    }
    let session = engine.session(third).unwrap();
    assert_eq!(
        (session.idle().span().as_millis(), session.hard_end().time()),
        (8_000, at(10_000 + ABSOLUTE / 2))
    );
    engine.stop();
    drop((engine, session));

    let (engine, _) = under(8_000, ABSOLUTE / 2);
    assert_eq!(engine.policy().version, 3, "the same limits are the same version");
}
