//! Space on the disk for the ends of the sessions that live.
//!
//! A full disk must not stop an end from being recorded, so it has to stop sessions from starting while there is still room
//! for the ends of those that run. Each session that starts is owed the space of its end, and of one cut, until the end is
//! appended; the ledger is told what is owed and takes so many segments from the disk in advance. When it gets no more, what it has
//! is enough for everybody who lives, however many they are.
//!
//! A credential that was added is owed the entry of its first presentation, so that a full disk does not keep the one before it good.
//!
//! What is not owed gives way. A second cut of the same session, a refusal: they are written as long as the ends of the others keep
//! their room, and else only counted, to be told when there is room again. Of an operator's words on a great many ends, so much is
//! written as fits.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// What an end takes at most: the entry with few of an operator's words, its frame, and the head of a block of its own.
pub(crate) const END_BYTES: u64 = 640;
/// What a cut takes, most often.
const CUT_BYTES: u64 = 512;
/// What the entry of a presentation takes at most.
const PRESENTATION_BYTES: u64 = 192;
/// What a start takes at the least, so that "there is room" means the same whoever asks.
const START_BYTES: u64 = 1_024;
/// What the ledger adds to an entry.
const FRAME_BYTES: u64 = 16;

/// Bytes the ledger has in hand, and what of them is owed.
#[derive(Debug, Default)]
pub(crate) struct Room {
    free: AtomicU64,
    /// Sessions that live, or are on their way to.
    owed: AtomicU64,
    /// Credentials that were added and not presented.
    unpresented: AtomicU64,
    /// Entries that gave way since that was last told.
    gave_way: AtomicU64,
}

impl Room {
    /// What the ledger says it has, all that is pending taken off.
    pub(crate) fn measured(&self, free: u64) {
        self.free.store(free, SeqCst);
    }

    /// What the ledger is to keep room for, in bytes; some of each segment stays empty.
    pub(crate) fn owed_bytes(&self) -> u64 {
        needed(self.owed.load(SeqCst), END_BYTES + CUT_BYTES) + self.presentations()
    }

    fn presentations(&self) -> u64 {
        needed(self.unpresented.load(SeqCst), PRESENTATION_BYTES)
    }

    /// An entry was appended since.
    pub(crate) fn spent(&self, bytes: usize) {
        let bytes = bytes as u64 + FRAME_BYTES;
        let _ = self.free.try_update(SeqCst, SeqCst, |free| Some(free.saturating_sub(bytes)));
    }

    /// Whether one more session may start.
    pub(crate) fn is_left(&self) -> bool {
        self.is_enough(self.owed.load(SeqCst) + 1, START_BYTES)
    }

    /// A session starts, with an entry of `bytes`: it is owed the space of its end from now on. False if there is no room for both; then
    /// nothing is owed.
    pub(crate) fn owe_if_left(&self, bytes: usize) -> bool {
        let start = START_BYTES.max(bytes as u64 + FRAME_BYTES);
        let owed = self.owed.fetch_add(1, SeqCst) + 1;
        let left = self.is_enough(owed, start);
        if !left {
            self.paid();
        }
        left
    }

    /// A session lives already: it is owed the space of its end.
    pub(crate) fn owe(&self) {
        self.owed.fetch_add(1, SeqCst);
    }

    /// The end of one that was owed is appended.
    pub(crate) fn paid(&self) {
        let _ = self.owed.try_update(SeqCst, SeqCst, |owed| owed.checked_sub(1));
    }

    /// A credential is added, by an entry of `bytes`: it is owed the space of its presentation from now on. False if there is no room for
    /// both; then nothing is owed.
    pub(crate) fn owe_presentation_if_left(&self, bytes: usize) -> bool {
        self.owe_presentation();
        let left = self.is_enough(self.owed.load(SeqCst), bytes as u64 + FRAME_BYTES);
        if !left {
            self.presentation_paid();
        }
        left
    }

    /// A credential was added already: it is owed the space of its presentation.
    pub(crate) fn owe_presentation(&self) {
        self.unpresented.fetch_add(1, SeqCst);
    }

    /// A presentation that was owed is appended, or will not be.
    pub(crate) fn presentation_paid(&self) {
        let _ = self.unpresented.try_update(SeqCst, SeqCst, |unpresented| unpresented.checked_sub(1));
    }

    /// Whether an entry of `bytes` that is not owed leaves the ends of everybody their room.
    pub(crate) fn has_surplus(&self, bytes: usize) -> bool {
        let ends = needed(self.owed.load(SeqCst), END_BYTES) + self.presentations();
        self.free.load(SeqCst) >= ends + bytes as u64 + FRAME_BYTES
    }

    /// An entry gave way.
    pub(crate) fn give_way(&self) {
        self.gave_way.fetch_add(1, SeqCst);
    }

    /// How many entries gave way since this was last asked, if there is room to say so.
    pub(crate) fn take_gave_way(&self) -> Option<u64> {
        let told = self.gave_way.load(SeqCst) > 0 && self.is_left();
        told.then(|| self.gave_way.swap(0, SeqCst)).filter(|count| *count > 0)
    }

    fn is_enough(&self, owed: u64, start: u64) -> bool {
        self.free.load(SeqCst) >= needed(owed, END_BYTES + CUT_BYTES) + self.presentations() + start
    }
}

/// So many entries of such a size, and the part of each segment that stays empty.
fn needed(entries: u64, bytes: u64) -> u64 {
    (entries * bytes).saturating_mul(8).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_grows_with_the_sessions_and_nothing_else_takes_it() {
        let room = Room::default();
        room.measured(needed(1_000_000, END_BYTES + CUT_BYTES) + START_BYTES);
        for _ in 0..1_000_000 {
            assert!(room.owe_if_left(500));
        }
        assert!(!room.owe_if_left(500) && !room.is_left());
        assert_eq!(room.owed_bytes(), needed(1_000_000, END_BYTES + CUT_BYTES));
        // Cuts come first, as many as like; every end keeps its room.
        let mut written = 0_u64;
        while room.has_surplus(400) {
            room.spent(400);
            written += 1;
        }
        assert!(written >= 1_000_000, "one cut for each: {written}");
        assert!(room.free.load(SeqCst) >= needed(1_000_000, END_BYTES));
        room.paid();
        room.measured(room.owed_bytes() + 10 * START_BYTES);
        assert!(room.owe_if_left(500));
    }

    #[test]
    fn a_credential_is_added_only_with_room_for_its_presentation() {
        let room = Room::default();
        room.measured(needed(10, END_BYTES + CUT_BYTES) + START_BYTES);
        (0..10).for_each(|_| room.owe());
        let mut added = 0;
        while room.owe_presentation_if_left(300) {
            room.spent(300);
            added += 1;
        }
        assert!(added > 0 && room.owed_bytes() <= room.free.load(SeqCst), "{added}");
        (0..added).for_each(|_| room.presentation_paid());
        assert_eq!(room.owed_bytes(), needed(10, END_BYTES + CUT_BYTES));
    }

    #[test]
    fn what_gave_way_is_told_once_and_when_there_is_room() {
        let room = Room::default();
        room.give_way();
        room.give_way();
        assert_eq!(room.take_gave_way(), None);
        room.measured(1 << 20);
        assert_eq!((room.take_gave_way(), room.take_gave_way()), (Some(2), None));
    }
}
