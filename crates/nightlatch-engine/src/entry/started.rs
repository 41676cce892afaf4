//! The entry of a start: everything from which the session can be built again.

use super::EntryError;
use crate::session::{Facts, Session, Terms};
use nightlatch_core::{CredentialHash, ProviderSession, RuleId, SessionId, Span, Time};
use nightlatch_store::Pseudonym;
use serde::{Deserialize, Serialize};

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
    /// Why: `demo_sign_in`, `sign_in`, `api`, ...
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
    /// The session at the provider that it began with, by pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
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

impl SessionStarted {
    pub(crate) fn of(
        session: &Session,
        cause: &str,
        now: Time,
        rules: &dyn Fn(RuleId) -> String,
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
            provider_session: session.provider_session().map(|name| name.to_string()),
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

    /// The session at the provider that it began with.
    pub(crate) fn provider_session(&self) -> Result<Option<ProviderSession>, EntryError> {
        let name = self.provider_session.as_deref().map(str::parse).transpose();
        name.map_err(|_| EntryError::Field("provider_session"))
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

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
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
