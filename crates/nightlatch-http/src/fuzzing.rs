//! A narrow way in for the fuzz targets, and no promise to anybody else.
//!
//! Two parsers of what a client sends are private, because nobody but the gateway has a use for them.

use crate::{form, ticket::Tickets};
use nightlatch_core::SessionId;

/// The ended ticket of a session, under a key.
#[must_use]
pub fn issue_ticket(key: &[u8], session: [u8; 16]) -> String {
    Tickets::new(key).issue(SessionId(session))
}

/// The session that a ticket names, if it was made with this key.
#[must_use]
pub fn read_ticket(key: &[u8], ticket: &str) -> Option<[u8; 16]> {
    Tickets::new(key).read(ticket).map(|SessionId(id)| id)
}

/// Where a sign-in leads back to, by the query that asked for it.
#[must_use]
pub fn return_to(query: &str) -> String {
    form::return_to(query)
}
