//! Who a session belongs to, and what it is called in public.

use std::{fmt, str::FromStr};

/// The public name of a session: `ses_` and 32 hexadecimal digits. Opens nothing; safe in logs, ledger and headers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// What is wrong with the text of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It does not begin with `ses_`.
    #[error("a session id begins with `ses_`")]
    Prefix,
    /// It has not 32 lower-case hexadecimal digits after the prefix.
    #[error("a session id has 32 lower-case hexadecimal digits after `ses_`")]
    Digits,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: an application is told of it with every request.
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + (half - 10) };
        let mut text = *b"ses_................................";
        let (_, digits) = text.split_at_mut(4);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<SessionId, IdError> {
        let digits = text.strip_prefix("ses_").ok_or(IdError::Prefix)?.as_bytes();
        let mut id = [0; 16];
        if digits.len() != 32 {
            return Err(IdError::Digits);
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(SessionId(id))
    }
}

fn nibble(digit: u8) -> Result<u8, IdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(IdError::Digits),
    }
}

/// A session at a provider, by the name that the record has for it: 32 hexadecimal digits. It is made from the provider's `sid` with a key, so
/// that it tells nobody which one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderSession(pub [u8; 16]);

impl fmt::Display for ProviderSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for ProviderSession {
    type Err = IdError;

    fn from_str(text: &str) -> Result<ProviderSession, IdError> {
        let digits = text.as_bytes();
        let mut name = [0; 16];
        if digits.len() != 32 {
            return Err(IdError::Digits);
        }
        for (byte, pair) in name.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(ProviderSession(name))
    }
}

/// Whose session it is. The same name from two providers is two subjects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Who vouches for the name: an issuer, or `key:NAME` for an API key.
    pub provider: String,
    /// The provider's name for the subject.
    pub name: String,
}

/// Shows the provider only: people's names do not belong in logs.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({}, ..)", self.provider)
    }
}

crate::listed! {
    /// What kind of subject a session serves.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub enum Kind {
        /// Somebody.
        #[default]
        Person,
        /// A program with standing of its own.
        Service,
        /// A program that acts for a person.
        Agent,
    }
}

impl Kind {
    /// The word used in the ledger and the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Service => "service",
            Kind::Agent => "agent",
        }
    }
}

/// Reads a [`code`](Kind::code) back.
impl FromStr for Kind {
    type Err = ();

    fn from_str(code: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_refuse_what_is_not_theirs() {
        let id = SessionId(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        let id = SessionId([
            0, 1, 9, 0x0a, 0x0f, 0x10, 0x90, 0xa0, 0xf0, 0xff, 0x5a, 0xa5, 0x7f, 0x80, 0xfe, 0xef,
        ]);
        assert_eq!(id.to_string(), "ses_0001090a0f1090a0f0ff5aa57f80feef");
        let rows = [
            ("ses_", IdError::Digits),
            ("nlt_30313233343536373839616263646566", IdError::Prefix),
            ("ses_3031323334353637383961626364656G", IdError::Digits),
            ("ses_3031323334353637383961626364656A", IdError::Digits),
            ("ses_303132333435363738396162636465661", IdError::Digits),
            ("ses_é0313233343536373839616263646566", IdError::Digits),
        ];
        for (text, error) in rows {
            assert_eq!(text.parse::<SessionId>(), Err(error), "{text}");
        }
    }
}
