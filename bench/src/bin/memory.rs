//! What one live session holds in memory, with everything that goes with it: facts, limits, indexes, timer, slot on disk.
//!
//! Read off the resident size of the process before and after, so what the allocator wastes counts too. A person is not a session: who
//! is known stays known when the session is over. So sessions are added twice, once for people who are new, and once for the
//! same people again; the second is the price of a session, the difference that of a person. The floor is a plain hash map
//! from the credential's hash to 64 bytes, of the same run.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use nightlatch_bench::{SESSIONS, fill, open, resident_bytes};
use nightlatch_core::Span;
use std::{collections::HashMap, hint::black_box};

/// How many sessions each person has in the first filling.
const EACH: u64 = 10;

fn main() {
    let each = |name: &str, count: u64, bytes: u64| {
        println!("{name:<62} {:>8.0} bytes", bytes as f64 / count as f64);
    };
    let before = resident_bytes();
    let floor: HashMap<[u8; 32], [u64; 8]> = (0..SESSIONS)
        .map(|number| (nightlatch_engine::hash(number.to_string().as_bytes()).0, [number; 8]))
        .collect();
    each("floor: a hash map from 32 bytes to 64", SESSIONS, resident_bytes() - before);
    drop(black_box(floor));

    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let soon = engine.clock().now().plus(Span::from_secs(3600));
    // A spread such as a working day has, so that the timers stand where they would.
    let due = |number: u64| soon.plus(Span::from_millis(number * 36));
    let keep = |_, _| {};
    // What is allocated once, however many there are.
    fill(&engine, 10_000, EACH, due, keep);
    let people = SESSIONS / EACH;
    let before = resident_bytes();
    fill(&engine, SESSIONS, EACH, due, keep);
    let first = resident_bytes() - before;
    each(&format!("a session, {EACH} of each of {people} people, people included"), SESSIONS, first);
    let before = resident_bytes();
    fill(&engine, SESSIONS, EACH, due, keep);
    let again = resident_bytes() - before;
    each("one more session of a person who is known", SESSIONS, again);
    each("a person, by the difference", people, first.saturating_sub(again));
    assert_eq!(engine.health().timers, 2 * SESSIONS + 10_000);
}
