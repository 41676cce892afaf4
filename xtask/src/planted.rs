//! Faults planted on purpose, to see that the simulator finds each of them.
//!
//! A proof that has never failed proves little. So a copy of the tree below `target/` gets every fault at once, each behind a switch of
//! its own; then the simulator is run once with all switches off, when it must find nothing, and once for each fault, when
//! it must find it. One build serves for all. A few that chance finds too seldom are each looked for by a story instead: a test of the
//! simulator's crate, which must pass without the fault and fail with it. The faults are pairs of texts in [`list`]; a text that is not found exactly
//! once fails the command, so that the list cannot fall behind the source.

mod list;

use crate::run::{cargo_in, output_in, root};
use list::{Edit, PLANTS, Plant};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Crates that the copy has.
const CRATES: [&str; 5] = ["core", "ledger", "store", "engine", "sim"];
const SWITCH: &str = "NIGHTLATCH_PLANTED";
/// Histories without a fault that must agree, and the most that a fault may need to be found.
const SEEDS_GREEN: &str = "60";
const SEEDS_MOST: &str = "200000";
const SECONDS_MOST: &str = "400";

/// Plants the faults whose names contain one of these words (all, if there are none) and demands that each is found.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let chosen: Vec<&Plant> = PLANTS
        .iter()
        .filter(|plant| words.is_empty() || words.iter().any(|word| plant.name.contains(word.as_str())))
        .collect();
    let mut copy = Copy::of_the_tree()?;
    for plant in PLANTS {
        copy.plant(plant)?;
    }
    let built = Built::of(&copy)?;
    let (green, said) = built.simulate("", SEEDS_GREEN)?;
    if !green {
        return Err(format!("without a fault the simulator finds one:\n{said}"));
    }
    println!("without a fault: {}", said.trim());
    let mut missed = Vec::new();
    for plant in chosen {
        let found = match plant.story {
            Some(story) => built.tell(plant.name, story)?,
            None => built.look_for(plant.name)?,
        };
        let said = found.as_deref().unwrap_or("NOT FOUND");
        println!("{:50} {:14} {said}", plant.name, plant.promise);
        if found.is_none() {
            missed.push(plant.name);
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not found: {}", missed.join(", "))) }
}

/// The copy, built.
struct Built {
    tree: PathBuf,
    build: PathBuf,
}

impl Built {
    fn of(copy: &Copy) -> Result<Built, String> {
        let folder = root().join("target/planted");
        let built = Built { tree: folder.join("tree"), build: folder.join("build") };
        copy.write_to(&built.tree)?;
        cargo_in(
            &built.tree,
            &built.build,
            &["build", "--release", "--quiet", "--package", "nightlatch-sim"],
        )?;
        Ok(built)
    }

    /// The seed that finds a fault, and why; none if no seed does.
    fn look_for(&self, fault: &str) -> Result<Option<String>, String> {
        let (green, said) = self.simulate(fault, SEEDS_MOST)?;
        let seed = said.lines().next().unwrap_or_default();
        let why = said.lines().rev().nth(1).unwrap_or_default().trim();
        Ok((!green).then(|| format!("{seed}\n{:66}{why}", "")))
    }

    /// Whether the simulator found nothing, and what it said.
    fn simulate(&self, fault: &str, seeds: &str) -> Result<(bool, String), String> {
        let output = Command::new(self.build.join("release/simulate"))
            .args(["--seeds", seeds, "--seconds", SECONDS_MOST])
            .env(SWITCH, fault)
            .output()
            .map_err(|error| format!("the simulator could not be started: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Ok((true, said)),
            Some(1) => Ok((false, said)),
            _ => Err(format!("the simulator ended with {}: {said}", output.status)),
        }
    }

    /// The story that finds a fault; none if it goes well all the same.
    fn tell(&self, fault: &str, story: &str) -> Result<Option<String>, String> {
        if self.fails("", story)? {
            return Err(format!("without a fault `{story}` fails"));
        }
        Ok(self.fails(fault, story)?.then(|| format!("found by `{story}`")))
    }

    fn fails(&self, fault: &str, story: &str) -> Result<bool, String> {
        let line = ["test", "--release", "--quiet", "--package", "nightlatch-sim", "--", "--exact", story];
        let said = output_in(&self.tree, &self.build, &line, (SWITCH, fault))?;
        match (said.contains(" 1 passed;"), said.contains(" 1 failed;")) {
            (true, false) => Ok(false),
            (false, true) => Ok(true),
            _ => Err(format!("`{story}` was to be told once:\n{said}")),
        }
    }
}

/// What every crate of the copy gets: whether a fault is switched on.
const SWITCHES: &str = r#"
/// Whether this fault is switched on.
#[doc(hidden)]
pub fn planted(name: &str) -> bool {
    static ON: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("NIGHTLATCH_PLANTED").unwrap_or_default());
    *ON == name
}
"#;

/// What the simulator is built from, by path in the checkout.
struct Copy(BTreeMap<PathBuf, String>);

impl Copy {
    fn of_the_tree() -> Result<Copy, String> {
        let mut copy = Copy(BTreeMap::new());
        let manifest = read(Path::new("Cargo.toml"))?;
        let members = r#"members = ["crates/*", "xtask", "bench", "fuzz"]"#;
        if !manifest.contains(members) {
            return Err(format!("Cargo.toml does not say `{members}` any more: say here what it says"));
        }
        copy.0.insert("Cargo.toml".into(), manifest.replace(members, r#"members = ["crates/*"]"#));
        copy.0.insert("Cargo.lock".into(), read(Path::new("Cargo.lock"))?);
        for name in CRATES {
            let folder = PathBuf::from(format!("crates/nightlatch-{name}"));
            copy.take(&folder)?;
            if let Some(library) = copy.0.get_mut(&folder.join("src/lib.rs")) {
                library.push_str(SWITCHES);
            }
        }
        Ok(copy)
    }

    fn take(&mut self, folder: &Path) -> Result<(), String> {
        let entries = fs::read_dir(root().join(folder));
        let entries = entries.map_err(|error| format!("`{}`: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                self.take(&path)?;
            } else {
                let text = read(&path)?;
                self.0.insert(path, text);
            }
        }
        Ok(())
    }

    /// Puts a choice between the right text and the wrong one in the place of the right one.
    fn plant(&mut self, plant: &Plant) -> Result<(), String> {
        for edit in plant.edits {
            let text = self.0.get_mut(Path::new(edit.file));
            let text = text.ok_or_else(|| format!("`{}`: there is no {}", plant.name, edit.file))?;
            let found = text.matches(edit.right).count();
            if found != 1 {
                return Err(format!("`{}`: its text is {found} times in {}", plant.name, edit.file));
            }
            let Edit { right, wrong, .. } = edit;
            let choice =
                format!("{{ if crate::planted({:?}) {{ {wrong} }} else {{ {right} }} }}", plant.name);
            *text = text.replace(right, &choice);
        }
        Ok(())
    }

    /// Leaves files alone that are as they should be, so that little is built again.
    fn write_to(&self, tree: &Path) -> Result<(), String> {
        for (path, text) in &self.0 {
            let path = tree.join(path);
            if fs::read(&path).is_ok_and(|before| before == text.as_bytes()) {
                continue;
            }
            let folder = path.parent().unwrap_or(tree);
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
            written.map_err(|error| format!("`{}`: {error}", path.display()))?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every fault still has its place in the source. Whether each is found takes minutes, and is `cargo xtask planted`.
    #[test]
    fn every_fault_has_its_place() {
        let mut copy = Copy::of_the_tree().unwrap();
        for plant in PLANTS {
            copy.plant(plant).unwrap();
        }
        for story in PLANTS.iter().filter_map(|plant| plant.story) {
            let name = format!("fn {}()", story.rsplit("::").next().unwrap());
            assert_eq!(copy.0.values().filter(|text| text.contains(&name)).count(), 1, "{story}");
        }
    }
}
