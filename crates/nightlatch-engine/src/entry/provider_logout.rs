//! The entry of a provider's word that somebody signed out there.

use super::EntryError;
use crate::provider_logout::TokenName;
use serde::{Deserialize, Serialize};

/// A provider said that somebody signed out there, and was believed. Stands after the ends that it brought, so that a word of which the ends
/// are not all on disk counts as not yet heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderLogoutRecord {
    /// When.
    pub at: u64,
    /// Which provider: its issuer.
    pub provider: String,
    /// Who, by pseudonym: if the token names a subject that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Out of which session there, by pseudonym, if the token names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// The token, by pseudonym: it counts once.
    pub token: String,
    /// Until when the token could be used again if it were not remembered.
    pub good_until: u64,
    /// How many sessions it ended.
    pub ended: u64,
}

impl ProviderLogoutRecord {
    /// The token.
    pub(crate) fn token(&self) -> Result<TokenName, EntryError> {
        self.token.parse().map_err(|_| EntryError::Field("token"))
    }
}
