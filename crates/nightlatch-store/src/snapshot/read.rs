//! Reading a snapshot back, whole or not at all.
//!
//! The whole file is read and its hash taken before anything in it is believed; so a record that cannot be read is one of
//! another version, and never a damaged one.
//!
//! **If we crash here:** nothing was changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::de::DeserializeOwned;

use super::{FOOT_BYTES, FORM, HASH_BYTES, Head, LENGTH_BYTES, list, path};
use crate::file::{self, FileError};

/// A session table and the size of the ledger it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot<T> {
    /// How many entries of the ledger are in it: the tail to be replayed starts at this index.
    pub ledger_size: u64,
    /// The records, in the order they were written.
    pub records: Vec<T>,
}

/// What reading the snapshots came to.
#[derive(Debug)]
pub struct Reading<T> {
    /// The newest usable snapshot; none if there is none, and the whole ledger is to be replayed.
    pub snapshot: Option<Snapshot<T>>,
    /// Those newer ones that were passed over, newest first. Left where they are.
    pub bad: Vec<BadSnapshot>,
}

/// A snapshot that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("snapshot `{}` cannot be used: {fault}", path.display())]
pub struct BadSnapshot {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: SnapshotFault,
}

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFault {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The first line is not the head of a snapshot.
    #[error("it does not begin like a snapshot")]
    NoHead,
    /// It was written in a form that this version does not know.
    #[error("it is of form {form}, and this version reads form {FORM}")]
    OtherForm {
        /// The version of the form.
        form: u32,
    },
    /// It follows from the ledger of another node.
    #[error("it is of node `{node}`")]
    Foreign {
        /// Whose it is.
        node: String,
    },
    /// The head speaks of another ledger size than the name of the file.
    #[error("it is of ledger size {ledger_size}, unlike its name")]
    Misnamed {
        /// The size in the head.
        ledger_size: u64,
    },
    /// The bytes are not those that were written.
    #[error("its content does not agree with its checksum")]
    Altered,
    /// The bytes are those that were written, but a record is none that this version knows.
    #[error("record {index} is none that this version knows: {source}")]
    Record {
        /// Its place, counted from zero.
        index: u64,
        /// What the deserializer said.
        source: postcard::Error,
    },
}

/// Reads the newest usable snapshot of this node in `dir`, and tells which newer ones are bad.
///
/// It may be *ahead* of a ledger that has lost entries: the caller compares the sizes. It is durable when this returns: what it says of last
/// activity stands nowhere else before the next flush. Fails only if the directory cannot be listed or synced; a directory that is not there
/// holds no snapshot.
pub fn read_newest<T: DeserializeOwned>(dir: impl AsRef<Path>, node: &str) -> Result<Reading<T>, FileError> {
    let mut bad = Vec::new();
    for size in list(dir.as_ref())?.sizes {
        let path = path(dir.as_ref(), size);
        match read(&path, node, size) {
            Ok(records) => {
                // Its maker may have died between the rename and this.
                file::sync_dir(dir.as_ref())?;
                return Ok(Reading { snapshot: Some(Snapshot { ledger_size: size, records }), bad });
            }
            Err(fault) => bad.push(BadSnapshot { path, fault }),
        }
    }
    Ok(Reading { snapshot: None, bad })
}

fn read<T: DeserializeOwned>(path: &Path, node: &str, ledger_size: u64) -> Result<Vec<T>, SnapshotFault> {
    let content = fs::read(path)?;
    let line_end = content.iter().position(|&byte| byte == b'\n').ok_or(SnapshotFault::NoHead)?;
    check_head(&content[..line_end], node, ledger_size)?;
    let body = &content[line_end + 1..];
    let body_end = body.len().checked_sub(FOOT_BYTES).ok_or(SnapshotFault::Altered)?;
    let (hashed, hash) = content.split_at(content.len() - HASH_BYTES);
    if digest::digest(&digest::SHA256, hashed).as_ref() != hash {
        return Err(SnapshotFault::Altered);
    }
    let (frames, foot) = body.split_at(body_end);
    records(frames, u64::from_le_bytes(foot[..8].try_into().map_err(|_| SnapshotFault::Altered)?))
}

fn check_head(line: &[u8], node: &str, ledger_size: u64) -> Result<(), SnapshotFault> {
    let head: Head = serde_json::from_slice(line).map_err(|_| SnapshotFault::NoHead)?;
    match head {
        Head { nightlatch_snapshot: form, .. } if form != FORM => Err(SnapshotFault::OtherForm { form }),
        Head { node: other, .. } if other != node => Err(SnapshotFault::Foreign { node: other }),
        Head { ledger_size: other, .. } if other != ledger_size => {
            Err(SnapshotFault::Misnamed { ledger_size: other })
        }
        _ => Ok(()),
    }
}

/// Exactly `count` records, and nothing after them.
fn records<T: DeserializeOwned>(mut frames: &[u8], count: u64) -> Result<Vec<T>, SnapshotFault> {
    let mut records = Vec::new();
    for index in 0..count {
        let (length, rest) = frames.split_first_chunk::<LENGTH_BYTES>().ok_or(SnapshotFault::Altered)?;
        let record = rest.split_at_checked(u32::from_le_bytes(*length) as usize);
        let (record, rest) = record.ok_or(SnapshotFault::Altered)?;
        let read = postcard::from_bytes(record);
        records.push(read.map_err(|source| SnapshotFault::Record { index, source })?);
        frames = rest;
    }
    if frames.is_empty() { Ok(records) } else { Err(SnapshotFault::Altered) }
}
