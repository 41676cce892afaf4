//! Who stands behind a pseudonym.
//!
//! The ledger keeps entries for years and cannot forget; a person has the right to be forgotten. So entries carry
//! pseudonyms, and names stand only here. A pseudonym is derived with a random key of that person's own, so it cannot
//! be found by trying likely names, and when the row is erased nothing is left to link it: not a name, not a key, and
//! not the person's next pseudonym, which comes from a new key. One key for everybody would have to be kept for the
//! others, and with it anybody could test a name against the entries of the erased.
//!
//! A person known already is answered from memory; only a new one touches the disk. Creating and erasing take turns
//! on one lock, looking up takes another that is never held over a disk operation, so a slow disk delays newcomers only.
//!
//! **If we crash here:** a pseudonym that was given out is on the disk, because it is given out after the sync. What a
//! crash can leave of a row whose creation had not returned is a last line that is short or has holes; it is cut off.
//! Any other line that is not a row is damage and stops the start, because passing over it would give a person a
//! second pseudonym and hide the first. An erasure is there whole or not at all.
//!
//! A known hole: erasing removes the row from the file, not from the blocks the file used to occupy, and not from
//! backups. Disk encryption and the age of backups are the operator's to look after.

mod pseudonym;
mod rows;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use aws_lc_rs::rand;

use crate::file::{FileError, OpenToOthers};
use rows::{Row, Rows};

pub use pseudonym::{NotAPseudonym, Pseudonym};

/// The people this machine knows. To be shared between threads.
///
/// Only one of these may be open on a file; [`DataDir`](crate::DataDir) sees to that.
#[derive(Debug)]
pub struct People {
    known: RwLock<Known>,
    /// Whoever changes people holds this, changes the disk first and `known` after.
    rows: Mutex<Rows>,
    cut_off_bytes: u64,
}

/// A person as the identity provider knows them. Two people with one name at two providers are two.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Person {
    /// The identity provider.
    pub provider: Arc<str>,
    /// The name there.
    pub name: Arc<str>,
}

/// Why the file of people was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenPeopleError {
    /// Other users of the machine may have read the names and keys.
    #[error(transparent)]
    OpenToOthers(#[from] OpenToOthers),
    /// A line is not a row, its pseudonym does not follow from it, or the person has a row already.
    #[error("line {line} of `{}` is damaged ({what}): restore the file from a backup, or remove the line, after which the entries of that person cannot be linked to a name", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a person has no pseudonym.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymError {
    /// The system's random number generator failed.
    #[error("no random numbers to be had for a new person")]
    NoRandomness,
    /// The operating system refused. The person is not known; ask again.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Default)]
struct Known {
    by_pseudonym: HashMap<Pseudonym, Person>,
    /// Provider, then name: so that looking up makes no copy of either.
    by_person: HashMap<Arc<str>, HashMap<Arc<str>, Pseudonym>>,
}

impl People {
    /// Loads the file at `path`, and creates it (empty, mode 0600) if it is not there.
    ///
    /// A torn last line is cut off; see [`People::cut_off_bytes`]. What is kept is made durable before it is believed.
    pub fn open(path: impl AsRef<Path>) -> Result<People, OpenPeopleError> {
        let loaded = Rows::open(path.as_ref())?;
        let mut known = Known::default();
        for (row, line) in loaded.content.into_iter().zip(1..) {
            if !known.insert(row.pseudonym, row.person) {
                let what = "a second row for the same person";
                return Err(OpenPeopleError::Damaged { path: path.as_ref().to_owned(), line, what });
            }
        }
        let cut_off_bytes = loaded.cut_off_bytes;
        Ok(People { known: RwLock::new(known), rows: Mutex::new(loaded.rows), cut_off_bytes })
    }

    /// How many bytes of a torn last line were cut off at opening: zero, unless a crash hit the creation of a person.
    #[must_use]
    pub fn cut_off_bytes(&self) -> u64 {
        self.cut_off_bytes
    }

    /// The pseudonym of a person: the known one, without touching the disk, or else a new one that is durable when
    /// this returns.
    ///
    /// The same person has the same pseudonym until it is erased, also when many threads ask at once. Idempotent. After
    /// an error no pseudonym was given out, and the next call makes a fresh one.
    pub fn pseudonym(&self, provider: &str, name: &str) -> Result<Pseudonym, PseudonymError> {
        match self.known(provider, name) {
            Some(known) => Ok(known),
            None => self.create(provider, name),
        }
    }

    /// The pseudonym of a person who is known here; none is made. Does not touch the disk.
    #[must_use]
    pub fn known(&self, provider: &str, name: &str) -> Option<Pseudonym> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_person.get(provider)?.get(name).copied()
    }

    /// Every provider that has a person of this name, in order. Does not touch the disk.
    #[must_use]
    pub fn providers_of(&self, name: &str) -> Vec<Arc<str>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let has = |(_, names): &(&Arc<str>, &HashMap<Arc<str>, Pseudonym>)| names.contains_key(name);
        let mut providers: Vec<_> =
            known.by_person.iter().filter(has).map(|(provider, _)| Arc::clone(provider)).collect();
        providers.sort_unstable();
        providers
    }

    /// The person behind a pseudonym; none if it was erased or never made here. Does not touch the disk.
    #[must_use]
    pub fn person(&self, pseudonym: &Pseudonym) -> Option<Person> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_pseudonym.get(pseudonym).cloned()
    }

    /// Forgets a person for good: afterwards nothing here links the pseudonym to a name, and the same person gets a
    /// pseudonym that has nothing to do with it. Tells whether there was such a person.
    ///
    /// Atomic, idempotent, and durable when it returns. After an error the person is still known here, and after a
    /// restart may or may not be; erase again. A [`People::pseudonym`] that runs at the same time may still give out
    /// the old one.
    pub fn erase(&self, pseudonym: &Pseudonym) -> Result<bool, FileError> {
        let mut rows = self.rows();
        if self.person(pseudonym).is_none() {
            return Ok(false);
        }
        rows.rewrite_without(pseudonym)?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(pseudonym);
        Ok(true)
    }

    /// Puts the file right after a creation or an erasure that failed, if that is needed. Nobody is created or erased by it.
    ///
    /// After an error the file is as it was, and so is everybody who is known.
    pub fn mend(&self) -> Result<(), FileError> {
        self.rows().mend()
    }

    /// Creates a person who was not known a moment ago.
    fn create(&self, provider: &str, name: &str) -> Result<Pseudonym, PseudonymError> {
        let mut rows = self.rows();
        // Somebody else may have created this person while we waited.
        if let Some(known) = self.known(provider, name) {
            return Ok(known);
        }
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| PseudonymError::NoRandomness)?;
        let row = Row::new(&key, Person { provider: provider.into(), name: name.into() });
        rows.append(&row.line(&key))?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(row.pseudonym, row.person);
        Ok(row.pseudonym)
    }

    /// A thread that died with this lock leaves [`Rows`] knowing that its end is not to be trusted.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether the person was not known before; if they were, nothing is changed.
    fn insert(&mut self, pseudonym: Pseudonym, person: Person) -> bool {
        let names = self.by_person.entry(Arc::clone(&person.provider)).or_default();
        if names.contains_key(&person.name) || self.by_pseudonym.contains_key(&pseudonym) {
            return false;
        }
        names.insert(Arc::clone(&person.name), pseudonym);
        self.by_pseudonym.insert(pseudonym, person);
        true
    }

    fn remove(&mut self, pseudonym: &Pseudonym) {
        let Some(person) = self.by_pseudonym.remove(pseudonym) else { return };
        if let Some(names) = self.by_person.get_mut(&person.provider) {
            names.remove(&person.name);
        }
    }
}

// Names do not belong in logs, nor do pseudonyms in great number.

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(..)")
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} people", self.by_pseudonym.len())
    }
}

#[cfg(test)]
mod tests;
