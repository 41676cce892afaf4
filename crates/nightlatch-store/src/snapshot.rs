//! The session table as it stood at one size of the ledger.
//!
//! Everything in a snapshot follows from the ledger; it only saves the time of replaying it. So a snapshot may be
//! missing or bad at no worse cost than a slow start, and the one thing it must never be is *wrong*: it ends with
//! the SHA-256 of every byte before, and a snapshot is used whole or not at all. Two are kept, so that one bad sector
//! does not cost a replay from the beginning.
//!
//! The table is read while it changes, so a record may say what its entry has not told the disk yet. A snapshot that was ahead of the
//! ledger would be the only one to know; so it gets its name only when its caller has made sure that the ledger has all of it.
//!
//! ```text
//! {"nightlatch_snapshot":3,"node":"..","ledger_size":N}  a line that tells what this is, and of which ledger
//! length:u32 record[length]                              any number of times; the record as postcard has it
//! count:u64 sha256[32]                                   the number of records, and the hash of all before it
//! ```
//!
//! The hash is against accidents. A file that was copied from another node is one, and its sessions are nobody's here; so the node
//! is named. Whoever may write here could write anything.
//!
//! Numbers are little-endian. A start waits for a million of these records, and reading them as JSON took longer than all
//! the rest of it; what people want to read stands in the ledger. The count stands at the end: records are written as they
//! come, and how many there are is known only then.
//!
//! **If we crash here:** a snapshot appears under its name whole and durable, or not at all. Removing the older ones
//! comes after; what a crash leaves over is removed by the next write.

mod read;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::file::{self, FileError, failed};

pub use read::{BadSnapshot, Reading, Snapshot, SnapshotFault, read_newest};

const FORM: u32 = 3;
/// As many digits as the largest size has, so that a listing shows snapshots in order.
const DIGITS: usize = 20;
/// How many snapshots are kept, the new one included.
const KEPT: usize = 2;
const HASH_BYTES: usize = 32;
/// The count, and the hash.
const FOOT_BYTES: usize = 8 + HASH_BYTES;
/// The length before a record.
const LENGTH_BYTES: usize = 4;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The version of the form.
    nightlatch_snapshot: u32,
    /// The node whose ledger it follows from.
    #[serde(default)]
    node: String,
    ledger_size: u64,
}

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteSnapshotError {
    /// The operating system refused. The snapshots that were there still are; the new one may be.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record cannot be written. Nothing was changed.
    #[error("record {index} of the snapshot cannot be written: {source}")]
    Record {
        /// Its place, counted from zero.
        index: u64,
        /// What the serializer said.
        source: postcard::Error,
    },
    /// The ledger does not have all that the records say. Nothing was changed.
    #[error("the ledger does not have all that the snapshot says, and comes first")]
    AheadOfLedger,
    /// The new snapshot is there and durable, but an older one could not be removed.
    #[error("the snapshot is written, but an old one is left over: {0}")]
    Prune(#[source] FileError),
}

/// Writes the session table as it stands after the first `ledger_size` entries of this node's ledger.
///
/// Those entries must be durable already. A record may say more than they do, by entries that come later: `on_record` is asked when all
/// records were taken and before the snapshot is in its place, and says whether those are durable as well. Without that a crash leaves a
/// snapshot ahead of its ledger. Atomic, and durable when it
/// returns. The directory is created if it is not there. Afterwards the new snapshot and the one before it are
/// there; one of a *larger* size is removed, because it speaks of a ledger that has since been put back.
pub fn write<T: Serialize>(
    dir: impl AsRef<Path>,
    node: &str,
    ledger_size: u64,
    records: impl IntoIterator<Item = T>,
    on_record: impl FnOnce() -> bool,
) -> Result<(), WriteSnapshotError> {
    let dir = dir.as_ref();
    file::make_dir(dir)?;
    let path = path(dir, ledger_size);
    file::replace::<WriteSnapshotError>(&path, |writer| {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut write = |bytes: &[u8]| {
            hash.update(bytes);
            writer.write_all(bytes).map_err(failed("write", &path))
        };
        let head = Head { nightlatch_snapshot: FORM, node: node.to_owned(), ledger_size };
        let head = serde_json::to_vec(&head).map_err(io::Error::from).map_err(failed("write", &path))?;
        write(&[&head, &b"\n"[..]].concat())?;
        let (mut count, mut buffer) = (0_u64, Vec::new());
        for record in records {
            buffer.clear();
            buffer.extend_from_slice(&[0; LENGTH_BYTES]);
            let unwritable = |source| WriteSnapshotError::Record { index: count, source };
            buffer = postcard::to_extend(&record, buffer).map_err(unwritable)?;
            let length = u32::try_from(buffer.len() - LENGTH_BYTES);
            let length = length.map_err(|_| unwritable(postcard::Error::SerializeBufferFull))?;
            buffer[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
            write(&buffer)?;
            count += 1;
        }
        write(&count.to_le_bytes())?;
        writer.write_all(hash.finish().as_ref()).map_err(failed("write", &path))?;
        if on_record() { Ok(()) } else { Err(WriteSnapshotError::AheadOfLedger) }
    })?;
    prune(dir, ledger_size).map_err(WriteSnapshotError::Prune)
}

fn path(dir: &Path, ledger_size: u64) -> PathBuf {
    dir.join(format!("{ledger_size:0DIGITS$}.snapshot"))
}

fn prune(dir: &Path, newest: u64) -> Result<(), FileError> {
    let Listing { sizes, leftovers } = list(dir)?;
    let ahead = sizes.iter().filter(|&&size| size > newest);
    let behind = sizes.iter().filter(|&&size| size <= newest).skip(KEPT);
    for path in leftovers.into_iter().chain(ahead.chain(behind).map(|&size| path(dir, size))) {
        file::remove(&path)?;
    }
    file::sync_dir(dir)
}

/// What there is in a directory of snapshots.
#[derive(Default)]
struct Listing {
    /// The ledger sizes of the snapshots, by their names, newest first.
    sizes: Vec<u64>,
    /// What writes that crashed have left over.
    leftovers: Vec<PathBuf>,
}

/// Lists a directory; one that is not there holds nothing. Files with other names are none of ours.
fn list(dir: &Path) -> Result<Listing, FileError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Listing::default()),
        entries => entries.map_err(failed("list", dir))?,
    };
    let mut listing = Listing::default();
    for entry in entries {
        let found = entry.map_err(failed("list", dir))?.path();
        // A name counts only if it is the one that would be written, so that it leads to one file and back.
        let digits = found.file_name().and_then(|name| name.to_str()).and_then(|name| name.get(..DIGITS));
        let Some(size) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        let whole = path(dir, size);
        if found == whole {
            listing.sizes.push(size);
        } else if found == file::next_version(&whole) {
            listing.leftovers.push(found);
        }
    }
    listing.sizes.sort_unstable_by(|left, right| right.cmp(left));
    Ok(listing)
}

#[cfg(test)]
mod tests;
