//! Proofs hold for every size, and for nothing else; and the tree is the one that RFC 6962 defines.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the exception for tests ends at the helpers of a test file"
)]

mod common;

use common::{House, fill, payload};
use nightlatch_ledger::{
    ConsistencyProof, Frontier, Hash, InclusionProof, Ledger, ProveError, TILE_WIDTH, export::export,
    prove_consistency_of_files,
};
use proptest::prelude::*;

/// Enough for two full tiles and a partial one.
const ENTRIES: u64 = 700;

fn ledger(house: &House) -> Ledger {
    let ledger = house.open(16 * 1024);
    fill(&ledger, ENTRIES, 50);
    ledger
}

/// The root as RFC 6962, section 2.1, defines it, word for word.
fn root(size: u64) -> Hash {
    fn tree_hash(from: u64, to: u64) -> Hash {
        match to - from {
            0 => Hash::of_empty_tree(),
            1 => Hash::of_leaf(&payload(from)),
            length => {
                let split = length.next_power_of_two() / 2;
                Hash::of_node(&tree_hash(from, from + split), &tree_hash(from + split, to))
            }
        }
    }
    tree_hash(0, size)
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Hash::from(bytes)
}

fn inclusion_holds_only_as_made(ledger: &Ledger, index: u64, size: u64, bit: usize) {
    let (proof, root) = (ledger.prove_inclusion(index, size).unwrap(), root(size));
    assert!(proof.verifies(&payload(index), &root), "{proof:?}");
    assert!(!proof.verifies(&payload(index), &flip(&root, bit)));
    assert!(!proof.verifies(b"another entry", &root));
    for place in 0..proof.path.len() {
        let mut wrong = proof.clone();
        wrong.path[place] = flip(&wrong.path[place], bit);
        assert!(!wrong.verifies(&payload(index), &root), "{wrong:?}");
    }
    let mut short = proof.clone();
    if short.path.pop().is_some() {
        assert!(!short.verifies(&payload(index), &root));
    }
    let mut long = proof.clone();
    long.path.push(root);
    assert!(!long.verifies(&payload(index), &root));
    let elsewhere = InclusionProof { index: (index + 1) % size, ..proof.clone() };
    assert!(size == 1 || !elsewhere.verifies(&payload(index), &root));
    let larger = InclusionProof { size: 2 * size.next_power_of_two(), ..proof.clone() };
    assert!(!larger.verifies(&payload(index), &root), "a root is not that of a larger tree");
    assert!(!InclusionProof { index: size, ..proof }.verifies(&payload(index), &root));
}

fn consistency_holds_only_as_made(ledger: &Ledger, old_size: u64, new_size: u64, bit: usize) {
    let proof = ledger.prove_consistency(old_size, new_size).unwrap();
    let (old, new) = (root(old_size), root(new_size));
    assert!(proof.verifies(&old, &new), "{proof:?}");
    assert!(!proof.verifies(&flip(&old, bit), &new));
    if old_size > 0 {
        assert!(!proof.verifies(&old, &flip(&new, bit)));
    }
    for place in 0..proof.path.len() {
        let mut wrong = proof.clone();
        wrong.path[place] = flip(&wrong.path[place], bit);
        assert!(!wrong.verifies(&old, &new), "{wrong:?}");
    }
    let mut long = proof.clone();
    long.path.push(new);
    assert!(!long.verifies(&old, &new));
    if old_size != new_size {
        let backwards = ConsistencyProof { old_size: new_size, new_size: old_size, path: proof.path };
        assert!(!backwards.verifies(&new, &old));
    }
}

#[test]
fn on_the_record_every_proof_of_small_trees_and_around_tiles_holds() {
    let house = House::new();
    let ledger = ledger(&house);
    for size in (1..=17).chain([255, 256, 257, 511, 512, 513, ENTRIES]) {
        let ends = (0..size.min(17)).chain([size / 2, size - 1]);
        for index in ends.chain([255, 256, 511, 512].into_iter().filter(|index| *index < size)) {
            inclusion_holds_only_as_made(&ledger, index, size, 77);
            consistency_holds_only_as_made(&ledger, index, size, 77);
        }
        consistency_holds_only_as_made(&ledger, size, size, 77);
    }
}

#[test]
fn on_the_record_random_proofs_hold_and_any_flipped_bit_is_found() {
    let house = House::new();
    let ledger = ledger(&house);
    proptest!(ProptestConfig::with_cases(150), |(one in 0..ENTRIES, other in 0..ENTRIES, bit in 0_usize..256)| {
        inclusion_holds_only_as_made(&ledger, one.min(other), one.max(other) + 1, bit);
        consistency_holds_only_as_made(&ledger, one.min(other), one.max(other), bit);
    });
}

#[test]
fn on_the_record_the_same_proofs_come_out_after_a_restart() {
    let house = House::new();
    let before = ledger(&house);
    let inclusion = before.prove_inclusion(300, 650).unwrap();
    let consistency = before.prove_consistency(300, 650).unwrap();
    let checkpoint = before.checkpoint().unwrap();
    assert_eq!(checkpoint.checkpoint().root, root(ENTRIES));
    drop(before);
    let after = house.open(4096);
    assert_eq!(after.prove_inclusion(300, 650).unwrap(), inclusion);
    assert_eq!(after.prove_consistency(300, 650).unwrap(), consistency);
    assert_eq!(after.checkpoint().unwrap(), checkpoint, "nothing new, nothing signed");
}

#[test]
fn on_the_record_the_files_alone_give_the_same_proofs_of_growth() {
    let house = House::new();
    let ledger = ledger(&house);
    let sizes = [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, ENTRIES - 1, ENTRIES];
    for (place, new) in sizes.into_iter().enumerate() {
        for old in &sizes[..=place] {
            let of_files = prove_consistency_of_files(&house.dir(), *old, new).unwrap();
            assert_eq!(of_files, ledger.prove_consistency(*old, new).unwrap());
        }
    }
    assert!(matches!(prove_consistency_of_files(&house.dir(), 6, 5), Err(ProveError::Order)));
    let beyond = prove_consistency_of_files(&house.dir(), 5, ENTRIES + 1);
    assert!(matches!(beyond, Err(ProveError::Read(_))), "{beyond:?}");
}

#[test]
fn on_the_record_nothing_is_proved_of_what_is_not_there() {
    let house = House::new();
    let ledger = ledger(&house);
    ledger.append(b"pending").unwrap();
    assert!(matches!(ledger.prove_inclusion(ENTRIES, ENTRIES + 1), Err(ProveError::Size { .. })));
    assert!(matches!(ledger.prove_consistency(5, ENTRIES + 1), Err(ProveError::Size { .. })));
    assert!(matches!(ledger.prove_consistency(0, ENTRIES + 1), Err(ProveError::Size { .. })));
    assert!(matches!(ledger.prove_inclusion(5, 5), Err(ProveError::Order)));
    assert!(matches!(ledger.prove_consistency(6, 5), Err(ProveError::Order)));
}

#[test]
fn on_the_record_a_stranger_finds_the_root_in_an_exports_tiles() {
    let house = House::new();
    let ledger = ledger(&house);
    ledger.checkpoint().unwrap();
    let dir = house.path("export");
    let signed = export(&house.dir(), &dir, &house.key()).unwrap();
    let read = |path: &str| std::fs::read(dir.join(path)).unwrap();
    let mut frontier = Frontier::default();
    for path in ["tile/0/000", "tile/0/001", "tile/0/002.p/188"] {
        for leaf in read(path).as_chunks::<32>().0 {
            frontier.push(Hash::from(*leaf));
        }
    }
    assert_eq!((frontier.size(), frontier.root()), (ENTRIES, signed.checkpoint().root));
    let (above, rest) = (read("tile/1/000.p/2"), root(TILE_WIDTH));
    assert_eq!(above[..32], *rest.as_bytes());
    let mut bundle = &read("tile/entries/002.p/188")[..];
    for index in 512..ENTRIES {
        let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
        assert_eq!(bundle[2..2 + length], payload(index));
        bundle = &bundle[2 + length..];
    }
    assert!(bundle.is_empty());
}
