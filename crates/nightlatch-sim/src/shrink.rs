//! The shortest history that still fails: what a person reads when the simulator has found something.
//!
//! Every list of steps is a history, so a failing one may be cut anywhere. Larger pieces are tried first, then single steps,
//! until nothing more can be left out (Zeller's delta debugging, in its plain form).

use crate::{history::Step, run_steps};

/// Histories that are tried at the most: a shorter one is a convenience, and must not cost minutes.
const TRIES_MOST: usize = 3_000;

/// A failing history, with everything that it can do without left out.
#[must_use]
pub fn shrink(steps: &[Step]) -> Vec<Step> {
    let mut steps = match run_steps(steps) {
        Ok(()) => return steps.to_vec(),
        // What came after the difference was never done.
        Err(failure) => steps[..(failure.done + 1).min(steps.len())].to_vec(),
    };
    let mut tries = 0;
    let mut piece = steps.len() / 2;
    while piece > 0 && tries < TRIES_MOST {
        let mut at = 0;
        let mut shorter = false;
        while at < steps.len() && tries < TRIES_MOST {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + piece).min(steps.len()));
            tries += 1;
            match run_steps(&fewer) {
                Ok(()) => at += piece,
                Err(failure) => {
                    fewer.truncate(failure.done + 1);
                    steps = fewer;
                    shorter = true;
                }
            }
        }
        if piece > 1 || !shorter {
            piece /= 2;
        }
    }
    steps
}
