//! What one check costs, with a million live sessions: find, register, decide, touch, and let go of the permit again.
//!
//! Sessions are asked for in an order that no cache expects. The floor is the least that any such table must do: find a slot in
//! a table of fixed size that is never written to, and swap one word there. The peers are the maps one would otherwise take, with the
//! same touch and nothing else: no clock, no deadline, no permit.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use http::{HeaderMap, header};
use nightlatch_bench::{SESSIONS, fill, nanos_each, open, shuffled};
use nightlatch_core::{Activity, CredentialHash};
use nightlatch_engine::{Admission, Running, Token};
use nightlatch_http::{
    cookies::CookieNames,
    extract::{Extracted, extract},
};
use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

/// Requests with a cookie each, all of other sessions.
const REQUESTS: usize = 1 << 18;

fn main() {
    let data = tempfile::tempdir().unwrap();
    let (engine, _) = open(data.path());
    let later = engine.clock().now().plus(nightlatch_core::Span::from_secs(11 * 3600));
    let mut tokens = Vec::new();
    fill(&engine, SESSIONS, 10, |_| later, |_, token| tokens.push(token));
    let running = Running::start(engine).unwrap();
    let engine = running.engine();
    let order = shuffled(tokens.len());
    let credentials: Vec<CredentialHash> = order.iter().map(|number| tokens[*number].hash()).collect();
    let requests: Vec<HeaderMap> = order[..REQUESTS].iter().map(|number| request(&tokens[*number])).collect();
    drop(tokens);

    println!("{SESSIONS} live sessions; nanoseconds for one, median of five rounds\n");
    println!("{:<52} {:>9} {:>9} {:>9}", "", "1 thread", "2 threads", "scaling");
    let row = |name: &str, f: &(dyn Fn(usize) + Sync)| {
        let [one, two] = [1, 2].map(|threads| nanos_each(threads, credentials.len(), f));
        println!("{name:<52} {one:>9.1} {two:>9.1} {:>8.2}x", 2.0 * one / two);
    };

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
    row("the clock alone", &|_| _ = black_box(engine.clock().now_nanos()));
    row("check with touch, credential hashed, clock included", &|call| {
        let admission = engine.check(&credentials[call], Activity::Active, "bench");
        assert!(matches!(black_box(admission), Admission::Granted(_)));
    });
    row("check without touch, clock included", &|call| {
        let admission = engine.check(&credentials[call], Activity::Passive, "bench");
        assert!(matches!(black_box(admission), Admission::Granted(_)));
    });
    let permits: Vec<_> = credentials
        .iter()
        .take(10_000)
        .map(|credential| match engine.check(credential, Activity::Passive, "bench") {
            Admission::Granted(permit) => permit,
            refused => unreachable!("{refused:?}"),
        })
        .collect();
    row("a permit asked again, 10,000 of them", &|call| _ = black_box(permits[call % permits.len()].ask()));
    drop(permits);
    let find = |call: usize| match extract(&requests[call % REQUESTS], CookieNames::SECURE).credential {
        Extracted::One(presented) => presented.hash,
        _ => unreachable!("each request has one credential"),
    };
    row("extract from a cookie, SHA-256 included", &|call| _ = black_box(find(call)));
    row("check with touch, from a cookie's bytes", &|call| {
        let admission = engine.check(&find(call), Activity::Active, "bench");
        assert!(matches!(black_box(admission), Admission::Granted(_)));
    });
}

fn request(token: &Token) -> HeaderMap {
    let cookie = format!("theme=dark; {}={}; lang=en", CookieNames::SECURE.session, token.reveal());
    HeaderMap::from_iter([(header::COOKIE, cookie.try_into().unwrap())])
}

fn touch(word: &AtomicU64) {
    let seen = word.load(Ordering::Acquire);
    let _ = word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
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

    fn touch(&self, credential: &CredentialHash) {
        let mut probe = self.probe(credential);
        touch(&self.0[probe.find(|slot| self.0[*slot].credential == Some(*credential)).unwrap()].word);
    }

    fn probe(&self, credential: &CredentialHash) -> impl Iterator<Item = usize> + use<> {
        let (first, slots) = (u64::from_le_bytes(*credential.0.first_chunk().unwrap()), self.0.len());
        (0..slots).map(move |step| (first as usize + step) % slots)
    }
}
