//! One directory, one process.
//!
//! Two processes on one data directory would each hold a session table, append to one ledger, and undo each other's
//! ends. So the directory is locked before anything in it is read. The lock belongs to an open file, not to the
//! file's being there: the kernel lets go of it when the process ends, however it ends, so there is no stale lock to
//! be removed by hand, and nobody learns to remove one that is not stale.
//!
//! **If we crash here:** the lock is free again at once, and an empty directory is opened as a new one.
//!
//! A known hole: on a network file system the lock is as good as the server's. The directory belongs on a local disk.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::file::{FileError, failed, make_dir, mode, open_or_create, sync_dir};

/// The data directory of this process, held until it is dropped or the process ends.
///
/// Whoever opens a file below it should hold this first, and drop it last.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Never read: the lock lives as long as this handle is open.
    _lock: File,
}

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDataDirError {
    /// Another process (or another handle in this one) has it.
    #[error("data directory `{}` is in use by another process: stop that one first (`fuser {}` tells which it is), or give this one a data directory of its own", path.display(), path.join("lock").display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Any user of the machine could put other files in the place of ours.
    #[error("data directory `{}` is writable by every user (mode {mode:03o}): make it private with `chmod 700`, or use a new directory inside it", path.display())]
    OpenToAll {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a backup: sessions that ended since it was taken would live again.
    #[error("`{}` is a backup and cannot be put into service as it is: sessions that have ended since would live again; use `nightlatch restore`", path.display())]
    IsBackup {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The file that makes a directory a backup.
pub const BACKUP_MARK: &str = "backup.json";

impl DataDir {
    /// Takes the directory at `path` for this process, and creates it (mode 0700, parents included) if it is not there.
    ///
    /// Does not wait: a directory in use is refused at once. A directory that is there keeps its mode, unless every
    /// user may write to it, which is refused.
    pub fn open(path: impl AsRef<Path>) -> Result<DataDir, OpenDataDirError> {
        let path = path.as_ref().to_owned();
        make_dir(&path)?;
        let handle = File::open(&path).map_err(failed("open", &path))?;
        let mode = mode(&handle, &path)?;
        if mode & 0o002 != 0 {
            return Err(OpenDataDirError::OpenToAll { path, mode });
        }

        if path.join(BACKUP_MARK).exists() {
            return Err(OpenDataDirError::IsBackup { path });
        }

        // The lock file is never removed: a process that waited on the removed one would hold a lock nobody else sees.
        let lock_path = path.join("lock");
        let lock = open_or_create(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenDataDirError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock_path)(error).into()),
        }
        sync_dir(&path)?;
        Ok(DataDir { path, _lock: lock })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the ledger's segments. Not created here.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger")
    }

    /// The file of activity slots, for [`Slots`](crate::Slots).
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.path.join("slots")
    }

    /// The file of devices, for [`Devices`](crate::Devices).
    #[must_use]
    pub fn devices(&self) -> PathBuf {
        self.path.join("devices")
    }

    /// The directory of snapshots, for [`snapshot`](crate::snapshot). Created by the first snapshot.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.path.join("snapshot")
    }

    /// The file of people, for [`People`](crate::People).
    #[must_use]
    pub fn people(&self) -> PathBuf {
        self.path.join("people")
    }

    /// The file of the time reservation, for [`ReservationFile`](crate::ReservationFile).
    #[must_use]
    pub fn time(&self) -> PathBuf {
        self.path.join("time")
    }

    /// The directory of secret keys, for [`Keys`](crate::Keys).
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }
}

#[cfg(test)]
mod tests;
