//! libFuzzer on the properties of `fuzz/`, for a bounded time.
//!
//! Without a sanitizer: our crates forbid `unsafe`, so there is nothing of ours for one to find; without one the coverage
//! instrumentation is all that is asked of the compiler, and the stable one of this checkout can do that. What is found is left in
//! `fuzz/artifacts`, and what was learned in `fuzz/corpus`; neither is committed. A finding becomes a seed and a test with a name.

use crate::{
    run::{self, root},
    tools,
};
use std::{fs, path::Path};

/// What `cargo fuzz` is told each time: no sanitizer, overflow and debug assertions checked.
const BUILD: [&str; 5] = ["--release", "--debug-assertions", "--sanitizer", "none", "--strip-dead-code"];
/// The longest input that is tried. What is parsed is mostly shorter than a header.
const INPUT_BYTES_MOST: &str = "-max_len=4096";

/// Runs the targets that are named, or all.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (seconds, named) = read(arguments)?;
    let known = targets()?;
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no target `{unknown}`; there are {}", known.join(", ")));
    }
    tools::cargo_install("cargo-fuzz", "0.13.2")?;
    // One link for each target: the thin link-time optimisation of a release would take longer than the run.
    let settings = ["--codegen-units", "16"];
    let build: Vec<&str> = ["fuzz", "build"].into_iter().chain(BUILD).chain(settings).collect();
    run::cargo_with(&build, &[("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_DEBUG", "0")])?;
    let mut broken = Vec::new();
    for target in if named.is_empty() { known } else { named } {
        if run_one(&target, seconds).is_err() {
            broken.push(target);
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("broken: {}; the inputs are in `fuzz/artifacts`", broken.join(", ")))
}

fn run_one(target: &str, seconds: u64) -> Result<(), String> {
    let (corpus, artifacts) = (format!("fuzz/corpus/{target}"), format!("fuzz/artifacts/{target}"));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(root().join(folder)).map_err(|error| format!("`{folder}`: {error}"))?;
    }
    let program = format!("target/{}/release/{target}", host());
    let time = format!("-max_total_time={seconds}");
    let kept = format!("-artifact_prefix={artifacts}/");
    let seeds = format!("fuzz/seeds/{target}");
    let arguments = [
        &*corpus,
        &*seeds,
        &*time,
        &*kept,
        INPUT_BYTES_MOST,
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=0",
        "-close_fd_mask=0",
    ];
    run::in_folder("", &root().join(&program).display().to_string(), &arguments)
}

/// What `cargo fuzz` calls this machine.
fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// The targets, by their files.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/targets");
    let files = fs::read_dir(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    let name = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = files.flatten().filter_map(|file| name(&file.path())).collect();
    names.sort();
    Ok(names)
}

/// Seconds for each target, and the targets.
fn read(arguments: &[String]) -> Result<(u64, Vec<String>), String> {
    let mut seconds = 10;
    let mut named = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            let number = rest.next().and_then(|number| number.parse().ok());
            seconds = number.ok_or("`--seconds` takes a whole number of seconds")?;
        } else {
            named.push(argument.clone());
        }
    }
    Ok((seconds, named))
}
