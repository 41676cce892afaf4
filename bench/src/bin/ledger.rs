//! How many entries a second become durable, and how soon an end is on disk.
//!
//! The peer is the least a log can do with the same bytes: append them to a file whose space was taken in advance, and sync, in
//! batches of the same size. It has no hashes, no tree, no index and no readers.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use nightlatch_bench::{fill, open, spread};
use nightlatch_core::{EndReason, Span};
use nightlatch_engine::{EndOrder, Running, Session};
use nightlatch_ledger::{Ledger, Options, Signer};
use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// An end's entry has about this many bytes.
const ENTRY: [u8; 300] = [b'x'; 300];
const ENTRIES: usize = 2_000_000;
const BATCH: usize = 1_000;
const ENDS: u64 = 30_000;
const ENDS_A_SECOND: u32 = 10_000;

fn main() {
    let (peer, ours) = (plain_file(), ledger_in_batches());
    let concurrent = ledger_as_it_runs();
    println!("{ENTRIES} entries of {} bytes\n", ENTRY.len());
    println!("{:<58} {:>12} {:>8}", "", "durable/s", "ratio");
    for (name, rate) in [
        ("peer: plain file, preallocated, fdatasync each 1,000", peer),
        ("ledger, commit each 1,000", ours),
        ("ledger, one thread appends while another commits", concurrent),
    ] {
        println!("{name:<58} {rate:>12.0} {:>8.2}", rate / peer);
    }
    let mut ends = ends_to_disk();
    let [p50, p99, last] = spread(&mut ends);
    println!("\n{ENDS} ends at {ENDS_A_SECOND} a second, microseconds until each is on disk:");
    println!("p50 {p50}, p99 {p99}, last {last}");
}

fn rate(began: Instant) -> f64 {
    ENTRIES as f64 / began.elapsed().as_secs_f64()
}

fn plain_file() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("log")).unwrap();
    let bytes = ENTRY.repeat(BATCH);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, (ENTRIES * ENTRY.len()) as u64)
        .unwrap();
    file.sync_all().unwrap();
    let began = Instant::now();
    for batch in 0..ENTRIES / BATCH {
        file.write_all_at(&bytes, (batch * bytes.len()) as u64).unwrap();
        file.sync_data().unwrap();
    }
    rate(began)
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::create(&folder.path().join("ledger.key"), "bench.example").unwrap();
    let (ledger, _) = Ledger::open(&folder.path().join("ledger"), Options::default(), signer).unwrap();
    (folder, ledger)
}

fn ledger_in_batches() -> f64 {
    let (_folder, ledger) = ledger();
    let began = Instant::now();
    for _ in 0..ENTRIES / BATCH {
        for _ in 0..BATCH {
            ledger.append(&ENTRY).unwrap();
        }
        ledger.commit().unwrap();
    }
    rate(began)
}

fn ledger_as_it_runs() -> f64 {
    let (_folder, ledger) = ledger();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| (0..ENTRIES).for_each(|_| _ = ledger.append(&ENTRY).unwrap()));
        while ledger.commit().unwrap() < ENTRIES as u64 {}
    });
    rate(began)
}

/// Ends sessions one after the other, at an even pace; a second thread watches the ledger grow.
fn ends_to_disk() -> Vec<u64> {
    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let hours = engine.clock().now().plus(Span::from_secs(5 * 3600));
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    fill(&engine, ENDS, 100, |_| hours, |session, _| sessions.push(session));
    let running = Running::start(engine).unwrap();
    let engine = running.engine();
    let (told, telling) = std::sync::mpsc::channel::<(u64, Instant)>();
    thread::scope(|scope| {
        let watching = scope.spawn(move || {
            let mut late = Vec::new();
            for (index, ended) in telling {
                while engine.ledger().durable() <= index {
                    thread::yield_now();
                }
                late.push(ended.elapsed().as_micros() as u64);
            }
            late
        });
        let began = Instant::now();
        for (number, session) in (0..).zip(&sessions) {
            let pace = Duration::from_secs(1) / ENDS_A_SECOND * number;
            thread::sleep(pace.saturating_sub(began.elapsed()));
            let ended = Instant::now();
            let order = EndOrder { reason: EndReason::Logout, by: "bench", cause: None };
            told.send((engine.end(session, order).unwrap(), ended)).unwrap();
        }
        drop(told);
        watching.join().unwrap()
    })
}
