//! Proofs that need no trust in who hands them over: RFC 6962, section 2.1, verified as RFC 9162, section 2.1, says.
//!
//! An inclusion proof shows that an entry is in the tree a checkpoint was signed for. A consistency proof shows that
//! one such tree is the beginning of another, so that nothing before was changed or taken away. Both are checked with
//! hashing alone; that the roots are the log's is for [`SignedCheckpoint`](crate::SignedCheckpoint) to show.

use crate::hash::Hash;

/// That an entry stands at an index of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's index.
    pub index: u64,
    /// The number of entries in the tree.
    pub size: u64,
    /// Neighbouring subtrees, from the leaf up.
    pub path: Vec<Hash>,
}

impl InclusionProof {
    /// Whether the proof shows that `payload` stands at the index in the tree with this root.
    #[must_use]
    pub fn verifies(&self, payload: &[u8], root: &Hash) -> bool {
        if self.index >= self.size {
            return false;
        }
        let mut place = self.index;
        let mut last = self.size - 1;
        let mut hash = Hash::of_leaf(payload);
        for neighbour in &self.path {
            if last == 0 {
                return false;
            }
            if place & 1 == 1 || place == last {
                hash = Hash::of_node(neighbour, &hash);
                // At the right edge there may be no neighbour for several levels.
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                hash = Hash::of_node(&hash, neighbour);
            }
            place >>= 1;
            last >>= 1;
        }
        last == 0 && hash == *root
    }
}

/// That a smaller tree is the beginning of a larger one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Entries in the smaller tree.
    pub old_size: u64,
    /// Entries in the larger tree.
    pub new_size: u64,
    /// Subtrees that give both roots.
    pub path: Vec<Hash>,
}

impl ConsistencyProof {
    /// Whether the proof shows that the tree with `old_root` is the beginning of the one with `new_root`.
    #[must_use]
    pub fn verifies(&self, old_root: &Hash, new_root: &Hash) -> bool {
        let (old_size, new_size) = (self.old_size, self.new_size);
        if old_size == new_size {
            return self.path.is_empty() && old_root == new_root;
        }
        if old_size == 0 {
            return self.path.is_empty() && *old_root == Hash::of_empty_tree();
        }
        if old_size > new_size {
            return false;
        }
        // A full old tree is a subtree of the new one, and its root is left out of the path.
        let (seed, rest) = if old_size.is_power_of_two() {
            (*old_root, &self.path[..])
        } else {
            let Some((first, rest)) = self.path.split_first() else { return false };
            (*first, rest)
        };
        let mut place = old_size - 1;
        let mut last = new_size - 1;
        while place & 1 == 1 {
            place >>= 1;
            last >>= 1;
        }
        let (mut old, mut new) = (seed, seed);
        for neighbour in rest {
            if last == 0 {
                return false;
            }
            if place & 1 == 1 || place == last {
                old = Hash::of_node(neighbour, &old);
                new = Hash::of_node(neighbour, &new);
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                new = Hash::of_node(&new, neighbour);
            }
            place >>= 1;
            last >>= 1;
        }
        last == 0 && old == *old_root && new == *new_root
    }
}
