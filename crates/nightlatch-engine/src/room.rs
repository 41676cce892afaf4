//! Space on the disk for the ends of the sessions that live.
//!
//! A full disk must not stop an end from being recorded, so it has to stop sessions from starting while there is still room
//! for the ends of those that run. The ledger takes its space in advance and says how much of it is left; each session that starts
//! is owed the space of its end until that is appended.
//!
//! While the ledger has a segment to spare, the disk is not full. When it could get none, what is left must do for everybody.
//!
//! A known hole: what is left then is about one segment. Of more sessions than that has ends for (about eighty thousand) not all
//! can be recorded before somebody makes room.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// What an end takes at most: the entry without an operator's words, its frame, and the head of a block of its own.
const END_BYTES: u64 = 640;
/// What a start takes at the least, so that "there is room" means the same whoever asks.
const START_BYTES: u64 = 1_024;
/// What the ledger adds to an entry.
const FRAME_BYTES: u64 = 16;

/// Bytes the ledger has in hand, and what of them is owed.
pub(crate) struct Room {
    free: AtomicU64,
    owed: AtomicU64,
    /// With so much in hand there is a segment to spare, whatever is pending.
    enough: u64,
}

impl Room {
    /// `segment_bytes` is what the ledger takes from the disk at a time.
    pub(crate) fn new(segment_bytes: u64) -> Room {
        Room { free: 0.into(), owed: 0.into(), enough: segment_bytes / 4 * 3 }
    }

    /// What the ledger says it has, all that is pending taken off.
    pub(crate) fn measured(&self, free: u64) {
        self.free.store(free, SeqCst);
    }

    /// An entry was appended since.
    pub(crate) fn spent(&self, bytes: usize) {
        let bytes = bytes as u64 + FRAME_BYTES;
        let _ = self.free.try_update(SeqCst, SeqCst, |free| Some(free.saturating_sub(bytes)));
    }

    /// Whether one more session may start, with an entry of `bytes`.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let start = START_BYTES.max(bytes as u64 + FRAME_BYTES);
        let owed = (self.owed.load(SeqCst) + 1) * END_BYTES + start;
        self.free.load(SeqCst) >= owed.min(self.enough)
    }

    /// A session lives: it is owed the space of its end.
    pub(crate) fn owe(&self) {
        self.owed.fetch_add(1, SeqCst);
    }

    /// The end of one that was owed is appended.
    pub(crate) fn paid(&self) {
        let _ = self.owed.try_update(SeqCst, SeqCst, |owed| owed.checked_sub(1));
    }
}
