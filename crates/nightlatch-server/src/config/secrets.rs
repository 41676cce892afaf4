//! Loads the secrets that the configuration only points at.
//!
//! This is apart from the check, so that a file can be checked where its secrets are not, and so that the one function
//! that reads them is easy to find. Where they come from is handed in. A short secret is refused, because an API key
//! can be guessed at from the network; so is one with whitespace inside, because it could never be sent in a header
//! and was most likely pasted with something else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Config;
use super::api_key::{Role, SecretSource};
use super::code::Code;
use super::finding::{Finding, Place};
use crate::regular::{open_to_everybody, read_regular};

/// How many characters a secret has at least.
const SHORTEST: usize = 32;

/// How many bytes a file with one has at most.
const LONGEST: u64 = 64 * 1024;

/// An API key with its secret, for the moment in which the secret is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadedKey {
    /// How it is called in the ledger.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: Role,
    /// The secret itself.
    pub(crate) secret: Secret,
}

/// A secret that does not show itself in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret in clear.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// Why a secret could not be loaded. None of these contains any part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file could not be read.
    #[error("the secret of API key `{name}` cannot be read from `{}`: {why}", path.display())]
    Unreadable {
        /// The key.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The environment variable is not set.
    #[error(
        "the secret of API key `{name}` is to come from the environment variable `{variable}`, which is not set"
    )]
    NotSet {
        /// The key.
        name: String,
        /// The variable.
        variable: String,
    },
    /// The secret is too easy to guess.
    #[error("the secret of API key `{name}` has {length} characters, and needs at least {SHORTEST}")]
    TooShort {
        /// The key.
        name: String,
        /// How many it has.
        length: usize,
    },
    /// The secret could not be sent in a header.
    #[error("the secret of API key `{name}` has spaces, newlines or characters outside of ASCII in it")]
    Malformed {
        /// The key.
        name: String,
    },
    /// Nobody could tell which of two keys was used.
    #[error("the API keys `{first}` and `{second}` have the same secret")]
    Shared {
        /// The key that comes first in the file.
        first: String,
        /// The other.
        second: String,
    },
}

impl Config {
    /// Loads them from the files and the environment of this process.
    pub(crate) fn read_secrets_here(&self) -> Result<Vec<LoadedKey>, Vec<SecretError>> {
        self.read_secrets(&read_file, &|name| std::env::var(name).ok())
    }

    /// Loads the secret of every API key, or says everything that is wrong with them.
    ///
    /// `file` reads a file whole; `env` answers for an environment variable.
    pub(crate) fn read_secrets(
        &self,
        file: &dyn Fn(&Path) -> io::Result<String>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<LoadedKey>, Vec<SecretError>> {
        let mut loaded: Vec<LoadedKey> = Vec::new();
        let mut wrong = Vec::new();
        for key in &self.api_keys {
            let name = key.name.clone();
            let text = match &key.secret {
                SecretSource::File(path) => file(path).map_err(|error| SecretError::Unreadable {
                    name: name.clone(),
                    path: path.clone(),
                    why: error.to_string(),
                }),
                SecretSource::Env(variable) => env(variable)
                    .ok_or_else(|| SecretError::NotSet { name: name.clone(), variable: variable.clone() }),
            };
            match text.and_then(|text| secret(&name, &text)) {
                Ok(secret) => {
                    if let Some(first) = loaded.iter().find(|other| other.secret == secret) {
                        wrong.push(SecretError::Shared { first: first.name.clone(), second: name });
                    } else {
                        loaded.push(LoadedKey { name, role: key.role, secret });
                    }
                }
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(loaded) } else { Err(wrong) }
    }

    /// A warning for each file with a secret in it that every user of this machine may open. `serve` goes on all the same: who is a user of the
    /// machine may be settled elsewhere, as in a container.
    pub(crate) fn open_secrets(&self) -> Vec<Finding> {
        let of_api = self.api_keys.iter().filter_map(|key| {
            Some(("api_key.key_file", format!("the secret of API key `{}`", key.name), key.secret.file()?))
        });
        let of_providers = self.identity.oidc.iter().filter_map(|oidc| {
            let what = format!("the secret for provider `{}`", oidc.name);
            Some(("identity.oidc.client_secret_file", what, oidc.secret.file()?))
        });
        let of_tls = self
            .listen
            .tls
            .iter()
            .map(|files| ("listen.tls.key", "the key of a certificate".to_owned(), files.key.as_path()));
        of_api
            .chain(of_providers)
            .chain(of_tls)
            .filter_map(|(key, what, path)| {
                let open = open_to_all(path)?;
                Some(Finding {
                    code: Code::OpenSecret,
                    key: key.to_owned(),
                    place: Place::nowhere(),
                    message: format!("{what}: {open}"),
                    hint: CLOSE_IT.to_owned(),
                })
            })
            .collect()
    }
}

/// What to do about a secret that everybody may read.
pub(crate) const CLOSE_IT: &str = "`chmod o-rwx` it, and if others may have read it, make a new one";

/// That every user of this machine may open a file, in words; none if they may not.
pub(crate) fn open_to_all(path: &Path) -> Option<String> {
    let mode = open_to_everybody(path)?;
    Some(format!("`{}` is open to every user of this machine (mode {mode:03o})", path.display()))
}

/// Reads a file with a secret whole.
pub(crate) fn read_file(path: &Path) -> io::Result<String> {
    read_regular(path, LONGEST)
}

fn secret(name: &str, text: &str) -> Result<Secret, SecretError> {
    let text = text.trim_end_matches(['\r', '\n']);
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SecretError::Malformed { name: name.to_owned() });
    }
    if text.len() < SHORTEST {
        return Err(SecretError::TooShort { name: name.to_owned(), length: text.len() });
    }
    Ok(Secret(text.to_owned()))
}

// === impl Secret ===

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
