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
    clock::{Clock, ClockFault, TimeSource},
    engine::{Engine, Parts},
    entry::{EndNote, Entry, EntryError, SessionEnded, SessionStarted},
    session::Session,
    slots::Slot,
    upkeep::{Disk, SessionRecord},
};
use nightlatch_core::{
    Deadline, DeadlineReason, EndReason, Generation, Policy, Register, SessionId, Span, Subject, Time,
    Verdict, Word, decide,
};
use nightlatch_ledger::{CommitError, Ledger, Options, ReadError, Signer};
use nightlatch_store::{
    DataDir, FileError, LoadReservationError, OpenDataDirError, OpenPeopleError, People, Pseudonym,
    ReservationFile,
    snapshot::{self, BadSnapshot},
};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::Arc,
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
    /// What was found could not be recorded.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The file with the node's name cannot be written.
    #[error("the node's name cannot be written: {0}")]
    NodeName(#[source] io::Error),
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
        let data = DataDir::open(dir)?;
        let node = node_name(&data)?;
        let key = data.keys().join("ledger.key");
        let origin = format!("nightlatch.local/{node}");
        let signer = if key.exists() { Signer::load(&key, &origin)? } else { Signer::create(&key, &origin)? };
        let (ledger, opened) = Ledger::open(&data.ledger(), Options::default(), signer)?;

        let time = ReservationFile::open(data.time())?;
        let (reserved, unreadable) = match time.load() {
            Ok(reserved) => (reserved, false),
            Err(LoadReservationError::Damaged { .. }) => (None, true),
        };
        let (clock, fault) = Clock::start(source, reserved.as_ref());
        let fault = fault.or(unreadable.then_some(ClockFault::ReservationUnreadable));
        let clean = reserved.map_or(opened.entries == 0, |reserved| reserved.clean);

        let slots = nightlatch_store::Slots::open(data.slots())?;
        let words = slots.read_all()?;
        let reading = snapshot::read_newest::<SessionRecord>(data.snapshot())?;
        let people = People::open(data.people())?;
        let snapshot_at = reading.snapshot.as_ref().map_or(0, |snapshot| snapshot.ledger_size);
        if snapshot_at > opened.entries {
            return Err(OpenError::LedgerSetBack { snapshot: snapshot_at, ledger: opened.entries });
        }
        let disk = Disk { slots, time, snapshot_at, signed_at: 0 };
        let engine = Engine::of(Parts { node, clock, policy, ledger, people, disk, data });

        let mut found = Found::default();
        for record in reading.snapshot.into_iter().flat_map(|snapshot| snapshot.records) {
            found.take_record(record);
        }
        for entry in engine.ledger().iter_from(snapshot_at) {
            let entry = entry?;
            let read = Entry::from_bytes(&entry.payload);
            found.take_entry(read.map_err(|source| OpenError::Entry { index: entry.index, source })?);
        }
        found.take_slots(&words.words);
        let mut recovery = Recovery {
            clean,
            clock_fault: fault,
            torn_bytes: opened.torn_bytes,
            bad_slots: words.bad,
            bad_snapshots: reading.bad.iter().map(BadSnapshot::to_string).collect(),
            ..Recovery::default()
        };
        engine
            .take_up(found, &mut recovery)
            .map_err(|source| OpenError::Entry { index: snapshot_at, source })?;
        engine.slots().free_the_rest(|index| match words.words.get(index as usize) {
            Some(Some(bits)) => Word::from_bits(*bits).generation().next(),
            _ => Generation::default(),
        });
        engine.record(&Entry::Started {
            at: engine.clock().now().as_millis(),
            version: version.to_owned(),
            clean,
            live: recovery.live as u64,
            policy: engine.policy_record(),
        });
        engine.reserve_time(false);
        engine.commit()?;
        Ok((engine, recovery))
    }

    /// Puts what was found into the table, ends what is due, and records that.
    fn take_up(&self, found: Found, recovery: &mut Recovery) -> Result<(), EntryError> {
        let now = self.clock().now();
        if let Some(fault) = recovery.clock_fault {
            self.record(&Entry::ClockFault { at: now.as_millis(), cause: fault.cause() });
        }
        let mut sessions: HashMap<String, Arc<Session>> = HashMap::new();
        for name in found.parents_first() {
            let Some(known) = found.known.get(&name) else { continue };
            let parent = known.start.parent.as_ref().and_then(|parent| sessions.get(parent)).cloned();
            let orphan = known.start.parent.is_some() && parent.is_none();
            let session = Arc::new(self.rebuild(known, parent)?);
            sessions.insert(name, Arc::clone(&session));
            self.slots().settle(&session);
            self.table().insert(&session);
            self.end_if_due(&session, known, orphan, now, recovery);
        }
        Ok(())
    }

    fn rebuild(&self, known: &Known, parent: Option<Arc<Session>>) -> Result<Session, EntryError> {
        let SessionStarted { idle_ms, idle_rule, hard_end, hard_end_rule, slot, generation, .. } =
            &known.start;
        let idle = Register::idle(Span::from_millis(*idle_ms), self.rules().number(idle_rule));
        let hard_end = Register::hard_end(Time::from_millis(*hard_end), self.rules().number(hard_end_rule));
        let facts = known.start.facts(self.subject_of(&known.start.subject))?;
        let slot = Slot { index: *slot, generation: Generation::new(*generation) };
        let session = Session::new(facts, Cell::new(known.word, idle, hard_end), slot, parent);
        if let Some(at) = known.ended_at {
            session.note_end(at);
        }
        Ok(session)
    }

    /// The person behind a pseudonym. One who was erased keeps nothing but the pseudonym.
    fn subject_of(&self, pseudonym: &str) -> Subject {
        let known =
            pseudonym.parse::<Pseudonym>().ok().and_then(|pseudonym| self.people().person(&pseudonym));
        match known {
            Some(person) => Subject { provider: person.provider.to_string(), name: person.name.to_string() },
            None => Subject { provider: "erased".to_owned(), name: pseudonym.to_owned() },
        }
    }

    fn end_if_due(
        &self,
        session: &Arc<Session>,
        known: &Known,
        orphan: bool,
        now: Time,
        recovery: &mut Recovery,
    ) {
        if known.recorded_end {
            session.settle();
            self.forget_later(session);
            return;
        }
        let (reason, deadline) =
            match decide(&session.cell.seen(session.parent_end()), nightlatch_core::Activity::Passive, now) {
                // It ended, and the entry did not reach the disk: nobody was told, but an end absorbs.
                Verdict::Ended { reason } => (reason, session.deadline()),
                Verdict::End { reason, deadline, .. } => (reason, deadline),
                Verdict::Allow { .. } if recovery.clock_fault.is_some() => {
                    (EndReason::ClockFault, session.deadline())
                }
                Verdict::Allow { .. } if orphan || session.facts.subject.provider == "erased" => {
                    (EndReason::Revoked, session.deadline())
                }
                Verdict::Allow { .. } => {
                    recovery.live += 1;
                    self.arm(session);
                    return;
                }
            };
        session.cell.end(reason);
        let ended_at = match (deadline.reason, session.parent.as_ref().and_then(|parent| parent.end())) {
            (DeadlineReason::Parent, Some(end)) => end.at,
            _ => deadline.at.min(now),
        };
        session.note_end(ended_at);
        session.settle();
        recovery.ended_while_down += 1;
        self.record_end(
            session,
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

/// The table as snapshot, ledger and slots have it.
#[derive(Default)]
struct Found {
    known: BTreeMap<String, Known>,
}

struct Known {
    start: SessionStarted,
    word: Word,
    ended_at: Option<Time>,
    /// Whether the end is on record.
    recorded_end: bool,
}

impl Found {
    fn take_record(&mut self, record: SessionRecord) {
        let word = Word::from_bits(record.word);
        self.insert(Known {
            word,
            ended_at: record.ended_at.map(Time::from_millis),
            recorded_end: record.end_on_record,
            start: record.start,
        });
    }

    fn take_entry(&mut self, entry: Entry) {
        match entry {
            Entry::SessionStarted(start) => {
                let generation = Generation::new(start.generation);
                let word = Word::live(generation, Time::from_millis(start.last_activity));
                self.insert(Known { start: *start, word, ended_at: None, recorded_end: false });
            }
            Entry::SessionEnded(ended) => self.end(&ended),
            Entry::LimitsLowered { session, idle_ms, idle_rule, hard_end, hard_end_rule, .. } => {
                if let Some(known) = self.known.get_mut(&session) {
                    if idle_ms < known.start.idle_ms {
                        (known.start.idle_ms, known.start.idle_rule) = (idle_ms, idle_rule);
                    }
                    if hard_end < known.start.hard_end {
                        (known.start.hard_end, known.start.hard_end_rule) = (hard_end, hard_end_rule);
                    }
                }
            }
            Entry::Cut(_)
            | Entry::RefusedAfterEnd { .. }
            | Entry::OutcomeWithheld { .. }
            | Entry::ClockStepped { .. }
            | Entry::ClockFault { .. }
            | Entry::Started { .. }
            | Entry::Stopped { .. } => {}
        }
    }

    fn insert(&mut self, known: Known) {
        let name = known.start.session.clone();
        self.known.entry(name).or_insert(known);
    }

    /// Every name, a lease after the session it belongs to.
    fn parents_first(&self) -> Vec<String> {
        let mut names: Vec<(usize, &String)> =
            self.known.keys().map(|name| (self.depth(name), name)).collect();
        names.sort();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    fn depth(&self, name: &str) -> usize {
        let parent = |name: &String| self.known.get(name)?.start.parent.clone();
        // A ledger that names a circle of parents does not keep us here for ever.
        std::iter::successors(Some(name.to_owned()), parent).take(64).count()
    }

    fn end(&mut self, ended: &SessionEnded) {
        // One that is not known was forgotten before the snapshot.
        let Some(known) = self.known.get_mut(&ended.session) else { return };
        let reason = ended.reason.parse().unwrap_or(EndReason::ClockFault);
        known.word = known.word.touched(Time::from_millis(ended.last_activity)).unwrap_or(known.word);
        known.word = known.word.ended(reason).unwrap_or(known.word);
        known.ended_at = Some(Time::from_millis(ended.ended_at));
        known.recorded_end = true;
    }

    fn take_slots(&mut self, words: &[Option<u64>]) {
        for known in self.known.values_mut() {
            if let Some(Some(bits)) = words.get(known.start.slot as usize) {
                known.word = known.word.joined(Word::from_bits(*bits));
            }
        }
    }
}

/// The short name of this node, made once: entries are named `node:index`.
fn node_name(data: &DataDir) -> Result<String, OpenError> {
    let path = data.path().join("node");
    if let Ok(name) = std::fs::read_to_string(&path) {
        return Ok(name.trim().to_owned());
    }
    let name = crate::secret::node_name()?;
    std::fs::write(&path, format!("{name}\n")).map_err(OpenError::NodeName)?;
    Ok(name)
}

impl Engine {
    /// The session with this name, if the name is one and the session is known.
    #[must_use]
    pub fn session_named(&self, name: &str) -> Option<Arc<Session>> {
        name.parse::<SessionId>().ok().and_then(|id| self.session(id))
    }
}
