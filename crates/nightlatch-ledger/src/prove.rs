//! Making proofs from the tree and the entries.
//!
//! The tree keeps the hashes of full tiles; the leaf hashes of the one or two tiles that a proof cuts through are had by
//! reading their entries again, 512 at most, before any lock is taken.

use std::path::Path;

use crate::{
    ledger::Ledger,
    proof::{ConsistencyProof, InclusionProof},
    read::ReadError,
    scan::{Scan, Step},
    tile::TILE_WIDTH,
    tree::{LeafTiles, Tree, split},
};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The entry is not in a tree of that size, or the sizes are in the wrong order.
    #[error("there is nothing to prove: the smaller number must come first")]
    Order,
    /// The tree asked for is larger than what is durable.
    #[error("the ledger does not have {size} entries")]
    Size {
        /// The size asked for.
        size: u64,
    },
    /// An entry that the proof needs could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Ledger {
    /// Proves that entry `index` is in the tree of the first `size` entries.
    ///
    /// # Errors
    ///
    /// See [`ProveError`].
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, ProveError> {
        if index >= size {
            return Err(ProveError::Order);
        }
        let leaves = self.leaf_tiles([index, size - 1], size)?;
        let state = self.published().state();
        let path = Prover { tree: &state.tree, leaves: &leaves }.inclusion(index, 0, size);
        Ok(InclusionProof { index, size, path: path.ok_or(ReadError::Damaged { index })? })
    }

    /// Proves that the tree of the first `old_size` entries is the beginning of that of the first `new_size`.
    ///
    /// # Errors
    ///
    /// See [`ProveError`].
    pub fn prove_consistency(&self, old_size: u64, new_size: u64) -> Result<ConsistencyProof, ProveError> {
        if old_size > new_size {
            return Err(ProveError::Order);
        }
        let mut path = Some(Vec::new());
        if old_size > 0 && old_size < new_size {
            let leaves = self.leaf_tiles([old_size - 1, new_size - 1], new_size)?;
            let state = self.published().state();
            path = Prover { tree: &state.tree, leaves: &leaves }.consistency(old_size, 0, new_size, true);
        } else if new_size > self.durable() {
            return Err(ProveError::Size { size: new_size });
        }
        let path = path.ok_or(ReadError::Damaged { index: old_size })?;
        Ok(ConsistencyProof { old_size, new_size, path })
    }

    /// Reads the leaf hashes of the tiles that these entries are in, in a tree of `size` entries.
    fn leaf_tiles(&self, indexes: [u64; 2], size: u64) -> Result<LeafTiles, ProveError> {
        if size > self.durable() {
            return Err(ProveError::Size { size });
        }
        let mut tiles = LeafTiles::new();
        for tile in indexes.map(|index| index / TILE_WIDTH) {
            if tiles.contains_key(&tile) {
                continue;
            }
            let mut leaves = Vec::new();
            let mut entries = self.iter_from(tile * TILE_WIDTH);
            while let Some(read) = entries.next_hashed() {
                leaves.push(read?.1);
                if leaves.len() as u64 == TILE_WIDTH {
                    break;
                }
            }
            tiles.insert(tile, leaves);
        }
        Ok(tiles)
    }
}

/// The same proof from a ledger's files alone, also beside the process that writes them. Reads every entry up to `new_size`.
///
/// # Errors
///
/// See [`ProveError`].
pub fn prove_consistency_of_files(
    dir: &Path,
    old_size: u64,
    new_size: u64,
) -> Result<ConsistencyProof, ProveError> {
    if old_size > new_size {
        return Err(ProveError::Order);
    }
    let wanted = [old_size, new_size].map(|size| size.saturating_sub(1) / TILE_WIDTH);
    let (mut tree, mut leaves) = (Tree::default(), LeafTiles::new());
    let mut scan = Scan::new(dir, new_size).map_err(ReadError::from)?;
    while tree.size() < new_size {
        let Step::Block(block) = scan.step().map_err(ReadError::from)? else {
            return Err(ReadError::Damaged { index: tree.size() }.into());
        };
        let left = usize::try_from(new_size - tree.size()).unwrap_or(usize::MAX);
        for leaf in block.frames.leaves.iter().take(left) {
            let tile = tree.size() / TILE_WIDTH;
            if wanted.contains(&tile) {
                leaves.entry(tile).or_default().push(*leaf);
            }
            tree.push(*leaf);
        }
    }
    let path = match old_size {
        0 => Some(Vec::new()),
        _ if old_size == new_size => Some(Vec::new()),
        _ => Prover { tree: &tree, leaves: &leaves }.consistency(old_size, 0, new_size, true),
    };
    Ok(ConsistencyProof { old_size, new_size, path: path.ok_or(ReadError::Damaged { index: old_size })? })
}

/// The recursions of RFC 6962, over a range of entries. `None` never happens for tiles read as above; it is an error
/// rather than a proof if it does.
struct Prover<'a> {
    tree: &'a Tree,
    leaves: &'a LeafTiles,
}

impl Prover<'_> {
    /// PATH(index, D[from:to]), section 2.1.1.
    fn inclusion(&self, index: u64, from: u64, to: u64) -> Option<Vec<crate::Hash>> {
        if to - from == 1 {
            return Some(Vec::new());
        }
        let middle = from + split(to - from);
        let (mut path, neighbour) = if index < middle {
            (self.inclusion(index, from, middle)?, self.hash(middle, to)?)
        } else {
            (self.inclusion(index, middle, to)?, self.hash(from, middle)?)
        };
        path.push(neighbour);
        Some(path)
    }

    /// SUBPROOF(old_size, D[from:to], whole), section 2.1.2; `whole` while the old tree is all of the range so far.
    fn consistency(&self, old_size: u64, from: u64, to: u64, whole: bool) -> Option<Vec<crate::Hash>> {
        if old_size == to {
            return if whole { Some(Vec::new()) } else { Some(vec![self.hash(from, to)?]) };
        }
        let middle = from + split(to - from);
        let (mut path, neighbour) = if old_size <= middle {
            (self.consistency(old_size, from, middle, whole)?, self.hash(middle, to)?)
        } else {
            (self.consistency(old_size, middle, to, false)?, self.hash(from, middle)?)
        };
        path.push(neighbour);
        Some(path)
    }

    fn hash(&self, from: u64, to: u64) -> Option<crate::Hash> {
        self.tree.hash(from, to, self.leaves)
    }
}
