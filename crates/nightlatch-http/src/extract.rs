//! Bytes in, credential out: the first step of a request's way.
//!
//! A request carries the credential as our cookie, or as a bearer for clients that are not browsers. It is looked for
//! in every `Cookie` and `Authorization` field there is, because an attacker who can add one more must not be able to
//! choose which one counts: two *different* credentials are a conflict, and anything that wears our name or our
//! prefix without being a credential is malformed. Neither is treated as absent, which would turn a broken credential
//! into an anonymous request.
//!
//! The secret stops here. What goes on is its SHA-256, and which field it came in.
//!
//! Reading allocates nothing, and takes time linear in the size of the fields, however many pairs they hold.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use nightlatch_core::CredentialHash;
use nightlatch_engine::PREFIX;

use crate::cookies::{self, CookieNames, trim};

/// The length of a credential in bytes: the prefix and 256 bits in base64url without padding.
pub const TOKEN_BYTES: usize = PREFIX.len() + 43;
/// The longest ended ticket that is looked at, in bytes.
pub const ENDED_TICKET_BYTES_MAX: usize = 1024;

/// What a request brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extraction<'h> {
    /// The credential, if there is exactly one.
    pub credential: Extracted,
    /// The raw ended ticket, unverified: visible ASCII of at most [`ENDED_TICKET_BYTES_MAX`] bytes. `None` when there
    /// is none, when it is malformed, or when there are different ones; it opens nothing, so no reason is needed.
    pub ended_ticket: Option<&'h str>,
}

/// The outcome of looking for a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extracted {
    /// There is none.
    None,
    /// There is one, perhaps repeated.
    One(Presented),
    /// Something under our name, or with our prefix, is not a credential.
    Malformed,
    /// There are different ones.
    Conflict,
}

/// A well-formed credential, as its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// SHA-256 of the whole text of the credential.
    pub hash: CredentialHash,
    /// Where it stood.
    pub carrier: Carrier,
}

/// The field that carried a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Our cookie, which browsers send whoever caused the request. Also when the same credential came as a bearer,
    /// so that the duties of a cookie (`Origin` on unsafe routes) cannot be shed by adding a field.
    Cookie,
    /// `Authorization: Bearer`.
    Bearer,
}

/// Looks for our credential and the ended ticket in the fields of a request, under the cookie names that are good on
/// its connection.
#[must_use]
pub fn extract(headers: &HeaderMap, names: CookieNames) -> Extraction<'_> {
    let mut found = Found::default();
    let mut ticket = Ticket::None;
    for field in headers.get_all(COOKIE) {
        for pair in cookies::pairs(field) {
            if pair.name == names.session.as_bytes() {
                found.add(pair.value, Carrier::Cookie);
            } else if pair.name == names.ended.as_bytes() {
                ticket = ticket.and(pair.value);
            }
        }
    }
    for field in headers.get_all(AUTHORIZATION) {
        if let Some(token) = our_bearer(field) {
            found.add(token, Carrier::Bearer);
        }
    }
    let ended_ticket = match ticket {
        Ticket::One(text) => Some(text),
        Ticket::None | Ticket::Unusable => None,
    };
    Extraction { credential: found.outcome(), ended_ticket }
}

/// The hash of a credential that came some other way, such as in the body of an API call. `None` when the text is not
/// a credential.
#[must_use]
pub fn hash_token(text: &[u8]) -> Option<CredentialHash> {
    is_token(text).then(|| nightlatch_engine::hash(text))
}

/// What follows `Bearer` (any case, RFC 9110 section 11.1) when it has our prefix, a credential or not. A bearer
/// without the prefix is the application's.
pub(crate) fn our_bearer(field: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = trim(field.as_bytes()).split_at_checked("bearer".len())?;
    let token = trim(rest);
    let separated = token.len() < rest.len();
    (scheme.eq_ignore_ascii_case(b"bearer") && separated && token.starts_with(PREFIX.as_bytes()))
        .then_some(token)
}

/// Exactly the prefix and 43 base64url characters that decode to 256 bits: the last one carries four bits, and its
/// other two must be zero, or four texts would name one secret.
fn is_token(text: &[u8]) -> bool {
    let Some(secret) = text.strip_prefix(PREFIX.as_bytes()) else {
        return false;
    };
    let Ok(secret): Result<&[u8; TOKEN_BYTES - PREFIX.len()], _> = secret.try_into() else {
        return false;
    };
    // Every character is looked at, whatever the ones before it were: so the processor takes many at once.
    let strange = |byte: u8| !(byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_'));
    !secret.iter().fold(false, |found, &byte| found | strange(byte))
        && b"AEIMQUYcgkosw048".contains(&secret[secret.len() - 1])
}

/// The candidates seen so far. Only the first is kept: a second one is either the same or a conflict.
#[derive(Default)]
struct Found<'h> {
    first: Option<(&'h [u8], Carrier)>,
    different: bool,
    malformed: bool,
}

impl<'h> Found<'h> {
    fn add(&mut self, text: &'h [u8], carrier: Carrier) {
        match self.first {
            Some((first, _)) if first == text => {}
            _ if !is_token(text) => self.malformed = true,
            None => self.first = Some((text, carrier)),
            Some(_) => self.different = true,
        }
    }

    fn outcome(&self) -> Extracted {
        if self.malformed {
            return Extracted::Malformed;
        }
        if self.different {
            return Extracted::Conflict;
        }
        match self.first.and_then(|(text, carrier)| Some((hash_token(text)?, carrier))) {
            Some((hash, carrier)) => Extracted::One(Presented { hash, carrier }),
            None => Extracted::None,
        }
    }
}

/// The ended tickets seen so far.
enum Ticket<'h> {
    None,
    One(&'h str),
    Unusable,
}

impl<'h> Ticket<'h> {
    fn and(self, value: &'h [u8]) -> Self {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
        let text = std::str::from_utf8(value).ok().filter(|text| {
            !text.is_empty() && text.len() <= ENDED_TICKET_BYTES_MAX && text.as_bytes().iter().all(plain)
        });
        match (self, text) {
            (Self::None, Some(text)) => Self::One(text),
            (Self::One(one), Some(text)) if one == text => Self::One(one),
            _ => Self::Unusable,
        }
    }
}

#[cfg(test)]
mod tests;
