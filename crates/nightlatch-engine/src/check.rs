//! The check of every request: find the session, register, decide.

use crate::{
    added::Added,
    cell::Committed,
    end::EndOrder,
    engine::Engine,
    entry::{Entry, clip},
    permit::Permit,
    session::{End, Session},
};
use nightlatch_core::{Activity, CredentialHash, EndReason, Event, Span, Time};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// The answer to a check. A refusal is a decision, not an error.
#[derive(Debug)]
pub enum Admission {
    /// It may go on; the permit is to be asked again before anything passes.
    Granted(Permit),
    /// The session lives, and what is asked needs a fresher authentication. A decision, not an end: it extends nothing, and what is
    /// open stays open.
    Insufficient(Insufficient),
    /// The session is over. Its reason may be told, once [`Refusal::told`] has completed.
    Ended(Refusal),
    /// The credential names no session we know of. Nothing more is said.
    Unknown,
}

/// What a sensitive route asks of the authentications of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// How long ago one may be: it is too old when that has passed.
    pub age: Span,
    /// How the subject must have authenticated then, in the provider's words; in any way, if not said.
    pub acr: Option<String>,
}

/// A session whose authentications do not meet a demand.
#[derive(Clone, Debug)]
pub struct Insufficient {
    /// The session. It lives.
    pub session: Arc<Session>,
    /// What it does not meet; of several, the one that it is furthest from.
    pub demand: Demand,
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
    /// Decides on a request with this credential. Reads the clock once and does no I/O; if granted, it takes no lock either, except when a
    /// credential is presented for the first time.
    ///
    /// A credential that was replaced and has been good for the overlap since ends the session (`credential_reuse`).
    ///
    /// `point` names the enforcement point that asks, for the record.
    pub fn check(&self, credential: &CredentialHash, activity: Activity, point: &str) -> Admission {
        self.check_sensitive(credential, activity, point, &[])
    }

    /// The same for a request that asks all of this of the session's authentications.
    pub fn check_sensitive(
        &self,
        credential: &CredentialHash,
        activity: Activity,
        point: &str,
        demands: &[&Demand],
    ) -> Admission {
        match self.table().by_credential(credential) {
            Some((session, added)) => self.admit(session, added.as_deref(), activity, point, demands),
            None => {
                self.stats().refused_unknown.fetch_add(1, Relaxed);
                Admission::Unknown
            }
        }
    }

    fn admit(
        &self,
        session: Arc<Session>,
        added: Option<&Added>,
        activity: Activity,
        point: &str,
        demands: &[&Demand],
    ) -> Admission {
        // Registered first, decided second: an end that falls between the two finds us.
        let permit = Permit::register(self.lanes.mine(), session);
        let session = permit.session();
        let now_nanos = self.clock().now_nanos();
        let now = Time::from_nanos(now_nanos);
        if session.is_spent(added, now) {
            self.end_reused(session, now_nanos);
        }
        let demand = furthest(session, demands);
        let event = Event { activity, fresh_until: demand.map(|(until, _)| until) };
        let committed = self.decide(session, event, now_nanos, "check");
        match committed {
            Committed::InsufficientAuthentication(_) => {
                added.into_iter().for_each(|added| self.present(session, added, now));
                session.count(Activity::Passive, now);
                self.stats().insufficient.fetch_add(1, Relaxed);
                // Nothing else makes it insufficient.
                let Some((_, demand)) = demand else { return Admission::Unknown };
                Admission::Insufficient(Insufficient { session: Arc::clone(session), demand: demand.clone() })
            }
            Committed::Live(_) => {
                added.into_iter().for_each(|added| self.present(session, added, now));
                session.count(activity, now);
                self.stats().count_granted(activity);
                Admission::Granted(permit.granted())
            }
            Committed::Ended(reason) | Committed::EndedNow(reason, _) => {
                self.stats().count_refused(reason);
                if session.refuse() {
                    self.record_if_room(&Entry::RefusedAfterEnd {
                        session: session.facts.id.to_string(),
                        at: now.as_millis(),
                        point: clip(point).to_owned(),
                    });
                }
                let end = session.end().unwrap_or(End { reason, at: now, told: false });
                Admission::Ended(Refusal { session: Arc::clone(session), end })
            }
        }
    }

    /// A credential came that its holder has had a successor of for longer than the overlap: two have what only one should. Which of them
    /// came, nobody can tell.
    fn end_reused(&self, session: &Arc<Session>, now_nanos: u64) {
        let order = EndOrder { reason: EndReason::CredentialReuse, by: "check", cause: None };
        if self.end_as_of(now_nanos, session, order).is_some() {
            tracing::warn!(session = %session.facts.id, "a replaced credential was used: its session has ended");
        }
    }
}

/// The demand that the session's authentications are furthest from meeting, and until when they meet it.
fn furthest<'d>(session: &Session, demands: &[&'d Demand]) -> Option<(Time, &'d Demand)> {
    let until = |demand: &Demand| {
        session.authenticated(demand.acr.as_deref()).map_or(Time::ZERO, |at| at.plus(demand.age))
    };
    demands.iter().map(|demand| (until(demand), *demand)).min_by_key(|(until, _)| *until)
}
