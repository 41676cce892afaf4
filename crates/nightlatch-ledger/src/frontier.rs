//! The right edge of a Merkle tree: all that is needed to add a leaf and to know the root.
//!
//! A tree of `n` entries is a row of full subtrees, one for each bit set in `n`, largest first. Keeping only their
//! hashes makes adding a leaf cost about one node hash on average, and makes the whole state at most 64 hashes, so that
//! a commit may work on a copy and throw it away if the disk refuses.

use crate::hash::Hash;

/// The roots of the full subtrees a tree consists of, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One hash for each bit set in `size`, the highest bit first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf hash at the right end.
    pub fn push(&mut self, leaf: Hash) {
        self.push_noting(leaf, |_, _| ());
    }

    /// Adds a leaf hash and tells of every full subtree this completes, by height (a leaf has height 0).
    pub(crate) fn push_noting(&mut self, leaf: Hash, mut completed: impl FnMut(u32, Hash)) {
        let mut hash = leaf;
        completed(0, hash);
        for height in 1..=self.size.trailing_ones() {
            // One peak stands for each bit set in `size`, so each trailing one bit has a peak to merge with.
            if let Some(left) = self.peaks.pop() {
                hash = Hash::of_node(&left, &hash);
                completed(height, hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The RFC 6962 root of the leaves added so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| Hash::of_node(&left, &right))
            .unwrap_or_else(Hash::of_empty_tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_roots_come_out() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), Hash::of_empty_tree());
        for (leaf, root) in leaves.iter().zip(roots) {
            frontier.push(Hash::of_leaf(leaf));
            assert_eq!(format!("{:?}", frontier.root()), root, "size {}", frontier.size());
        }
    }
}
