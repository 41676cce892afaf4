//! What the ledger says, and how it is read back.
//!
//! An entry is a JSON object, because an examiner must be able to read it in ten years without our program. It serves two readers
//! at once: the examiner (what, whose, why, by which numbers, how late) and recovery, which rebuilds the session table from it.
//! There is one form for both, so what is on record and what is true after a restart cannot come apart. Instants are milliseconds
//! since the Unix epoch, latenesses microseconds. People appear by pseudonym only. Fields are only ever added.

mod added;
mod block;
mod cut;
mod ended;
mod policy;
mod provider_logout;
mod started;
#[cfg(test)]
mod tests;

pub use added::AuthenticationAdded;
pub use block::BlockRecord;
pub use cut::Cut;
pub use ended::SessionEnded;
pub use policy::PolicyRecord;
pub use provider_logout::ProviderLogoutRecord;
pub use started::SessionStarted;

pub(crate) use ended::EndNote;

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
    /// The subject authenticated again: the session got that authentication, and a credential. Nothing else of it changed.
    AuthenticationAdded(AuthenticationAdded),
    /// A credential that was added was presented for the first time: those before it are good for a little longer.
    CredentialPresented {
        /// The session.
        session: String,
        /// When.
        at: u64,
        /// The index of the `authentication_added` by which it was issued.
        issued_by: u64,
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
    /// A provider said that somebody signed out there.
    ProviderLogout(ProviderLogoutRecord),
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
    pub const WORDS: [&str; 18] = [
        "session_started",
        "session_ended",
        "cut",
        "refused_after_end",
        "authentication_added",
        "credential_presented",
        "limits_lowered",
        "outcome_withheld",
        "subject_blocked",
        "subject_unblocked",
        "provider_logout",
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
            Entry::AuthenticationAdded(added) => Some(&added.session),
            Entry::RefusedAfterEnd { session, .. }
            | Entry::CredentialPresented { session, .. }
            | Entry::LimitsLowered { session, .. }
            | Entry::OutcomeWithheld { session, .. } => Some(session),
            Entry::SubjectBlocked(_)
            | Entry::SubjectUnblocked(_)
            | Entry::ProviderLogout(_)
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
            Entry::AuthenticationAdded(added) => added.at,
            Entry::SubjectBlocked(block) | Entry::SubjectUnblocked(block) => block.at,
            Entry::ProviderLogout(logout) => logout.at,
            Entry::RefusedAfterEnd { at, .. }
            | Entry::CredentialPresented { at, .. }
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

/// The most of a text from outside that goes into an entry. Even if every byte of it takes six in JSON, the entry fits the
/// ledger: an end must not fail to be recorded because of somebody's long words.
const TEXT_BYTES_MOST: usize = 2_048;

/// The text, cut off at the most that an entry takes.
pub(crate) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MOST)]
}
