//! The files of a backup: copied for their owner's eyes only, synced, and with a digest of each.

use super::BackupError;
use aws_lc_rs::digest;
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// SHA-256 of files in hexadecimal, by their path in the backup.
pub(crate) type Digests = BTreeMap<String, String>;

/// What a backup has besides the ledger, the keys and the snapshot.
pub(super) const FILES: [&str; 5] = ["people", "slots", "time", "node", "policy"];

/// A file operation that the operating system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{}`: {source}", path.display())]
pub(crate) struct Failed {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Turns the operating system's answer into a [`Failed`].
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failed {
    move |source| Failed { doing, path: path.to_owned(), source }
}

/// Makes a directory for a backup, or takes one that is there, empty and private.
pub(super) fn make_empty(dir: &Path) -> Result<(), BackupError> {
    if !dir.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        return Ok(made.map_err(failed("create", dir))?);
    }
    if !is_empty(dir)? {
        return Err(BackupError::NotEmpty(dir.to_owned()));
    }
    let mode = fs::metadata(dir).map_err(failed("look at", dir))?.permissions().mode();
    if mode & 0o077 != 0 { Err(BackupError::OpenToOthers(dir.to_owned())) } else { Ok(()) }
}

/// Whether a directory has nothing in it.
pub(super) fn is_empty(dir: &Path) -> Result<bool, Failed> {
    Ok(fs::read_dir(dir).map_err(failed("list", dir))?.next().is_none())
}

/// Whether one directory lies in another, whatever they are called.
pub(super) fn is_inside(dir: &Path, of: &Path) -> bool {
    let (Ok(dir), Ok(of)) = (dir.canonicalize(), of.canonicalize()) else { return false };
    dir.starts_with(of)
}

/// Copies the snapshot of the largest ledger size, if there is one.
pub(super) fn copy_newest_snapshot(from: &Path, to: &Path, digests: &mut Digests) -> Result<(), Failed> {
    let dir = from.join("snapshot");
    if !dir.is_dir() {
        return Ok(());
    }
    let names = names(&dir)?;
    match names.iter().rfind(|name| name.ends_with(".snapshot")) {
        Some(newest) => copy_file(from, to, &Path::new("snapshot").join(newest), digests),
        None => Ok(()),
    }
}

/// Copies every file of a folder.
pub(super) fn copy_folder(
    from: &Path,
    to: &Path,
    folder: &Path,
    digests: &mut Digests,
) -> Result<(), Failed> {
    // One that is being prepared is of no use to anybody.
    let names = names(&from.join(folder))?;
    let whole = names.iter().filter(|name| !name.ends_with(".new"));
    for name in whole {
        copy_file(from, to, &folder.join(name), digests)?;
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<String>, Failed> {
    let mut names = Vec::new();
    for file in fs::read_dir(dir).map_err(failed("list", dir))? {
        let file = file.map_err(failed("list", dir))?;
        names.extend(file.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a file of a backup can be called this. A manifest is what somebody wrote, and a path in it must not lead anywhere else: what it
/// names is written with the rights of whoever restores.
pub(super) fn is_of_a_backup(name: &str) -> bool {
    let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
    match name.split_once('/') {
        None => FILES.contains(&name),
        Some((folder, file)) => ["keys", "snapshot"].contains(&folder) && plain(file) && !file.contains('/'),
    }
}

/// Reads a file whole, if it is one: a link leads out of the directory, and a pipe is waited for without end.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    fs::read(path)
}

/// Copies one file, if it is there.
pub(super) fn copy_file(from: &Path, to: &Path, name: &Path, digests: &mut Digests) -> Result<(), Failed> {
    let (source, target) = (from.join(name), to.join(name));
    let bytes = match fs::read(&source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(failed("read", &source))?,
    };
    digests.insert(name.display().to_string(), sha256(&bytes));
    write_whole(&target, &bytes)?;
    // The public key is for everybody.
    if name.extension().is_some_and(|extension| extension == "vkey") {
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&target, mode).map_err(failed("set the mode of", &target))?;
    }
    Ok(())
}

/// Writes a file that was not there, for this user only; durable when this returns.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(failed("create", parent))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        File::open(parent)?.sync_all()
    };
    write().map_err(failed("write", path))
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
