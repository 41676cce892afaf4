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

/// Killed between the write of last activity and its sync, started again, and then the power goes: what the second run found had been believed
/// to be on disk, and was not written again.
#[test]
fn never_early_activity_that_a_killed_process_had_written_survives_a_power_cut_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let steps = [
        Step::Start { idle: 60_000, absolute: 600_000, authenticated_before: 0 },
        Step::Commit,
        Step::Pass { millis: 2_521 },
        Step::Touch { who: 0 },
        // The reservation is written and synced, and activity written.
        Step::CutIn { calls: 3, power: false, luck: 0 },
        Step::Upkeep,
        // This time, the reservation; and nothing new of the activity.
        Step::CutIn { calls: 2, power: true, luck: 3 },
        Step::Upkeep,
    ];
    for step in steps {
        world.step(step).unwrap();
    }
    world.finish().unwrap();
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
