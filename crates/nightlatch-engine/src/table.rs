//! Every session this program knows: found by credential without a lock, by id and by subject with one.
//!
//! The look-up by credential is on the road of every request, so it takes no lock, allocates nothing and does not hash again: the key
//! is a SHA-256 already, and eight of its bytes are as good a hash as any. The others serve operators and are kept in ordered maps,
//! so that listing is stable.

use crate::session::Session;
use nightlatch_core::{CredentialHash, SessionId, Subject};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The live table; ended sessions stay for a while, so that whoever holds their credential learns why.
#[derive(Default)]
pub(crate) struct Table {
    by_credential: papaya::HashMap<CredentialHash, Arc<Session>, FirstBytes>,
    indexes: Mutex<Indexes>,
}

#[derive(Default)]
struct Indexes {
    by_id: BTreeMap<SessionId, Arc<Session>>,
    by_subject: BTreeMap<Subject, BTreeSet<SessionId>>,
}

impl Table {
    /// Runs `f` on the session that this credential names.
    pub(crate) fn with<R>(
        &self,
        credential: &CredentialHash,
        f: impl FnOnce(Option<&Arc<Session>>) -> R,
    ) -> R {
        f(self.by_credential.pin().get(credential))
    }

    pub(crate) fn insert(&self, session: &Arc<Session>) {
        let mut indexes = self.indexes();
        indexes.by_id.insert(session.facts.id, Arc::clone(session));
        let of_subject = indexes.by_subject.entry(session.facts.subject.clone()).or_default();
        of_subject.insert(session.facts.id);
        self.by_credential.pin().insert(session.facts.credential, Arc::clone(session));
    }

    /// Forgets a session: its credential is unknown from now on.
    pub(crate) fn remove(&self, session: &Session) {
        let mut indexes = self.indexes();
        self.by_credential.pin().remove(&session.facts.credential);
        indexes.by_id.remove(&session.facts.id);
        if let Some(of_subject) = indexes.by_subject.get_mut(&session.facts.subject) {
            of_subject.remove(&session.facts.id);
            if of_subject.is_empty() {
                indexes.by_subject.remove(&session.facts.subject);
            }
        }
    }

    pub(crate) fn by_id(&self, id: SessionId) -> Option<Arc<Session>> {
        self.indexes().by_id.get(&id).cloned()
    }

    pub(crate) fn of_subject(&self, subject: &Subject) -> Vec<Arc<Session>> {
        let indexes = self.indexes();
        let ids = indexes.by_subject.get(subject).into_iter().flatten();
        ids.filter_map(|id| indexes.by_id.get(id).cloned()).collect()
    }

    /// At most `most` sessions after `after`, in the order of their ids.
    pub(crate) fn page(&self, after: Option<SessionId>, most: usize) -> Vec<Arc<Session>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.indexes()
            .by_id
            .range((from, Unbounded))
            .take(most)
            .map(|(_, session)| Arc::clone(session))
            .collect()
    }

    fn indexes(&self) -> MutexGuard<'_, Indexes> {
        // A panic of another thread leaves maps that are whole: each is changed by single inserts and removes.
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the first eight bytes of a key that is random already.
#[derive(Clone, Copy, Default)]
struct FirstBytes;

#[derive(Default)]
struct Taken(u64);

impl BuildHasher for FirstBytes {
    type Hasher = Taken;

    fn build_hasher(&self) -> Taken {
        Taken::default()
    }
}

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length prefix of an array's hash: says nothing.
    fn write_usize(&mut self, _: usize) {}
}
