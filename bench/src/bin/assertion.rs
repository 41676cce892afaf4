//! What it costs to tell an application who it is signed: making an assertion, and sending one that was made up to five seconds ago.
//!
//! The floor is the signature alone, over as many bytes and by the same library.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use nightlatch_bench::{fill, nanos_each, open_with};
use nightlatch_core::Span;
use nightlatch_engine::{ManualTime, OsTime, Session, TimeSource as _};
use nightlatch_http::assertion::{Assertions, Signer};
use std::sync::Arc;

/// Sessions that ask in turn and have one at hand.
const MADE_ONCE: usize = 1_000;
/// Sessions within their last seconds, for which none is good twice.
const MADE_ANEW: usize = 1_000;
/// Calls of a round.
const CALLS: usize = 20_000;

fn main() {
    let data = tempfile::tempdir().unwrap();
    // Time stands still, so that what is sent again is not over before the round is.
    let time = Arc::new(ManualTime::new(OsTime.wall_nanos()));
    let (engine, _) = open_with(data.path(), Box::new(time));
    let now = engine.clock().now();
    let due = |number: u64| now.plus(Span::from_secs(if number < MADE_ONCE as u64 { 11 * 3600 } else { 3 }));
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    fill(&engine, (MADE_ONCE + MADE_ANEW) as u64, 1, due, |session, _| sessions.push(session));
    let signer = Arc::new(Signer::new(Arc::new(engine), "https://desk.example.com".to_owned()).unwrap());
    let assertions = Assertions::new(signer, "blotter");
    let bytes = assertions.of(&sessions[0]).unwrap().len();

    println!("nanoseconds for one, median of five rounds; an assertion is {bytes} bytes\n");
    println!("{:<56} {:>9} {:>9} {:>8}", "", "1 thread", "2 threads", "scaling");
    let row = |name: &str, f: &(dyn Fn(usize) -> u64 + Sync)| {
        let [one, two] = [1, 2].map(|threads| nanos_each(threads, CALLS, f));
        println!("{name:<56} {one:>9.0} {two:>9.0} {:>7.2}x", 2.0 * one / two);
    };
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let signed = vec![b'x'; bytes - 87];
    row("floor: the signature alone", &|_| {
        u64::from(key.sign(&SystemRandom::new(), &signed).unwrap().as_ref()[0])
    });
    let of = |session: usize| assertions.of(&sessions[session]).unwrap().len() as u64;
    // The last sessions' deadline is so near that each request needs one of its own.
    row("made", &|call| of(MADE_ONCE + call % MADE_ANEW));
    row("sent again", &|call| of(call % MADE_ONCE));
}
