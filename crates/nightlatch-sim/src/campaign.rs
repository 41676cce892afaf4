//! Many histories, on every processor, until one differs or there are enough.

use crate::{history, run_steps, shrink::shrink};
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

/// Which histories are to be run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds, counted up from the first.
    pub seeds: u64,
    /// How many steps each history has.
    pub steps: usize,
}

/// What a campaign came to.
#[derive(Debug)]
pub enum Outcome {
    /// Engine and model never differed.
    Agreed {
        /// Histories that were run.
        histories: u64,
        /// Steps in them.
        steps: u64,
    },
    /// They did.
    Differed(Report),
}

/// A difference, with all that is needed to see it again.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    steps: usize,
    tried: u64,
    shortest: String,
}

impl Campaign {
    /// Runs them with so many at a time, as long as `in_time` says so.
    pub fn run(self, workers: usize, in_time: &(dyn Fn() -> bool + Sync)) -> Outcome {
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let failed = AtomicBool::new(false);
        let report: Mutex<Option<Report>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while !failed.load(SeqCst) && in_time() {
                        let number = next.fetch_add(1, SeqCst);
                        if number >= self.seeds {
                            return;
                        }
                        let seed = self.first_seed + number;
                        let steps: Vec<_> = history(seed, self.steps).collect();
                        let differed = run_steps(&steps).is_err();
                        let tried = done.fetch_add(1, SeqCst) + 1;
                        if !differed || failed.swap(true, SeqCst) {
                            continue;
                        }
                        let told = tell(seed, self.steps, tried, &shrink(&steps));
                        *report.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
                    }
                });
            }
        });
        let histories = done.load(SeqCst);
        match report.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(report) => Outcome::Differed(report),
            None => Outcome::Agreed { histories, steps: histories * self.steps as u64 },
        }
    }
}

fn tell(seed: u64, steps: usize, tried: u64, shortest: &[crate::Step]) -> Report {
    let mut text = String::new();
    for (number, step) in shortest.iter().enumerate() {
        text += &format!("{number:4} {step:?}\n");
    }
    match run_steps(shortest) {
        Err(failure) => text += &format!("     {}\n", failure.difference.0),
        Ok(()) => {
            text += "     and this time there was no difference: it does not depend on the steps alone\n"
        }
    }
    Report { seed, steps, tried, shortest: text }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, steps, tried, shortest } = self;
        writeln!(f, "seed {seed} differs (history {tried} of this run); the shortest history that does:")?;
        f.write_str(shortest)?;
        write!(f, "cargo xtask simulate --seed {seed} --seeds 1 --steps {steps} runs it again")
    }
}
