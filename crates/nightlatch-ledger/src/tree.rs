//! The tree, kept so that a long ledger costs little memory and a proof costs little time.
//!
//! Kept in memory: the right edge, and the root of every full subtree of 256, 65536, ... entries, which are the hashes
//! that tlog-tiles puts into its tiles above level 0. That is an eighth of a byte for each entry. Leaf hashes are not
//! kept: a proof needs those of two tiles at most, and they are hashed again from the entries themselves, which also
//! means that a proof never vouches for an entry that can no longer be read.

use std::collections::BTreeMap;

use crate::{
    frontier::Frontier,
    hash::Hash,
    tile::{TILE_HEIGHT, TILE_WIDTH},
};

/// The Merkle tree of all durable entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    frontier: Frontier,
    /// `levels[l][n]` is the root of entries `n * 256^(l+1) .. (n+1) * 256^(l+1)`.
    levels: Vec<Vec<Hash>>,
}

/// Leaf hashes by tile, handed in for one proof; a tile at the right end may be partial.
pub(crate) type LeafTiles = BTreeMap<u64, Vec<Hash>>;

impl Tree {
    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.frontier.push_noting(leaf, |height, hash| {
            if height == 0 || height % TILE_HEIGHT != 0 {
                return;
            }
            let level = (height / TILE_HEIGHT - 1) as usize;
            if levels.len() == level {
                levels.push(Vec::new());
            }
            levels[level].push(hash);
        });
    }

    /// The RFC 6962 hash of entries `from..to`, a range that the recursion of section 2.1 can meet (not empty, aligned).
    ///
    /// `None` if it lies outside the tree or needs the leaves of a tile that was not handed in.
    pub(crate) fn hash(&self, from: u64, to: u64, leaves: &LeafTiles) -> Option<Hash> {
        let length = to.checked_sub(from).filter(|length| *length > 0)?;
        if length == 1 {
            let tile = leaves.get(&(from / TILE_WIDTH))?;
            return tile.get(usize::try_from(from % TILE_WIDTH).ok()?).copied();
        }
        let height = length.trailing_zeros();
        if length.is_power_of_two() && height.is_multiple_of(TILE_HEIGHT) {
            let level = self.levels.get((height / TILE_HEIGHT - 1) as usize)?;
            return level.get(usize::try_from(from >> height).ok()?).copied();
        }
        let middle = from + split(length);
        Some(Hash::of_node(&self.hash(from, middle, leaves)?, &self.hash(middle, to, leaves)?))
    }
}

/// The largest power of two smaller than `length`, which is at least 2: where RFC 6962 parts a tree.
pub(crate) fn split(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_parted_at_the_largest_smaller_power_of_two() {
        for (length, at) in [(2, 1), (3, 2), (4, 2), (5, 4), (256, 128), (257, 256), (u64::MAX, 1 << 63)] {
            assert_eq!(split(length), at, "length {length}");
        }
    }

    #[test]
    fn the_hash_of_everything_is_the_root_at_sizes_around_tile_borders() {
        let leaf = |index: u64| Hash::of_leaf(&index.to_be_bytes());
        let mut tree = Tree::default();
        let mut leaves = LeafTiles::new();
        for index in 0..66_000_u64 {
            tree.push(leaf(index));
            leaves.entry(index / TILE_WIDTH).or_default().push(leaf(index));
            let size = index + 1;
            if [1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 66_000].contains(&size) {
                assert_eq!(tree.hash(0, size, &leaves), Some(tree.frontier().root()), "size {size}");
            }
        }
        assert_eq!(tree.hash(0, 70_000, &leaves), None);
    }
}
