//! `nightlatch restore`: a backup becomes a data directory again, and every session in it ends.
//!
//! It is put together beside its place: copied, verified, opened with nobody to serve, every session ended on the record, closed. Only
//! then is it moved to where a server looks for it, in one step. If we crash before that, nothing has changed but for a directory
//! called `.restoring`, which the next restore removes.
//!
//! A directory that stood in the place is kept beside it: its ledger may have entries that the backup has not, and they are a record. And time
//! goes on from where *it* had got to, if that is later: a restored directory must not reserve less time than was used.

use super::{BackupError, FORM, Manifest, files, key_of, verified};
use files::{Digests, Failed, failed};
use nightlatch_core::{Limits, Policy, PolicyError, Span, Time};
use nightlatch_engine::{ClockFault, Engine, OpenError, OsTime, PolicyRecord};
use nightlatch_ledger::{CommitError, copy::copy};
use nightlatch_store::{BACKUP_MARK, DataDir, FileError, OpenDataDirError, ReservationFile};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// What was done.
#[derive(Debug)]
pub(crate) struct Restored {
    /// What the backup says of itself.
    pub(crate) manifest: Manifest,
    /// Sessions that lived in it, and ended now.
    pub(crate) ended: usize,
    /// Sessions that were due by the numbers in it.
    pub(crate) due: usize,
    /// Subjects that are blocked in it.
    pub(crate) blocks: usize,
    /// What was wrong with the clock, if something was.
    pub(crate) clock_fault: Option<ClockFault>,
    /// Where the directory is that stood in the place.
    pub(crate) replaced: Option<PathBuf>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The caller: it is not a whole backup.
    #[error("`{}` is not a whole backup: {why}", dir.display())]
    NotWhole {
        /// The directory.
        dir: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// The caller: there is a data directory in the place.
    #[error("`{}` is not empty; to put the backup in its place, say --replace: it is kept beside it", .0.display())]
    InPlace(PathBuf),
    /// The caller: a server runs, or the directory cannot be used.
    #[error(transparent)]
    Data(#[from] OpenDataDirError),
    /// The backup cannot be copied, or does not fit together.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] Failed),
    /// A file of the store could not be read or written.
    #[error(transparent)]
    Store(#[from] FileError),
    /// The copy cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The limits in it do not hold together.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The ends could not be recorded.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Restores the backup in `from` as the data directory `data`.
pub(crate) fn restore(from: &Path, data: &Path, replace: bool) -> Result<Restored, RestoreError> {
    let manifest = read(from)?;
    // Held until the end: no server starts on what is being replaced.
    let standing = match data.exists() && !files::is_empty(data)? {
        true if !replace => return Err(RestoreError::InPlace(data.to_owned())),
        true => Some(DataDir::open(data)?),
        false => None,
    };
    let stage = beside(data, ".restoring");
    if stage.exists() {
        fs::remove_dir_all(&stage).map_err(failed("remove", &stage))?;
    }
    copied(from, &stage, &manifest)?;
    if let Some(standing) = &standing {
        keep_time(standing, &stage)?;
    }
    let (ended, due, blocks, clock_fault) = end_all(&stage, &manifest)?;
    let replaced = put_in_place(&stage, data, standing.is_some(), manifest.taken_at)?;
    Ok(Restored { manifest, ended, due, blocks, clock_fault, replaced })
}

/// Reads the manifest, and holds every file against it.
fn read(from: &Path) -> Result<Manifest, RestoreError> {
    let not_whole = |why: String| RestoreError::NotWhole { dir: from.to_owned(), why };
    let text =
        fs::read(from.join(BACKUP_MARK)).map_err(|error| not_whole(format!("`{BACKUP_MARK}`: {error}")))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| not_whole(format!("`{BACKUP_MARK}`: {error}")))?;
    if manifest.nightlatch_backup != FORM {
        let form = manifest.nightlatch_backup;
        return Err(not_whole(format!("it is of form {form}, and this version reads form {FORM}")));
    }
    for (name, digest) in &manifest.files {
        if !files::is_of_a_backup(name) {
            return Err(not_whole(format!("`{}` is no name of a file in a backup", name.escape_debug())));
        }
        let bytes = files::read(&from.join(name)).map_err(|error| not_whole(format!("`{name}`: {error}")))?;
        if files::sha256(&bytes) != *digest {
            return Err(not_whole(format!("`{name}` is not as it was written")));
        }
    }
    Ok(manifest)
}

/// Copies what the manifest names, and verifies the ledger.
fn copied(from: &Path, stage: &Path, manifest: &Manifest) -> Result<(), RestoreError> {
    let key = key_of(from)?;
    files::make_empty(stage)?;
    let mut copied = Digests::new();
    for name in manifest.files.keys() {
        files::copy_file(from, stage, Path::new(name), &mut copied)?;
    }
    if copied != manifest.files {
        // Somebody was at it between the look and the copy.
        let why = "its files change while they are read".to_owned();
        return Err(RestoreError::NotWhole { dir: from.to_owned(), why });
    }
    copy(&from.join("ledger"), &stage.join("ledger"), &key).map_err(BackupError::from)?;
    Ok(verified(stage, &key, manifest.entries, &manifest.root)?)
}

/// Time has gone on since the backup was taken, and what stood in the place knows how far.
fn keep_time(standing: &DataDir, stage: &Path) -> Result<(), RestoreError> {
    let reserved = |path: &Path| Ok::<_, FileError>(ReservationFile::open(path)?.load().ok().flatten());
    let (Some(there), backed_up) = (reserved(&standing.time())?, reserved(&stage.join("time"))?) else {
        return Ok(());
    };
    if backed_up.is_none_or(|backed_up| backed_up.reserved_until_nanos < there.reserved_until_nanos) {
        ReservationFile::open(stage.join("time"))?.store(&there)?;
    }
    Ok(())
}

/// Opens the copy, ends what lives in it, and closes it again.
fn end_all(
    stage: &Path,
    manifest: &Manifest,
) -> Result<(usize, usize, usize, Option<ClockFault>), RestoreError> {
    let policy = policy_of(stage)?;
    let (engine, found) = Engine::open(stage, policy, Box::new(OsTime), env!("CARGO_PKG_VERSION"))?;
    let ended = engine.end_restored(Time::from_millis(manifest.taken_at), manifest.entries)?;
    let blocks = engine.blocks_after(None, usize::MAX).len();
    engine.stop();
    Ok((ended, found.ended_while_down, blocks, found.clock_fault))
}

/// The policy that was in force when the backup was taken, so that it keeps its version.
fn policy_of(stage: &Path) -> Result<Policy, RestoreError> {
    let path = stage.join("policy");
    let not_whole = |why: String| RestoreError::NotWhole { dir: path.clone(), why };
    let text = fs::read(&path).map_err(|error| not_whole(error.to_string()))?;
    let PolicyRecord { version, idle_ms, absolute_ms, warning_ms } =
        serde_json::from_slice(&text).map_err(|error| not_whole(error.to_string()))?;
    let [idle, absolute, warning] = [idle_ms, absolute_ms, warning_ms].map(Span::from_millis);
    Ok(Policy { version, limits: Limits::new(idle, absolute, warning)? })
}

/// Moves the finished directory to its place in one step. Gives where the one is that stood there.
fn put_in_place(
    stage: &Path,
    data: &Path,
    stands: bool,
    taken_at: u64,
) -> Result<Option<PathBuf>, RestoreError> {
    let parent = match data.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let sync = || fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed("sync", parent));
    if !stands {
        // An empty directory gives way to a rename; anything that came into it meanwhile does not.
        fs::rename(stage, data).map_err(failed("put in place", data))?;
        sync()?;
        return Ok(None);
    }
    let exchanged = renameat_with(CWD, stage, CWD, data, RenameFlags::EXCHANGE);
    exchanged.map_err(|error| failed("put in place", data)(error.into()))?;
    let kept = (0..)
        .map(|number| beside(data, &format!(".replaced-{taken_at}-{number}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| stage.to_owned());
    fs::rename(stage, &kept).map_err(failed("move aside", stage))?;
    sync()?;
    Ok(Some(kept))
}

/// A directory beside this one, with something behind its name.
fn beside(data: &Path, suffix: &str) -> PathBuf {
    let path = data.components().as_path();
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
