//! What people who work on Nightlatch run: `cargo xtask demo`, `test`, `autobahn`, `lint`, `tidy`, `bench`, `simulate`,
//! `crash-loop`, `planted`, `fuzz`.
//!
//! Each command installs or builds what it lacks and says what it does, so that a fresh machine needs nothing but what README names.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks on the terminal")]

mod fuzz;
mod planted;
mod run;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS]    start the demo brokerage behind the gateway (ARGS go to `nightlatch demo`; try --help)
  test           install what the tests need and run all of them
  autobahn       all of Autobahn's WebSocket suite, straight and through the gateway; takes many minutes
  lint           formatting, clippy, advisories and licences, tidy
  tidy           check the tree: which crate uses which, who asks for the time
  bench [NAME]   measure; see docs/design/performance.md
  simulate [--seed S] [--seeds N] [--steps M] [--seconds T]
                 engine against model, over random histories with lying clocks, failing disks and crashes
  crash-loop [ROUNDS] [SEED]
                 kill -9 of the real program under load, again and again, and check what its clients saw
  fuzz [--seconds N] [TARGET..]
                 libFuzzer on every parser of outside bytes, so many seconds each (10)
  planted [NAME] plant faults in a copy of the source and see that the simulator finds each

";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("help", &[][..]), |(first, rest)| (first.as_str(), rest));
    let done = match command {
        "demo" => demo(rest),
        "test" => test::run(),
        "autobahn" => test::autobahn(),
        "lint" => lint(),
        "tidy" => tidy::run(),
        "bench" => bench(rest),
        "simulate" => simulate(rest),
        "fuzz" => fuzz::run(rest),
        "planted" => planted::run(rest),
        "crash-loop" => crash_loop(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprint!("there is no command `{other}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the program, installs the application's one dependency, and starts both.
fn demo(arguments: &[String]) -> Result<(), String> {
    tools::need_node()?;
    tools::npm_ci("examples/brokerage")?;
    run::cargo(&["build", "--package", "nightlatch-server"])?;
    let mut line = vec!["run", "--quiet", "--package", "nightlatch-server", "--", "demo"];
    line.extend(arguments.iter().map(String::as_str));
    // From here on this process is the program, so that whoever stops it stops that: the demo's folder is removed, and no port stays taken.
    Err(run::become_cargo(&line))
}

/// Everything that needs no running program.
fn lint() -> Result<(), String> {
    run::cargo(&["fmt", "--all", "--check"])?;
    run::cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    tools::cargo_install("cargo-deny", "0.20.2")?;
    run::cargo(&["deny", "check", "bans", "licenses", "sources"])?;
    if run::cargo(&["deny", "fetch", "db"]).is_ok() {
        run::cargo(&["deny", "check", "advisories"])?;
    } else {
        println!("advisories: NOT CHECKED, the database of advisories cannot be reached from here");
    }
    tidy::run()
}

/// Measures with one of the programs of `bench/`; what else it takes is installed or built first.
fn bench(arguments: &[String]) -> Result<(), String> {
    let (name, rest) =
        arguments.split_first().map_or(("lateness", &[][..]), |(name, rest)| (name.as_str(), rest));
    if name == "gateway" {
        tools::apt("nginx", "nginx")?;
        tools::apt("wrk", "wrk")?;
        tools::apt("h2load", "nghttp2-client")?;
        tools::apt("curl", "curl")?;
    }
    if ["gateway", "websockets"].contains(&name) {
        run::cargo(&["build", "--release", "--package", "nightlatch-server"])?;
    }
    let mut line = vec!["run", "--quiet", "--release", "--package", "nightlatch-bench", "--bin", name, "--"];
    line.extend(rest.iter().map(String::as_str));
    run::cargo(&line)
}

fn simulate(arguments: &[String]) -> Result<(), String> {
    let mut line =
        vec!["run", "--quiet", "--release", "--package", "nightlatch-sim", "--bin", "simulate", "--"];
    line.extend(arguments.iter().map(String::as_str));
    run::cargo(&line)
}

fn crash_loop(arguments: &[String]) -> Result<(), String> {
    tools::need_node()?;
    tools::npm_ci("tests/clients")?;
    run::cargo(&["build", "--package", "nightlatch-server"])?;
    let mut line = vec!["crash/loop.js"];
    line.extend(arguments.iter().map(String::as_str));
    run::in_folder("tests/clients", "node", &line)
}
