//! Random histories, engine against model.
//!
//! `NIGHTLATCH_SEED` runs one history by its seed; `NIGHTLATCH_HISTORIES` and `NIGHTLATCH_STEPS` say how many and how long.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use nightlatch_sim::{Step, World, run};
use std::{
    env,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Instant,
};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn engine_and_model_agree_over_random_histories() {
    let steps = number("NIGHTLATCH_STEPS").unwrap_or(200) as usize;
    if let Some(seed) = number("NIGHTLATCH_SEED") {
        return run(seed, steps).unwrap_or_else(|failure| panic!("{failure}"));
    }
    let histories = number("NIGHTLATCH_HISTORIES").unwrap_or(500);
    let (next, begin) = (AtomicU64::new(1), Instant::now());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed > histories {
                        return;
                    }
                    if let Err(failure) = run(seed, steps) {
                        panic!("{failure}NIGHTLATCH_SEED={seed} NIGHTLATCH_STEPS={steps} runs it again");
                    }
                }
            });
        }
    });
    println!("{histories} histories of {steps} steps in {:?}", begin.elapsed());
}

/// The simulator would be worth nothing if engine and model agreed whatever happens.
#[test]
fn a_model_that_is_told_something_else_differs() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.step(Step::Start { idle: 1_000, absolute: 600_000, authenticated_before: 0 }).unwrap();
    world.step(Step::Commit).unwrap();
    world.forget_to_tell_the_engine_of(1_000);
    assert!(world.step(Step::Turn).is_err());
}
