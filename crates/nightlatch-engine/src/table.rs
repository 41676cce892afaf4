//! Every session this program knows: found by credential without a lock, by id and by subject with one.
//!
//! The look-up by credential is on the road of every request; see [`credentials`]. The others serve operators, and are sets in the order
//! of ids, so that listing is stable. They hold nothing but the sessions themselves: what is compared is what stands there.

#![allow(clippy::mutable_key_type, reason = "the sets compare ids and subjects, and those never change")]

mod credentials;

use crate::{
    added::Added,
    session::{Session, Who},
};
use credentials::Credentials;
use nightlatch_core::{CredentialHash, ProviderSession, SessionId, Subject};
use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
};

/// The live table; ended sessions stay for a while, so that whoever holds their credential learns why.
#[derive(Default)]
pub(crate) struct Table {
    by_credential: Credentials<Session>,
    /// Credentials that sessions got since they started; not made before there is one.
    added: OnceLock<Credentials<Added>>,
    indexes: Mutex<Indexes>,
}

#[derive(Default)]
struct Indexes {
    by_id: BTreeSet<ById>,
    /// The sessions of each subject in the order of ids. Few have many, so this is a row and not a tree.
    by_subject: HashMap<BySubject, Vec<Arc<Session>>>,
    /// The sessions that began with one at their provider. Those that did not take no place.
    by_provider_session: BTreeSet<(ProviderSession, SessionId)>,
}

impl Indexes {
    /// Sessions of one subject share what says so: only one of each has its name looked at.
    fn fill_subjects(&mut self, sessions: &[Arc<Session>]) {
        let mut rows: HashMap<*const Who, Vec<Arc<Session>>> = HashMap::new();
        for session in sessions {
            rows.entry(Arc::as_ptr(&session.facts.who)).or_default().push(Arc::clone(session));
        }
        for some in rows.into_values() {
            let Some(first) = some.first() else { continue };
            let row = self.by_subject.entry(BySubject(Arc::clone(&first.facts.who))).or_default();
            row.extend(some);
            row.sort_unstable_by_key(|session| session.facts.id);
            row.shrink_to_fit();
        }
    }

    fn add_to_subject(&mut self, session: &Arc<Session>) {
        let row = self.by_subject.entry(BySubject(Arc::clone(&session.facts.who))).or_default();
        if let Err(place) = row.binary_search_by_key(&session.facts.id, |other| other.facts.id) {
            row.insert(place, Arc::clone(session));
        }
    }
}

impl Table {
    /// The session that this credential names, and what it was added with, if it is not the one that the session started with.
    pub(crate) fn by_credential(
        &self,
        credential: &CredentialHash,
    ) -> Option<(Arc<Session>, Option<Arc<Added>>)> {
        if let Some(session) = self.by_credential.get(credential) {
            return Some((session, None));
        }
        let added = self.added.get()?.get(credential)?;
        Some((added.session()?, Some(added)))
    }

    /// A session that is known got a credential.
    pub(crate) fn add(&self, added: &Arc<Added>) {
        self.added.get_or_init(Credentials::default).insert(added);
    }

    pub(crate) fn insert(&self, session: &Arc<Session>) {
        let mut indexes = self.indexes();
        indexes.by_id.insert(ById(Arc::clone(session)));
        indexes.add_to_subject(session);
        indexes.by_provider_session.extend(at_provider(session));
        self.by_credential.insert(session);
    }

    /// The same for many at once, in the order of their ids or nearly so, before anybody asks. The two halves have nothing in common,
    /// and are filled side by side.
    pub(crate) fn fill(&self, sessions: &[Arc<Session>]) {
        thread::scope(|scope| {
            let by_credential = || self.by_credential.fill(sessions.iter());
            if thread::Builder::new().spawn_scoped(scope, by_credential).is_err() {
                // The operating system gives no thread: one after the other, then.
                by_credential();
            }
            let mut indexes = self.indexes();
            indexes.by_id = sessions.iter().map(|session| ById(Arc::clone(session))).collect();
            indexes.fill_subjects(sessions);
            indexes.by_provider_session =
                sessions.iter().filter_map(|session| at_provider(session)).collect();
        });
    }

    /// Forgets a session: its credentials are unknown from now on.
    pub(crate) fn remove(&self, session: &Session) {
        let mut indexes = self.indexes();
        self.by_credential.remove(&session.facts.credential);
        for added in session.added().iter().flat_map(|set| set.all()) {
            self.added.get().iter().for_each(|known| known.remove(&added.credential));
        }
        indexes.by_id.remove(&session.facts.id);
        if let Some(place) = at_provider(session) {
            indexes.by_provider_session.remove(&place);
        }
        let subject = &session.facts.who.subject;
        if let Some(of_subject) = indexes.by_subject.get_mut(subject) {
            if let Ok(place) = of_subject.binary_search_by_key(&session.facts.id, |other| other.facts.id) {
                of_subject.remove(place);
            }
            if of_subject.is_empty() {
                indexes.by_subject.remove(subject);
            }
        }
    }

    pub(crate) fn by_id(&self, id: SessionId) -> Option<Arc<Session>> {
        self.indexes().by_id.get(&id).map(ById::session)
    }

    /// The sessions that began with this one at their provider.
    pub(crate) fn of_provider_session(&self, name: ProviderSession) -> Vec<Arc<Session>> {
        let all = (name, SessionId([0; 16]))..=(name, SessionId([u8::MAX; 16]));
        let indexes = self.indexes();
        let ids = indexes.by_provider_session.range(all);
        ids.filter_map(|(_, id)| indexes.by_id.get(id).map(ById::session)).collect()
    }

    pub(crate) fn of_subject(&self, subject: &Subject) -> Vec<Arc<Session>> {
        self.indexes().by_subject.get(subject).cloned().unwrap_or_default()
    }

    /// At most `most` sessions after `after`, in the order of their ids.
    pub(crate) fn page(&self, after: Option<SessionId>, most: usize) -> Vec<Arc<Session>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.indexes().by_id.range((from, Unbounded)).take(most).map(ById::session).collect()
    }

    fn indexes(&self) -> MutexGuard<'_, Indexes> {
        // A panic of another thread leaves sets that are whole: each is changed by single inserts and removes.
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a session stands among those of its session at the provider.
fn at_provider(session: &Session) -> Option<(ProviderSession, SessionId)> {
    Some((session.provider_session()?, session.facts.id))
}

/// A session in the place of its id.
struct ById(Arc<Session>);

impl ById {
    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.0)
    }
}

impl Borrow<SessionId> for ById {
    fn borrow(&self) -> &SessionId {
        &self.0.facts.id
    }
}

impl Ord for ById {
    fn cmp(&self, other: &ById) -> Ordering {
        self.0.facts.id.cmp(&other.0.facts.id)
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &ById) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &ById) -> bool {
        self.0.facts.id == other.0.facts.id
    }
}

impl Eq for ById {}

/// What the sessions of a subject share, in the place of the subject.
struct BySubject(Arc<Who>);

impl Borrow<Subject> for BySubject {
    fn borrow(&self) -> &Subject {
        &self.0.subject
    }
}

impl Hash for BySubject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.subject.hash(state);
    }
}

impl PartialEq for BySubject {
    fn eq(&self, other: &BySubject) -> bool {
        self.0.subject == other.0.subject
    }
}

impl Eq for BySubject {}
