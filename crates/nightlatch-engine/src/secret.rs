//! Making what must not be guessed: credentials and session ids.

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nightlatch_core::{CredentialHash, SessionId};
use std::fmt;

/// What every credential of ours begins with, so that scanners and gateways can tell it.
pub const PREFIX: &str = "nlt_";

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// A credential in the clear: 256 random bits as `nlt_` and 43 base64url characters. Handed out once and kept nowhere.
pub struct Token(String);

impl Token {
    /// A new one.
    pub(crate) fn new() -> Result<Token, NoRandomness> {
        let bits: [u8; 32] = random()?;
        Ok(Token(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bits))))
    }

    /// The text, to be given to the client and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> CredentialHash {
        hash(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// SHA-256 of a credential's text.
#[must_use]
pub fn hash(text: &[u8]) -> CredentialHash {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    CredentialHash(bytes)
}

/// A new public name of a session.
pub(crate) fn session_id() -> Result<SessionId, NoRandomness> {
    random().map(SessionId)
}

/// A new short name of a node: `n` and eight hexadecimal digits.
pub(crate) fn node_name() -> Result<String, NoRandomness> {
    random::<4>().map(|bits| format!("n{:08x}", u32::from_le_bytes(bits)))
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
