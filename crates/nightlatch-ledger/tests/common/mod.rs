//! What several test files need: a ledger in a folder of its own, and entries that can be told apart.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test they are called from")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use nightlatch_ledger::{
    KeyKind, Ledger, OpenError, Options, Recovered, Signer, VerifierKey,
    verify::{Report, Trust, verify},
};

pub(crate) const NODE: &str = "node-a.example/ledger";

/// A folder with a key and room for ledgers; gone when dropped.
pub(crate) struct House {
    folder: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        // These tests sync thousands of times and pull no plug: memory does as well as a disk, and is faster.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        Signer::create(&folder.path().join("ledger.key"), NODE).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::load(&self.path("ledger.key"), NODE).unwrap()
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer().verifier().clone()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.path("ledger")
    }

    pub(crate) fn try_open(&self, segment_bytes: u64) -> Result<(Ledger, Recovered), OpenError> {
        Ledger::open(&self.dir(), Options { segment_bytes }, self.signer())
    }

    pub(crate) fn open(&self, segment_bytes: u64) -> Ledger {
        self.try_open(segment_bytes).unwrap().0
    }

    /// A copy of the ledger's files under another name, without the lock.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        copy(&self.dir(), &self.path(name));
        self.path(name)
    }

    /// Puts the files of a copy in the place of the ledger's.
    pub(crate) fn put_back(&self, copied: &Path) {
        fs::remove_dir_all(self.dir()).unwrap();
        copy(copied, &self.dir());
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

/// The payload that tests append as entry `index`: told apart by its words, and of different lengths.
pub(crate) fn payload(index: u64) -> Vec<u8> {
    format!("entry {index} {}", "x".repeat(usize::try_from(index % 23).unwrap())).into_bytes()
}

/// Appends entries up to `until`, a commit for every `each`.
pub(crate) fn fill(ledger: &Ledger, until: u64, each: u64) {
    while ledger.durable() + ledger.pending() < until {
        let index = ledger.append(&payload(ledger.durable() + ledger.pending())).unwrap();
        if (index + 1).is_multiple_of(each) {
            ledger.commit().unwrap();
        }
    }
    ledger.commit().unwrap();
}

/// Every durable entry is the one that `payload` gives.
pub(crate) fn check_entries(ledger: &Ledger, entries: u64) {
    assert_eq!(ledger.durable(), entries);
    let mut count = 0;
    for (entry, index) in ledger.iter_from(0).zip(0..) {
        let entry = entry.unwrap();
        assert_eq!((entry.index, entry.payload), (index, payload(index)));
        count += 1;
    }
    assert_eq!(count, entries);
}

/// The segment files of a directory, in order.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "segment"));
    paths.sort();
    paths
}

/// A ledger under another name with these payloads, a commit for every `each`, made with the same key.
pub(crate) fn forge(house: &House, name: &str, payloads: &[Vec<u8>], each: usize) -> PathBuf {
    let dir = house.path(name);
    let (ledger, _) = Ledger::open(&dir, Options { segment_bytes: SEGMENT_BYTES }, house.signer()).unwrap();
    for some in payloads.chunks(each) {
        for payload in some {
            ledger.append(payload).unwrap();
        }
        ledger.commit().unwrap();
    }
    dir
}

/// The size of segments where a test does not care.
pub(crate) const SEGMENT_BYTES: u64 = 4096;

/// The size of the ledgers that [`with_checkpoints`] makes.
pub(crate) const ENTRIES: u64 = 600;

/// A ledger with checkpoints at 200, 400 and 600 entries; gives their notes.
pub(crate) fn with_checkpoints(house: &House) -> Vec<String> {
    let ledger = house.open(SEGMENT_BYTES);
    [200, 400, ENTRIES]
        .map(|size| {
            fill(&ledger, size, 10);
            ledger.checkpoint().unwrap().note()
        })
        .to_vec()
}

pub(crate) fn check(house: &House, dir: &Path, supplied: &[String]) -> Report {
    let trust = Trust { log: house.key(), witnesses: Vec::new() };
    verify(dir, &trust, supplied).unwrap()
}

/// A witness as the cosignature specification has it.
pub(crate) fn cosign(
    note: &str,
    name: &str,
    pair: &Ed25519KeyPair,
    unix_seconds: u64,
) -> (String, VerifierKey) {
    let public = pair.public_key().as_ref().try_into().unwrap();
    let key = VerifierKey::new(name, KeyKind::Witness, public).unwrap();
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    let signature = pair.sign(format!("cosignature/v1\ntime {unix_seconds}\n{text}\n").as_bytes());
    let bytes = [&key.id()[..], &unix_seconds.to_be_bytes(), signature.as_ref()].concat();
    (format!("{note}\u{2014} {name} {}\n", STANDARD.encode(bytes)), key)
}
