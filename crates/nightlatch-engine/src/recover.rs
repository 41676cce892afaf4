//! Opening: what ended stays ended, what fell due meanwhile is ended, what lives goes on with the deadline it had.
//!
//! The table is built from three sources, and because everything that changes is a join, it does not matter that they overlap:
//!
//! 1. the newest snapshot (or none: then the whole ledger is read),
//! 2. the ledger from there on,
//! 3. the slots, which know later activity than either.
//!
//! Then the clock is asked. Whatever fell due while we were down is ended now and recorded with the deadline it had; nothing was
//! open, so there is no lateness to tell. Only when those ends are on disk is the engine handed out.

use crate::{
    cell::Cell,
    clock::{Clock, ClockFault},
    engine::{Authority, Engine, Parts},
    entry::{EndNote, Entry, EntryError, PolicyRecord},
    found::{Found, Known},
    kept::Kept,
    limits::Lower,
    session::{Facts, Kin, Session, Who},
    time_source::TimeSource,
    upkeep::Disk,
    versions::versioned,
};
use nightlatch_core::{Activity, Deadline, EndReason, Policy, SessionId, Subject, Time, Verdict, decide};
use nightlatch_ledger::{CommitError, Disk as LedgerDisk, Ledger, Options, OsDisk, ReadError, Signer};
use nightlatch_store::{
    DataDir, FileError, Keys, LoadReservationError, OpenDataDirError, OpenPeopleError, People, Pseudonym,
    ReservationFile, Words,
    snapshot::{self, BadSnapshot, Reading},
};
use std::{
    collections::HashMap,
    fs, io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    sync::atomic::Ordering::Relaxed,
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
        let node = node_name(&data)?;
        let policy = versioned(&data, policy).map_err(OpenError::PolicyVersion)?;
        let keys = Keys::open(data.keys())?;
        let key = data.keys().join("ledger.key");
        let origin = format!("nightlatch.local/{node}");
        if !key.exists() && data.ledger().join("checkpoint").exists() {
            return Err(OpenError::KeyMissing(key));
        }
        let signer = if key.exists() { Signer::load(&key, &origin)? } else { Signer::create(&key, &origin)? };
        let ledger_dir = data.ledger();
        // The ledger is hashed from its first entry; what does not need it is read meanwhile.
        let (ledger, beside) = thread::scope(|scope| {
            let beside = thread::Builder::new().spawn_scoped(scope, || Beside::read(&data));
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
        let engine = Engine::of(Parts { node, keys, clock, policy, ledger, people, disk, data });

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

impl Authority {
    /// A policy that is tighter than the one before holds for every session at once; a looser one for none that runs.
    fn tighten_all(&self, recovery: &mut Recovery) {
        let limits = self.policy().limits;
        for session in self.every_session().filter(|session| session.end().is_none()) {
            let hard_end = session.facts.started.plus(limits.absolute());
            let lower = Lower {
                idle: Some(limits.idle()).filter(|idle| *idle < session.idle().span()),
                hard_end: Some(hard_end).filter(|hard_end| *hard_end < session.hard_end().time()),
                rule: "policy",
            };
            self.lower(&session, lower);
            recovery.live -= usize::from(session.end().is_some());
        }
    }

    /// Holds the clock against what is on record. Behind that it goes on from there, and is not to be trusted.
    fn behind(&self, latest: Time) -> Option<ClockFault> {
        let by_nanos = latest.as_nanos().saturating_sub(self.clock().now_nanos());
        self.clock().raise(latest);
        (by_nanos > 0).then_some(ClockFault::BehindRecord { by_nanos })
    }

    /// Puts what was found into the table, ends what is due, and records that.
    fn take_up(&self, found: &Found<'_>, recovery: &mut Recovery) {
        let now = self.clock().now();
        if let Some(fault) = recovery.clock_fault {
            self.stats().clock_faults.fetch_add(1, Relaxed);
            self.record(&Entry::ClockFault { at: now.as_millis(), cause: fault.cause() });
        }
        for (entry, block) in found.blocks.values() {
            if let Some(block) = block {
                self.blocks().take_up(block.block(*entry));
            }
        }
        let (mut parents, mut people) = (HashMap::new(), HashMap::new());
        let ordered = found.parents_first();
        let mut sessions = Vec::with_capacity(ordered.len());
        for (id, known) in &ordered {
            let parent = known.parent.and_then(|parent| parents.get(&parent)).cloned();
            let who = people.entry(known.pseudonym).or_insert_with(|| self.who_is(known.pseudonym));
            let session = Arc::new(rebuild(*id, known, Arc::clone(&who.who), parent));
            if found.is_parent(*id) {
                parents.insert(*id, Arc::clone(&session));
            }
            // What is on record as ended keeps no slot: another may have had it since.
            if known.end_entry.is_none() {
                self.slots().settle(&session);
            }
            sessions.push(session);
        }
        self.table().fill(&sessions);
        // A lease is adopted only now: when its parent is found to be over, it is not looked for, but comes itself.
        for (session, (_, known)) in sessions.iter().zip(&ordered) {
            let orphan = known.parent.is_some() && session.parent().is_none();
            if let Some(parent) = session.parent() {
                parent.adopt(session);
            }
            let erased = people.get(&known.pseudonym).is_none_or(|who| who.erased);
            self.end_if_due(session, known, orphan, erased, now, recovery);
        }
    }

    /// The person behind a pseudonym. One who was erased keeps nothing but the pseudonym.
    fn who_is(&self, pseudonym: Pseudonym) -> Behind {
        let person = self.people().person(&pseudonym);
        let erased = person.is_none();
        let subject = match person {
            Some(person) => Subject { provider: person.provider.to_string(), name: person.name.to_string() },
            None => Subject { provider: "erased".to_owned(), name: pseudonym.to_string() },
        };
        Behind { who: self.who(subject, pseudonym), erased }
    }

    fn end_if_due(
        &self,
        session: &Arc<Session>,
        known: &Known,
        orphan: bool,
        erased: bool,
        now: Time,
        recovery: &mut Recovery,
    ) {
        if let Some(entry) = known.end_entry {
            session.note_end_entry(entry);
            session.settle();
            self.forget_later(session);
            return;
        }
        // Its end is appended below, or owed from now on.
        self.room().owe();
        if let Some(block) = &known.blocked
            && self.end_as_blocked(session, block, recovery)
        {
            return;
        }
        let (reason, deadline) =
            match decide(&session.cell.seen(session.parent_end()), Activity::Passive, now) {
                // It ended, and the entry did not reach the disk: nobody was told, but an end absorbs.
                Verdict::Ended { reason } => (reason, session.deadline()),
                Verdict::End { reason, deadline, .. } => (reason, deadline),
                Verdict::Allow { .. } if recovery.clock_fault.is_some() => {
                    (EndReason::ClockFault, session.deadline())
                }
                // A parent that is not known any more ended long ago.
                Verdict::Allow { .. } if orphan => (EndReason::ParentEnded, session.deadline()),
                Verdict::Allow { .. } if erased => (EndReason::Revoked, session.deadline()),
                Verdict::Allow { .. } => {
                    recovery.live += 1;
                    self.arm(session);
                    return;
                }
            };
        session.cell.end(reason);
        let ended_at = known.ended_at.unwrap_or(deadline.at.min(now));
        session.note_end(ended_at);
        recovery.ended_while_down += 1;
        self.record_end(
            session,
            true,
            EndNote {
                reason,
                deadline: Deadline { at: deadline.at.max(ended_at), ..deadline },
                ended_at,
                at: now,
                lateness_us: None,
                while_down: true,
                by: "recovery",
                cause: None,
            },
        );
    }
}

/// Who is behind a pseudonym.
struct Behind {
    who: Arc<Who>,
    /// Nothing but the pseudonym is left.
    erased: bool,
}

/// What is read while the ledger is.
struct Beside {
    slots: nightlatch_store::Slots,
    words: Words,
    reading: Reading<Kept>,
    people: People,
}

impl Beside {
    fn read(data: &DataDir) -> Result<Beside, OpenError> {
        let slots = nightlatch_store::Slots::open(data.slots())?;
        let words = slots.read_all()?;
        let reading = snapshot::read_newest(data.snapshot())?;
        Ok(Beside { slots, words, reading, people: People::open(data.people())? })
    }
}

/// The session that is known by this id.
fn rebuild(id: SessionId, known: &Known, who: Arc<Who>, parent: Option<Arc<Session>>) -> Session {
    let facts = Facts {
        credential: known.credential,
        id,
        who,
        terms: Arc::clone(&known.terms),
        started: known.started,
    };
    let kin = Kin { parent, continues: known.continues };
    let session = Session::new(facts, Cell::new(known.word, known.idle, known.hard_end), known.slot, kin);
    if let Some(at) = known.ended_at {
        session.note_end(at);
    }
    session.note_refused(known.refused);
    session
}

/// The short name of this node, made once: entries are named `node:index`. There whole or not at all, for the ledger's
/// signatures are made under it.
fn node_name(data: &DataDir) -> Result<String, OpenError> {
    let path = data.path().join("node");
    match fs::read_to_string(&path) {
        Ok(name) => return Ok(name.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::NodeName(error)),
    }
    let name = crate::secret::node_name()?;
    let prepared = data.path().join("node.new");
    let write = || {
        fs::write(&prepared, format!("{name}\n"))?;
        fs::File::open(&prepared)?.sync_all()?;
        fs::rename(&prepared, &path)?;
        fs::File::open(data.path())?.sync_all()
    };
    write().map_err(OpenError::NodeName)?;
    Ok(name)
}

impl Authority {
    /// The session with this name, if the name is one and the session is known.
    #[must_use]
    pub fn session_named(&self, name: &str) -> Option<Arc<Session>> {
        name.parse::<SessionId>().ok().and_then(|id| self.session(id))
    }
}
