//! Files that are named to us by somebody else: read if they are files, and no further than they can be long.
//!
//! A pipe is waited for without end, and `/dev/zero` fills the memory; a program that begins at boot, or that a timer starts, would do
//! either unseen.

use rustix::fs::OFlags;
use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// How many bytes a chain of certificates, or all that are believed, has at most.
pub(crate) const PEM_BYTES_MOST: u64 = 4 << 20;

/// Reads a regular file of text, of at most so many bytes. Links are followed.
///
/// # Errors
/// As `std::fs::read_to_string`, and if it is something else than a file, or longer.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<String> {
    // Not waited for: opening a pipe would be, until somebody writes to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is not a regular file"));
    }
    let mut text = String::new();
    let read = file.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if read as u64 > most {
        let what = format!("it has more than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

/// The permissions of a file that every user of this machine may open; none if they may not, or if it cannot be looked at.
pub(crate) fn open_to_everybody(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};

    #[test]
    fn files_are_read_and_nothing_else_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, pipe) =
            (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
        fs::write(&file, "12345").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read_regular(&link, 5).unwrap(), "12345");
        let kind = |path: &Path, most| read_regular(path, most).unwrap_err().kind();
        assert_eq!(kind(&file, 4), io::ErrorKind::FileTooLarge);
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            assert_eq!(kind(path, 5), io::ErrorKind::Unsupported, "{}", path.display());
        }
        assert_eq!(kind(&folder.path().join("nothing"), 5), io::ErrorKind::NotFound);
    }
}
