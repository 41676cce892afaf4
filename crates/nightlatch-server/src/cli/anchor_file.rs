//! A checkpoint in a file of somebody's choosing: on a share of the auditor's, on a medium that is taken away.
//!
//! The file is replaced as a whole, and only by a checkpoint that continues the one in it: a history that was written anew does not take
//! the place of the proof against it.

use super::{out::Stop, vault::Vault};
use crate::regular::read_regular;
use nightlatch_ledger::{Cosigned, SignedCheckpoint, prove_consistency_of_files};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// No checkpoint with its signatures is larger.
const NOTE_BYTES_MOST: u64 = 1 << 20;

/// A file that a checkpoint may be written to.
pub(super) struct Place<'a> {
    /// As it was named.
    pub(super) file: &'a Path,
    folder: &'a Path,
    name: &'a OsStr,
}

impl<'a> Place<'a> {
    /// The place that was named. [`Stop::Usage`] for one that could never be written to: no file, or in the ledger itself.
    pub(super) fn of(vault: &Vault, file: &'a Path) -> Result<Place<'a>, Stop> {
        let name =
            file.file_name().ok_or_else(|| Stop::Usage(format!("--file `{}` is no file", file.display())))?;
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let real = |folder: &Path| folder.canonicalize().map_err(|error| unwritable(file, &error));
        if real(folder)?.starts_with(real(&vault.dir)?) {
            return Err(Stop::Usage(format!(
                "--file `{}` lies in the ledger itself, where it anchors nothing; name one out of its reach",
                file.display()
            )));
        }
        Ok(Place { file, folder, name })
    }
}

/// Writes the checkpoint with every cosignature that is kept of it, and with those of the same entries that are in the file. Gives it without
/// the latter: whoever may write the file may have written those, and nothing is said of them.
pub(super) fn write(
    vault: &Vault,
    newest: &SignedCheckpoint,
    to: &Place<'_>,
) -> Result<SignedCheckpoint, Stop> {
    let Place { file, folder, name } = *to;
    let mut whole = newest.clone();
    let cosigned = Cosigned::of(&vault.dir, &vault.key).read(newest.checkpoint().size);
    if let Some(kept) = cosigned.map_err(|error| unwritable(file, &error))? {
        whole = merged(&whole, &kept, file)?;
    }
    let ours = whole.clone();
    match read_regular(file, NOTE_BYTES_MOST) {
        Ok(note) => whole = continued(vault, &whole, &note, file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unwritable(file, &error)),
    }
    let mut draft = name.to_owned();
    draft.push(".new");
    let draft = folder.join(draft);
    replace(folder, &draft, file, whole.note().as_bytes()).map_err(|error| unwritable(file, &error))?;
    Ok(ours)
}

/// The checkpoint, if it continues the one in the file; with that one's cosignatures, if it is of the same entries.
fn continued(
    vault: &Vault,
    newest: &SignedCheckpoint,
    note: &str,
    file: &Path,
) -> Result<SignedCheckpoint, Stop> {
    let there = SignedCheckpoint::parse(note, &vault.key).map_err(|error| {
        Stop::Refused(format!(
            "`{}` is left as it is: it is no checkpoint of this ledger: {error}",
            file.display()
        ))
    })?;
    let (old, new) = (there.checkpoint(), newest.checkpoint());
    if old.size == new.size {
        return merged(newest, &there, file);
    }
    if old.size > new.size {
        return Err(not_continued(
            file,
            &format!("it covers {} entries, the ledger here {}", old.size, new.size),
        ));
    }
    let proof = prove_consistency_of_files(&vault.dir, old.size, new.size)
        .map_err(|error| Stop::Unreachable(format!("the ledger cannot be read: {error}")))?;
    if proof.verifies(&old.root, &new.root) {
        return Ok(newest.clone());
    }
    Err(not_continued(
        file,
        &format!("the {} entries here do not begin with the {} it covers", new.size, old.size),
    ))
}

fn merged(one: &SignedCheckpoint, other: &SignedCheckpoint, file: &Path) -> Result<SignedCheckpoint, Stop> {
    let size = one.checkpoint().size;
    if one.checkpoint() == other.checkpoint() {
        let left = format!("`{}` is left as it is: it has more signatures than are read", file.display());
        return one.merged(other).ok_or(Stop::Unreachable(left));
    }
    one.merged(other).ok_or_else(|| {
        not_continued(file, &format!("there are two histories of {size} entries, signed by one key"))
    })
}

fn not_continued(file: &Path, what: &str) -> Stop {
    Stop::Refused(format!("`{}` is left as it is: the ledger does not continue it: {what}", file.display()))
}

fn unwritable(file: &Path, error: &dyn std::fmt::Display) -> Stop {
    Stop::Unreachable(format!("`{}` cannot be written: {error}", file.display()))
}

/// A reader, and a crash, meet the old file or the new one.
fn replace(folder: &Path, draft: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    // One of a run that broke off; or a link that somebody who may write here has put there, which would be written through.
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut writing = OpenOptions::new().write(true).create_new(true).open(draft)?;
    writing.write_all(bytes)?;
    writing.sync_all()?;
    fs::rename(draft, file)?;
    File::open(folder)?.sync_all()
}
