//! `kill -9` between any two steps.
//!
//! This test starts itself again as a child that does real work on a real directory: sessions start, are touched, revoked,
//! time out. The child says on its standard output what was acknowledged to it, and nothing before that. At a moment that a seed
//! chooses it is killed, and the parent opens the same directory and holds what it finds against what was said.
//! The directory stays for all rounds, so each recovery builds on those before.
//!
//! `NIGHTLATCH_SEED` chooses the moments.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use nightlatch_core::{Activity, EndReason, Kind, Limits, Policy, SessionId, Span, Subject};
use nightlatch_engine::{Admission, EndOrder, Engine, OsTime, Running, Start, Tighter, Token};
use nightlatch_ledger::{Options, OsDisk, verify};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

const DIR: &str = "NIGHTLATCH_KILLED_DIR";
const SEED: &str = "NIGHTLATCH_SEED";
const ROUNDS: u64 = 36;
/// What may be lost of last activity: the second that is promised, and what a busy machine adds.
const LOST_MOST: u64 = 1_000 + 1_500;

fn engine(dir: &Path) -> Engine {
    let limits = Limits::new(Span::from_secs(60), Span::from_secs(600), Span::from_secs(10)).unwrap();
    let options = Options { segment_bytes: 256 << 10 };
    let policy = Policy { version: 1, limits };
    Engine::open_on(Arc::new(OsDisk), options, dir, policy, Box::new(OsTime), "test").unwrap().0
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// The child: works until it is killed. Not a test by itself.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let seed: u64 = env::var(SEED).unwrap().parse().unwrap();
    let running = Running::start(engine(Path::new(&dir))).unwrap();
    say(format_args!("ready"));
    thread::scope(|scope| {
        for worker in 0..2 {
            let engine = running.engine();
            scope.spawn(move || work(engine, Chance(seed ^ worker << 32)));
        }
    });
}

fn say(fact: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // One write for a line, so that a line is there whole or is recognised as torn.
    out.write_all(format!("fact {fact}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

fn work(engine: &Arc<Engine>, mut chance: Chance) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut mine: Vec<(SessionId, Token)> = Vec::new();
    loop {
        let pick = chance.below(mine.len().max(1) as u64) as usize;
        match chance.below(10) {
            0..=3 => {
                let parent = mine.get(pick).map(|(id, _)| *id).filter(|_| chance.below(3) == 0);
                let idle = [30, 80, 60_000][chance.below(3) as usize];
                let Ok(starting) = engine.start(request(parent, idle)) else { continue };
                let (session, token) = runtime.block_on(starting.known(engine));
                say(format_args!(
                    "started {} {} {idle}",
                    session.facts.id,
                    session.last_activity().as_millis()
                ));
                mine.push((session.facts.id, token));
            }
            4..=7 if !mine.is_empty() => {
                let (id, token) = &mine[pick];
                match engine.check(&token.hash(), Activity::Active, "test") {
                    Admission::Granted(permit) => {
                        say(format_args!("touched {id} {}", permit.session().last_activity().as_millis()));
                    }
                    Admission::Ended(refusal) => {
                        runtime.block_on(refusal.told());
                        say(format_args!("ended {id} {} {}", refusal.end.reason, refusal.end.at.as_millis()));
                        mine.swap_remove(pick);
                    }
                    Admission::Insufficient(_) | Admission::Unknown => say(format_args!("unknown {id}")),
                }
            }
            8 if !mine.is_empty() => {
                let session = engine.session(mine[pick].0).unwrap();
                let order = EndOrder { reason: EndReason::Revoked, by: "test", cause: None };
                if let Some(index) = engine.end(&session, order) {
                    runtime.block_on(engine.durable(index));
                    let end = session.end().unwrap();
                    say(format_args!("ended {} {} {}", session.facts.id, end.reason, end.at.as_millis()));
                    mine.swap_remove(pick);
                }
            }
            _ => thread::sleep(Duration::from_millis(chance.below(5))),
        }
    }
}

fn request(parent: Option<SessionId>, idle: u64) -> Start {
    Start {
        subject: Subject { provider: "test".into(), name: "ada".into() },
        kind: Kind::Person,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: None,
        continues: None,
        provider_session: None,
        parent,
        tighter: Tighter { idle: Some(Span::from_millis(idle)), absolute: None },
        cause: "test",
    }
}

/// What was acknowledged of one session.
#[derive(Debug, Default)]
struct Acknowledged {
    last: u64,
    idle: u64,
    ended: Option<(EndReason, u64)>,
}

#[test]
fn never_revived_on_the_record_killed_at_any_moment() {
    let seed = env::var(SEED).ok().map_or(1, |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(seed);
    let mut facts: BTreeMap<SessionId, Acknowledged> = BTreeMap::new();
    for round in 0..ROUNDS {
        for fact in killed_after(folder.path(), chance.below(1 << 30), chance.below(120)) {
            take(&mut facts, &fact);
        }
        let engine = Arc::new(engine(folder.path()));
        for (id, acknowledged) in &facts {
            hold(&engine, *id, acknowledged, round);
        }
        // The check itself stops cleanly, or crashes in its turn.
        if chance.below(2) == 0 {
            engine.stop();
        }
    }
    let (ended, live) = facts.values().partition::<Vec<_>, _>(|fact| fact.ended.is_some());
    println!("{ROUNDS} rounds, {} sessions, {} ends acknowledged", ended.len() + live.len(), ended.len());
    assert!(!ended.is_empty(), "the child did its work");
    let key = fs::read_to_string(folder.path().join("keys/ledger.vkey")).unwrap();
    let trust = verify::Trust { log: key.trim().parse().unwrap(), witnesses: Vec::new() };
    let report = verify::verify(&folder.path().join("ledger"), &trust, &[]).unwrap();
    assert!(report.is_consistent(), "{report:?}");
}

/// Runs the child, kills it some time after it began to work, and gives what it said.
fn killed_after(dir: &Path, seed: u64, millis: u64) -> Vec<String> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, said) = mpsc::channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let mut line = String::new();
        // A line without its end was cut off by the kill: it was not said.
        while out.read_line(&mut line).unwrap_or(0) > 0 && line.ends_with('\n') {
            if let Some(at) = line.find("fact ") {
                let _ = sender.send(line[at + 5..].trim().to_owned());
            }
            line.clear();
        }
    });
    // One kill in eight comes while the engine opens.
    if seed.is_multiple_of(8) {
        thread::sleep(Duration::from_millis(millis / 8));
    } else {
        assert_eq!(said.recv().unwrap(), "ready");
        thread::sleep(Duration::from_millis(millis));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    said.into_iter().filter(|fact| fact != "ready").collect()
}

fn take(facts: &mut BTreeMap<SessionId, Acknowledged>, fact: &str) {
    let [what, id, rest @ ..] = &fact.split(' ').collect::<Vec<_>>()[..] else { panic!("{fact}") };
    let known = facts.entry(id.parse().unwrap()).or_default();
    match (*what, rest) {
        ("started", [at, idle]) => {
            known.idle = idle.parse().unwrap();
            known.last = known.last.max(at.parse().unwrap());
        }
        ("touched", [at]) => known.last = known.last.max(at.parse().unwrap()),
        ("ended", [reason, at]) => known.ended = Some((reason.parse().unwrap(), at.parse().unwrap())),
        _ => panic!("the child says `{fact}`"),
    }
}

fn hold(engine: &Engine, id: SessionId, acknowledged: &Acknowledged, round: u64) {
    let context = || format!("round {round}, {id}: {acknowledged:?}");
    let session = engine.session(id).unwrap_or_else(|| panic!("its start was acknowledged: {}", context()));
    let end = session.end();
    assert!(session.last_activity().as_millis() + LOST_MOST >= acknowledged.last, "{}", context());
    let derived = |reason| {
        matches!(reason, EndReason::IdleTimeout | EndReason::ParentEnded | EndReason::AbsoluteTimeout)
    };
    match (acknowledged.ended, end) {
        (None, None) => {}
        (Some((reason, at)), Some(end)) => {
            // An end that follows from the numbers is found again from those on disk, which may be a little older.
            let same = (end.reason, end.at.as_millis()) == (reason, at);
            let found_again = derived(reason) && derived(end.reason) && end.at.as_millis() <= at;
            assert!(same || found_again, "{end:?}: {}", context());
        }
        (None, Some(end)) => {
            let by_its_limits = derived(end.reason)
                && (end.reason == EndReason::ParentEnded
                    || end.at.as_millis() + LOST_MOST >= acknowledged.last + acknowledged.idle);
            // A revocation that was under way may have reached the disk.
            assert!(by_its_limits || end.reason == EndReason::Revoked, "{end:?}: {}", context());
        }
        (Some(_), None) => panic!("it ended, and lives: {}", context()),
    }
}
