//! The tree is as ARCHITECTURE.md draws it, or this fails.
//!
//! Rules that a compiler does not know: a crate uses only the crates that its place in the house allows; nobody but the
//! engine's clock asks the operating system for the time; nothing is left half done; and the links of the pages lead somewhere.

use crate::run::root;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which of our crates each may use. What is not here may not be there.
const HOUSE: [(&str, &[&str]); 10] = [
    ("core", &[]),
    ("ledger", &[]),
    ("store", &["core"]),
    ("engine", &["core", "store", "ledger"]),
    ("http", &["engine", "core"]),
    ("identity", &["core"]),
    ("server", &["core", "ledger", "store", "engine", "http", "identity"]),
    ("sim", &["core", "engine", "store", "ledger"]),
    ("bench", &["core", "engine", "http", "ledger"]),
    ("fuzz", &["ledger", "store", "engine", "http", "server"]),
];

/// What asks the operating system for the time, and who may.
const TIME: [&str; 6] =
    ["SystemTime::now", "Instant::now", "clock_gettime", "Timestamp::now", "Zoned::now", "UtcDateTime::now"];
const CLOCK: &str = "crates/nightlatch-engine/src/time_source.rs";

/// What must not be in a commit.
const UNFINISHED: [&str; 4] = ["todo!(", "unimplemented!(", "dbg!(", "FIXME"];

/// Checks all of it, and says everything that is wrong.
pub(crate) fn run() -> Result<(), String> {
    let mut wrong = Vec::new();
    arrows(&mut wrong)?;
    for file in sources() {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        asks_for_time(&file, &text, &mut wrong);
        half_done(&file, &text, &mut wrong);
    }
    drawn(&mut wrong);
    links(&mut wrong);
    if wrong.is_empty() {
        println!("tidy: the tree is as ARCHITECTURE.md draws it");
        return Ok(());
    }
    Err(format!("the tree is not tidy:\n  {}", wrong.join("\n  ")))
}

/// Which crate uses which, from cargo's own answer. What only tests use does not count.
fn arrows(wrong: &mut Vec<String>) -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("`cargo metadata` could not be started: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("`cargo metadata` said: {error}"))?;
    let house: BTreeMap<&str, &[&str]> = HOUSE.into_iter().collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(name) = short_name(&package["name"]) else { continue };
        let Some(may_use) = house.get(name) else {
            wrong.push(format!(
                "crate `{name}` has no place in the house (xtask/src/tidy.rs, ARCHITECTURE.md)"
            ));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for used in
            dependencies.filter(|used| used["kind"] != "dev").filter_map(|used| short_name(&used["name"]))
        {
            if !may_use.contains(&used) {
                wrong.push(format!("crate `{name}` uses `{used}`, which it may not"));
            }
        }
    }
    Ok(())
}

fn short_name(name: &Value) -> Option<&str> {
    name.as_str()?.strip_prefix("nightlatch-")
}

fn asks_for_time(file: &str, text: &str, wrong: &mut Vec<String>) {
    // Tests and measurements may look at a watch; what ships may not. This file only names what it looks for.
    let may = file == CLOCK
        || file == "xtask/src/tidy.rs"
        || file.contains("/tests/")
        || file.ends_with("/tests.rs")
        || file.starts_with("bench/")
        || file == "crates/nightlatch-sim/src/bin/simulate.rs"
        || !file.ends_with(".rs");
    if may {
        return;
    }
    // Unit tests stand at the end of a file.
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    for (number, line) in shipped.lines().enumerate() {
        if let Some(call) = TIME.into_iter().find(|call| line.contains(call)) {
            wrong.push(format!(
                "{file}:{} asks for the time (`{call}`); only the engine's clock may",
                number + 1
            ));
        }
    }
}

fn half_done(file: &str, text: &str, wrong: &mut Vec<String>) {
    if file == "xtask/src/tidy.rs" {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(mark) = UNFINISHED.into_iter().find(|mark| line.contains(mark)) {
            wrong.push(format!("{file}:{} is not finished (`{mark}`)", number + 1));
        }
    }
}

/// ARCHITECTURE.md names every crate.
fn drawn(wrong: &mut Vec<String>) {
    let drawing = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    for (name, _) in HOUSE {
        if !drawing.contains(&format!("nightlatch-{name}")) {
            wrong.push(format!("ARCHITECTURE.md does not draw `nightlatch-{name}`"));
        }
    }
}

/// Every relative link of a page leads somewhere, and no page has a hole left to fill.
fn links(wrong: &mut Vec<String>) {
    let mut pages = Vec::new();
    collect(&root().join("docs"), &["md"], &mut pages);
    let beside = fs::read_dir(root()).into_iter().flatten().flatten().map(|entry| entry.path());
    pages.extend(beside.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    for folder in ["proof", "tests", "examples"] {
        collect(&root().join(folder), &["md"], &mut pages);
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        let name = page.strip_prefix(root()).unwrap_or(&page).display().to_string();
        if text.contains("@@") {
            wrong.push(format!("{name} has a hole left to fill (`@@`)"));
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let outside = link.contains("://") || link.starts_with("mailto:") || target.is_empty();
            if !outside && !page.parent().is_some_and(|folder| folder.join(target).exists()) {
                wrong.push(format!("{name} links to `{link}`, which is not there"));
            }
        }
    }
}

/// Our own source files, relative to the root.
fn sources() -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "bench", "fuzz", "examples", "tests"] {
        collect(&root().join(folder), &["rs", "js", "mjs", "ts"], &mut files);
    }
    let relative = |file: PathBuf| Some(file.strip_prefix(root()).ok()?.display().to_string());
    let mut files: Vec<String> = files.into_iter().filter_map(relative).collect();
    files.sort();
    files
}

/// The files of these kinds below a folder.
fn collect(folder: &Path, kinds: &[&str], files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                collect(&path, kinds, files);
            }
        } else if path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known)) {
            files.push(path);
        }
    }
}
