//! The names in the directories: as they were synced, and as a program sees them.

use crate::chance::Chance;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// What a name leads to: a file, by its number, or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(u64),
    Folder,
}

/// A change.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    Put(PathBuf, Node),
    Gone(PathBuf),
    Moved(PathBuf, PathBuf, Node),
}

/// All names below the directory that is simulated.
pub(super) struct Names {
    /// As a program sees it.
    seen: BTreeMap<PathBuf, Node>,
    synced: BTreeMap<PathBuf, Node>,
    /// Changes since the last sync of their directory, in order.
    since: Vec<Naming>,
}

impl Names {
    /// An empty directory.
    pub(super) fn new() -> Names {
        Names::of(BTreeMap::from([(PathBuf::new(), Node::Folder)]))
    }

    /// Names that are all on the disk.
    pub(super) fn of(names: BTreeMap<PathBuf, Node>) -> Names {
        Names { seen: names.clone(), synced: names, since: Vec::new() }
    }

    /// What a program finds under a name.
    pub(super) fn get(&self, name: &Path) -> Option<Node> {
        self.seen.get(name).copied()
    }

    pub(super) fn change(&mut self, naming: Naming) {
        naming.apply(&mut self.seen);
        self.since.push(naming);
    }

    /// The names in one directory are synced.
    pub(super) fn sync(&mut self, folder: &Path) {
        for naming in std::mem::take(&mut self.since) {
            if naming.folder() == folder { naming.apply(&mut self.synced) } else { self.since.push(naming) }
        }
    }

    /// The names after a power cut: those that were synced, and of each directory a beginning of what changed since.
    pub(super) fn after_power(&self, luck: &mut Chance) -> BTreeMap<PathBuf, Node> {
        let mut kept_of: HashMap<&Path, u64> = HashMap::new();
        let mut names = self.synced.clone();
        for naming in &self.since {
            let kept =
                kept_of.entry(naming.folder()).or_insert_with(|| luck.one_of(&[0, 0, 1, 2, 5, u64::MAX]));
            if *kept > 0 {
                *kept -= 1;
                naming.apply(&mut names);
            }
        }
        // What is in a directory that is not there itself is not there.
        let whole = names.clone();
        names.retain(|name, _| name.ancestors().skip(1).all(|above| whole.contains_key(above)));
        names
    }
}

impl Naming {
    /// The directory that has the name.
    fn folder(&self) -> &Path {
        let (Naming::Put(name, _) | Naming::Gone(name) | Naming::Moved(_, name, _)) = self;
        name.parent().unwrap_or(Path::new(""))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Naming::Put(name, node) => drop(names.insert(name.clone(), *node)),
            Naming::Gone(name) => drop(names.remove(name)),
            Naming::Moved(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}
