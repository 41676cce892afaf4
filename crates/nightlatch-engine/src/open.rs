//! Opening: the files are read, the table is [recovered](crate::recover), and only when all that follows from it is on disk is the engine handed out.
//!
//! **If we crash here:** the next start finds what this one found. The time reservation is moved last, because a clock fault, once the
//! reservation had gone on, would be a fault no more, and its ends might not be on disk yet.

use crate::{
    clock::{Clock, ClockFault},
    engine::{Engine, Parts},
    entry::{Entry, EntryError, PolicyRecord},
    found::Found,
    kept::Kept,
    node,
    time_source::TimeSource,
    upkeep::Disk,
    versions::versioned,
};
use nightlatch_core::Policy;
use nightlatch_ledger::{CommitError, Disk as LedgerDisk, Ledger, Options, OsDisk, ReadError, Signer};
use nightlatch_store::{
    DataDir, Devices, FileError, Keys, LoadReservationError, OpenDataDirError, OpenDevicesError,
    OpenPeopleError, People, ReservationFile, Words,
    snapshot::{self, BadSnapshot, Reading},
};
use std::{
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

/// What opening found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the run before had stopped cleanly; true for a new directory.
    pub clean: bool,
    /// Sessions that live on.
    pub live: usize,
    /// Sessions that fell due while nothing ran.
    pub ended_while_down: usize,
    /// What was wrong with the clock, if something was: every session ended.
    pub clock_fault: Option<ClockFault>,
    /// Bytes of an unfinished write that were cut off the ledger. Nobody had been told of what they said.
    pub torn_bytes: u64,
    /// Slots whose last activity could not be read.
    pub bad_slots: u64,
    /// Snapshots that could not be used.
    pub bad_snapshots: Vec<String>,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used, or another process has it.
    #[error(transparent)]
    Data(#[from] OpenDataDirError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The people file cannot be used.
    #[error(transparent)]
    People(#[from] OpenPeopleError),
    /// The file of devices cannot be used.
    #[error(transparent)]
    Devices(#[from] OpenDevicesError),
    /// The ledger's signing key cannot be used.
    #[error(transparent)]
    Key(#[from] nightlatch_ledger::KeyError),
    /// The ledger is signed and the key it is signed with is gone. A new key could not go on with it.
    #[error("the ledger's signing key `{}` is missing; put it back from where it was kept", .0.display())]
    KeyMissing(PathBuf),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] nightlatch_ledger::OpenError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry cannot be understood: an older program on a newer ledger, or damage.
    #[error("ledger entry {index}: {source}")]
    Entry {
        /// Which entry.
        index: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// The snapshot knows more entries than the ledger has: the ledger was set back.
    #[error(
        "the snapshot was taken at ledger size {snapshot}, and the ledger has {ledger} entries: entries are missing"
    )]
    LedgerSetBack {
        /// The size the snapshot knows.
        snapshot: u64,
        /// The size found.
        ledger: u64,
    },
    /// A snapshot says what cannot be, although it is as it was written: it is of another version of this program.
    #[error("the snapshot cannot be understood: {0}; remove it, and the ledger is read instead")]
    Snapshot(#[source] EntryError),
    /// The operating system gives no thread to read with.
    #[error("there is no thread to read the files with: {0}")]
    Thread(#[source] io::Error),
    /// What was found could not be recorded.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The file with the node's name cannot be read or written.
    #[error("the file with the node's name cannot be used: {0}")]
    NodeName(#[source] io::Error),
    /// The file with the version of the policy cannot be read, understood or written.
    #[error("the file with the version of the policy cannot be used: {0}")]
    PolicyVersion(#[source] io::Error),
    /// The operating system gave no random bytes for the node's name.
    #[error(transparent)]
    Random(#[from] crate::secret::NoRandomness),
}

impl Engine {
    /// Opens the engine that keeps its files in `dir`, or makes a new one there.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is changed that a later try would need.
    pub fn open(
        dir: &Path,
        policy: Policy,
        source: Box<dyn TimeSource>,
        version: &str,
    ) -> Result<(Engine, Recovery), OpenError> {
        Engine::open_on(Arc::new(OsDisk), Options::default(), dir, policy, source, version)
    }

    /// The same on another disk, or with segments of another size, for tests of what happens when a disk fails or fills.
    ///
    /// # Errors
    /// As for [`open`](Engine::open).
    pub fn open_on(
        disk: Arc<dyn LedgerDisk>,
        options: Options,
        dir: &Path,
        policy: Policy,
        source: Box<dyn TimeSource>,
        version: &str,
    ) -> Result<(Engine, Recovery), OpenError> {
        let data = DataDir::open(dir)?;
        let node = node::name(&data)?;
        let policy = versioned(&data, policy).map_err(OpenError::PolicyVersion)?;
        let keys = Keys::open(data.keys())?;
        let devices = Devices::open(data.devices())?;
        let key = data.keys().join("ledger.key");
        let origin = format!("nightlatch.local/{node}");
        if !key.exists() && data.ledger().join("checkpoint").exists() {
            return Err(OpenError::KeyMissing(key));
        }
        let signer = if key.exists() { Signer::load(&key, &origin)? } else { Signer::create(&key, &origin)? };
        let ledger_dir = data.ledger();
        // The ledger is hashed from its first entry; what does not need it is read meanwhile.
        let (ledger, beside) = thread::scope(|scope| {
            let beside = thread::Builder::new().spawn_scoped(scope, || Beside::read(&data, &node));
            let ledger = Ledger::open_on(disk, &ledger_dir, options, signer);
            (ledger, beside.map(|beside| beside.join().unwrap_or_else(|panic| resume_unwind(panic))))
        });
        let (ledger, opened) = ledger?;
        let Beside { slots, words, reading, people } = beside.map_err(OpenError::Thread)??;

        let time = ReservationFile::open(data.time())?;
        let (reserved, unreadable) = match time.load() {
            // Something is on record, and how far time had gone is not: somebody was told of ends that follow from that.
            Ok(None) => (None, opened.entries > 0),
            Ok(reserved) => (reserved, false),
            Err(LoadReservationError::Damaged { .. }) => (None, true),
        };
        let (clock, fault) = Clock::start(source, reserved.as_ref());
        let fault = fault.or(unreadable.then_some(ClockFault::ReservationUnreadable));
        let clean = reserved.map_or(opened.entries == 0, |reserved| reserved.clean);

        let snapshot_at = reading.snapshot.as_ref().map_or(0, |snapshot| snapshot.ledger_size);
        if snapshot_at > opened.entries {
            return Err(OpenError::LedgerSetBack { snapshot: snapshot_at, ledger: opened.entries });
        }
        let disk = Disk { slots, time, snapshot_at, snapshot_tried_at: 0, signed_at: 0 };
        let engine = Engine::of(Parts { node, keys, clock, policy, ledger, people, devices, disk, data });

        let mut found = Found::new(&engine);
        let records = reading.snapshot.map(|snapshot| snapshot.records);
        records.map_or(Ok(()), |records| found.take_snapshot(records)).map_err(OpenError::Snapshot)?;
        // The last entry is read even if the snapshot covers it: it tells how far time had gone.
        for entry in engine.ledger().iter_from(snapshot_at.min(opened.entries.saturating_sub(1))) {
            let entry = entry?;
            let taken =
                Entry::from_bytes(&entry.payload).and_then(|read| found.take_entry(entry.index, read));
            taken.map_err(|source| OpenError::Entry { index: entry.index, source })?;
        }
        found.take_slots(&words.words);
        let behind = engine.behind(found.latest);
        let fault = fault.or(behind);
        let mut recovery = Recovery {
            clean,
            clock_fault: fault,
            torn_bytes: opened.torn_bytes,
            bad_slots: words.bad,
            bad_snapshots: reading.bad.iter().map(BadSnapshot::to_string).collect(),
            ..Recovery::default()
        };
        engine.take_up(&found, &mut recovery);
        engine.slots().free_the_rest(&words.words);
        engine.tighten_all(&mut recovery);
        engine.record(&Entry::Started {
            at: engine.clock().now().as_millis(),
            version: version.to_owned(),
            clean,
            live: recovery.live as u64,
            policy: PolicyRecord::of(engine.policy()),
        });
        engine.commit()?;
        // Only then: a crash between the two would hide a clock fault from the next start, with its ends not yet on disk.
        engine.reserve_time(false);
        Ok((engine, recovery))
    }
}

/// What is read while the ledger is.
struct Beside {
    slots: nightlatch_store::Slots,
    words: Words,
    reading: Reading<Kept>,
    people: People,
}

impl Beside {
    fn read(data: &DataDir, node: &str) -> Result<Beside, OpenError> {
        let slots = nightlatch_store::Slots::open(data.slots(), node)?;
        let words = slots.read_all()?;
        let reading = snapshot::read_newest(data.snapshot(), node)?;
        Ok(Beside { slots, words, reading, people: People::open(data.people())? })
    }
}
