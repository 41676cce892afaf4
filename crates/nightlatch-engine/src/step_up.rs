//! Step-up: the subject has authenticated again, and the session gets that authentication and a credential for it.
//!
//! Nothing else changes. It is no activity, and neither the idle limit nor the hard end moves: whoever authenticates anew every hour is out at
//! the absolute limit all the same. The entry is on disk before anybody has the credential, as at a start.

use crate::{
    added::Added,
    cell::Committed,
    engine::Authority,
    entry::{AuthenticationAdded, Entry, clip},
    journal::Then,
    secret::{NoRandomness, Token},
    session::Session,
    start::SKEW,
};
use nightlatch_core::{Activity, EndReason, Span, Time};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// An authentication that was seen to happen.
#[derive(Clone, Debug)]
pub struct StepUp {
    /// How the subject authenticated, in the provider's words.
    pub acr: Option<String>,
    /// When; now, if not said.
    pub authenticated: Option<Time>,
    /// Who saw it, for the record: `api`, ...
    pub cause: &'static str,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum StepUpError {
    /// The caller: authentication lies ahead of our clock.
    #[error("`authenticated_at` lies {} ahead of this clock", .by)]
    AuthenticatedInTheFuture {
        /// By how much.
        by: Span,
    },
    /// The subject: the session is over. A new one is to be started; it may continue this one.
    #[error("the session is over ({0}); start a new one")]
    Over(EndReason),
    /// The caller: a lease has no authentication of its own; its parent's counts.
    #[error("this is a lease; add the authentication to the session that it belongs to")]
    Lease,
    /// The caller: the session has as many as it can.
    #[error("the session has its most authentications; start a new one")]
    TooMany,
    /// Us: nothing can be recorded right now, or there is no room for more than the ends of the sessions that run.
    #[error("the ledger cannot be written; nothing is added without a record")]
    NotRecording,
    /// Us: no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// An authentication whose entry is on its way to disk.
#[derive(Debug)]
pub struct SteppingUp {
    token: Token,
    index: u64,
}

impl SteppingUp {
    /// Waits until it is on record, and gives its credential out: this once.
    pub async fn known(self, engine: &Authority) -> Token {
        engine.durable(self.index).await;
        self.token
    }

    /// The credential, for a caller that commits by hand.
    #[must_use]
    pub fn into_token(self) -> Token {
        self.token
    }
}

impl Authority {
    /// Adds an authentication, and a credential, to a session that lives. Extends nothing.
    ///
    /// The credentials before it stay good until the new one is first presented, and for
    /// [`CREDENTIAL_OVERLAP`](nightlatch_core::CREDENTIAL_OVERLAP) after that; used later, they end the session.
    ///
    /// # Errors
    /// See [`StepUpError`], which says whose fault it is.
    pub fn add_authentication(
        &self,
        session: &Arc<Session>,
        step_up: StepUp,
    ) -> Result<SteppingUp, StepUpError> {
        if session.parent().is_some() {
            return Err(StepUpError::Lease);
        }
        if session.added().is_some_and(|added| added.is_full()) {
            return Err(StepUpError::TooMany);
        }
        let now = self.clock().now();
        match self.decide(session, Activity::Passive, now.as_nanos(), "check") {
            Committed::Live(_) | Committed::InsufficientAuthentication(_) => {}
            Committed::Ended(reason) | Committed::EndedNow(reason, _) => {
                return Err(StepUpError::Over(reason));
            }
        }
        let authenticated = step_up.authenticated.unwrap_or(now);
        if authenticated > now.plus(SKEW) {
            return Err(StepUpError::AuthenticatedInTheFuture { by: authenticated.since(now) });
        }
        let (token, acr) = (Token::new()?, step_up.acr.map(|acr| clip(&acr).to_owned()));
        let authenticated = authenticated.min(now);
        let how = (authenticated, acr.as_deref());
        let entry = AuthenticationAdded::of(session, step_up.cause, how, token.hash(), now);
        let entry = Entry::AuthenticationAdded(entry);
        if !self.may_start() || !self.room().owe_presentation_if_left(entry.to_bytes().len()) {
            return Err(StepUpError::NotRecording);
        }
        let (session, credential) = (Arc::clone(session), token.hash());
        let then =
            |index| Some(Then::Add(Added::new(&session, credential, (index, now), (authenticated, acr))));
        let index = self.append_with(&entry, then);
        self.stats().authentications.fetch_add(1, Relaxed);
        Ok(SteppingUp { token, index })
    }

    /// An authentication is on record: its credential is known from now on.
    pub(crate) fn add_to_session(&self, added: &Arc<Added>) {
        let Some(session) = added.session() else { return };
        session.add(added, None);
        self.table().add(added);
        // One that ended meanwhile may have been looked through before this was in it.
        if session.end().is_some() {
            self.settle_room(added);
        }
    }

    /// A credential that was added is presented, and its session lives.
    pub(crate) fn present(&self, session: &Session, added: &Added, now: Time) {
        let Some(set) = session.added().filter(|_| !added.is_presented()) else { return };
        set.present(added, now, || {
            let entry = Entry::CredentialPresented {
                session: session.facts.id.to_string(),
                at: now.as_millis(),
                issued_by: added.entry,
            };
            let index = self.append(&entry, None);
            self.settle_room(added);
            index
        });
    }

    /// What was owed for the entry of a presentation is not owed any more.
    pub(crate) fn settle_room(&self, added: &Added) {
        if added.take_owed() {
            self.room().presentation_paid();
        }
    }
}
