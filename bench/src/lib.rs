//! What the measurements share: a table full of sessions, the program in a process of its own, and how figures are taken and told.
//!
//! Nothing is asserted anywhere in here: the figures are for reading, and their worth is that of the machine. So each measurement
//! also takes its floor or a peer in the same run, and the ratio of the two is what carries over to other machines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement stops when it cannot measure"
)]

pub mod process;
pub mod program;

use nightlatch_core::{Kind, Limits, Policy, Span, Subject, Time};
use nightlatch_engine::{Engine, OsTime, Recovery, Session, Start, Tighter, TimeSource, Token};
use std::{fs, hint::black_box, path::Path, sync::Arc, time::Instant};

/// What the program itself runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The size that everything is measured at.
pub const SESSIONS: u64 = 1_000_000;

/// The absolute limit that [`open`] sets; with an authentication so long ago a session falls due whenever one likes.
pub const ABSOLUTE: Span = Span::from_secs(12 * 3600);

/// Opens an engine with limits that do not get in the way.
#[must_use]
pub fn open(dir: &Path) -> (Engine, Recovery) {
    open_with(dir, Box::new(OsTime))
}

/// The same, with its time from somewhere else.
#[must_use]
pub fn open_with(dir: &Path, time: Box<dyn TimeSource>) -> (Engine, Recovery) {
    let limits = Limits::new(Span::from_secs(6 * 3600), ABSOLUTE, Span::from_secs(120));
    let policy = Policy { version: 1, limits: limits.expect("limits that hold together") };
    Engine::open(dir, policy, time, "bench").expect("an engine")
}

/// Starts `count` sessions, `each` of one subject, the n-th due at `due(n)`; `keep` gets every one with its credential.
pub fn fill(
    engine: &Engine,
    count: u64,
    each: u64,
    due: impl Fn(u64) -> Time,
    mut keep: impl FnMut(Arc<Session>, Token),
) {
    let commit = || engine.commit().expect("a disk that takes entries");
    for number in 0..count {
        let authenticated = Some(due(number).minus(ABSOLUTE));
        let starting = engine.start(start(number / each, authenticated)).expect("a session");
        let (session, token) = starting.into_parts();
        keep(session, token);
        if number % 4_096 == 0 {
            commit();
        }
    }
    commit();
}

/// What a session of the n-th subject is started with.
#[must_use]
pub fn start(subject: u64, authenticated: Option<Time>) -> Start {
    Start {
        subject: Subject {
            provider: "https://idp.example.com".to_owned(),
            name: format!("trader-{subject}@example.com"),
        },
        kind: Kind::Person,
        groups: vec!["traders".to_owned(), "equities".to_owned()],
        app: Some("blotter".to_owned()),
        acr: Some("urn:mace:incommon:iap:silver".to_owned()),
        authenticated,
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "bench",
    }
}

/// Nanoseconds that each of `threads` threads spends on one of `count` calls of `f`, all of them at it at once; the median of five
/// rounds. `f` is given the number of the call, each thread beginning elsewhere.
pub fn nanos_each(threads: usize, count: usize, f: impl Fn(usize) -> u64 + Sync) -> f64 {
    median_nanos(count, || {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (f, first) = (&f, thread * count / threads);
                scope.spawn(move || (0..count).for_each(|call| _ = black_box(f((call + first) % count))));
            }
        });
    })
}

/// The same of one thread, where no call can begin before the answer of the last is there: as a single request sees it. A processor
/// that may look ahead waits for the memory of several calls at once. `f` answers with a number below 2^63.
pub fn nanos_one_after_another(count: usize, f: impl Fn(usize) -> u64) -> f64 {
    median_nanos(count, || {
        let mut answer = 0;
        for call in 0..count {
            answer = f((call + (answer >> 63) as usize) % count);
        }
        black_box(answer);
    })
}

fn median_nanos(count: usize, round: impl Fn()) -> f64 {
    let mut rounds = [0.0; 5].map(|_| {
        let began = Instant::now();
        round();
        began.elapsed().as_nanos() as f64 / count as f64
    });
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// The numbers below `count` in an order that no cache expects; always the same.
#[must_use]
pub fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..count).rev() {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

/// Bytes of memory that this process holds.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Median, 99th percentile and largest of some figures, sorted by this.
pub fn spread(figures: &mut [u64]) -> [u64; 3] {
    figures.sort_unstable();
    [0.5, 0.99, 1.0].map(|part| {
        let at = (figures.len().saturating_sub(1) as f64 * part) as usize;
        figures.get(at).copied().unwrap_or_default()
    })
}
