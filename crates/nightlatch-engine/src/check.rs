//! The check of every request: find the session, register, decide.

use crate::{
    cell::Committed,
    engine::Engine,
    entry::{Entry, clip},
    permit::Permit,
    session::{End, Session},
};
use nightlatch_core::{Activity, CredentialHash};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// The answer to a check. A refusal is a decision, not an error.
#[derive(Debug)]
pub enum Admission {
    /// It may go on; the permit is to be asked again before anything passes.
    Granted(Permit),
    /// The session is over. Its reason may be told, once [`Refusal::told`] has completed.
    Ended(Refusal),
    /// The credential names no session we know of. Nothing more is said.
    Unknown,
}

/// A session that is over, for whoever held its credential.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The session.
    pub session: Arc<Session>,
    /// How and when it ended.
    pub end: End,
}

impl Refusal {
    /// Waits until the end may be told: at once in all but the few milliseconds until its entry is on disk.
    pub async fn told(&self) {
        loop {
            let woken = self.session.signal().notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if self.session.settled() {
                return;
            }
            woken.await;
        }
    }
}

impl Engine {
    /// Decides on a request with this credential. Reads the clock once and does no I/O; if granted, it takes no lock either.
    ///
    /// `point` names the enforcement point that asks, for the record.
    pub fn check(&self, credential: &CredentialHash, activity: Activity, point: &str) -> Admission {
        match self.table().by_credential(credential) {
            Some(session) => self.admit(session, activity, point),
            None => {
                self.stats().refused_unknown.fetch_add(1, Relaxed);
                Admission::Unknown
            }
        }
    }

    fn admit(&self, session: Arc<Session>, activity: Activity, point: &str) -> Admission {
        // Registered first, decided second: an end that falls between the two finds us.
        let permit = Permit::register(self.lanes.mine(), session);
        let session = permit.session();
        let now_nanos = self.clock().now_nanos();
        match self.decide(session, activity, now_nanos, "check") {
            Committed::Live(_) => {
                session.count(activity, nightlatch_core::Time::from_nanos(now_nanos));
                self.stats().count_granted(activity);
                Admission::Granted(permit.granted())
            }
            Committed::Ended(reason) | Committed::EndedNow(reason, _) => {
                self.stats().count_refused(reason);
                let at = nightlatch_core::Time::from_nanos(now_nanos);
                if session.refuse() {
                    self.record_if_room(&Entry::RefusedAfterEnd {
                        session: session.facts.id.to_string(),
                        at: at.as_millis(),
                        point: clip(point).to_owned(),
                    });
                }
                let end = session.end().unwrap_or(End { reason, at, told: false });
                Admission::Ended(Refusal { session: Arc::clone(session), end })
            }
        }
    }
}
