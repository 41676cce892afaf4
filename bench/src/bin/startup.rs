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
use nightlatch_engine::{Admission, hash};
use std::{env, fs, path::Path, process::Command, sync::Arc, time::Instant};

/// Sessions that started after the last snapshot of a run that is killed.
const TAIL: u64 = 40_000;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [dir, token] = &arguments[..] {
        return until_first_answer(Path::new(dir), hash(token.as_bytes()));
    }
    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let hours = engine.clock().now().plus(Span::from_secs(5 * 3600));
    let mut last = String::new();
    let due = |number: u64| hours.plus(Span::from_millis(number));
    fill(&engine, SESSIONS - TAIL, 10, due, |_, token| token.reveal().clone_into(&mut last));
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
    in_a_process_of_its_own("after a clean stop", data.path(), &last);

    let (engine, _) = open(data.path());
    fill(&engine, TAIL, 10, due, |_, token| token.reveal().clone_into(&mut last));
    // No stop, as if killed: the snapshot is the one before these.
    drop(engine);
    in_a_process_of_its_own("after a kill, with a tail to replay", data.path(), &last);
}

/// As a start is: with memory that nobody used before.
fn in_a_process_of_its_own(name: &str, dir: &Path, token: &str) {
    let out = Command::new(env::current_exe().unwrap()).arg(dir).arg(token).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    println!("{name:<50} {}", String::from_utf8_lossy(&out.stdout).trim_end());
}

fn until_first_answer(dir: &Path, credential: CredentialHash) {
    let began = Instant::now();
    let (engine, recovery) = open(dir);
    let engine = Arc::new(engine);
    let admission = engine.check(&credential, Activity::Active, "bench");
    assert!(matches!(admission, Admission::Granted(_)));
    println!("{:>8.2}  ({} live)", began.elapsed().as_secs_f64(), recovery.live);
    assert!(recovery.live as u64 >= SESSIONS - TAIL);
}

fn read_all(path: &Path) -> u64 {
    match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| read_all(&entry.unwrap().path())).sum(),
        false => fs::read(path).unwrap().len() as u64,
    }
}
