//! What the ledger says, and how it is read back.
//!
//! An entry is a JSON object, because an examiner must be able to read it in ten years without our program. It serves two readers
//! at once: the examiner (what, whose, why, by which numbers, how late) and recovery, which rebuilds the session table from it.
//! There is one form for both, so what is on record and what is true after a restart cannot come apart. Instants are milliseconds
//! since the Unix epoch, latenesses microseconds. People appear by pseudonym only. Fields are only ever added.

use crate::{
    block::Block,
    session::{Facts, Session, Terms},
};
use nightlatch_core::{CredentialHash, Deadline, EndReason, Policy, SessionId, Span, Time};
use nightlatch_store::Pseudonym;
use serde::{Deserialize, Serialize};

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// A session began.
    SessionStarted(Box<SessionStarted>),
    /// A session ended.
    SessionEnded(SessionEnded),
    /// Something open was cut because its session had ended.
    Cut(Cut),
    /// The first request refused after an end; later ones are only counted.
    RefusedAfterEnd {
        /// The session.
        session: String,
        /// When.
        at: u64,
        /// Which enforcement point refused.
        point: String,
    },
    /// Limits of a running session went down.
    LimitsLowered {
        /// The session.
        session: String,
        /// When.
        at: u64,
        /// The idle limit in force now.
        idle_ms: u64,
        /// The rule that set it.
        idle_rule: String,
        /// The hard end in force now.
        hard_end: u64,
        /// The rule that set it.
        hard_end_rule: String,
    },
    /// What had been forwarded whole before the end: it was left to finish, and its answer was withheld.
    OutcomeWithheld {
        /// The session.
        session: String,
        /// When the application answered, or was given up on.
        at: u64,
        /// Which route, as a pattern.
        route: String,
        /// The application's status; none if it did not answer in time.
        status: Option<u16>,
    },
    /// A subject may start no session; all present ones end.
    SubjectBlocked(BlockRecord),
    /// A subject may start sessions again.
    SubjectUnblocked(BlockRecord),
    /// The wall clock stepped.
    ClockStepped {
        /// When, by our clock.
        at: u64,
        /// `forward` (counted as time passed) or `back` (ignored).
        direction: String,
        /// By how much, in milliseconds.
        by_ms: u64,
    },
    /// The machine was suspended. The time counts like any other.
    MachineSuspended {
        /// When it was seen, by our clock.
        at: u64,
        /// For how long, in milliseconds.
        by_ms: u64,
    },
    /// The clock could not be trusted at start: every session ended.
    ClockFault {
        /// When, by our clock.
        at: u64,
        /// What was wrong.
        cause: String,
    },
    /// Entries that the ends of others needed the room of were not written: cuts and refusals, while the disk was full.
    EntriesGaveWay {
        /// When there was room again to say so.
        at: u64,
        /// How many.
        count: u64,
    },
    /// What follows was written after a restore: the entries before it are those of a backup, and entries that had been
    /// written after it was taken are in another copy of this ledger, if anywhere.
    Restored {
        /// When.
        at: u64,
        /// When the backup was taken.
        taken_at: u64,
        /// How many entries it has.
        entries: u64,
    },
    /// The program started.
    Started {
        /// When.
        at: u64,
        /// Its version.
        version: String,
        /// Whether the run before had stopped cleanly.
        clean: bool,
        /// Sessions that live on.
        live: u64,
        /// The policy in force.
        policy: PolicyRecord,
    },
    /// The program stopped cleanly.
    Stopped {
        /// When.
        at: u64,
    },
}

/// A session began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStarted {
    /// Its public name.
    pub session: String,
    /// Whose, by pseudonym.
    pub subject: String,
    /// `person`, `service` or `agent`.
    pub kind: String,
    /// The subject's groups at sign-in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Why: `demo_sign_in`, `api`, ...
    pub cause: String,
    /// When the entry was made.
    pub at: u64,
    /// Authentication, from which the absolute limit counts.
    pub started: u64,
    /// Last activity: that of the start.
    pub last_activity: u64,
    /// The policy version in force.
    pub policy: u32,
    /// The idle limit.
    pub idle_ms: u64,
    /// The rule that set it.
    pub idle_rule: String,
    /// The hard end.
    pub hard_end: u64,
    /// The rule that set it.
    pub hard_end_rule: String,
    /// How long before the deadline its user is warned.
    pub warning_ms: u64,
    /// The application it was started for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// How the subject authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The session it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// The session that this lease belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// SHA-256 of its credential, in hexadecimal. Opens nothing.
    pub credential: String,
    /// Its slot for last activity.
    pub slot: u32,
    /// The how-manieth tenant of the slot it is.
    pub generation: u32,
}

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

/// A block began, or was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Whose, by pseudonym.
    pub subject: String,
    /// When.
    pub at: u64,
    /// Who ordered it: an API key's name.
    pub by: String,
    /// What is behind it, where somebody said (a ticket, an operator's words).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Something open was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The session.
    pub session: String,
    /// Whose, by pseudonym.
    pub subject: String,
    /// Why the session had ended.
    pub reason: String,
    /// What was cut: `websocket`, `sse`, `download`, ...
    pub channel: String,
    /// Which route, as a pattern.
    pub route: String,
    /// Which enforcement point cut.
    pub point: String,
    /// How, in the words of its protocol: `close 3008`, `reset`, ...
    pub how: String,
    /// The instant from which the session was over.
    pub ended_at: u64,
    /// When the cut was handed to the kernel.
    pub at: u64,
    /// The time between, in microseconds.
    pub lateness_us: u64,
}

/// The limits of a policy version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its version.
    pub version: u32,
    /// Idle limit.
    pub idle_ms: u64,
    /// Absolute limit.
    pub absolute_ms: u64,
    /// Warning before the deadline.
    pub warning_ms: u64,
}

impl BlockRecord {
    /// The record as a text of its own, for a snapshot.
    pub(crate) fn to_text(&self) -> String {
        // Strings and a number: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`to_text`](BlockRecord::to_text) made.
    pub(crate) fn from_text(text: &str) -> Result<BlockRecord, EntryError> {
        Ok(serde_json::from_str(text)?)
    }
}

impl PolicyRecord {
    pub(crate) fn of(policy: &Policy) -> PolicyRecord {
        PolicyRecord {
            version: policy.version,
            idle_ms: policy.limits.idle().as_millis(),
            absolute_ms: policy.limits.absolute().as_millis(),
            warning_ms: policy.limits.warning().as_millis(),
        }
    }
}

/// An entry that recovery cannot read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// It is not JSON of a known form.
    #[error("not an entry this version can read: {0}")]
    Form(#[from] serde_json::Error),
    /// A field holds what it cannot hold.
    #[error("field `{0}` holds what it cannot hold")]
    Field(&'static str),
}

impl Entry {
    /// Every word that `what` can be.
    pub const WORDS: [&str; 15] = [
        "session_started",
        "session_ended",
        "cut",
        "refused_after_end",
        "limits_lowered",
        "outcome_withheld",
        "subject_blocked",
        "subject_unblocked",
        "clock_stepped",
        "machine_suspended",
        "clock_fault",
        "entries_gave_way",
        "restored",
        "started",
        "stopped",
    ];

    /// The entry as the bytes that go into the ledger.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // No map with other keys than strings and no failing `Serialize` is in here: it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The entry that these bytes of the ledger say.
    ///
    /// # Errors
    /// If they are not an entry that this version can read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Entry, EntryError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The session it is about, if it is about one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match self {
            Entry::SessionStarted(started) => Some(&started.session),
            Entry::SessionEnded(ended) => Some(&ended.session),
            Entry::Cut(cut) => Some(&cut.session),
            Entry::RefusedAfterEnd { session, .. }
            | Entry::LimitsLowered { session, .. }
            | Entry::OutcomeWithheld { session, .. } => Some(session),
            Entry::SubjectBlocked(_)
            | Entry::SubjectUnblocked(_)
            | Entry::ClockStepped { .. }
            | Entry::MachineSuspended { .. }
            | Entry::ClockFault { .. }
            | Entry::EntriesGaveWay { .. }
            | Entry::Restored { .. }
            | Entry::Started { .. }
            | Entry::Stopped { .. } => None,
        }
    }

    /// When it was made, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(&self) -> u64 {
        match self {
            Entry::SessionStarted(started) => started.at,
            Entry::SessionEnded(ended) => ended.at,
            Entry::Cut(cut) => cut.at,
            Entry::SubjectBlocked(block) | Entry::SubjectUnblocked(block) => block.at,
            Entry::RefusedAfterEnd { at, .. }
            | Entry::LimitsLowered { at, .. }
            | Entry::OutcomeWithheld { at, .. }
            | Entry::ClockStepped { at, .. }
            | Entry::MachineSuspended { at, .. }
            | Entry::ClockFault { at, .. }
            | Entry::EntriesGaveWay { at, .. }
            | Entry::Restored { at, .. }
            | Entry::Started { at, .. }
            | Entry::Stopped { at } => *at,
        }
    }
}

impl BlockRecord {
    /// The block that the entry with this index tells of.
    pub(crate) fn block(&self, entry: u64) -> Block {
        Block {
            pseudonym: self.subject.clone(),
            at: Time::from_millis(self.at),
            by: self.by.clone(),
            cause: self.cause.clone(),
            entry,
        }
    }

    pub(crate) fn of(block: &Block) -> BlockRecord {
        BlockRecord {
            subject: block.pseudonym.clone(),
            at: block.at.as_millis(),
            by: block.by.clone(),
            cause: block.cause.clone(),
        }
    }
}

impl SessionStarted {
    pub(crate) fn of(
        session: &Session,
        cause: &str,
        now: Time,
        rules: &dyn Fn(nightlatch_core::RuleId) -> String,
    ) -> SessionStarted {
        let Facts { credential, id, who, terms, started } = &session.facts;
        let Terms { kind, groups, policy_version, warning, app, acr } = &**terms;
        let (idle, hard_end) = (session.idle(), session.hard_end());
        SessionStarted {
            session: id.to_string(),
            subject: who.pseudonym.to_string(),
            kind: kind.code().to_owned(),
            groups: groups.clone(),
            cause: cause.to_owned(),
            at: now.as_millis(),
            started: started.as_millis(),
            last_activity: session.last_activity().as_millis(),
            policy: *policy_version,
            idle_ms: idle.span().as_millis(),
            idle_rule: rules(idle.rule()),
            hard_end: hard_end.time().as_millis(),
            hard_end_rule: rules(hard_end.rule()),
            warning_ms: warning.as_millis(),
            app: app.clone(),
            acr: acr.clone(),
            continues: session.continues().map(|id| id.to_string()),
            parent: session.parent_id().map(|id| id.to_string()),
            credential: hex(&credential.0),
            slot: session.slot().index,
            generation: session.slot().generation.number(),
        }
    }

    /// What it was started with.
    pub(crate) fn terms(&self) -> Result<Terms, EntryError> {
        Ok(Terms {
            kind: self.kind.parse().map_err(|()| EntryError::Field("kind"))?,
            groups: self.groups.clone(),
            policy_version: self.policy,
            warning: Span::from_millis(self.warning_ms),
            app: self.app.clone(),
            acr: self.acr.clone(),
        })
    }

    /// The session's public name.
    pub(crate) fn id(&self) -> Result<SessionId, EntryError> {
        self.session.parse().map_err(|_| EntryError::Field("session"))
    }

    /// The session that this lease belongs to.
    pub(crate) fn parent(&self) -> Result<Option<SessionId>, EntryError> {
        self.parent.as_deref().map(str::parse).transpose().map_err(|_| EntryError::Field("parent"))
    }

    /// The session it continues.
    pub(crate) fn continues(&self) -> Result<Option<SessionId>, EntryError> {
        let id = self.continues.as_deref().map(str::parse).transpose();
        id.map_err(|_| EntryError::Field("continues"))
    }

    /// The subject's name in the ledger.
    pub(crate) fn pseudonym(&self) -> Result<Pseudonym, EntryError> {
        self.subject.parse().map_err(|_| EntryError::Field("subject"))
    }

    /// The hash of its credential.
    pub(crate) fn credential(&self) -> Result<CredentialHash, EntryError> {
        unhex(&self.credential).map(CredentialHash).ok_or(EntryError::Field("credential"))
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

/// The most of a text from outside that goes into an entry. Even if every byte of it takes six in JSON, the entry fits the
/// ledger: an end must not fail to be recorded because of somebody's long words.
const TEXT_BYTES_MOST: usize = 2_048;

/// The text, cut off at the most that an entry takes.
pub(crate) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MOST)]
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_that_are_read() {
        let none = Entry::from_bytes(br#"{"what":"nothing"}"#).unwrap_err().to_string();
        let (_, known) = none.split_once("expected one of ").unwrap();
        let known = known.split(" at line").next().unwrap();
        assert_eq!(known, Entry::WORDS.map(|word| format!("`{word}`")).join(", "));
    }
}
