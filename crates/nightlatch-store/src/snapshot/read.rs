//! Reading a snapshot back, whole or not at all.
//!
//! Records are read while the hash is computed, in one pass and a line at a time, so that a large table does not stand
//! in memory twice. They are given out only after the last line has agreed with all before it.
//!
//! **If we crash here:** nothing was changed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::de::DeserializeOwned;

use super::{FORM, Foot, Head, list, path};
use crate::file::FileError;
use crate::hex;

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
    /// The head speaks of another ledger size than the name of the file.
    #[error("it is of ledger size {ledger_size}, unlike its name")]
    Misnamed {
        /// The size in the head.
        ledger_size: u64,
    },
    /// The last line is not the foot of a snapshot, or not all of it.
    #[error("its end is missing")]
    NoFoot,
    /// The bytes are not those that were written.
    #[error("its content does not agree with its checksum")]
    Altered,
    /// The bytes are those that were written, but a line is not a record as this version knows them.
    #[error("line {line} is not a record: {source}")]
    Record {
        /// The line, counted from one.
        line: u64,
        /// What the deserializer said.
        source: serde_json::Error,
    },
}

/// Reads the newest usable snapshot in `dir`, and tells which newer ones are bad.
///
/// It may be *ahead* of a ledger that has lost entries: the caller compares the sizes. Fails only if the directory
/// cannot be listed; a directory that is not there holds no snapshot.
pub fn read_newest<T: DeserializeOwned>(dir: impl AsRef<Path>) -> Result<Reading<T>, FileError> {
    let mut bad = Vec::new();
    for size in list(dir.as_ref())?.sizes {
        let path = path(dir.as_ref(), size);
        match read(&path, size) {
            Ok(records) => {
                return Ok(Reading { snapshot: Some(Snapshot { ledger_size: size, records }), bad });
            }
            Err(fault) => bad.push(BadSnapshot { path, fault }),
        }
    }
    Ok(Reading { snapshot: None, bad })
}

fn read<T: DeserializeOwned>(path: &Path, ledger_size: u64) -> Result<Vec<T>, SnapshotFault> {
    let mut file = BufReader::new(File::open(path)?);
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut records = Vec::new();
    let mut not_a_record = None;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        file.read_until(b'\n', &mut line)?;
        if number == 1 {
            check_head(&line, ledger_size)?;
        } else if file.fill_buf()?.is_empty() {
            check_foot(&line, number - 2, hash)?;
            break;
        } else if not_a_record.is_none() {
            match serde_json::from_slice(&line) {
                Ok(record) => records.push(record),
                // Told only if the checksum agrees; otherwise the line is the damage.
                Err(source) => not_a_record = Some(SnapshotFault::Record { line: number, source }),
            }
        }
        hash.update(&line);
    }
    not_a_record.map_or(Ok(records), Err)
}

fn check_head(line: &[u8], ledger_size: u64) -> Result<(), SnapshotFault> {
    let head: Head = serde_json::from_slice(line).map_err(|_| SnapshotFault::NoHead)?;
    match head {
        Head { nightlatch_snapshot: form, .. } if form != FORM => Err(SnapshotFault::OtherForm { form }),
        Head { ledger_size: other, .. } if other != ledger_size => {
            Err(SnapshotFault::Misnamed { ledger_size: other })
        }
        _ => Ok(()),
    }
}

/// Agrees only with the exact bytes that were written after `records` records with this hash.
fn check_foot(line: &[u8], records: u64, hash: digest::Context) -> Result<(), SnapshotFault> {
    let foot: Foot = match line.strip_suffix(b"\n").map(serde_json::from_slice) {
        Some(Ok(foot)) => foot,
        _ => return Err(SnapshotFault::NoFoot),
    };
    let agrees = foot.records == records && foot.sha256 == hex::encode(hash.finish().as_ref());
    if agrees { Ok(()) } else { Err(SnapshotFault::Altered) }
}
