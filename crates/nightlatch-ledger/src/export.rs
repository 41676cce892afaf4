//! Writing the ledger in the public tlog-tiles layout (<https://c2sp.org/tlog-tiles>), for whoever is to check it.
//!
//! Works from the files, not from an open ledger: a compliance officer can export on a copy, or beside the running
//! server, and needs no signing key. What is exported is what the newest checkpoint covers, and it is held against that
//! checkpoint on the way, so that nothing is handed out that would not verify. The checkpoint is written last: a folder
//! without one is an export that did not finish.
//!
//! The history of checkpoints goes along as `checkpoints`, and those that witnesses cosigned in `cosigned`. Both are ours and not part
//! of the layout.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
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
    scan::{Damage, DamageKind, Scan, Step},
    tile::{TILE_WIDTH, Tile},
};

/// Exports what the newest checkpoint in the ledger's directory covers; gives that checkpoint.
///
/// `to` must not exist yet, or be empty. A crash or an error may leave part of the files there, without a checkpoint.
///
/// # Errors
///
/// See [`ExportError`].
pub fn export(ledger_dir: &Path, to: &Path, log: &VerifierKey) -> Result<SignedCheckpoint, ExportError> {
    let note = files::read_if_there(&ledger_dir.join(CHECKPOINT))?.ok_or(ExportError::NoCheckpoint)?;
    let signed = SignedCheckpoint::parse(&String::from_utf8_lossy(&note), log)?;
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    if fs::read_dir(to)?.next().is_some() {
        return Err(ExportError::NotEmpty);
    }
    let checkpoint = signed.checkpoint();
    let mut cosigned = cosigned::notes(ledger_dir)?;
    cosigned.retain(|(size, _)| *size <= checkpoint.size);
    let mut tiles = TileWriter::new(to);
    let mut scan = Scan::new(ledger_dir, checkpoint.size)?;
    while tiles.frontier.size() < checkpoint.size {
        match scan.step()? {
            Step::Block(block) => {
                let entries = block.payloads().zip(&block.frames.leaves);
                let left = checkpoint.size - tiles.frontier.size();
                for (payload, leaf) in entries.take(usize::try_from(left).unwrap_or(usize::MAX)) {
                    tiles.push(payload, *leaf)?;
                }
            }
            Step::End(tail) => {
                let (segment, index) = (tail.segment.unwrap_or(0), tiles.frontier.size());
                return Err(Damage { index, segment, offset: tail.offset, kind: DamageKind::Missing }.into());
            }
            Step::Damage(damage) => return Err(damage.into()),
        }
    }
    if tiles.frontier.root() != checkpoint.root {
        return Err(ExportError::Contradicted { size: checkpoint.size });
    }
    tiles.finish()?;
    cosigned::write(to, &cosigned)?;
    fs::write(to.join(CHECKPOINTS), history_up_to(ledger_dir, checkpoint.size, log)?)?;
    files::replace(to, CHECKPOINT, &note)?;
    Ok(signed)
}

/// Why nothing was exported, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger has never signed a checkpoint, so there is nothing that could be checked.
    #[error("the ledger has no checkpoint yet")]
    NoCheckpoint,
    /// There are files where the export should go.
    #[error("the folder for the export is not empty")]
    NotEmpty,
    /// The newest checkpoint is not signed by this key.
    #[error("the newest checkpoint cannot be believed")]
    Checkpoint(#[from] SignedCheckpointError),
    /// An entry is gone or changed.
    #[error("the ledger is damaged: {0}")]
    Damaged(Damage),
    /// The entries are whole, but are not those that the checkpoint was signed for.
    #[error("the first {size} entries are not those that the newest checkpoint was signed for")]
    Contradicted {
        /// How many entries that checkpoint covers.
        size: u64,
    },
    /// The operating system would not read or write.
    #[error("could not export the ledger")]
    Io(#[from] io::Error),
}

impl From<Damage> for ExportError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// The notes of the history that cover no more than `size` entries, as they stand.
fn history_up_to(ledger_dir: &Path, size: u64, log: &VerifierKey) -> io::Result<Vec<u8>> {
    let bytes = files::read_if_there(&ledger_dir.join(CHECKPOINTS))?.unwrap_or_default();
    let mut kept = String::new();
    for note in Notes::split(&bytes).notes {
        // One that cannot be believed is handed on: it is for the verification to say so.
        if SignedCheckpoint::parse(note, log).is_ok_and(|signed| signed.checkpoint().size > size) {
            continue;
        }
        kept.push_str(note);
        kept.push('\n');
    }
    Ok(kept.into_bytes())
}

/// Collects entries into bundles and hashes into tiles, and writes each as soon as it is full.
struct TileWriter<'a> {
    to: &'a Path,
    frontier: Frontier,
    bundle: Vec<u8>,
    levels: Vec<Row>,
}

/// The tile of a level that is being filled.
#[derive(Default)]
struct Row {
    number: u64,
    hashes: Vec<Hash>,
    frontier: Frontier,
}

impl<'a> TileWriter<'a> {
    fn new(to: &'a Path) -> Self {
        Self { to, frontier: Frontier::default(), bundle: Vec::new(), levels: Vec::new() }
    }

    fn push(&mut self, payload: &[u8], leaf: Hash) -> io::Result<()> {
        let length = u16::try_from(payload.len()).map_err(io::Error::other)?;
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(payload);
        self.frontier.push(leaf);
        self.push_hash(0, leaf)
    }

    /// Adds a hash to a level, and to those above as tiles get full.
    fn push_hash(&mut self, level: usize, hash: Hash) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Row::default());
        }
        let row = &mut self.levels[level];
        row.hashes.push(hash);
        row.frontier.push(hash);
        if (row.hashes.len() as u64) < TILE_WIDTH {
            return Ok(());
        }
        let above = row.frontier.root();
        self.write_row(level)?;
        self.push_hash(level + 1, above)
    }

    /// Writes the partial tiles at the right end.
    fn finish(&mut self) -> io::Result<()> {
        for level in 0..self.levels.len() {
            if !self.levels[level].hashes.is_empty() {
                self.write_row(level)?;
            }
        }
        Ok(())
    }

    /// Writes the tile a level has come to, with its bundle at level 0, and begins the next.
    fn write_row(&mut self, level: usize) -> io::Result<()> {
        let row = &mut self.levels[level];
        let width = row.hashes.len() as u64;
        let tile = Tile { level: u32::try_from(level).unwrap_or(u32::MAX), number: row.number, width };
        let bytes: Vec<u8> = row.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        *row = Row { number: row.number + 1, ..Row::default() };
        if level == 0 {
            write(self.to, &tile.entries_path(), &self.bundle)?;
            self.bundle.clear();
        }
        write(self.to, &tile.path(), &bytes)
    }
}

fn write(to: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let path = to.join(path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}
