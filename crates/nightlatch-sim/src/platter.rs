//! A disk that keeps what was synced, and of everything else what it pleases.
//!
//! Every call that changes a file of the engine comes by here first (see `calls`): its own files and those of store and ledger alike,
//! none of which know of it. So each call is an instant at which the machine can lose its power, the process be killed, or
//! the call fail. What is on the platter after a power cut: the bytes and names that were synced, and of the changes since any
//! subset, single sectors of a write included; of the names in a directory a beginning, because a file system keeps their order.
//!
//! A sync speaks for the bytes of a file or for the names of a directory, as POSIX has it, and for nothing else. A sync that fails
//! leaves it open which of the changes were dropped: they can be read until the power goes, and no later sync speaks for them.

use crate::chance::Chance;
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Nothing of it happened.
    Lost,
    /// It is said to have failed, and happened.
    Kept,
    /// A part of it happened.
    Torn,
    /// A sync says that all is well, and kept nothing.
    Lies,
}

/// What is to become of a call.
pub(crate) enum Verdict {
    /// Let the operating system do it.
    Do,
    /// Let it do that, and say that it failed.
    DoAndFail,
    /// Let it write so many bytes, and say that it failed.
    Partly(usize),
    /// Fail: `full` for want of space.
    Fail { full: bool },
    /// Do nothing and say that all is well.
    Pretend,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    /// Changes since, and whether a sync would still speak for each.
    since: Vec<(Change, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(u64),
    Folder,
}

#[derive(Clone, Debug)]
enum Naming {
    Put(PathBuf, Node),
    Gone(PathBuf),
    Moved(PathBuf, PathBuf, Node),
}

/// One data directory on such a disk.
pub(crate) struct Platter {
    root: PathBuf,
    files: HashMap<u64, Content>,
    /// As a program sees it.
    seen: BTreeMap<PathBuf, Node>,
    synced: BTreeMap<PathBuf, Node>,
    /// Changes of names since the last sync of their directory, in order.
    since: Vec<Naming>,
    /// Calls until the power goes or the process is killed.
    cut_in: Option<u64>,
    /// Calls until one fails.
    fails_in: Option<(u64, Failing)>,
    /// Whether there is no space for anything new.
    pub(crate) full: bool,
    /// Nothing happens any more.
    dead: bool,
    /// Whether a call failed, or was said to have succeeded and did not.
    pub(crate) troubled: bool,
    /// Whether a sync lied since the last power cut.
    lied: bool,
    luck: Chance,
    /// Called at the instant of the cut.
    witness: Option<Box<dyn FnMut() + Send>>,
}

impl Platter {
    /// An empty directory.
    pub(crate) fn new(root: &Path) -> Platter {
        Platter {
            root: root.to_owned(),
            files: HashMap::new(),
            seen: BTreeMap::from([(PathBuf::new(), Node::Folder)]),
            synced: BTreeMap::from([(PathBuf::new(), Node::Folder)]),
            since: Vec::new(),
            cut_in: None,
            fails_in: None,
            full: false,
            dead: false,
            troubled: false,
            lied: false,
            luck: Chance::new(0),
            witness: None,
        }
    }

    /// After so many more calls nothing happens any more.
    pub(crate) fn cut_in(&mut self, calls: u64) {
        self.cut_in = Some(calls);
    }

    /// Whether a cut is planned.
    pub(crate) fn is_to_be_cut(&self) -> bool {
        self.cut_in.is_some()
    }

    /// What looks around at the instant of the cut.
    pub(crate) fn witness(&mut self, look: Box<dyn FnMut() + Send>) {
        self.witness = Some(look);
    }

    /// One call after so many more fails.
    pub(crate) fn fail_in(&mut self, calls: u64, how: Failing, luck: u64) {
        self.fails_in = Some((calls, how));
        self.luck = Chance::new(luck);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Power is back, or the process is started again; what was planned and did not happen is forgotten.
    pub(crate) fn revive(&mut self) {
        (self.cut_in, self.fails_in, self.full, self.dead) = (None, None, false, false);
        self.witness = None;
    }

    /// What is to become of the next call; `grows` if it needs space.
    fn next(&mut self, grows: bool) -> Verdict {
        if let Some(left) = &mut self.cut_in {
            if *left == 0 && !self.dead {
                self.dead = true;
                if let Some(mut look) = self.witness.take() {
                    look();
                }
            }
            *left = left.saturating_sub(1);
        }
        if self.dead {
            self.troubled = true;
            return Verdict::Fail { full: false };
        }
        if self.full && grows {
            self.troubled = true;
            return Verdict::Fail { full: true };
        }
        match &mut self.fails_in {
            Some((0, how)) => {
                let how = *how;
                self.fails_in = None;
                self.troubled = true;
                match how {
                    Failing::Lost => Verdict::Fail { full: false },
                    Failing::Kept => Verdict::DoAndFail,
                    Failing::Torn => Verdict::Partly(0),
                    Failing::Lies => Verdict::Pretend,
                }
            }
            Some((left, _)) => {
                *left -= 1;
                Verdict::Do
            }
            None => Verdict::Do,
        }
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    fn is_ours(&self, file: u64) -> bool {
        self.files.contains_key(&file)
    }

    /// Before a file is opened: whether that may be, where it would be made.
    pub(crate) fn opening(&mut self, path: &Path, creates: bool, empties: bool) -> Verdict {
        let Some(name) = self.below(path) else { return Verdict::Do };
        let new = !self.seen.contains_key(&name);
        if !(new && creates || !new && empties) {
            return Verdict::Do;
        }
        match self.next(new) {
            Verdict::Do => Verdict::Do,
            Verdict::Fail { full } => Verdict::Fail { full },
            _ => Verdict::Fail { full: false },
        }
    }

    /// A file was opened.
    pub(crate) fn opened(&mut self, path: &Path, file: u64, is_folder: bool, emptied: bool) {
        let Some(name) = self.below(path).filter(|_| !is_folder) else { return };
        if !self.seen.contains_key(&name) {
            self.files.insert(file, Content::default());
            self.seen.insert(name.clone(), Node::File(file));
            self.since.push(Naming::Put(name, Node::File(file)));
        } else if emptied {
            self.change(file, Change::Length(0));
        }
    }

    pub(crate) fn writing(&mut self, file: u64, offset: u64, bytes: &[u8], length: u64) -> Verdict {
        if !self.is_ours(file) {
            return Verdict::Do;
        }
        let verdict = self.next(offset + bytes.len() as u64 > length);
        let verdict = match verdict {
            // Whole sectors: the kernel takes no less than that of what it takes.
            Verdict::Partly(_) => {
                let end = offset + self.luck.below(bytes.len() as u64 + 1);
                Verdict::Partly((end / SECTOR * SECTOR).saturating_sub(offset) as usize)
            }
            // Only a sync can lie in a way that nobody notices.
            Verdict::Pretend => Verdict::Do,
            other => other,
        };
        let written = match verdict {
            Verdict::Do | Verdict::DoAndFail => bytes,
            Verdict::Partly(count) => &bytes[..count],
            _ => return verdict,
        };
        self.change(file, Change::Write { offset, bytes: written.to_vec() });
        verdict
    }

    pub(crate) fn cutting(&mut self, file: u64, length: u64, before: u64) -> Verdict {
        if !self.is_ours(file) {
            return Verdict::Do;
        }
        let verdict = match self.next(length > before) {
            Verdict::Partly(_) | Verdict::Pretend => Verdict::Fail { full: false },
            other => other,
        };
        if matches!(verdict, Verdict::Do | Verdict::DoAndFail) {
            self.change(file, Change::Length(length));
        }
        verdict
    }

    fn change(&mut self, file: u64, change: Change) {
        let since = &mut self.files.entry(file).or_default().since;
        // A page that is written to again is written as a whole, with what was dropped of it before.
        for (before, spoken_for) in since.iter_mut() {
            *spoken_for |= before.shares_a_page_with(&change);
        }
        since.push((change, true));
    }

    pub(crate) fn syncing(&mut self, file: u64) -> Verdict {
        if !self.is_ours(file) {
            return Verdict::Do;
        }
        let verdict = self.next(false);
        let Some(content) = self.files.get_mut(&file) else { return Verdict::Do };
        match verdict {
            Verdict::Do | Verdict::DoAndFail => {
                let since = std::mem::take(&mut content.since);
                for (change, spoken_for) in since {
                    if spoken_for {
                        apply(&mut content.synced, &change)
                    } else {
                        content.since.push((change, false))
                    }
                }
            }
            Verdict::Pretend => self.lied = true,
            _ if self.dead => {}
            _ => {
                // The kernel may have dropped what it could not write.
                for (_, spoken_for) in &mut content.since {
                    *spoken_for &= self.luck.below(2) == 0;
                }
            }
        }
        verdict
    }

    pub(crate) fn syncing_folder(&mut self, path: &Path) -> Verdict {
        let Some(folder) = self.below(path) else { return Verdict::Do };
        let verdict = self.next(false);
        match verdict {
            Verdict::Do | Verdict::DoAndFail => {
                let since = std::mem::take(&mut self.since);
                for naming in since {
                    if naming.folder() == folder {
                        naming.apply(&mut self.synced)
                    } else {
                        self.since.push(naming)
                    }
                }
            }
            Verdict::Pretend => self.lied = true,
            _ => {}
        }
        verdict
    }

    pub(crate) fn making_folder(&mut self, path: &Path) -> Verdict {
        let Some(name) = self.below(path).filter(|name| !self.seen.contains_key(name)) else {
            return Verdict::Do;
        };
        self.naming(Naming::Put(name, Node::Folder), true)
    }

    pub(crate) fn renaming(&mut self, from: &Path, to: &Path) -> Verdict {
        let (Some(from), Some(to)) = (self.below(from), self.below(to)) else { return Verdict::Do };
        let Some(node) = self.seen.get(&from).copied() else { return Verdict::Do };
        self.naming(Naming::Moved(from, to, node), false)
    }

    pub(crate) fn removing(&mut self, path: &Path) -> Verdict {
        let Some(name) = self.below(path).filter(|name| self.seen.contains_key(name)) else {
            return Verdict::Do;
        };
        self.naming(Naming::Gone(name), false)
    }

    fn naming(&mut self, naming: Naming, grows: bool) -> Verdict {
        let verdict = match self.next(grows) {
            Verdict::Partly(_) | Verdict::Pretend => Verdict::Fail { full: false },
            other => other,
        };
        if matches!(verdict, Verdict::Do | Verdict::DoAndFail) {
            naming.apply(&mut self.seen);
            self.since.push(naming);
        }
        verdict
    }

    /// The power goes. What is found afterwards is put in the place of what was there; true if something was lost that a sync
    /// had been believed for.
    pub(crate) fn lose_power(&mut self, luck: &mut Chance) -> io::Result<bool> {
        let lost_to_a_lie = std::mem::take(&mut self.lied);
        let mut kept_of: HashMap<PathBuf, u64> = HashMap::new();
        let mut names = std::mem::take(&mut self.synced);
        for naming in std::mem::take(&mut self.since) {
            let folder = naming.folder();
            let kept = kept_of.entry(folder).or_insert_with(|| luck.one_of(&[0, 0, 1, 2, 5, u64::MAX]));
            if *kept > 0 {
                *kept -= 1;
                naming.apply(&mut names);
            }
        }
        let mut found: BTreeMap<PathBuf, Option<Vec<u8>>> = BTreeMap::new();
        for (name, node) in names {
            let content = match node {
                Node::Folder => None,
                Node::File(file) => {
                    Some(self.files.get(&file).map(|file| file.after_power(luck)).unwrap_or_default())
                }
            };
            found.insert(name, content);
        }
        // A file in a directory that is not there itself is not there.
        let whole = found.clone();
        found.retain(|name, _| name.ancestors().skip(1).all(|above| whole.contains_key(above)));
        put(&self.root, &found)?;
        self.reread()?;
        Ok(lost_to_a_lie)
    }

    /// Somebody changed the files behind the engine's back: they are as they are.
    pub(crate) fn reread(&mut self) -> io::Result<()> {
        self.files.clear();
        self.since.clear();
        self.seen = BTreeMap::from([(PathBuf::new(), Node::Folder)]);
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.root.join(&folder))?.flatten() {
                let (name, about) = (folder.join(entry.file_name()), entry.metadata()?);
                if about.is_dir() {
                    self.seen.insert(name.clone(), Node::Folder);
                    folders.push(name);
                } else {
                    let synced = fs::read(entry.path())?;
                    self.files.insert(about.ino(), Content { synced, since: Vec::new() });
                    self.seen.insert(name, Node::File(about.ino()));
                }
            }
        }
        self.synced = self.seen.clone();
        Ok(())
    }
}

impl Content {
    /// The bytes after a power cut.
    fn after_power(&self, luck: &mut Chance) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        // All, none, or some of what was not synced.
        let mood = luck.below(4);
        for (change, _) in &self.since {
            match (mood, change) {
                (0, _) => {}
                (1, change) => apply(&mut bytes, change),
                (2, change) if luck.below(2) == 0 => apply(&mut bytes, change),
                (3, Change::Write { offset, bytes: written }) => {
                    for (from, sector) in sectors(*offset, written) {
                        if luck.below(2) == 0 {
                            apply(&mut bytes, &Change::Write { offset: from, bytes: sector.to_vec() });
                        }
                    }
                }
                (3, change) => apply(&mut bytes, change),
                _ => {}
            }
        }
        bytes
    }
}

/// The parts of a write that lie in different sectors.
fn sectors(offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut at, mut parts) = (offset, Vec::new());
    while !bytes.is_empty() {
        let room = (SECTOR - at % SECTOR) as usize;
        let (sector, rest) = bytes.split_at(room.min(bytes.len()));
        parts.push((at, sector));
        at += sector.len() as u64;
        bytes = rest;
    }
    parts
}

impl Change {
    fn shares_a_page_with(&self, other: &Change) -> bool {
        const PAGE: u64 = 4_096;
        let (Change::Write { offset: one, bytes: ones }, Change::Write { offset: two, bytes: twos }) =
            (self, other)
        else {
            return true;
        };
        one / PAGE <= (two + twos.len() as u64) / PAGE && two / PAGE <= (one + ones.len() as u64) / PAGE
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => content.resize(*length as usize, 0),
        Change::Write { offset, bytes } => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            if content.len() < to {
                content.resize(to, 0);
            }
            content[from..to].copy_from_slice(bytes);
        }
    }
}

impl Naming {
    fn folder(&self) -> PathBuf {
        let (Naming::Put(name, _) | Naming::Gone(name) | Naming::Moved(_, name, _)) = self;
        name.parent().unwrap_or(Path::new("")).to_owned()
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

/// Makes a directory hold this and nothing else. No content means a directory.
fn put(root: &Path, found: &BTreeMap<PathBuf, Option<Vec<u8>>>) -> io::Result<()> {
    for entry in fs::read_dir(root)?.flatten() {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    for (name, content) in found {
        let path = root.join(name);
        match content {
            None if name.as_os_str().is_empty() => {}
            None => fs::create_dir(&path)?,
            Some(bytes) => {
                fs::write(&path, bytes)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            }
        }
    }
    Ok(())
}
