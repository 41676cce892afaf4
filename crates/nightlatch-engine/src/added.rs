//! What a session got after it started: authentications, each with a credential of its own.
//!
//! Few sessions have any, so those pay and no other does. Two sets that only grow, and instants that only go down:
//!
//! | What | How it changes |
//! | --- | --- |
//! | what was added | by an entry that is on disk; never taken away while the session is known |
//! | first presentation of a credential | once, with an entry of its own |
//! | when a credential was replaced | goes down; follows from the two above by [`Issue::replaces`] |
//!
//! Whether a credential is still good is two reads of memory. Presenting one for the first time takes a lock: it happens once.
//!
//! **If we crash here:** what was added and is not on disk was told to nobody. A presentation that is not on disk yet is as if that request
//! had been lost: nobody was refused because of it (that takes the overlap, and an end is told after it is on record, behind the
//! presentation), and the next request that brings the credential presents it.

use crate::session::Session;
use nightlatch_core::{CredentialHash, Issue, Time, is_spent};
use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

/// The most that one session gets: each costs memory for as long as the session is remembered.
pub(crate) const ADDED_MOST: usize = 256;

/// No entry yet, no instant yet.
const NONE: u64 = u64::MAX;

/// One authentication that was added, and its credential.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) credential: CredentialHash,
    session: Weak<Session>,
    /// The index of the entry that added it.
    pub(crate) entry: u64,
    /// When that was made.
    pub(crate) issued: Time,
    /// When the subject had authenticated, never after the entry was made.
    pub(crate) authenticated: Time,
    /// How, in the provider's words.
    pub(crate) acr: Option<String>,
    presented: AtomicU64,
    presented_entry: AtomicU64,
    replaced: Lowest,
    /// Whether the ledger owes the entry of its presentation room.
    owed: AtomicBool,
}

/// An authentication of a session's subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// When the subject authenticated.
    pub at: Time,
    /// How, in the provider's words.
    pub acr: Option<String>,
    /// When the credential that came with it was first presented. The session's first credential is not watched: none.
    pub presented: Option<Time>,
    /// When that credential was replaced by a later one; it is good for [`CREDENTIAL_OVERLAP`](nightlatch_core::CREDENTIAL_OVERLAP) after that.
    pub replaced: Option<Time>,
}

/// What is added to one session.
#[derive(Default)]
pub(crate) struct AddedSet {
    /// When the credential that the session started with was replaced.
    first_replaced: Lowest,
    /// Written while something is presented, too: one after the other.
    all: RwLock<Vec<Arc<Added>>>,
}

impl Added {
    pub(crate) fn new(
        session: &Arc<Session>,
        credential: CredentialHash,
        (entry, issued): (u64, Time),
        (authenticated, acr): (Time, Option<String>),
    ) -> Arc<Added> {
        Arc::new(Added {
            credential,
            session: Arc::downgrade(session),
            entry,
            issued,
            authenticated,
            acr,
            presented: NONE.into(),
            presented_entry: NONE.into(),
            replaced: Lowest::default(),
            owed: true.into(),
        })
    }

    /// The session, for as long as it is known.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.session.upgrade()
    }

    /// When it was first presented, if that entry's index is below `size`, and that index.
    pub(crate) fn presented(&self, size: u64) -> Option<(u64, Time)> {
        let entry = self.presented_entry.load(SeqCst);
        (entry < size).then(|| (entry, Time::from_millis(self.presented.load(SeqCst))))
    }

    pub(crate) fn is_presented(&self) -> bool {
        self.presented_entry.load(SeqCst) != NONE
    }

    fn issue(&self) -> Issue {
        Issue {
            entry: self.entry,
            at: self.issued,
            presented_entry: self.presented(NONE).map(|(entry, _)| entry),
        }
    }

    /// Whether the room for its presentation was still owed: true once.
    pub(crate) fn take_owed(&self) -> bool {
        self.owed.swap(false, SeqCst)
    }

    /// Notes its first presentation. Whoever calls holds the set.
    fn note_presented(&self, entry: u64, at: Time) {
        self.presented.store(at.as_millis(), SeqCst);
        self.presented_entry.store(entry, SeqCst);
    }
}

impl AddedSet {
    /// Takes one in. The set is in the order of entries; one that is there already stays as it is.
    pub(crate) fn insert(&self, added: &Arc<Added>, presented: Option<(u64, Time)>) {
        let mut all = self.write();
        let Err(place) = all.binary_search_by_key(&added.entry, |other| other.entry) else { return };
        if let Some((entry, at)) = presented {
            added.note_presented(entry, at);
        }
        all.insert(place, Arc::clone(added));
        all.iter().for_each(|one| self.note_replaced(&all, one));
    }

    /// The credential is presented at `at`. If that had not happened before, `record` makes its entry, and what is before it is replaced.
    pub(crate) fn present(&self, added: &Added, at: Time, record: impl FnOnce() -> u64) {
        let all = self.write();
        if !added.is_presented() {
            // The entry first: an end that follows from this stands behind it in the record.
            added.note_presented(record(), at);
            self.note_replaced(&all, added);
        }
    }

    /// Replaces what `one` comes after, if it was presented.
    fn note_replaced(&self, all: &[Arc<Added>], one: &Added) {
        let Some((_, at)) = one.presented(NONE) else { return };
        // Who is to authenticate again has the credential that the session began with.
        self.first_replaced.lower(at);
        let issue = one.issue();
        all.iter().filter(|other| issue.replaces(&other.issue())).for_each(|other| other.replaced.lower(at));
    }

    /// Whether a credential is no longer good at `now`: one of these, or the one that the session started with.
    pub(crate) fn is_spent(&self, added: Option<&Added>, now: Time) -> bool {
        let replaced = added.map_or(&self.first_replaced, |added| &added.replaced);
        replaced.get().is_some_and(|replaced| is_spent(replaced, now))
    }

    pub(crate) fn first_replaced(&self) -> Option<Time> {
        self.first_replaced.get()
    }

    /// When the subject last authenticated in this way, or in any.
    pub(crate) fn youngest(&self, acr: Option<&str>) -> Option<Time> {
        let all = self.read();
        let will_do = all.iter().filter(|added| acr.is_none() || added.acr.as_deref() == acr);
        will_do.map(|added| added.authenticated).max()
    }

    pub(crate) fn authentications(&self) -> Vec<Authentication> {
        let of = |added: &Arc<Added>| Authentication {
            at: added.authenticated,
            acr: added.acr.clone(),
            presented: added.presented(NONE).map(|(_, at)| at),
            replaced: added.replaced.get(),
        };
        self.read().iter().map(of).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Added>> {
        self.read().clone()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.read().len() >= ADDED_MOST
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Added>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Added>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An instant that only goes down; none at first.
#[derive(Debug)]
struct Lowest(AtomicU64);

impl Default for Lowest {
    fn default() -> Lowest {
        Lowest(NONE.into())
    }
}

impl Lowest {
    fn lower(&self, at: Time) {
        self.0.fetch_min(at.as_millis(), SeqCst);
    }

    fn get(&self) -> Option<Time> {
        let at = self.0.load(SeqCst);
        (at != NONE).then(|| Time::from_millis(at))
    }
}
