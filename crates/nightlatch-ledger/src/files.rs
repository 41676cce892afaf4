//! Names and habits of the files in a ledger's directory.
//!
//! ```text
//! 00000000000000000000.segment   entries from index 0; the next file is named by its own first index
//! spare, spare.1, ..             space for the next segments, taken from the disk ahead of need
//! checkpoint                     the newest signed checkpoint
//! checkpoints                    every signed checkpoint, oldest first
//! cosigned/                      checkpoints that witnesses have cosigned, a file for each size
//! lock                           held by the one process that writes
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const COSIGNED: &str = "cosigned";
pub(crate) const LOCK: &str = "lock";

const SEGMENT_SUFFIX: &str = ".segment";
const INDEX_DIGITS: usize = 20;

/// The path of the segment whose first entry has this index.
pub(crate) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:0INDEX_DIGITS$}{SEGMENT_SUFFIX}"))
}

/// The path of the spare with this number.
pub(crate) fn spare_path(dir: &Path, number: u32) -> PathBuf {
    match number {
        0 => dir.join("spare"),
        _ => dir.join(format!("spare.{number}")),
    }
}

/// How many spares there are, numbered without a gap.
pub(crate) fn spares(dir: &Path) -> io::Result<u32> {
    let mut number = 0;
    while spare_path(dir, number).try_exists()? {
        number += 1;
    }
    Ok(number)
}

/// The first indexes of all segments in a directory, in order, without a gap that is not there.
///
/// Beside a running ledger, reading a directory may miss a file made meanwhile and yet give a later one. Whatever was
/// made before a file seen at a first look is there at a second.
pub(crate) fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let newest = segments_now(dir)?.pop();
    let mut firsts = segments_now(dir)?;
    firsts.retain(|first| Some(*first) <= newest);
    Ok(firsts)
}

fn segments_now(dir: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for file in fs::read_dir(dir)? {
        let name = file?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SEGMENT_SUFFIX));
        if let Some(digits) = digits.filter(|digits| digits.len() == INDEX_DIGITS)
            && let Ok(first) = digits.parse()
        {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Makes the directory, readable by its owner only, if it is not there.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    sync_parent(dir)
}

/// Opens for reading and writing, making the file (mode 0600) if it is not there and keeping what is in it.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Makes created, renamed and removed names in the directory survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The same for the directory that a path is in.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Replaces a file in the directory as a whole: a reader, and a crash, meet the old bytes or the new ones.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, dir.join(name))?;
    sync_dir(dir)
}

/// The bytes of a file, `None` if there is no such file.
pub(crate) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_in_order_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for first in [300, 0, 20] {
            File::create(segment_path(dir.path(), first)).unwrap();
        }
        for other in ["checkpoint", "7.segment", "0000000000000000000x.segment", "spare"] {
            File::create(dir.path().join(other)).unwrap();
        }
        assert_eq!(segments(dir.path()).unwrap(), [0, 20, 300]);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), CHECKPOINT, b"a longer first one").unwrap();
        replace(dir.path(), CHECKPOINT, b"second").unwrap();
        assert_eq!(read_if_there(&dir.path().join(CHECKPOINT)).unwrap().unwrap(), b"second");
        assert_eq!(read_if_there(&dir.path().join("nothing")).unwrap(), None);
    }
}
