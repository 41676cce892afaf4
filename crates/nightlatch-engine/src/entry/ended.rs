//! The entry of an end: why, by whom, by which numbers, how late.

use super::clip;
use crate::session::Session;
use nightlatch_core::{Deadline, EndReason, Time};
use serde::{Deserialize, Serialize};

/// A session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// The session.
    pub session: String,
    /// Whose, by pseudonym.
    pub subject: String,
    /// Why; see [`EndReason::code`].
    pub reason: String,
    /// What is behind it, where somebody said (a ticket, an operator's words).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who or what ended it: `deadline`, `check`, `recovery`, or the API key's name.
    pub by: String,
    /// The instant from which it was over.
    pub ended_at: u64,
    /// When the entry was made.
    pub at: u64,
    /// The deadline as it stood.
    pub deadline: u64,
    /// Last activity.
    pub last_activity: u64,
    /// The policy version it ran under.
    pub policy: u32,
    /// How long after the deadline this end was noticed, in microseconds. None for an end that no deadline brought, or that
    /// fell due while the program was down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_us: Option<u64>,
    /// True if it fell due while the program was down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub while_down: bool,
    /// Requests that did not count as activity.
    pub passive: u32,
    /// What was open when it ended.
    pub open: u32,
}

impl SessionEnded {
    pub(crate) fn of(session: &Session, note: EndNote<'_>) -> SessionEnded {
        SessionEnded {
            session: session.facts.id.to_string(),
            subject: session.facts.who.pseudonym.to_string(),
            reason: note.reason.code().to_owned(),
            cause: note.cause.map(|cause| clip(cause).to_owned()),
            by: clip(note.by).to_owned(),
            ended_at: note.ended_at.as_millis(),
            at: note.at.as_millis(),
            deadline: note.deadline.at.as_millis(),
            last_activity: session.last_activity().as_millis(),
            policy: session.facts.terms.policy_version,
            lateness_us: note.lateness_us,
            while_down: note.while_down,
            passive: session.passive(),
            open: session.open(),
        }
    }
}

/// What there is to say about an end besides the session itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndNote<'a> {
    pub(crate) reason: EndReason,
    pub(crate) deadline: Deadline,
    pub(crate) ended_at: Time,
    pub(crate) at: Time,
    pub(crate) lateness_us: Option<u64>,
    pub(crate) while_down: bool,
    pub(crate) by: &'a str,
    pub(crate) cause: Option<&'a str>,
}

impl EndNote<'_> {
    /// The same with so few words that the entry takes no more than what it was owed.
    pub(crate) fn in_short(self) -> Self {
        const WORDS_BYTES: usize = 40;
        let short = |text: &'_ str| text.floor_char_boundary(WORDS_BYTES);
        EndNote {
            by: &self.by[..short(self.by)],
            cause: self.cause.map(|cause| &cause[..short(cause)]),
            ..self
        }
    }
}
