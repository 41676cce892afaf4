//! The name a person has in the ledger.
//!
//! It is a keyed hash and not a number drawn at random, so that a row proves itself: the pseudonym follows from the
//! key, the provider and the name, and a row in which one of them was altered is recognised. Sixteen bytes are enough
//! that no two people ever meet, and short enough to be read out over a telephone.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Person;
use crate::hex;

const PREFIX: &str = "sub_";

/// A person's pseudonym: `sub_` and 32 lower-case hexadecimal digits. Tells nothing about the person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; 16]);

/// The text is not a pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pseudonym is `sub_` and 32 lower-case hexadecimal digits")]
pub struct NotAPseudonym;

impl Pseudonym {
    /// The pseudonym that follows from a person and that person's key.
    pub(super) fn derive(key: &[u8; 32], person: &Person) -> Pseudonym {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        mac.update(person.provider.as_bytes());
        mac.update(&[0]);
        mac.update(person.name.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac.sign().as_ref()[..16]);
        Pseudonym(bytes)
    }

    /// The bytes that the digits spell, for forms that are not text.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// From the bytes of a pseudonym that was written in a form that is not text. It need not be known here.
impl From<[u8; 16]> for Pseudonym {
    fn from(bytes: [u8; 16]) -> Pseudonym {
        Pseudonym(bytes)
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(&self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pseudonym {
    type Err = NotAPseudonym;

    fn from_str(text: &str) -> Result<Pseudonym, NotAPseudonym> {
        text.strip_prefix(PREFIX).and_then(hex::decode).map(Pseudonym).ok_or(NotAPseudonym)
    }
}

impl Serialize for Pseudonym {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pseudonym {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pseudonym, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
