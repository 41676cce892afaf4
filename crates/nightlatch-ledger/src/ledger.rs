//! The ledger itself: append is cheap, commit is durable, and nothing runs that the caller did not start.
//!
//! Four locks, so that nothing waits for more than it needs:
//!
//! | lock | held for | taken by |
//! | --- | --- | --- |
//! | `pending` | copying one entry | append, the start of a commit |
//! | `writer` | write and sync | commit, reserve |
//! | `published` | adding a block's hashes; finding a mark; the hashing of one proof | commit, readers |
//! | `history` | signing and two small files | checkpoint |
//!
//! An append never waits for the disk. An index is given at append and never changes; whether the entry is durable is
//! another question, answered by [`Ledger::durable`] and [`Ledger::watch`]. What is appended and never committed is gone
//! when the process ends, and was never promised.
//!
//! There is no time in here: an entry's instant is in its payload, put there by whoever knows it.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use tokio::sync::watch;

use crate::{
    block::PAYLOAD_BYTES_MAX,
    checkpoint::{Checkpoint, SignedCheckpoint},
    cosigned::Cosigned,
    disk::{Disk, OsDisk},
    files::{self, LOCK},
    hash::Hash,
    history::History,
    keys::Signer,
    note::VerifierKey,
    pending::{Pending, Sealed},
    position::{Marks, Position},
    read::{Entries, Entry, ReadError},
    recover::{self, OpenError, Recovered},
    tree::Tree,
    writer::{CommitError, Writer},
};

/// Room for a header and something to put behind it.
const SEGMENT_BYTES_MIN: u64 = 256;

/// How a ledger is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of a segment file in bytes; its space is taken from the disk in advance. May differ from one opening to the
    /// next; less than 256 is taken as 256. A block of entries that is longer gets a segment of its own length.
    pub segment_bytes: u64,
}

impl Default for Options {
    /// Segments of 64 MiB.
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024 }
    }
}

/// An append-only record of opaque entries on one machine, with a Merkle tree over it.
pub struct Ledger {
    pending: Mutex<Pending>,
    writer: Mutex<Committer>,
    published: Arc<Published>,
    history: Mutex<History>,
    signer: Signer,
    /// Held as long as the ledger is open.
    _lock: File,
}

/// The writer, and the block it has not managed to make durable yet.
struct Committer {
    writer: Writer,
    unfinished: Option<Sealed>,
}

impl Ledger {
    /// Opens the ledger in a directory, or begins one there, and tells what was found. The ledger's origin is the
    /// signer's name.
    ///
    /// Reads every entry, so the time is that of reading the whole ledger.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A torn tail is no error; anything that was on the record and is not there any more is one.
    pub fn open(dir: &Path, options: Options, signer: Signer) -> Result<(Self, Recovered), OpenError> {
        Self::open_on(Arc::new(OsDisk), dir, options, signer)
    }

    /// The same with a disk of one's own, for tests of what happens when a disk fails.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        signer: Signer,
    ) -> Result<(Self, Recovered), OpenError> {
        files::create_dir(dir)?;
        let lock = files::open_or_create(&dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(source)) => return Err(source.into()),
        }
        let history = History::open(dir, signer.verifier())?;
        let found = recover::recover(dir, &history)?;
        let recovered = Recovered { entries: found.tree.size(), torn_bytes: found.tail.torn_bytes };
        let segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN);
        let writer = Writer::resume(dir, disk, segment_bytes, found.tail, found.last.as_ref())?;
        let (durable, _) = watch::channel(recovered.entries);
        let state = RwLock::new(State { tree: found.tree, marks: found.marks });
        let ledger = Self {
            pending: Mutex::new(Pending::new(recovered.entries, segment_bytes)),
            writer: Mutex::new(Committer { writer, unfinished: None }),
            published: Arc::new(Published { dir: dir.to_owned(), state, durable }),
            history: Mutex::new(history),
            signer,
            _lock: lock,
        };
        Ok((ledger, recovered))
    }

    /// Adds an entry in memory and gives its index. It is durable after a later [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// [`AppendError::TooLong`] over [`PAYLOAD_BYTES_MAX`] bytes; nothing was added.
    pub fn append(&self, payload: &[u8]) -> Result<u64, AppendError> {
        let length = payload.len();
        if length > PAYLOAD_BYTES_MAX {
            return Err(AppendError::TooLong { length });
        }
        let leaf = Hash::of_leaf(payload);
        lock(&self.pending).push(payload, leaf).ok_or(AppendError::TooLong { length })
    }

    /// Makes everything durable that was appended before the call, and gives the number of durable entries.
    ///
    /// Blocks for a write and a sync, most often one of each. One caller at a time does the work; others wait for it.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. Nothing of the block that failed is published, and nothing is lost: the next commit writes
    /// the same bytes at the same place and goes on from there. If the process ends before that, the next opening may
    /// find the block or may not: like every commit that was not acknowledged, it can have gone either way.
    pub fn commit(&self) -> Result<u64, CommitError> {
        let mut committer = lock(&self.writer);
        let wanted = lock(&self.pending).next();
        while self.durable() < wanted {
            let unfinished = committer.unfinished.take().or_else(|| {
                let chunk = lock(&self.pending).take()?;
                Some(chunk.seal(self.published.state().tree.frontier()))
            });
            let Some(block) = unfinished else { break };
            match committer.writer.write(block.first(), block.bytes()) {
                Ok((segment, offset)) => self.published.add(segment, offset, block),
                Err(error) => {
                    committer.unfinished = Some(block);
                    return Err(error);
                }
            }
        }
        Ok(self.durable())
    }

    /// How many entries were appended, durable or not.
    #[must_use]
    pub fn appended(&self) -> u64 {
        lock(&self.pending).next()
    }

    /// How many entries were appended and are not durable yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        // Durable is read first: it never passes what was appended.
        let durable = self.durable();
        lock(&self.pending).next() - durable
    }

    /// How many entries are durable: those with an index below this.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.published.durable()
    }

    /// The number of durable entries as it grows.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.published.durable.subscribe()
    }

    /// The bytes that can still be written without asking the disk for more, less what is pending.
    ///
    /// `owed` is what will have to be written whatever happens, in bytes as they stand in segments: an entry takes its payload
    /// and about 10 bytes; each commit takes 64 more, and up to an eighth of a segment stays empty at its end. Tries to take so many
    /// segments from the disk that `owed` and one more have their place, gives back what is too much, and waits for a commit that is
    /// under way.
    #[must_use]
    pub fn reserve(&self, owed: u64) -> u64 {
        let mut committer = lock(&self.writer);
        let unfinished = committer.unfinished.as_ref().map_or(0, |block| block.bytes().len() as u64);
        let pending = unfinished + lock(&self.pending).bytes();
        committer.writer.reserve(owed.saturating_add(pending)).saturating_sub(pending)
    }

    /// Reads one durable entry. Blocks for the disk, and steps over up to 255 other entries to find it.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(&self, index: u64) -> Result<Entry, ReadError> {
        self.iter_from(index).next().unwrap_or(Err(ReadError::NotThere { index }))
    }

    /// Reads durable entries in order from an index on; see [`Entries`] for following the ledger as it grows. Each step
    /// may block for the disk.
    #[must_use]
    pub fn iter_from(&self, index: u64) -> Entries {
        Entries::new(Arc::clone(&self.published), index)
    }

    /// Signs the size and root of what is durable now, and keeps it on the disk.
    ///
    /// If nothing was added since the last one, that one is given again. Each new one adds about 200 bytes to the history
    /// and blocks for three syncs, so this is for every few seconds or minutes, not for every commit.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if it could not be kept; then it is not given out either.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, CheckpointError> {
        let mut history = lock(&self.history);
        let frontier = self.published.state().tree.frontier().clone();
        let known = history.newest().filter(|newest| newest.checkpoint().size == frontier.size()).cloned();
        let signed = match known {
            Some(newest) => newest,
            None => {
                let origin = self.signer.verifier().name().to_owned();
                let checkpoint = Checkpoint { origin, size: frontier.size(), root: frontier.root() };
                let signed = self.signer.sign(checkpoint);
                history.keep(signed.clone())?;
                signed
            }
        };
        history.publish()?;
        Ok(signed)
    }

    /// The newest checkpoint that was signed, if one ever was.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<SignedCheckpoint> {
        lock(&self.history).newest().cloned()
    }

    /// The checkpoints that witnesses have cosigned.
    #[must_use]
    pub fn cosigned(&self) -> Cosigned {
        Cosigned::of(self.published.dir(), self.signer.verifier())
    }

    /// The ledger's public key.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    pub(crate) fn published(&self) -> &Published {
        &self.published
    }
}

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The payload is longer than [`PAYLOAD_BYTES_MAX`].
    #[error("an entry of {length} bytes is too long; the most is {PAYLOAD_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// A checkpoint was not kept, and so not given out.
#[derive(Debug, thiserror::Error)]
#[error("could not keep the checkpoint")]
pub struct CheckpointError(#[from] std::io::Error);

/// What readers see: durable entries only.
pub(crate) struct Published {
    dir: PathBuf,
    state: RwLock<State>,
    durable: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) tree: Tree,
    marks: Marks,
}

impl Published {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn durable(&self) -> u64 {
        *self.durable.borrow()
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mark_before(&self, index: u64) -> Option<(u64, Position)> {
        self.state().marks.before(index)
    }

    /// Adds a block that is on the disk, and then says so.
    fn add(&self, segment: u64, offset: u64, block: Sealed) {
        let block_end = offset + block.bytes().len() as u64;
        let (leaves, tile_starts) = block.into_parts();
        let size = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for (index, start) in tile_starts {
                state.marks.note(index, Position { segment, offset: offset + start as u64, block_end });
            }
            for leaf in leaves {
                state.tree.push(leaf);
            }
            state.tree.size()
        };
        self.durable.send_replace(size);
    }
}

/// Takes a lock. Nothing that holds one of ours can panic half-way through a change, so a poisoned one is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
