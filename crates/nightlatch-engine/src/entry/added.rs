//! The entry of an authentication that was added to a session: from it the credential is known again.

use super::{EntryError, clip};
use crate::{
    entry::started::{hex, unhex},
    session::Session,
};
use nightlatch_core::{CredentialHash, Time};
use serde::{Deserialize, Serialize};

/// The subject of a session authenticated again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationAdded {
    /// The session.
    pub session: String,
    /// Whose, by pseudonym.
    pub subject: String,
    /// Who saw it: `api`, ...
    pub cause: String,
    /// When the entry was made.
    pub at: u64,
    /// When the subject authenticated.
    pub authenticated: u64,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// SHA-256 of the credential that came with it, in hexadecimal. Opens nothing.
    pub credential: String,
}

impl AuthenticationAdded {
    pub(crate) fn of(
        session: &Session,
        cause: &str,
        (authenticated, acr): (Time, Option<&str>),
        credential: CredentialHash,
        now: Time,
    ) -> AuthenticationAdded {
        AuthenticationAdded {
            session: session.facts.id.to_string(),
            subject: session.facts.who.pseudonym.to_string(),
            cause: cause.to_owned(),
            at: now.as_millis(),
            authenticated: authenticated.as_millis(),
            acr: acr.map(|acr| clip(acr).to_owned()),
            credential: hex(&credential.0),
        }
    }

    /// The hash of its credential.
    pub(crate) fn credential(&self) -> Result<CredentialHash, EntryError> {
        unhex(&self.credential).map(CredentialHash).ok_or(EntryError::Field("credential"))
    }
}
