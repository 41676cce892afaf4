//! Copying a ledger, also beside the process that writes it.
//!
//! The order of reading is what makes the copy whole: first what witnesses cosigned and the newest checkpoint, then the history that has them,
//! then the entries, of which by then there are at least as many as any of these covers. What is copied are whole blocks, read and checked one by one,
//! so the copy ends with the last commit that had been finished, and space taken in advance is left out. A block that was
//! written and not yet synced may be among them: a crash at that moment might have kept it as well.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use crate::{
    checkpoint::{SignedCheckpoint, SignedCheckpointError},
    cosigned,
    files::{self, CHECKPOINT, CHECKPOINTS},
    frontier::Frontier,
    hash::Hash,
    history::Notes,
    note::VerifierKey,
    scan::{Block, Damage, Scan, Step},
};

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// So many entries.
    pub entries: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// Why there is no copy, or only part of one.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The operating system would not read or write.
    #[error("could not copy the ledger")]
    Io(#[from] io::Error),
    /// An entry is gone or changed.
    #[error("the ledger is damaged: {0}")]
    Damaged(Damage),
    /// A checkpoint is not signed by this key.
    #[error("the ledger has a checkpoint that its key did not sign")]
    Checkpoint(#[from] SignedCheckpointError),
}

/// Copies the ledger in `from` to the directory `to`, which is made if it is not there and must be empty. Durable when it returns.
///
/// # Errors
///
/// See [`CopyError`]. Part of the files may be there then.
pub fn copy(from: &Path, to: &Path, log: &VerifierKey) -> Result<Copied, CopyError> {
    files::create_dir(to)?;
    let cosigned = cosigned::notes(from)?;
    let checkpoint = files::read_if_there(&from.join(CHECKPOINT))?;
    let history = files::read_if_there(&from.join(CHECKPOINTS))?.unwrap_or_default();
    let mut notes = Notes::split(&history);
    let published = checkpoint.as_deref().map(String::from_utf8_lossy);
    let published = published.map(|note| SignedCheckpoint::parse(&note, log)).transpose()?;
    let newest = notes.newest(log, published.as_ref())?;
    let whole = history.len() - notes.unfinished_bytes;
    let covered = newest.map_or(0, |signed| signed.checkpoint().size);

    let mut copy = SegmentCopy { to, open: None };
    let mut frontier = Frontier::default();
    let mut scan = Scan::new(from, covered)?;
    loop {
        match scan.step()? {
            Step::Block(block) => {
                block.frames.leaves.iter().for_each(|leaf| frontier.push(*leaf));
                copy.add(&block)?;
            }
            Step::Damage(damage) => return Err(CopyError::Damaged(damage)),
            Step::End(_) => break,
        }
    }
    copy.finish()?;
    cosigned::write(to, &cosigned)?;
    files::replace(to, CHECKPOINTS, &history[..whole])?;
    if let Some(checkpoint) = checkpoint {
        files::replace(to, CHECKPOINT, &checkpoint)?;
    }
    Ok(Copied { entries: frontier.size(), root: frontier.root() })
}

/// The segment that is being copied.
struct SegmentCopy<'a> {
    to: &'a Path,
    open: Option<(u64, io::BufWriter<fs::File>)>,
}

impl SegmentCopy<'_> {
    fn add(&mut self, block: &Block) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(segment, _)| *segment != block.segment) {
            self.finish()?;
            let file = files::open_or_create(&files::segment_path(self.to, block.segment))?;
            self.open = Some((block.segment, io::BufWriter::with_capacity(1 << 18, file)));
        }
        if let Some((_, file)) = &mut self.open {
            // Blocks stand behind one another without a gap, in the copy as in the ledger.
            file.write_all(&block.header.encode())?;
            file.write_all(&block.body)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some((_, file)) = self.open.take() {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        files::sync_dir(self.to)
    }
}
