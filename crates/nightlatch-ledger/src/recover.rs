//! Opening a ledger: everything on the disk is read, hashed and held against the newest checkpoint.
//!
//! A ledger that cannot be vouched for is not opened. The one thing that is put right without asking is a commit that a
//! crash cut short, because nobody was ever told that it had happened; and even that is reported.
//!
//! The whole ledger is read and hashed at each start: a million entries of 300 bytes took under two seconds on two busy
//! cores. If that ever matters, the hashes of full tiles are what to keep on the disk.

use std::{io, path::Path};

use crate::{
    checkpoint::SignedCheckpointError,
    history::{History, HistoryError},
    position::{Marks, Position},
    scan::{Block, Damage, DamageKind, Scan, Step, Tail},
    tree::Tree,
};

/// What was found when a ledger was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Entries in the ledger, all of them durable.
    pub entries: u64,
    /// Bytes of an unfinished commit that were cut off; 0 after an orderly end.
    pub torn_bytes: u64,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system would not read or write in the directory.
    #[error("could not open the ledger")]
    Io(#[from] io::Error),
    /// Another process, or another ledger in this one, has it open.
    #[error("the ledger is in use")]
    InUse,
    /// An entry that was on the record is gone or changed.
    #[error("the ledger is damaged: {0}")]
    Damaged(Damage),
    /// The entries are whole, but are not those that a checkpoint was signed for.
    #[error("the first {size} entries are not those that a checkpoint was signed for")]
    Contradicted {
        /// How many entries that checkpoint covers.
        size: u64,
    },
    /// A checkpoint in the directory was not signed by this ledger's key, or was changed.
    #[error("the ledger has a checkpoint that its key did not sign")]
    Checkpoint(#[source] SignedCheckpointError),
    /// The newest checkpoint is missing from the history of checkpoints: one of the files was put back or removed.
    #[error("the newest checkpoint is not in the history of checkpoints")]
    History,
}

impl From<HistoryError> for OpenError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Io(source) => Self::Io(source),
            HistoryError::Foreign(source) => Self::Checkpoint(source),
            HistoryError::Behind => Self::History,
        }
    }
}

/// All there is to know about the entries on the disk.
pub(crate) struct Recovery {
    pub(crate) tree: Tree,
    pub(crate) marks: Marks,
    pub(crate) tail: Tail,
    /// The last block.
    pub(crate) last: Option<Block>,
}

/// Reads a directory's segments; nothing is changed.
pub(crate) fn recover(dir: &Path, history: &History) -> Result<Recovery, OpenError> {
    let claims: Vec<_> = history.claims().collect();
    let mut scan = Scan::new(dir, claims.iter().map(|claim| claim.size).max().unwrap_or(0))?;
    let mut tree = Tree::default();
    let mut marks = Marks::default();
    let mut last = None;
    loop {
        match scan.step()? {
            Step::Block(block) => {
                for (leaf, start) in block.frames.leaves.iter().zip(block.frame_offsets()) {
                    let position = Position { segment: block.segment, offset: start, block_end: block.end() };
                    marks.note(tree.size(), position);
                    tree.push(*leaf);
                    let size = tree.size();
                    let mut answered = claims.iter().filter(|claim| claim.size == size);
                    if answered.any(|claim| claim.root != tree.frontier().root()) {
                        return Err(OpenError::Contradicted { size });
                    }
                }
                if tree.frontier().root() != block.header.root {
                    return Err(OpenError::Damaged(block.damage(DamageKind::Root)));
                }
                last = Some(block);
            }
            Step::End(tail) => return Ok(Recovery { tree, marks, tail, last }),
            Step::Damage(damage) => return Err(OpenError::Damaged(damage)),
        }
    }
}
