//! The checkpoints that witnesses have cosigned, on the ledger's own disk.
//!
//! One file for each size, `cosigned/` and twenty digits: a signed note with the log's signature and those of witnesses. A file is
//! replaced as a whole, and only by one that says more; none is ever removed. All of them are kept and not only the newest, because each
//! says that so many entries were there *at that time*: whoever holds the key could otherwise write the past anew between two of them.
//!
//! They lie within the operator's reach, who can delete them; that only ever makes less of the record anchored. What they say cannot
//! be made up without the witness's key.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    checkpoint::{SignedCheckpoint, SignedCheckpointError},
    files::{self, COSIGNED},
    note::VerifierKey,
};

const SIZE_DIGITS: usize = 20;
const LOOKED_AT_MOST: usize = 256;

/// The cosigned checkpoints of one ledger.
#[derive(Clone, Debug)]
pub struct Cosigned {
    dir: PathBuf,
    log: VerifierKey,
}

impl Cosigned {
    /// Those beside the ledger in `ledger_dir`, whose key is `log`. Nothing is read or made yet.
    #[must_use]
    pub fn of(ledger_dir: &Path, log: &VerifierKey) -> Self {
        Self { dir: ledger_dir.join(COSIGNED), log: log.clone() }
    }

    /// Keeps a checkpoint with its cosignatures, beside those of other witnesses of the same size. On the disk when it returns; after
    /// a crash the file is there whole, as it was, or not at all.
    ///
    /// May be called by several threads and processes at once: one waits for the other.
    ///
    /// # Errors
    ///
    /// See [`CosignedError`]; nothing was changed then.
    pub fn keep(&self, signed: &SignedCheckpoint) -> Result<(), CosignedError> {
        files::create_dir(&self.dir)?;
        // Of the directory, so that no file is needed for it. Given back when it is closed.
        let lock = File::open(&self.dir)?;
        lock.lock()?;
        let size = signed.checkpoint().size;
        let merged = match self.read(size)? {
            Some(kept) => kept.merged(signed).ok_or(CosignedError::Contradicted { size })?,
            None => signed.clone(),
        };
        files::replace(&self.dir, &name(size), merged.note().as_bytes())?;
        Ok(())
    }

    /// The checkpoint of this size, if one was cosigned.
    ///
    /// # Errors
    ///
    /// See [`CosignedError`].
    pub fn read(&self, size: u64) -> Result<Option<SignedCheckpoint>, CosignedError> {
        let Some(note) = files::read_if_there(&self.dir.join(name(size)))? else { return Ok(None) };
        let signed = SignedCheckpoint::parse(&String::from_utf8_lossy(&note), &self.log);
        signed.map(Some).map_err(|source| CosignedError::Foreign { size, source })
    }

    /// The largest one that this witness cosigned, and when it says it did, in seconds since 1970-01-01 UTC. Looked for among the 256
    /// largest: a witness that has cosigned none of these can be asked what it goes on from.
    ///
    /// # Errors
    ///
    /// See [`CosignedError`].
    pub fn newest_by(&self, witness: &VerifierKey) -> Result<Option<(SignedCheckpoint, u64)>, CosignedError> {
        for size in sizes(&self.dir)?.into_iter().rev().take(LOOKED_AT_MOST) {
            let Some(signed) = self.read(size)? else { continue };
            if let Some(unix_seconds) =
                signed.witnessed_by(witness).ok().and_then(|signed| signed.unix_seconds)
            {
                return Ok(Some((signed, unix_seconds)));
            }
        }
        Ok(None)
    }
}

/// Why a cosigned checkpoint was not kept or read.
#[derive(Debug, thiserror::Error)]
pub enum CosignedError {
    /// The operating system would not read or write.
    #[error("the cosigned checkpoints cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// A file among them is not what this ledger's key signed.
    #[error("the cosigned checkpoint of {size} entries cannot be believed: {source}")]
    Foreign {
        /// By its name.
        size: u64,
        /// What is wrong with it.
        source: SignedCheckpointError,
    },
    /// Another history of this length was cosigned before.
    #[error("another history of {size} entries was cosigned before")]
    Contradicted {
        /// Entries that both cover.
        size: u64,
    },
}

/// Every cosigned checkpoint beside a ledger, as it stands in its file, by the size in the file's name, smallest first.
pub(crate) fn notes(ledger_dir: &Path) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let dir = ledger_dir.join(COSIGNED);
    let read = |size| Ok(files::read_if_there(&dir.join(name(size)))?.map(|note| (size, note)));
    sizes(&dir)?.into_iter().filter_map(|size| read(size).transpose()).collect()
}

/// Writes notes beside another copy of their ledger.
pub(crate) fn write(ledger_dir: &Path, notes: &[(u64, Vec<u8>)]) -> io::Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let dir = ledger_dir.join(COSIGNED);
    files::create_dir(&dir)?;
    notes.iter().try_for_each(|(size, note)| files::replace(&dir, &name(*size), note))
}

fn name(size: u64) -> String {
    format!("{size:0SIZE_DIGITS$}")
}

/// The sizes that there are files of, smallest first.
fn sizes(dir: &Path) -> io::Result<Vec<u64>> {
    let list = match fs::read_dir(dir) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut sizes = Vec::new();
    for file in list {
        let file = file?.file_name();
        let digits = file.to_str().filter(|name| name.len() == SIZE_DIGITS);
        sizes.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    sizes.sort_unstable();
    Ok(sizes)
}
