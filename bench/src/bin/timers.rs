//! How late sessions end that fall due while nobody asks, of a million that stand.
//!
//! A hundred thousand fall due within one second, or all at one instant. For the second the figure is by when the word of the last one says
//! so: a thread looks at one in a hundred after the other, the last among them. The peers do nothing at all on expiry: a tokio
//! task that sleeps for each, and tokio-util's `DelayQueue`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use nightlatch_bench::{SESSIONS, fill, open, spread};
use nightlatch_core::{Span, Time};
use nightlatch_engine::{Engine, Entry, Running, Session};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::time::DelayQueue;

const DUE: u64 = 100_000;
/// Of those that end at one instant one in so many is looked at.
const LOOKED_AT: usize = 100;
/// From the last session's start until the first falls due.
const LEAD: Duration = Duration::from_secs(3);

fn main() {
    println!("{DUE} of {SESSIONS} sessions; microseconds after the deadline\n");
    println!("{:<46} {:>9} {:>9} {:>9}", "", "p50", "p99", "last");
    within_one_second();
    at_one_instant();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, within) in [("within one second", 1_000), ("at one instant", 0)] {
        row(&format!("peer: a sleeping task each, {name}"), runtime.block_on(sleeps(within)));
        row(&format!("peer: DelayQueue, {name}"), runtime.block_on(delay_queue(within)));
    }
}

fn within_one_second() {
    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let first = stand(&engine, |number| number * 1_000 / DUE, |_| {});
    let running = Running::start(engine).unwrap();
    let engine = running.engine();
    let last = first.plus(Span::from_millis(1_000));
    wait(engine, last, LEAD * 10);
    let entries = engine.ledger().iter_from(SESSIONS).map(|entry| Entry::from_bytes(&entry.unwrap().payload));
    let mut late = Vec::new();
    for entry in entries {
        let Entry::SessionEnded(ended) = entry.unwrap() else { continue };
        assert!(ended.at >= ended.deadline, "ended early");
        late.extend(ended.lateness_us);
    }
    assert_eq!(late.len() as u64, DUE);
    row("within one second, as it is on the record", late);
}

fn at_one_instant() {
    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let mut due: Vec<Arc<Session>> = Vec::new();
    let first = stand(&engine, |_| 0, |session| due.push(session));
    let running = Running::start(engine).unwrap();
    let engine = running.engine();
    let late_us = || engine.clock().now_nanos().saturating_sub(first.as_nanos()) / 1_000;
    std::thread::sleep(Duration::from_nanos(first.as_nanos().saturating_sub(engine.clock().now_nanos())));
    // One in a hundred is looked at: to read them all takes about as long as to end them.
    let mut late = Vec::with_capacity(due.len() / LOOKED_AT + 1);
    for session in due.iter().step_by(LOOKED_AT).chain(due.last()) {
        while session.end().is_none() {
            std::hint::spin_loop();
        }
        late.push(late_us());
    }
    row("at one instant, seen in memory", late);
    wait(engine, first, LEAD * 10);
    println!("{:<46} {:>29}", "at one instant, the last one's entry on disk", late_us());
}

/// A million sessions, of which [`DUE`] fall due from the returned instant on, the n-th of them `after(n)` milliseconds later; the
/// rest stand for hours.
fn stand(engine: &Engine, after: impl Fn(u64) -> u64, mut keep: impl FnMut(Arc<Session>)) -> Time {
    let hours = engine.clock().now().plus(Span::from_secs(5 * 3600));
    fill(engine, SESSIONS - DUE, 100, |number| hours.plus(Span::from_millis(number)), |_, _| {});
    // Starting them takes a while, and none may be due before all stand.
    let lead = Span::from_secs(10 * LEAD.as_secs());
    let first = engine.clock().now().plus(lead);
    fill(engine, DUE, 100, |number| first.plus(Span::from_millis(after(number))), |session, _| keep(session));
    first
}

/// Waits until [`DUE`] ends are on disk.
fn wait(engine: &Engine, last: Time, most: Duration) {
    let began = Instant::now();
    let whole = || engine.ledger().durable() >= SESSIONS + DUE && engine.clock().now() > last;
    while !whole() {
        assert!(began.elapsed() < most * 10, "the ends do not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn sleeps(within: u64) -> Vec<u64> {
    let begin = tokio::time::Instant::now() + LEAD;
    let hours = begin + Duration::from_secs(5 * 3600);
    let mut standing = tokio::task::JoinSet::new();
    for number in 0..SESSIONS - DUE {
        standing.spawn(tokio::time::sleep_until(hours + Duration::from_millis(number)));
    }
    let mut due = tokio::task::JoinSet::new();
    for number in 0..DUE {
        let at = begin + Duration::from_millis(number * within / DUE);
        due.spawn(async move {
            tokio::time::sleep_until(at).await;
            at.elapsed().as_micros() as u64
        });
    }
    due.join_all().await
}

async fn delay_queue(within: u64) -> Vec<u64> {
    use std::future::poll_fn;
    let begin = tokio::time::Instant::now() + LEAD;
    let hours = begin + Duration::from_secs(5 * 3600);
    let mut queue = DelayQueue::with_capacity(SESSIONS as usize);
    for number in 0..SESSIONS - DUE {
        queue.insert_at((), hours + Duration::from_millis(number));
    }
    for number in 0..DUE {
        queue.insert_at((), begin + Duration::from_millis(number * within / DUE));
    }
    let mut late = Vec::with_capacity(DUE as usize);
    while late.len() < DUE as usize {
        let expired = poll_fn(|context| queue.poll_expired(context)).await.unwrap();
        late.push(expired.deadline().elapsed().as_micros() as u64);
    }
    late
}

fn row(name: &str, mut late: Vec<u64>) {
    let [p50, p99, last] = spread(&mut late);
    println!("{name:<46} {p50:>9} {p99:>9} {last:>9}");
}
