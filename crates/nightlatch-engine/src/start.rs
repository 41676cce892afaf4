//! How a session starts: its entry is on disk before anybody knows of it.

use crate::{
    cell::{Cell, Committed},
    engine::Authority,
    entry::{Entry, SessionStarted, clip},
    journal::Then,
    secret::{self, NoRandomness, Token},
    session::{Facts, Kin, Session, Terms},
};
use nightlatch_core::{Activity, Kind, ProviderSession, Register, SessionId, Span, Subject, Time, Word};
use nightlatch_ledger::PAYLOAD_BYTES_MAX;
use nightlatch_store::PseudonymError;
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// What a new session is made from.
#[derive(Clone, Debug)]
pub struct Start {
    /// Whose it is.
    pub subject: Subject,
    /// What kind of subject.
    pub kind: Kind,
    /// The subject's groups.
    pub groups: Vec<String>,
    /// The application it is for, if one is named.
    pub app: Option<String>,
    /// How the subject authenticated.
    pub acr: Option<String>,
    /// When the subject authenticated; now, if not said.
    pub authenticated: Option<Time>,
    /// The session it continues after an end.
    pub continues: Option<SessionId>,
    /// The session at the provider that it began with, if the provider named one.
    pub provider_session: Option<ProviderSession>,
    /// Makes it a lease: it cannot outlive this session.
    pub parent: Option<SessionId>,
    /// Limits of its own, for what is lower than the policy's.
    pub tighter: Tighter,
    /// Why it is started, for the record.
    pub cause: &'static str,
}

/// Limits that whoever starts a session asks for; only what is lower than the policy's takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tighter {
    /// Idle limit.
    pub idle: Option<Span>,
    /// Absolute limit, from authentication.
    pub absolute: Option<Span>,
}

/// Why no session was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The caller: authentication lies ahead of our clock.
    #[error("`authenticated_at` lies {} ahead of this clock", .by)]
    AuthenticatedInTheFuture {
        /// By how much.
        by: Span,
    },
    /// The caller: authentication is so old that the session would be over.
    #[error("authentication is older than the absolute limit allows")]
    AuthenticationTooOld,
    /// The caller: the parent is not a live session.
    #[error("`{0}` is not a live session")]
    ParentNotLive(SessionId),
    /// The caller: more than an entry of the ledger can hold.
    #[error("groups take {0} bytes; at most 32768 fit on the record")]
    GroupsTooLarge(usize),
    /// The subject: it is blocked.
    #[error("the subject is blocked since entry {}", .0)]
    Blocked(u64),
    /// Us: nothing can be recorded right now, or there is no room for more than the ends of the sessions that run.
    #[error("the ledger cannot be written; no session starts without a record")]
    NotRecording,
    /// Us: the store could not remember the subject.
    #[error(transparent)]
    People(#[from] PseudonymError),
    /// Us: no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// How far ahead of ours another clock may be before its authentication time is refused.
pub(crate) const SKEW: Span = Span::from_secs(5);
const GROUPS_BYTES_MOST: usize = 32_768;

/// A session whose entry is on its way to disk.
#[derive(Debug)]
pub struct Starting {
    session: Arc<Session>,
    token: Token,
    index: u64,
}

impl Starting {
    /// Waits until the session is on record and known, and gives its credential out: this once.
    pub async fn known(self, engine: &Authority) -> (Arc<Session>, Token) {
        engine.durable(self.index).await;
        (self.session, self.token)
    }

    /// The session and its credential, for a caller that commits by hand.
    #[must_use]
    pub fn into_parts(self) -> (Arc<Session>, Token) {
        (self.session, self.token)
    }
}

impl Authority {
    /// Begins a session. May write to disk (a subject seen for the first time), so call it where blocking is allowed.
    ///
    /// # Errors
    /// See [`StartError`], which says whose fault it is.
    pub fn start(&self, start: Start) -> Result<Starting, StartError> {
        if !self.may_start() {
            return Err(StartError::NotRecording);
        }
        let groups_bytes = start.groups.iter().map(String::len).sum();
        if groups_bytes > GROUPS_BYTES_MOST {
            return Err(StartError::GroupsTooLarge(groups_bytes));
        }
        let now = self.clock().now();
        let authenticated = start.authenticated.unwrap_or(now);
        if authenticated > now.plus(SKEW) {
            return Err(StartError::AuthenticatedInTheFuture { by: authenticated.since(now) });
        }
        let parent = start.parent.map(|id| self.live_parent(id, now)).transpose()?;
        let (idle, hard_end) = self.registers(&start.tighter, authenticated, now);
        if now >= hard_end.time() {
            return Err(StartError::AuthenticationTooOld);
        }
        let (token, id) = (Token::new()?, secret::session_id()?);
        let pseudonym = self.pseudonym(&start.subject)?;
        let slot = self.slots().take();
        let terms = Terms {
            kind: start.kind,
            groups: start.groups,
            policy_version: self.policy().version,
            warning: self.policy().limits.warning(),
            app: start.app,
            acr: start.acr.map(|acr| clip(&acr).to_owned()),
        };
        let facts = Facts {
            credential: token.hash(),
            id,
            who: self.who(start.subject, pseudonym),
            terms: self.terms().one(terms),
            started: authenticated.min(now),
        };
        let cell = Cell::new(Word::live(slot.generation, now), idle, hard_end);
        let kin = Kin { parent, continues: start.continues, provider_session: start.provider_session };
        let session = Arc::new(Session::new(facts, cell, slot.index, kin));
        let entry = SessionStarted::of(&session, start.cause, now, &|rule| self.rules().name(rule));
        let entry = Entry::SessionStarted(Box::new(entry));
        let bytes = entry.to_bytes().len();
        let appended = self.append_start(&session, &entry, bytes);
        let index = appended.inspect_err(|_| self.slots().give_back(slot))?;
        self.stats().started.fetch_add(1, Relaxed);
        Ok(Starting { session, token, index })
    }

    /// Appends a start, if there is room for it and its end, and its subject is not blocked.
    fn append_start(&self, session: &Arc<Session>, entry: &Entry, bytes: usize) -> Result<u64, StartError> {
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(StartError::GroupsTooLarge(session.facts.terms.groups.iter().map(String::len).sum()));
        }
        let unblocked = self.blocks().unblocked(&session.facts.who.pseudonym.to_string());
        let _unblocked = unblocked.map_err(|block| StartError::Blocked(block.entry))?;
        if !self.room().owe_if_left(bytes) {
            return Err(StartError::NotRecording);
        }
        Ok(self.append(entry, Some(Then::Admit(Arc::clone(session)))))
    }

    /// The parent, decided on at `now`: one whose deadline has passed is over, whether or not anybody noticed.
    fn live_parent(&self, id: SessionId, now: Time) -> Result<Arc<Session>, StartError> {
        let parent = self.session(id).ok_or(StartError::ParentNotLive(id))?;
        match self.decide(&parent, Activity::Passive, now.as_nanos(), "start") {
            Committed::Live(_) | Committed::InsufficientAuthentication(_) => Ok(parent),
            Committed::Ended(_) | Committed::EndedNow(..) => Err(StartError::ParentNotLive(id)),
        }
    }

    /// The policy's limits, and the caller's where they are lower.
    fn registers(&self, tighter: &Tighter, authenticated: Time, now: Time) -> (Register, Register) {
        let policy = self.rules().number("policy");
        let request = self.rules().number("start_request");
        let (idle, hard_end) = self.policy().registers(policy, authenticated, now);
        let own_idle = tighter.idle.map_or(idle, |limit| Register::idle(limit, request));
        let own_end = tighter
            .absolute
            .map_or(hard_end, |limit| Register::hard_end(authenticated.min(now).plus(limit), request));
        (idle.lowered(own_idle), hard_end.lowered(own_end))
    }
}
