//! What one check costs, with a million live sessions: find, register, decide, touch, and let go of the permit again.
//!
//! Sessions are asked for in an order that no cache expects. The floor is the least that any such table must do: find a slot in
//! a table of fixed size that is never written to, and swap one word there. The peers are the maps one would otherwise take, with the
//! same touch and nothing else: no clock, no deadline, no permit; and two that are made for sessions or for what expires, with the touch
//! that they have: moka's `get` under an idle limit, and a record loaded from tower-sessions' memory store and saved with a new expiry.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use http::{HeaderMap, header};
use moka::sync::Cache;
use nightlatch_bench::{SESSIONS, fill, nanos_each, nanos_one_after_another, open_with, shuffled};
use nightlatch_core::{Activity, CredentialHash};
use nightlatch_engine::{Admission, Engine, OsTime, Running, TimeSource, Token};
use nightlatch_http::{
    cookies::CookieNames,
    extract::{Extracted, extract},
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use tower_sessions::{
    MemoryStore, SessionStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
};

/// Requests with a cookie each. As many as the nearest cache holds: a server has just read what it looks at.
const REQUESTS: usize = 64;

fn main() {
    let data = tempfile::tempdir().unwrap();
    let time = Arc::new(Time::default());
    let (engine, _) = open_with(data.path(), Box::new(Stoppable(Arc::clone(&time))));
    let later = engine.clock().now().plus(nightlatch_core::Span::from_secs(11 * 3600));
    let mut tokens = Vec::new();
    fill(&engine, SESSIONS, 10, |_| later, |_, token| tokens.push(token));
    let running = Running::start(engine).unwrap();
    let engine = running.engine();
    let order = shuffled(tokens.len());
    let credentials: Vec<CredentialHash> = order.iter().map(|number| tokens[*number].hash()).collect();
    let requests: Vec<HeaderMap> = tokens[..REQUESTS].iter().map(request).collect();
    drop(tokens);

    println!("{SESSIONS} live sessions; nanoseconds for one, median of five rounds\n");
    println!("{:<56} {:>9} {:>9} {:>8} {:>18}", "", "1 thread", "2 threads", "scaling", "one after another");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let row_of = |calls: usize, name: &str, f: &(dyn Fn(usize) -> u64 + Sync)| {
        if name.contains(&wanted) {
            let [one, two] = [1, 2].map(|threads| nanos_each(threads, calls, f));
            let alone = nanos_one_after_another(calls, f);
            println!("{name:<56} {one:>9.1} {two:>9.1} {:>7.2}x {alone:>18.1}", 2.0 * one / two);
        }
    };
    let row = |name: &str, f: &(dyn Fn(usize) -> u64 + Sync)| row_of(credentials.len(), name, f);

    let floor = Floor::of(&credentials);
    row("floor: fixed table, one swap", &|call| floor.touch(&credentials[call]));
    drop(floor);
    let map = papaya::HashMap::new();
    credentials.iter().for_each(|credential| _ = map.pin().insert(*credential, AtomicU64::new(0)));
    row("papaya, one swap", &|call| touch(map.pin().get(&credentials[call]).unwrap()));
    drop(map);
    let map = dashmap::DashMap::new();
    credentials.iter().for_each(|credential| _ = map.insert(*credential, AtomicU64::new(0)));
    row("DashMap, one swap", &|call| touch(&map.get(&credentials[call]).unwrap()));
    drop(map);
    let cache =
        Cache::builder().max_capacity(2 * SESSIONS).time_to_idle(Duration::from_secs(6 * 3600)).build();
    credentials.iter().for_each(|credential| cache.insert(*credential, 0));
    row("moka, a get under an idle limit", &|call| cache.get(&credentials[call]).unwrap());
    drop(cache);
    let store = MemoryStore::default();
    credentials.iter().for_each(|credential| wait(store.save(&record(credential))).unwrap());
    // Two threads wait for its one lock far longer than they have it: with all the calls there are it would take minutes.
    row_of(credentials.len() / 20, "tower-sessions' memory store, load and save", &|call| {
        save_later(&store, &credentials[call * 20])
    });
    drop(store);

    let check = |call: usize, activity| granted(engine, &credentials[call], activity);
    time.stop();
    row("check with touch", &|call| check(call, Activity::Active));
    row("check without touch", &|call| check(call, Activity::Passive));
    time.go_on();
    row("the clock alone", &|_| engine.clock().now_nanos());
    row("check with touch, clock included", &|call| check(call, Activity::Active));
    let permits: Vec<_> = credentials
        .iter()
        .take(10_000)
        .map(|credential| match engine.check(credential, Activity::Passive, "bench") {
            Admission::Granted(permit) => permit,
            refused => unreachable!("{refused:?}"),
        })
        .collect();
    row("a permit asked again, 10,000 of them", &|call| {
        permits[call % permits.len()].ask().unwrap().at.as_millis()
    });
    drop(permits);

    let found: Vec<CredentialHash> = requests.iter().map(find).collect();
    row("extract from a cookie, SHA-256 included", &|call| words(&find(&requests[call % REQUESTS]))[0] >> 1);
    // What was found names one of few sessions; the difference to another's name makes it one of a million.
    let differences: Vec<CredentialHash> = credentials
        .iter()
        .enumerate()
        .map(|(call, credential)| xor(credential, &found[call % REQUESTS]))
        .collect();
    row("check with touch, from a cookie's bytes, clock included", &|call| {
        let hash = find(&requests[call % REQUESTS]);
        granted(engine, &xor(&hash, &differences[call]), Activity::Active)
    });
}

/// The clocks of the machine, which can be stopped: a reading then costs next to nothing.
#[derive(Default)]
struct Time {
    stopped: [AtomicU64; 2],
}

impl Time {
    fn stop(&self) {
        self.stopped[0].store(OsTime.boot_nanos(), Ordering::Release);
        self.stopped[1].store(OsTime.wall_nanos(), Ordering::Release);
    }

    fn go_on(&self) {
        self.stopped.iter().for_each(|stopped| stopped.store(0, Ordering::Release));
    }
}

struct Stoppable(Arc<Time>);

impl TimeSource for Stoppable {
    fn boot_nanos(&self) -> u64 {
        match self.0.stopped[0].load(Ordering::Acquire) {
            0 => OsTime.boot_nanos(),
            stopped => stopped,
        }
    }

    fn wall_nanos(&self) -> u64 {
        match self.0.stopped[1].load(Ordering::Acquire) {
            0 => OsTime.wall_nanos(),
            stopped => stopped,
        }
    }

    fn boot_id(&self) -> [u8; 16] {
        OsTime.boot_id()
    }
}

fn granted(engine: &Engine, credential: &CredentialHash, activity: Activity) -> u64 {
    match engine.check(credential, activity, "bench") {
        Admission::Granted(permit) => permit.session().last_activity().as_millis(),
        refused => unreachable!("{refused:?}"),
    }
}

fn request(token: &Token) -> HeaderMap {
    let cookie = format!("theme=dark; {}={}; lang=en", CookieNames::SECURE.session, token.reveal());
    HeaderMap::from_iter([(header::COOKIE, cookie.try_into().unwrap())])
}

fn find(request: &HeaderMap) -> CredentialHash {
    match extract(request, CookieNames::SECURE).credential {
        Extracted::One(presented) => presented.hash,
        _ => unreachable!("each request has one credential"),
    }
}

fn xor(one: &CredentialHash, other: &CredentialHash) -> CredentialHash {
    CredentialHash(std::array::from_fn(|byte| one.0[byte] ^ other.0[byte]))
}

fn words(credential: &CredentialHash) -> [u64; 4] {
    let (words, _) = credential.0.as_chunks::<8>();
    std::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

fn touch(word: &AtomicU64) -> u64 {
    let seen = word.load(Ordering::Acquire);
    let _ = word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
    seen
}

/// A session as tower-sessions keeps it.
fn record(credential: &CredentialHash) -> Record {
    let expiry_date = OffsetDateTime::now_utc() + Duration::from_secs(6 * 3600);
    let data = [("subject".to_owned(), serde_json::Value::from("trader@example.com"))];
    Record { id: id(credential), data: data.into(), expiry_date }
}

fn id(credential: &CredentialHash) -> Id {
    let [low, high, ..] = words(credential);
    Id(i128::from(low) << 64 | i128::from(high))
}

/// What its middleware does for a request that moves the expiry.
fn save_later(store: &MemoryStore, credential: &CredentialHash) -> u64 {
    let mut record = wait(store.load(&id(credential))).unwrap().unwrap();
    record.expiry_date += Duration::from_millis(1);
    wait(store.save(&record)).unwrap();
    record.data.len() as u64
}

/// The outcome of a future that waits for nothing but a lock.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
        thread::yield_now();
    }
}

/// Open addressing over slots of 64 bytes: a credential and a word.
struct Floor(Vec<Slot>);

#[repr(align(64))]
struct Slot {
    credential: Option<CredentialHash>,
    word: AtomicU64,
}

impl Floor {
    fn of(credentials: &[CredentialHash]) -> Floor {
        let slots = (credentials.len() * 2).next_power_of_two();
        let mut floor =
            Floor((0..slots).map(|_| Slot { credential: None, word: AtomicU64::new(0) }).collect());
        for credential in credentials {
            let free = floor.probe(credential).find(|slot| floor.0[*slot].credential.is_none()).unwrap();
            floor.0[free].credential = Some(*credential);
        }
        floor
    }

    fn touch(&self, credential: &CredentialHash) -> u64 {
        let mut probe = self.probe(credential);
        touch(&self.0[probe.find(|slot| self.0[*slot].credential == Some(*credential)).unwrap()].word)
    }

    fn probe(&self, credential: &CredentialHash) -> impl Iterator<Item = usize> + use<> {
        let (first, slots) = (words(credential)[0], self.0.len());
        (0..slots).map(move |step| (first as usize + step) % slots)
    }
}
