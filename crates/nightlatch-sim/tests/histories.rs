//! Random histories, engine against model: a few for every `cargo test`. `cargo xtask simulate` runs as many as one likes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use nightlatch_sim::{Campaign, Failing, Outcome, Step, World};
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

const START: Step = Step::Start { idle: 60_000, absolute: 600_000, authenticated_before: 0 };

/// Engine and model agree over these steps.
fn goes_well(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    for step in steps {
        world.step(*step).unwrap();
    }
    world.finish().unwrap();
}

/// Killed between the write of last activity and its sync, started again, and then the power goes: what the second run found had been believed
/// to be on disk, and was not written again.
#[test]
fn never_early_activity_that_a_killed_process_had_written_survives_a_power_cut_after_the_next_start() {
    goes_well(&[
        START,
        Step::Commit,
        Step::Pass { millis: 2_521 },
        Step::Touch { who: 0 },
        // The reservation is written and synced, and activity written.
        Step::CutIn { calls: 3, power: false, luck: 0 },
        Step::Upkeep,
        // This time, the reservation; and nothing new of the activity.
        Step::CutIn { calls: 2, power: true, luck: 3 },
        Step::Upkeep,
    ]);
}

/// A stop whose last commit failed left a limit that had gone down in its snapshot, and in no entry. The limit was told, and the snapshots
/// were lost.
#[test]
fn never_revived_what_a_stop_could_not_record_is_not_in_its_snapshot() {
    goes_well(&[
        START,
        Step::Commit,
        Step::LowerEnd { who: 0, left: 670 },
        Step::DiskFails { calls: 0, how: Failing::Torn, luck: 0 },
        Step::Restart { down: 30_000 },
        Step::LoseSnapshots,
    ]);
}

/// Killed between the rename of a snapshot and the sync of its directory: the next run read it, and believed it to be there for good.
#[test]
fn never_early_a_snapshot_that_a_killed_process_had_named_survives_a_power_cut_after_the_next_start() {
    for calls in 0..16 {
        goes_well(&[
            START,
            Step::Commit,
            Step::Pass { millis: 1 },
            Step::Touch { who: 0 },
            Step::CutIn { calls, power: false, luck: 0 },
            Step::Snapshot,
            Step::PowerCut { down: 1_500, ahead: 0, luck: 0 },
        ]);
    }
}

/// A sync failed, and the kernel dropped what it could not write; until the power goes it can be read all the same. Who finds it has to write it
/// again, for a later sync does not speak for it. `luck` decides what the kernel drops, and what the disk has of it.
#[test]
fn never_early_activity_that_a_failed_sync_dropped_is_written_again_by_the_next_start() {
    for luck in 0..16 {
        goes_well(&[
            START,
            Step::Commit,
            Step::Upkeep,
            Step::Pass { millis: 2_521 },
            Step::Touch { who: 0 },
            // The reservation is written and synced, and activity written.
            Step::DiskFails { calls: 3, how: Failing::Lost, luck },
            Step::Upkeep,
            Step::Crash { down: 0 },
            Step::PowerCut { down: 1_500, ahead: 0, luck },
        ]);
    }
}

/// The same with the row of a subject who was seen for the first time: without it a restart finds an erased person, and ends the session.
#[test]
fn never_early_a_subject_that_a_failed_sync_dropped_is_written_again_by_the_next_start() {
    for luck in 0..16 {
        goes_well(&[
            Step::DiskFails { calls: 1, how: Failing::Lost, luck },
            START,
            Step::Crash { down: 0 },
            START,
            Step::Commit,
            Step::PowerCut { down: 1_500, ahead: 0, luck },
        ]);
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
