//! Every seed holds, and so do some thousands of damaged ones: the properties run with every test, with no fuzzer.
//!
//! Damage is random with a fixed seed, printed when a property breaks, so what happens here once happens always.

use nightlatch_fuzz::PROPERTIES;
use std::{collections::BTreeSet, fs, panic::catch_unwind, path::PathBuf};

/// Damaged copies of each seed.
const ROUNDS: u64 = 150;

fn seeds_of(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> =
        files.map(|file| file.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seed", folder.display());
    seeds
}

/// A small generator (splitmix64), so that a round is named by one number.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

fn damage(seed: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.below(256) as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                let end = (at + chance.below(12)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = chance.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            _ => {}
        }
    }
    bytes
}

fn hold(name: &str) {
    let property = PROPERTIES.iter().find(|(known, _)| *known == name).unwrap().1;
    for (path, seed) in seeds_of(name) {
        assert!(catch_unwind(|| property(&seed)).is_ok(), "the seed {} breaks `{name}`", path.display());
        for round in 0..ROUNDS {
            let bytes = damage(&seed, &mut Chance(round));
            let held = catch_unwind(|| property(&bytes)).is_ok();
            assert!(held, "round {round} of {} breaks `{name}`: {bytes:?}", path.display());
        }
    }
}

macro_rules! seeds_hold {
    ($($name:ident)*) => {
        $(#[test] fn $name() { hold(stringify!($name)); })*

        #[test]
        fn every_property_has_a_test_and_a_target() {
            let tested = BTreeSet::from([$(stringify!($name)),*]);
            let known: BTreeSet<&str> = PROPERTIES.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested, known);
            for name in known {
                let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("targets/{name}.rs"));
                assert!(target.is_file(), "{}", target.display());
            }
        }
    };
}

seeds_hold! {
    app_cookies checkpoints configuration credentials ended_tickets entries event_streams grpc_messages handshakes
    http2_frames ledger_blocks ledger_history notes paths people proofs proxy_protocol record request_fields request_targets
    reservations return_paths routes slots snapshots tiles trailing_fields websocket_frames
}
