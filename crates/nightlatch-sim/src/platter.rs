//! A disk that keeps what was synced, and of everything else what it pleases.
//!
//! Every call that changes a file of the engine comes by here first (see `calls`): its own files and those of store and ledger alike,
//! none of which know of it. So each call is an instant at which the machine can lose its power, the process be killed, or
//! the call fail. What is on the platter after a power cut: the bytes and names that were synced, and of the changes since any
//! subset, single sectors of a write included; of the names in a directory a beginning, because a file system keeps their order.
//!
//! A sync speaks for the bytes of a file or for the names of a directory, as POSIX has it, and for nothing else. A sync that fails
//! leaves it open which of the changes were dropped: they can be read until the power goes, and no later sync speaks for them.
//!
//! | module | is |
//! | --- | --- |
//! | `content` | the bytes of a file |
//! | `names` | the names in the directories |
//! | `faults` | which call fails, and when nothing happens any more |

mod content;
mod faults;
mod names;

pub use faults::Failing;
pub(crate) use faults::Verdict;

use crate::chance::Chance;
use content::{Change, Content, SECTOR};
use faults::Faults;
use names::{Names, Naming, Node};
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// One data directory on such a disk.
pub(crate) struct Platter {
    root: PathBuf,
    names: Names,
    files: HashMap<u64, Content>,
    faults: Faults,
    /// Whether a sync lied since the last power cut.
    lied: bool,
}

impl Platter {
    /// An empty directory.
    pub(crate) fn new(root: &Path) -> Platter {
        Platter {
            root: root.to_owned(),
            names: Names::new(),
            files: HashMap::new(),
            faults: Faults::none(),
            lied: false,
        }
    }

    /// After so many more calls nothing happens any more.
    pub(crate) fn cut_in(&mut self, calls: u64) {
        self.faults.cut_in(calls);
    }

    /// Whether a cut is planned.
    pub(crate) fn is_to_be_cut(&self) -> bool {
        self.faults.is_to_be_cut()
    }

    /// What looks around at the instant of the cut.
    pub(crate) fn witness(&mut self, look: Box<dyn FnMut() + Send>) {
        self.faults.witness(look);
    }

    /// One call after so many more fails.
    pub(crate) fn fail_in(&mut self, calls: u64, how: Failing, luck: u64) {
        self.faults.fail_in(calls, how, luck);
    }

    /// From now on there is no space for anything new, or there is again.
    pub(crate) fn fill(&mut self, full: bool) {
        self.faults.fill(full);
    }

    /// Whether the cut has come.
    pub(crate) fn is_dead(&self) -> bool {
        self.faults.is_dead()
    }

    /// Whether a call failed, or was said to have succeeded and did not, since this was asked last.
    pub(crate) fn take_troubled(&mut self) -> bool {
        self.faults.take_troubled()
    }

    /// Power is back, or the process is started again; what was planned and did not happen is forgotten.
    pub(crate) fn revive(&mut self) {
        self.faults.forget_plans();
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    /// Before a file is opened: whether that may be, where it would be made.
    pub(crate) fn opening(&mut self, path: &Path, creates: bool, empties: bool) -> Verdict {
        let Some(name) = self.below(path) else { return Verdict::Do };
        let new = self.names.get(&name).is_none();
        if !(new && creates || !new && empties) {
            return Verdict::Do;
        }
        match self.faults.next(new).whole() {
            Verdict::DoAndFail => Verdict::Fail { full: false },
            other => other,
        }
    }

    /// A file was opened.
    pub(crate) fn opened(&mut self, path: &Path, file: u64, is_folder: bool, emptied: bool) {
        let Some(name) = self.below(path).filter(|_| !is_folder) else { return };
        if self.names.get(&name).is_none() {
            self.files.insert(file, Content::default());
            self.names.change(Naming::Put(name, Node::File(file)));
        } else if emptied {
            self.files.entry(file).or_default().change(Change::Length(0));
        }
    }

    pub(crate) fn writing(&mut self, file: u64, offset: u64, bytes: &[u8], length: u64) -> Verdict {
        let Some(content) = self.files.get_mut(&file) else { return Verdict::Do };
        let verdict = match self.faults.next(offset + bytes.len() as u64 > length) {
            // Whole sectors: the kernel takes no less than that of what it takes.
            Verdict::Partly(_) => {
                let end = offset + self.faults.luck.below(bytes.len() as u64 + 1);
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
        content.change(Change::Write { offset, bytes: written.to_vec() });
        verdict
    }

    pub(crate) fn cutting(&mut self, file: u64, length: u64, before: u64) -> Verdict {
        let Some(content) = self.files.get_mut(&file) else { return Verdict::Do };
        let verdict = self.faults.next(length > before).whole();
        if verdict.happens() {
            content.change(Change::Length(length));
        }
        verdict
    }

    pub(crate) fn syncing(&mut self, file: u64) -> Verdict {
        let Some(content) = self.files.get_mut(&file) else { return Verdict::Do };
        let verdict = self.faults.next(false);
        match verdict {
            Verdict::Do | Verdict::DoAndFail => content.sync(),
            Verdict::Pretend => self.lied = true,
            _ if self.faults.is_dead() => {}
            _ => content.drop_some(&mut self.faults.luck),
        }
        verdict
    }

    pub(crate) fn syncing_folder(&mut self, path: &Path) -> Verdict {
        let Some(folder) = self.below(path) else { return Verdict::Do };
        let verdict = self.faults.next(false);
        match verdict {
            Verdict::Do | Verdict::DoAndFail => self.names.sync(&folder),
            Verdict::Pretend => self.lied = true,
            _ => {}
        }
        verdict
    }

    pub(crate) fn making_folder(&mut self, path: &Path) -> Verdict {
        match self.below(path).filter(|name| self.names.get(name).is_none()) {
            Some(name) => self.naming(Naming::Put(name, Node::Folder), true),
            None => Verdict::Do,
        }
    }

    pub(crate) fn renaming(&mut self, from: &Path, to: &Path) -> Verdict {
        let (Some(from), Some(to)) = (self.below(from), self.below(to)) else { return Verdict::Do };
        match self.names.get(&from) {
            Some(node) => self.naming(Naming::Moved(from, to, node), false),
            None => Verdict::Do,
        }
    }

    pub(crate) fn removing(&mut self, path: &Path) -> Verdict {
        match self.below(path).filter(|name| self.names.get(name).is_some()) {
            Some(name) => self.naming(Naming::Gone(name), false),
            None => Verdict::Do,
        }
    }

    fn naming(&mut self, naming: Naming, grows: bool) -> Verdict {
        let verdict = self.faults.next(grows).whole();
        if verdict.happens() {
            self.names.change(naming);
        }
        verdict
    }

    /// The power goes. What is found afterwards is put in the place of what was there; true if something was lost that a sync
    /// had been believed for.
    pub(crate) fn lose_power(&mut self, luck: &mut Chance) -> io::Result<bool> {
        let lost_to_a_lie = std::mem::take(&mut self.lied);
        let names = self.names.after_power(luck);
        let mut content_of = |node| match node {
            Node::Folder => None,
            Node::File(file) => {
                Some(self.files.get(&file).map(|file| file.after_power(luck)).unwrap_or_default())
            }
        };
        let found = names.into_iter().map(|(name, node)| (name, content_of(node))).collect();
        put(&self.root, &found)?;
        self.reread()?;
        Ok(lost_to_a_lie)
    }

    /// Somebody changed the files behind the engine's back: they are as they are.
    pub(crate) fn reread(&mut self) -> io::Result<()> {
        self.files.clear();
        let mut names = BTreeMap::from([(PathBuf::new(), Node::Folder)]);
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.root.join(&folder))?.flatten() {
                let (name, about) = (folder.join(entry.file_name()), entry.metadata()?);
                if about.is_dir() {
                    names.insert(name.clone(), Node::Folder);
                    folders.push(name);
                } else {
                    self.files.insert(about.ino(), Content::of(fs::read(entry.path())?));
                    names.insert(name, Node::File(about.ino()));
                }
            }
        }
        self.names = Names::of(names);
        Ok(())
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
