//! **Simulate.** Random histories of sessions, lying clocks, failing disks and crashes, against a model so plain that it can be
//! believed.
//!
//! The engine is fast because it is clever: words packed in atomics, timers that are armed lazily, recovery from three sources.
//! The [`Model`] is none of that: a list of sessions and the rules of the design as one would say them aloud. A [`World`] does
//! the same steps to both and holds them against each other after each. What must be equal is compared as equal; what a crash may
//! cost by contract is bounded, and the model then goes on from what was found.
//!
//! | module | is |
//! | --- | --- |
//! | `chance` | random numbers from a seed, the same on every machine |
//! | `history` | which steps there are, and drawing them |
//! | `swarm` | which kinds of steps a history has |
//! | `model` | sessions, and when they are over |
//! | `clocks` | the clocks of a machine that lie, and what an honest authority makes of them |
//! | `calls`, `platter` | every call that changes a file, and a disk that keeps what was synced and of the rest what it pleases |
//! | `machine` | power cuts, kills and failing calls in the middle of a step |
//! | `credentials` | credentials that are added, presented, replaced and used too late |
//! | `stall` | hostile schedules: what is overtaken between its look at the clock and its decision |
//! | `disk` | the ledger's own view of a disk that fails, and takes no space in advance |
//! | `world` | the real engine beside the model, step by step |
//! | `rounds` | timers, commits, upkeep and snapshots |
//! | `restart` | what may differ after a crash |
//! | `record` | what the ledger says in the end |
//! | `campaign`, `shrink` | many histories, and the shortest one that fails |
//!
//! Nothing here calls the core's `decide`: two answers that come from the same line of code cannot contradict each other.

mod calls;
mod campaign;
mod chance;
#[cfg(test)]
mod checkpoints;
mod clocks;
mod credentials;
mod disk;
mod history;
mod machine;
mod model;
mod platter;
mod record;
mod restart;
mod rounds;
mod shrink;
mod stall;
mod swarm;
mod world;

pub use campaign::{Campaign, Outcome, Report};
pub use chance::Chance;
pub use history::{Step, history};
pub use model::Model;
pub use platter::Failing;
pub use shrink::shrink;
pub use stall::Held;
pub use world::{Difference, World};

/// Where a history went wrong.
#[derive(Debug)]
pub struct Failure {
    /// How many steps went well before.
    pub done: usize,
    /// What was different.
    pub difference: Difference,
}

/// Runs one history and tells the first difference.
///
/// # Errors
/// How far it came, and the difference.
pub fn run_steps(steps: &[Step]) -> Result<(), Failure> {
    let folder = room();
    let mut world = World::new(folder.path());
    let mut done = 0;
    while let Some(step) = steps.get(done) {
        let rest = &steps[done + 1..];
        let (result, taken) = match *step {
            Step::HeldUp { who, what, steps } => {
                let meanwhile = &rest[..steps.min(rest.len())];
                (world.hold_up(who, what, meanwhile), 1 + meanwhile.len())
            }
            step => (world.step(step), 1),
        };
        // Where it was among the steps that happened meanwhile is not told apart.
        result.map_err(|difference| Failure { done: done + taken - 1, difference })?;
        done += taken;
    }
    world.finish().map_err(|difference| Failure { done: steps.len(), difference })
}

/// A folder in memory, where there is one: no history needs to survive a power cut.
#[allow(clippy::expect_used, reason = "without a folder there is nothing to simulate")]
fn room() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder for the history")
}
