//! Random histories, engine against model: a few for every `cargo test`. `cargo xtask simulate` runs as many as one likes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use nightlatch_sim::{Campaign, Outcome, Step, World};
use std::thread;

#[test]
fn engine_and_model_agree_over_random_histories() {
    let campaign = Campaign { first_seed: 1, seeds: 60, steps: 200 };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    match campaign.run(workers, &|| true) {
        Outcome::Agreed { histories, steps } => println!("{histories} histories, {steps} steps"),
        Outcome::Differed(report) => panic!("{report}"),
    }
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
