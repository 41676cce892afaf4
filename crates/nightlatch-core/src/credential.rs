//! What is kept of a credential: its hash, and nothing that could be presented again.

use std::fmt;

/// SHA-256 of the text of a credential (`nlt_` and 43 base64url characters).
///
/// The credential carries 256 random bits, so a plain hash cannot be searched backwards and needs no salt. `Debug` shows only
/// that one is there: not even hashes belong in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialHash(pub [u8; 32]);

impl fmt::Debug for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialHash(..)")
    }
}
