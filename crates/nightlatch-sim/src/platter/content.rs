//! The bytes of a file: as they were synced, and what was changed since.

use crate::chance::Chance;

/// What a disk writes whole or not at all.
pub(super) const SECTOR: u64 = 512;
/// What the kernel writes whole.
const PAGE: u64 = 4_096;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

/// A file.
#[derive(Default)]
pub(super) struct Content {
    synced: Vec<u8>,
    /// Changes since, and whether a sync would still speak for each.
    since: Vec<(Change, bool)>,
}

impl Content {
    /// A file of which every byte is on the disk.
    pub(super) fn of(synced: Vec<u8>) -> Content {
        Content { synced, since: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Change) {
        // A page that is written to again is written as a whole, with what was dropped of it before.
        for (before, spoken_for) in &mut self.since {
            *spoken_for |= before.shares_a_page_with(&change);
        }
        self.since.push((change, true));
    }

    pub(super) fn sync(&mut self) {
        for (change, spoken_for) in std::mem::take(&mut self.since) {
            if spoken_for { change.apply(&mut self.synced) } else { self.since.push((change, false)) }
        }
    }

    /// A sync failed: the kernel may have dropped what it could not write.
    pub(super) fn drop_some(&mut self, luck: &mut Chance) {
        for (_, spoken_for) in &mut self.since {
            *spoken_for &= luck.below(2) == 0;
        }
    }

    /// The bytes after a power cut: all, none, or some of what was not synced.
    pub(super) fn after_power(&self, luck: &mut Chance) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let mood = luck.below(4);
        for (change, _) in &self.since {
            match (mood, change) {
                (0, _) => {}
                (1, change) => change.apply(&mut bytes),
                (2, change) if luck.below(2) == 0 => change.apply(&mut bytes),
                (3, Change::Write { offset, bytes: written }) => {
                    for (from, sector) in sectors(*offset, written) {
                        if luck.below(2) == 0 {
                            put(&mut bytes, from, sector);
                        }
                    }
                }
                (3, change) => change.apply(&mut bytes),
                _ => {}
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Length(length) => content.resize(*length as usize, 0),
            Change::Write { offset, bytes } => put(content, *offset, bytes),
        }
    }

    fn shares_a_page_with(&self, other: &Change) -> bool {
        let (Change::Write { offset: one, bytes: ones }, Change::Write { offset: two, bytes: twos }) =
            (self, other)
        else {
            return true;
        };
        one / PAGE <= (two + twos.len() as u64) / PAGE && two / PAGE <= (one + ones.len() as u64) / PAGE
    }
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if content.len() < to {
        content.resize(to, 0);
    }
    content[from..to].copy_from_slice(bytes);
}

/// The parts of a write that lie in different sectors.
fn sectors(offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut at, mut parts) = (offset, Vec::new());
    while !bytes.is_empty() {
        let room = (SECTOR - at % SECTOR) as usize;
        let (sector, rest) = bytes.split_at(room.min(bytes.len()));
        parts.push((at, sector));
        at += sector.len() as u64;
        bytes = rest;
    }
    parts
}
