//! Files that are there whole or not at all.
//!
//! A file is replaced by writing another beside it, making that durable, and renaming it over the first. A rename is
//! the one change a file system makes in one piece, but it is only durable once the directory is.
//!
//! **If we crash here:** before the rename the old file stands, and a leftover `.new` is overwritten next time; after
//! it the new file stands. Between the rename and the directory's sync either may be found after a power cut, which is
//! why nothing is answered "done" before that sync, and why an error does not say which of the two is there.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file operation that the operating system refused: what was being done, to which file, and its answer.
///
/// After an error a write may or may not be on the disk; each operation says what that means for it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{}`: {source}", path.display())]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A file with secrets or names in it that other users of the machine may read or write.
///
/// It is refused, not repaired: whoever could read it may have done so, and only a person can judge that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is open to other users (mode {mode:03o}): make it private with `chmod 600`, and if others may have read it, treat what it holds as known to them", path.display())]
pub struct OpenToOthers {
    path: PathBuf,
    mode: u32,
}

impl FileError {
    /// The kind of the operating system's answer, for example [`ErrorKind::StorageFull`].
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.source.kind()
    }

    /// The file or directory in question.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Turns the operating system's answer into a [`FileError`], for `map_err`.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { doing, path: path.to_owned(), source }
}

/// Creates `dir` and the directories above it that are missing, readable by this user only. Durable and idempotent;
/// the mode of a directory that is there already is left as it is.
pub(crate) fn make_dir(dir: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_dir(parent(dir)),
        Err(_) if dir.is_dir() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && parent(dir) != dir => {
            make_dir(parent(dir))?;
            DirBuilder::new().mode(0o700).create(dir).map_err(failed("create", dir))?;
            sync_dir(parent(dir))
        }
        Err(error) => Err(failed("create", dir)(error)),
    }
}

/// Makes durable what was just read from a file at this place.
///
/// A sync alone would not: after one that failed, the kernel counts as clean what the disk never got, and a process that comes later reads
/// it all the same. So it is written again where it stands, and then synced.
pub(crate) fn keep_what_was_read(file: &File, path: &Path, bytes: &[u8], at: u64) -> Result<(), FileError> {
    file.write_all_at(bytes, at).map_err(failed("write again", path))?;
    file.sync_all().map_err(failed("sync", path))
}

/// Makes the names in `dir` durable: what was created, renamed or removed there stays so after a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), FileError> {
    File::open(dir).and_then(|handle| handle.sync_all()).map_err(failed("sync", dir))
}

/// The directory that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

/// Opens a file for reading and writing, and creates it (for this user only) if it is not there. Nothing is cut off.
pub(crate) fn open_or_create(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(failed("open", path))
}

/// Opens a file for reading only, or says that there is none.
pub(crate) fn open_if_there(path: &Path) -> Result<Option<File>, FileError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("open", path)(error)),
    }
}

/// Removes a file if it is there. Not durable until the directory is synced.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The name under which the next version of `path` is prepared.
pub(crate) fn next_version(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

/// Puts what `fill` writes in the place of `path`, readable and writable by this user only.
///
/// Atomic: `path` is the old file or the whole new one. Durable when it returns. The handle is the new file's. If
/// `fill` fails the old file is untouched.
pub(crate) fn replace<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<File, E> {
    let next = next_version(path);
    remove(&next)?;
    let placed = prepare(&next, fill).and_then(|file| {
        fs::rename(&next, path).map_err(failed("put in place", path))?;
        Ok(file)
    });
    let file = placed.inspect_err(|_| {
        // The first error is the one worth telling; a leftover is removed by the next attempt.
        let _ = fs::remove_file(&next);
    })?;
    sync_dir(parent(path))?;
    Ok(file)
}

fn prepare<E: From<FileError>>(
    next: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<File, E> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let mut writer = BufWriter::new(options.open(next).map_err(failed("create", next))?);
    fill(&mut writer)?;
    writer.flush().map_err(failed("write", next))?;
    let file = writer.into_inner().map_err(|error| failed("write", next)(error.into_error()))?;
    file.sync_all().map_err(failed("sync", next))?;
    Ok(file)
}

/// The permission bits of an open file.
pub(crate) fn mode(file: &File, path: &Path) -> Result<u32, FileError> {
    let metadata = file.metadata().map_err(failed("look at", path))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Refuses a file that the group or others may read or write.
pub(crate) fn refuse_if_open_to_others<E>(file: &File, path: &Path) -> Result<(), E>
where
    E: From<FileError> + From<OpenToOthers>,
{
    match mode(file, path)? {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(OpenToOthers { path: path.to_owned(), mode }.into()),
    }
}
