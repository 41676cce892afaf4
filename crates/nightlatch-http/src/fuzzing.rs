//! A narrow way in for the fuzz targets, and no promise to anybody else.
//!
//! Three parsers of what a client sends are private, because nobody but the gateway has a use for them.

use crate::{form, http2::frames::Frames, ticket::Tickets};
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

/// Every head of a frame that begins in these bytes, however they come: length, kind, stream, and whether it ends its stream.
pub fn http2_heads<'b>(of_client: bool, pieces: impl Iterator<Item = &'b [u8]>) -> Vec<(u32, u8, u32, bool)> {
    let mut frames = if of_client { Frames::of_client() } else { Frames::default() };
    let mut heads = Vec::new();
    for piece in pieces {
        frames.follow(piece, |head| heads.push((head.length, head.kind, head.stream, head.ends_stream())));
    }
    heads
}
