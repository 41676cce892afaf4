//! `nightlatch backup`: everything that a data directory remembers, in another directory, beside the running server.
//!
//! No server is asked: the files are read in an order in which whatever is read later knows at least what was read before. The
//! snapshot first, since it must not be ahead of the ledger; then the ledger, up to the last commit that had been finished; then who is
//! behind its pseudonyms, last activity, and how far time had gone. Keys never change. What was copied is verified as an auditor
//! would, and the manifest comes last: a directory without one is a backup that did not finish.
//!
//! The manifest is also the mark by which every start refuses the directory. A backup knows nothing of the ends since it was taken; only
//! [`restore`] brings it back, and that ends every session in it.
//!
//! Not in it: locks, space taken in advance, the derived index. What it holds is as secret as the original: names of people, and the key
//! that signs the record.

mod files;
pub(crate) mod restore;

use files::{Digests, Failed};
use nightlatch_ledger::{
    VerifierKey,
    copy::{CopyError, copy},
    verify::{Trust, VerifyError, verify},
};
use nightlatch_store::BACKUP_MARK;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The version of the form.
    pub(crate) nightlatch_backup: u32,
    /// The version of the program that took it.
    pub(crate) version: String,
    /// When it was taken, by the wall clock, in milliseconds since the Unix epoch.
    pub(crate) taken_at: u64,
    /// The ledger's origin.
    pub(crate) ledger: String,
    /// Entries of the ledger.
    pub(crate) entries: u64,
    /// The root of the tree over them.
    pub(crate) root: String,
    /// SHA-256 of every other file, in hexadecimal, by its path.
    pub(crate) files: Digests,
}

const FORM: u32 = 1;

/// Why there is no backup, or why one cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The caller: nothing is there to be copied.
    #[error("`{}` is not a data directory: it has no `keys/ledger.vkey`", .0.display())]
    NoData(PathBuf),
    /// The caller: the directory to write to is in use.
    #[error("`{}` is not empty; name a directory that is, or is not there", .0.display())]
    NotEmpty(PathBuf),
    /// The caller: the directory to write to may be read by others.
    #[error("`{}` is open to other users, and a backup holds keys and names: make it private with `chmod 700`", .0.display())]
    OpenToOthers(PathBuf),
    /// The caller: one directory lies in the other.
    #[error("`{}` lies in the data directory itself: a backup belongs on another disk", .0.display())]
    Inside(PathBuf),
    /// The data, or the copy, does not fit together.
    #[error("the ledger does not fit together: {0}; `nightlatch ledger verify` says more")]
    Inconsistent(String),
    /// The ledger could not be copied.
    #[error(transparent)]
    Ledger(#[from] CopyError),
    /// The copy could not be checked.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] Failed),
}

/// Takes a backup of the data directory `data` into `to`. `taken_at` is now, in milliseconds since the Unix epoch.
pub(crate) fn take(data: &Path, to: &Path, taken_at: u64) -> Result<Manifest, BackupError> {
    let key = key_of(data)?;
    if to.ancestors().any(|above| files::is_inside(above, data)) {
        return Err(BackupError::Inside(to.to_owned()));
    }
    files::make_empty(to)?;
    let mut digests = Digests::new();
    files::copy_newest_snapshot(data, to, &mut digests)?;
    let copied = copy(&data.join("ledger"), &to.join("ledger"), &key)?;
    for name in files::FILES {
        files::copy_file(data, to, Path::new(name), &mut digests)?;
    }
    files::copy_folder(data, to, Path::new("keys"), &mut digests)?;
    verified(to, &key, copied.entries, &copied.root.to_string())?;
    let manifest = Manifest {
        nightlatch_backup: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        ledger: key.name().to_owned(),
        entries: copied.entries,
        root: copied.root.to_string(),
        files: digests,
    };
    // Made of texts and numbers alone: it can be written as JSON.
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    files::write_whole(&to.join(BACKUP_MARK), &text)?;
    Ok(manifest)
}

/// The public key of the ledger in a data directory or a backup.
fn key_of(dir: &Path) -> Result<VerifierKey, BackupError> {
    let text = fs::read_to_string(dir.join("keys/ledger.vkey"));
    let key = text.ok().and_then(|text| text.trim_end().parse().ok());
    key.ok_or_else(|| BackupError::NoData(dir.to_owned()))
}

/// Holds a copy of the ledger against what it should be.
fn verified(dir: &Path, key: &VerifierKey, entries: u64, root: &str) -> Result<(), BackupError> {
    let trust = Trust { log: key.clone(), witnesses: Vec::new() };
    let report = verify(&dir.join("ledger"), &trust, &[])?;
    if !report.is_consistent() {
        let finding = report.findings.first().map_or_else(String::new, ToString::to_string);
        return Err(BackupError::Inconsistent(finding));
    }
    if report.entries != entries || report.root.to_string() != root {
        return Err(BackupError::Inconsistent("the entries are not those that were copied".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
