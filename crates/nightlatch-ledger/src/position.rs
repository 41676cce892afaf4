//! Where entries stand, by one mark for each 256 entries.
//!
//! A mark for each entry of a ledger that grows for years would fill the memory; a mark for each tile's worth costs a
//! tenth of a byte for each entry, and finding any entry means stepping over 255 others at most.

use crate::tile::TILE_WIDTH;

/// The place of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// First index in the segment's name.
    pub(crate) segment: u64,
    /// Where the frame begins in the segment.
    pub(crate) offset: u64,
    /// Where its block ends in the segment: a header follows there, not a frame.
    pub(crate) block_end: u64,
}

/// The places of entries 0, 256, 512, ...
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<Position>);

impl Marks {
    /// Told of every entry in order, keeps those that begin a tile.
    pub(crate) fn note(&mut self, index: u64, position: Position) {
        if index.is_multiple_of(TILE_WIDTH) {
            self.0.push(position);
        }
    }

    /// The nearest marked entry at or before `index`: its index and place; `None` while there is no entry.
    pub(crate) fn before(&self, index: u64) -> Option<(u64, Position)> {
        let tile = index / TILE_WIDTH;
        let position = self.0.get(usize::try_from(tile).ok()?)?;
        Some((tile * TILE_WIDTH, *position))
    }
}
