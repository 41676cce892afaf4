//! What a subject has: the sessions it is signed in with, from where, and the end of all but one.
//!
//! Leases are not among them. Nobody signs in to a lease, and it ends with the session that it belongs to.

use crate::{end::EndOrder, engine::Authority, session::Session};
use nightlatch_core::{SessionId, Subject};
use nightlatch_store::{Device, FileError};
use std::sync::Arc;

impl Authority {
    /// The sessions that live, leases left out, in the order of ids. One whose deadline has passed is over, whether or not anybody noticed.
    #[must_use]
    pub fn signed_in(&self, subject: &Subject) -> Vec<Arc<Session>> {
        let now = self.clock().now();
        let lives = |session: &Arc<Session>| {
            session.parent().is_none() && session.end().is_none() && !session.deadline().has_passed(now)
        };
        self.sessions_of(subject).into_iter().filter(lives).collect()
    }

    /// Ends every session that the subject of this one is signed in with, except this one and its leases. Complete when that is on
    /// record; gives those that it ended.
    ///
    /// What lives when it is called ends at once. A session that was on its way to disk then is not known yet: it is waited for, and
    /// ends too. One that starts later has been signed in to later, and stays.
    pub async fn end_all_but(&self, kept: &Session, order: EndOrder<'_>) -> Vec<SessionId> {
        let mut ended = Vec::new();
        let first = self.end_others(kept, order, &mut ended);
        let appended = self.ledger().appended().checked_sub(1);
        for index in [first, appended].into_iter().flatten() {
            self.durable(index).await;
        }
        if let Some(index) = self.end_others(kept, order, &mut ended) {
            self.durable(index).await;
        }
        ended
    }

    /// Ends what is seen now, and gives the index of the last end's entry.
    fn end_others(&self, kept: &Session, order: EndOrder<'_>, ended: &mut Vec<SessionId>) -> Option<u64> {
        let mut last = None;
        for session in self.signed_in(&kept.facts.who.subject) {
            if session.facts.id == kept.facts.id {
                continue;
            }
            if let Some(index) = self.end(&session, order) {
                ended.push(session.facts.id);
                last = last.max(Some(index));
            }
        }
        last
    }

    /// Notes from where a session was signed in to. Nothing is decided by it, so that it cannot be noted is said in the log only. May
    /// write to disk, so call it where blocking is allowed.
    pub fn note_device(&self, session: &Session, device: &Device) {
        let noted = self.devices().write(session.slot().index, &session.facts.id.0, device);
        say(noted);
    }

    /// From where a session was signed in to, if that was noted. May read from disk, so call it where blocking is allowed.
    #[must_use]
    pub fn device(&self, session: &Session) -> Option<Device> {
        say(self.devices().read(session.slot().index, &session.facts.id.0)).flatten()
    }

    /// The session is forgotten, and so is from where it was.
    pub(crate) fn forget_device(&self, session: &Session) {
        say(self.devices().wipe(session.slot().index, &session.facts.id.0));
    }
}

fn say<T>(result: Result<T, FileError>) -> Option<T> {
    result
        .inspect_err(|error| tracing::warn!(%error, "from where people signed in cannot be noted or read"))
        .ok()
}
