//! How long a start takes with a million live sessions, until the first check is answered.
//!
//! Once after a clean stop, and once after a kill, when what came after the last snapshot is replayed from the ledger. The floor
//! is reading every byte of the data directory.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use nightlatch_bench::{SESSIONS, fill, open};
use nightlatch_core::{Activity, CredentialHash, Span};
use nightlatch_engine::Admission;
use std::{fs, path::Path, sync::Arc, time::Instant};

/// Sessions that started after the last snapshot of a run that is killed.
const TAIL: u64 = 40_000;

fn main() {
    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let hours = engine.clock().now().plus(Span::from_secs(5 * 3600));
    let mut last = None;
    let due = |number: u64| hours.plus(Span::from_millis(number));
    fill(&engine, SESSIONS - TAIL, 10, due, |_, token| last = Some(token.hash()));
    engine.stop();
    drop(engine);

    println!("{SESSIONS} live sessions; seconds\n");
    let began = Instant::now();
    let bytes = read_all(data.path());
    println!(
        "{:<50} {:>8.2}  ({} MB)",
        "floor: read every byte there is",
        began.elapsed().as_secs_f64(),
        bytes / 1_000_000
    );
    until_first_answer("after a clean stop", data.path(), last.unwrap());

    let (engine, _) = open(data.path());
    fill(&engine, TAIL, 10, due, |_, token| last = Some(token.hash()));
    // No stop, as if killed: the snapshot is the one before these.
    drop(engine);
    until_first_answer("after a kill, with a tail to replay", data.path(), last.unwrap());
}

fn until_first_answer(name: &str, dir: &Path, credential: CredentialHash) {
    let began = Instant::now();
    let (engine, recovery) = open(dir);
    let engine = Arc::new(engine);
    let admission = engine.check(&credential, Activity::Active, "bench");
    assert!(matches!(admission, Admission::Granted(_)));
    println!("{name:<50} {:>8.2}  ({} live)", began.elapsed().as_secs_f64(), recovery.live);
    assert!(recovery.live as u64 >= SESSIONS - TAIL);
}

fn read_all(path: &Path) -> u64 {
    match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| read_all(&entry.unwrap().path())).sum(),
        false => fs::read(path).unwrap().len() as u64,
    }
}
