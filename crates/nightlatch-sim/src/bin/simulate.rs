//! Runs histories, as many as it is asked for, and says what they come to.
//!
//! `simulate [--seed FIRST] [--seeds N] [--steps M] [--seconds S]`. Stops at the first difference, or when the seconds are up. One
//! history on each processor at a time; which seeds are run depends on nothing but the arguments.
#![allow(clippy::print_stdout, reason = "a command line speaks on the terminal")]

use nightlatch_sim::{Campaign, Outcome};
use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let campaign = match parse(&arguments) {
        Ok(campaign) => campaign,
        Err(wrong) => {
            println!("{wrong}\nsimulate [--seed FIRST] [--seeds N] [--steps M] [--seconds S]");
            return ExitCode::from(2);
        }
    };
    let (campaign, seconds) = campaign;
    let begin = Instant::now();
    let in_time = move || seconds.is_none_or(|seconds| begin.elapsed() < Duration::from_secs(seconds));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    match campaign.run(workers, &in_time) {
        Outcome::Agreed { histories, steps } => {
            println!("{histories} histories, {steps} steps, no difference, {:.0?}", begin.elapsed());
            ExitCode::SUCCESS
        }
        Outcome::Differed(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<(Campaign, Option<u64>), String> {
    let mut campaign = Campaign { first_seed: 1, seeds: 1_000, steps: 200 };
    let mut seconds = None;
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("`{}` wants a number", pair[0])) };
        let number: u64 = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
        match name.as_str() {
            "--seed" => campaign.first_seed = number,
            "--seeds" => campaign.seeds = number,
            "--steps" => campaign.steps = number as usize,
            "--seconds" => seconds = Some(number),
            other => return Err(format!("there is no `{other}`")),
        }
    }
    Ok((campaign, seconds))
}
