//! The hashing of RFC 6962, section 2.1, and nothing else.
//!
//! A leaf is hashed behind a zero byte and an inner node behind a one byte, so that no leaf can be passed off as a
//! node. Everything the ledger promises an auditor rests on these two lines; they are kept apart so that they can be
//! read at once and held to the published vectors.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bytes in a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash of a leaf, a node or a whole tree.
///
/// `Display` is standard base64, as checkpoints write it; `Debug` is hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// The hash of one entry: SHA-256 of a zero byte and the payload.
    #[must_use]
    pub fn of_leaf(payload: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[0]);
        context.update(payload);
        Self::from_slice(context.finish().as_ref())
    }

    /// The hash of two neighbouring subtrees: SHA-256 of a one byte, the left hash and the right hash.
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut bytes = [0; 1 + 2 * HASH_BYTES];
        bytes[0] = 1;
        bytes[1..=HASH_BYTES].copy_from_slice(&left.0);
        bytes[1 + HASH_BYTES..].copy_from_slice(&right.0);
        Self::of_bytes(&bytes)
    }

    /// The root of a tree without entries: SHA-256 of nothing.
    #[must_use]
    pub fn of_empty_tree() -> Self {
        Self::of_bytes(&[])
    }

    /// Plain SHA-256, for checks and key ids that are no part of a tree.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self::from_slice(digest(&SHA256, bytes).as_ref())
    }

    /// The hash as its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// The first eight bytes as a number: enough to notice an accident, never enough to trust.
    pub(crate) fn prefix(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(bytes)
    }

    /// Reads the base64 form of a checkpoint; `None` if it is not exactly 32 bytes in standard base64.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    fn from_slice(bytes: &[u8]) -> Self {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(bytes);
        Self(hash)
    }
}

impl From<[u8; HASH_BYTES]> for Hash {
    fn from(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tree_has_the_published_root() {
        assert_eq!(
            format!("{:?}", Hash::of_empty_tree()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn base64_goes_there_and_back_and_takes_nothing_else() {
        let hash = Hash::of_leaf(b"entry");
        assert_eq!(Hash::from_base64(&hash.to_string()), Some(hash));
        assert_eq!(Hash::from_base64("AAAA"), None);
        assert_eq!(Hash::from_base64("not base64"), None);
    }
}
