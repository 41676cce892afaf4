//! An export is read by programs that are not ours, and they find what is wrong with one that was changed.
//!
//! The readers are `signed_note` and `tlog_tiles` 0.2.0, of Cloudflare's Azul, ported from Go's `x/mod/sumdb`: another
//! SHA-256, another Ed25519, another reading of the specifications. Of ours they get the files of an export and the
//! verifier key as text. What they lack is added here: they name tiles as Go's checksum database does (`tile/8/0/000`,
//! where tlog-tiles has `tile/0/000`), and they do not cut bundles into entries.
//!
//! Their `TileHashReader` serves for roots and proofs, and nothing rests on its word that a tile is confirmed: it holds
//! further tiles against their parents from place `stx.len()` on, the number of subtrees, though fewer tiles than that
//! may stand before them, and so hands out hashes of a changed tile in a log of 1000 entries. Hence [`Exported::audit`]
//! rebuilds the tree from the entries and compares every tile. It also panics on an empty log, which is left out.
//!
//! `NIGHTLATCH_SEED` chooses the entries that are proved and the bits that are turned.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the exception for tests ends at the helpers of a test file; a seed is printed"
)]

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::Ed25519KeyPair;
use common::{House, NODE, cosign, fill, payload};
use nightlatch_ledger::{Hash as OurHash, export::export};
use signed_note::{Note, NoteError, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error as TlogError, Hash, HashReader, Tile, TileHashReader, TileReader, check_record,
    check_tree, prove_record, prove_tree, record_hash, stored_hash_count, stored_hashes, tree_hash,
};

/// One entry, two; one less than a tile holds, a tile, one more; three tiles and a partial one.
const SIZES: [u64; 6] = [1, 2, 255, 256, 257, 1000];

/// A tile has 2^8 hashes.
const TILE_HEIGHT: u8 = 8;

/// The folder of an export.
struct Exported {
    dir: PathBuf,
}

/// At what the foreign readers stopped.
#[derive(Debug)]
enum Refused {
    Note(NoteError),
    Checkpoint,
    Tree(#[allow(dead_code, reason = "for the message of a test that fails")] TlogError),
    /// The entries' root is not the signed one.
    Entries,
    /// A tile does not hold the hashes of the entries.
    Tile,
}

impl From<NoteError> for Refused {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl From<TlogError> for Refused {
    fn from(error: TlogError) -> Self {
        Self::Tree(error)
    }
}

impl Exported {
    /// The checkpoint, if the key signed it and the text says what a checkpoint says.
    fn checkpoint(&self, key: &str) -> Result<Checkpoint, Refused> {
        let note = Note::from_bytes(&fs::read(self.dir.join("checkpoint")).unwrap())?;
        let (verified, unknown) =
            note.verify(&VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]))?;
        assert_eq!((verified.len(), unknown.len()), (1, 0), "the log signs once, and nobody else does");
        Checkpoint::from_bytes(note.text()).map_err(|_| Refused::Checkpoint)
    }

    /// Everything there is to check: signature, every entry, root, every tile.
    fn audit(&self, key: &str) -> Result<Checkpoint, Refused> {
        let checkpoint = self.checkpoint(key)?;
        let (size, root) = (checkpoint.size(), *checkpoint.hash());
        let mut tree = Rebuilt(Vec::new());
        for (index, entry) in (0..).zip(self.entries(size)) {
            let hashes = stored_hashes(index, &entry, &tree)?;
            tree.0.extend(hashes);
        }
        let whole = tree.0.len() as u64 == stored_hash_count(size) && tree_hash(size, &tree)? == root;
        whole.then_some(()).ok_or(Refused::Entries)?;
        for tile in Tile::new_tiles(TILE_HEIGHT, 0, size) {
            let same = fs::read(self.dir.join(path(&tile))).unwrap() == tile.read_data(&tree)?;
            same.then_some(()).ok_or(Refused::Tile)?;
        }
        assert_eq!(tree_hash(size, &TileHashReader::new(size, root, self))?, root);
        Ok(checkpoint)
    }

    /// The entries of all bundles, up to where a length no longer fits.
    fn entries(&self, size: u64) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        for bundle in bundles(size) {
            let bytes = fs::read(self.dir.join(path(&bundle))).unwrap();
            let mut rest = &bytes[..];
            while let Some((length, after)) = rest.split_first_chunk() {
                let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into()) else {
                    break;
                };
                entries.push(entry.to_vec());
                rest = after;
            }
        }
        entries
    }
}

/// The hashes of a tree that `stored_hashes` made from the entries, in its order.
struct Rebuilt(Vec<Hash>);

impl HashReader for Rebuilt {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TlogError> {
        let read = |index: &u64| self.0.get(usize::try_from(*index).unwrap()).copied();
        indexes.iter().map(read).collect::<Option<_>>().ok_or(TlogError::IndexesNotInTree)
    }
}

impl TileReader for Exported {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, TlogError> {
        let read = |tile| fs::read(self.dir.join(path(tile))).map_err(|_| TlogError::InvalidTile);
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// Where tlog-tiles puts the tile that Go's checksum database puts at `tile/8/...`.
fn path(tile: &Tile) -> String {
    tile.path().replace("tile/8/data/", "tile/entries/").replace("tile/8/", "tile/")
}

/// The tiles that hold the entries themselves.
fn bundles(size: u64) -> Vec<Tile> {
    let mut bundles = Tile::new_tiles(TILE_HEIGHT, 0, size);
    bundles.retain(|tile| tile.level() == 0);
    bundles.iter_mut().for_each(Tile::set_is_data);
    bundles
}

/// The files below a folder of an export, as paths from the export's root.
fn files(root: &Path, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in fs::read_dir(root.join(below)).unwrap().map(Result::unwrap) {
        let name = format!("{below}/{}", file.file_name().into_string().unwrap());
        if file.file_type().unwrap().is_dir() {
            found.extend(files(root, &name));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// A ledger's exports at each of [`SIZES`], and its key as it is handed out.
fn exports(house: &House) -> (Vec<Exported>, String) {
    let ledger = house.open(16 * 1024);
    let exported = SIZES.map(|size| {
        fill(&ledger, size, 50);
        ledger.checkpoint().unwrap();
        let dir = house.path(&format!("export-{size}"));
        export(&house.dir(), &dir, &house.key()).unwrap();
        Exported { dir }
    });
    (exported.into(), house.key().to_string())
}

/// SplitMix64 (Steele, Lea, Flood 2014), from a seed that is printed.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = env::var("NIGHTLATCH_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
        println!("NIGHTLATCH_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}

/// What an audit says after one bit of one byte of a file was turned. The file is put back.
fn audit_with_turned_bit(
    exported: &Exported,
    key: &str,
    file: &str,
    byte: u64,
    bit: u64,
) -> Result<Checkpoint, Refused> {
    let path = exported.dir.join(file);
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[usize::try_from(byte).unwrap()] ^= 1 << bit;
    fs::write(&path, changed).unwrap();
    let audit = exported.audit(key);
    fs::write(&path, whole).unwrap();
    audit
}

#[test]
fn on_the_record_foreign_readers_accept_an_export_of_every_size_and_rebuild_every_tile() {
    let house = House::new();
    let (exports, key) = exports(&house);
    for (exported, size) in exports.iter().zip(SIZES) {
        let checkpoint = exported.audit(&key).unwrap();
        assert_eq!((checkpoint.origin(), checkpoint.size(), checkpoint.extension()), (NODE, size, ""));
        assert_eq!(exported.entries(size), (0..size).map(payload).collect::<Vec<_>>());
        let mut tiles: Vec<_> = Tile::new_tiles(TILE_HEIGHT, 0, size).iter().map(path).collect();
        tiles.extend(bundles(size).iter().map(path));
        tiles.sort();
        assert_eq!(files(&exported.dir, "tile"), tiles, "size {size}");
    }
}

#[test]
fn on_the_record_foreign_readers_prove_entries_and_growth_from_an_export_and_accept_our_proofs() {
    let house = House::new();
    let (exports, key) = exports(&house);
    let ledger = house.open(16 * 1024);
    let mut chance = Chance::new();
    let foreign = |path: Vec<OurHash>| path.iter().map(|hash| Hash(*hash.as_bytes())).collect::<Vec<_>>();
    let checkpoints: Vec<_> = exports.iter().map(|exported| exported.checkpoint(&key).unwrap()).collect();
    for (place, (exported, new)) in exports.iter().zip(&checkpoints).enumerate() {
        let (size, root) = (new.size(), *new.hash());
        let tree = TileHashReader::new(size, root, exported);
        for _ in 0..20 {
            let index = chance.below(size);
            let proof = prove_record(size, index, &tree).unwrap();
            assert_eq!(
                proof,
                foreign(ledger.prove_inclusion(index, size).unwrap().path),
                "{index} of {size}"
            );
            check_record(&proof, size, root, index, record_hash(&payload(index))).unwrap();
            check_record(&proof, size, root, index, record_hash(b"another entry")).unwrap_err();
        }
        for old in &checkpoints[..place] {
            let proof = prove_tree(size, old.size(), &tree).unwrap();
            assert_eq!(proof, foreign(ledger.prove_consistency(old.size(), size).unwrap().path));
            check_tree(&proof, size, root, old.size(), *old.hash()).unwrap();
            check_tree(&proof, size, root, old.size(), record_hash(b"another log")).unwrap_err();
        }
    }
}

#[test]
fn on_the_record_foreign_readers_refuse_a_note_with_any_byte_changed() {
    let house = House::new();
    let (exports, key) = exports(&house);
    let (exported, mut chance) = (&exports[1], Chance::new());
    let length = fs::metadata(exported.dir.join("checkpoint")).unwrap().len();
    for byte in 0..length {
        let audit = audit_with_turned_bit(exported, &key, "checkpoint", byte, chance.below(8));
        assert!(matches!(audit, Err(Refused::Note(_))), "byte {byte}: {audit:?}");
    }
    exported.audit(&key).unwrap();
    let stranger = House::new().key().to_string();
    let audit = exported.audit(&stranger);
    assert!(matches!(audit, Err(Refused::Note(NoteError::UnverifiedNote))), "{audit:?}");
}

#[test]
fn on_the_record_foreign_readers_refuse_a_changed_tile_and_a_changed_entry() {
    let house = House::new();
    let (exports, key) = exports(&house);
    let mut chance = Chance::new();
    for exported in &exports {
        for file in files(&exported.dir, "tile") {
            let length = fs::metadata(exported.dir.join(&file)).unwrap().len();
            for byte in [0, length - 1, chance.below(length), chance.below(length)] {
                let audit = audit_with_turned_bit(exported, &key, &file, byte, chance.below(8));
                let blamed = match &audit {
                    Err(Refused::Entries) => file.starts_with("tile/entries/"),
                    Err(Refused::Tile) => !file.starts_with("tile/entries/"),
                    _ => false,
                };
                assert!(blamed, "{file}, byte {byte}: {audit:?}");
            }
        }
        exported.audit(&key).unwrap();
    }
}

#[test]
fn on_the_record_no_entry_is_proved_from_a_tile_that_was_changed_under_it() {
    let house = House::new();
    let (exports, key) = exports(&house);
    let exported = exports.last().unwrap();
    let checkpoint = exported.checkpoint(&key).unwrap();
    let (size, root) = (checkpoint.size(), *checkpoint.hash());
    let file = exported.dir.join("tile/0/001");
    let mut tile = fs::read(&file).unwrap();
    tile[..32].copy_from_slice(&record_hash(b"another entry").0);
    fs::write(&file, tile).unwrap();
    let tree = TileHashReader::new(size, root, exported);
    for index in [256, 257, 511] {
        let proof = prove_record(size, index, &tree);
        let entry = if index == 256 { b"another entry".to_vec() } else { payload(index) };
        let accepted = proof.and_then(|proof| check_record(&proof, size, root, index, record_hash(&entry)));
        assert!(accepted.is_err(), "entry {index}");
    }
}

#[test]
fn on_the_record_foreign_readers_open_a_cosigned_checkpoint() {
    let house = House::new();
    let ledger = house.open(16 * 1024);
    fill(&ledger, 300, 50);
    let signed = ledger.checkpoint().unwrap();
    let pair = Ed25519KeyPair::generate().unwrap();
    let (cosigned, witness) = cosign(&signed.note(), "witness.example/w1", &pair, 1_679_315_147);
    let line = cosigned.strip_prefix(&signed.note()).unwrap();
    ledger.cosigned().keep(&signed.cosigned(line, &witness).unwrap().0).unwrap();
    let dir = house.path("export");
    export(&house.dir(), &dir, &house.key()).unwrap();

    let bytes = fs::read(dir.join("cosigned/00000000000000000300")).unwrap();
    let note = Note::from_bytes(&bytes).unwrap();
    let log = StandardVerifier::new(&house.key().to_string()).unwrap();
    let (verified, others) = note.verify(&VerifierList::new(vec![Box::new(log)])).unwrap();
    assert_eq!(
        (verified.len(), others.len()),
        (1, 1),
        "the log's signature holds, the witness's is carried along"
    );
    assert_eq!((others[0].name(), others[0].id()), (witness.name(), u32::from_be_bytes(witness.id())));
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.size(), &checkpoint.hash().0), (300, signed.checkpoint().root.as_bytes()));
}
