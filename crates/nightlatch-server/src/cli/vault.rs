//! Finding a ledger and its public key on disk, for the commands that work without a server.
//!
//! People know their data directory, auditors have a copy or an export; all of these are taken. The public key beside a ledger is used
//! if no other is given, and every command says so: a key that came with the record says nothing about who wrote it.

use super::out::Stop;
use nightlatch_ledger::VerifierKey;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A ledger's files and the key to check them with.
pub(super) struct Vault {
    /// Where the segments or tiles are.
    pub(super) dir: PathBuf,
    /// The ledger's public key.
    pub(super) key: VerifierKey,
    /// Where the key is from.
    pub(super) key_file: PathBuf,
    /// Whether somebody chose the key, rather than it lying there.
    pub(super) key_given: bool,
}

impl Vault {
    /// The ledger in this directory, or in the data directory that this is.
    pub(super) fn of(dir: &Path, key: Option<&Path>) -> Result<Vault, Stop> {
        let found = fs::metadata(dir)
            .map_err(|error| Stop::Unreachable(format!("`{}` cannot be read: {error}", dir.display())))?;
        if !found.is_dir() {
            return Err(Stop::Usage(format!("`{}` is not a directory", dir.display())));
        }
        let inner = dir.join("ledger");
        let ledger = if inner.is_dir() { inner } else { dir.to_owned() };
        let beside = ["keys/ledger.vkey", "../keys/ledger.vkey", "ledger.vkey"].map(|name| dir.join(name));
        let key_file = match key {
            Some(file) => file.to_owned(),
            None => beside.into_iter().find(|file| file.exists()).ok_or_else(|| {
                let detail =
                    "give the ledger's public key with --key; a server keeps it at `keys/ledger.vkey`";
                Stop::Usage(format!("there is no key beside `{}`: {detail}", dir.display()))
            })?,
        };
        let text = fs::read_to_string(&key_file).map_err(|error| {
            Stop::Unreachable(format!("the key file `{}` cannot be read: {error}", key_file.display()))
        })?;
        let verifier = text.trim_end().parse().map_err(|error| {
            Stop::Usage(format!("the key file `{}` cannot be used: {error}", key_file.display()))
        })?;
        Ok(Vault { dir: ledger, key: verifier, key_file, key_given: key.is_some() })
    }

    /// What to say about the key.
    pub(super) fn about_key(&self) -> String {
        let whose = if self.key_given {
            "given with --key"
        } else {
            "found beside the record, so it says nothing about who wrote it"
        };
        format!("key: `{}`, {whose}", self.key_file.display())
    }
}
