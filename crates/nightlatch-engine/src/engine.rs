//! The authority: one clock, one table, one log.
//!
//! [`Authority`] owns everything that decides and records, and hands it to the modules around it, each of which is one step: `start`,
//! `check`, `permit`, `end`, `deadlines`, `upkeep`, `recover`. It runs no thread by itself; [`run`](crate::run) does, and the
//! simulator calls the same functions by hand.

use crate::{
    block::Blocks,
    clock::Clock,
    entry::Entry,
    health::{Faults, NoRoom, Part, Waits},
    journal::{Journal, Then},
    lanes::Lanes,
    provider_logout::LogoutTokens,
    room::Room,
    rules::Rules,
    session::{Session, Terms, Who},
    shared::Shared,
    slots::Slots,
    stats::Stats,
    table::Table,
    wheel::Wheel,
};
use nightlatch_core::{Activity, Policy, SessionId, Subject, Time};
use nightlatch_ledger::{CommitError, Ledger};
use nightlatch_store::{DataDir, Devices, KeyError, Keys, People, Pseudonym, PseudonymError, SecretKey};
use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering::Relaxed},
    thread::Thread,
};

/// The one road of every decision: the [authority](Authority), and the handles by which permits hold it.
pub struct Engine {
    pub(crate) lanes: Lanes,
    authority: Arc<Authority>,
}

impl Deref for Engine {
    type Target = Authority;

    fn deref(&self) -> &Authority {
        &self.authority
    }
}

/// One clock, one table, one log.
pub struct Authority {
    node: String,
    keys: Keys,
    clock: Clock,
    policy: Policy,
    rules: Rules,
    blocks: Blocks,
    logout_tokens: LogoutTokens,
    table: Table,
    people_with_sessions: Shared<Who>,
    terms: Shared<Terms>,
    slots: Slots,
    journal: Journal,
    people: People,
    devices: Devices,
    stats: Stats,
    room: Room,
    wheel: Mutex<Wheel>,
    /// Held while limits go down, so that what is on record of them is known.
    pub(crate) lowering: Mutex<()>,
    ended: Mutex<VecDeque<(Time, Arc<Session>)>>,
    /// What ended and is not on disk yet, oldest first.
    untold: Mutex<VecDeque<(Time, Arc<Session>)>>,
    pub(crate) disk: Mutex<crate::upkeep::Disk>,
    faults: Faults,
    /// Since when new subjects have been on their way to disk.
    people_wait: Waits,
    timekeeper: OnceLock<Thread>,
    /// Held for as long as the engine lives: no second process on the same directory. Dropped last.
    data: DataDir,
}

/// What an engine is put together from.
pub(crate) struct Parts {
    pub(crate) node: String,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) policy: Policy,
    pub(crate) ledger: Ledger,
    pub(crate) people: People,
    pub(crate) devices: Devices,
    pub(crate) disk: crate::upkeep::Disk,
    pub(crate) data: DataDir,
}

impl Engine {
    pub(crate) fn of(parts: Parts) -> Engine {
        let authority = Arc::new(Authority::of(parts));
        Engine { lanes: Lanes::of(&authority), authority }
    }
}

impl Authority {
    fn of(parts: Parts) -> Authority {
        let now = parts.clock.now();
        let room = Room::default();
        room.measured(parts.ledger.reserve(0));
        Authority {
            node: parts.node,
            keys: parts.keys,
            clock: parts.clock,
            policy: parts.policy,
            rules: Rules::default(),
            blocks: Blocks::default(),
            logout_tokens: LogoutTokens::default(),
            table: Table::default(),
            people_with_sessions: Shared::default(),
            terms: Shared::default(),
            slots: Slots::default(),
            journal: Journal::new(parts.ledger),
            people: parts.people,
            devices: parts.devices,
            stats: Stats::default(),
            room,
            wheel: Mutex::new(Wheel::new(now)),
            lowering: Mutex::default(),
            ended: Mutex::default(),
            untold: Mutex::default(),
            disk: Mutex::new(parts.disk),
            faults: Faults::default(),
            people_wait: Waits::default(),
            timekeeper: OnceLock::new(),
            data: parts.data,
        }
    }

    /// The short name of this node; entries are named `node:index`.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// A secret key of this node, made at its first use; one name for one use.
    ///
    /// # Errors
    /// If it cannot be read or made.
    pub fn key(&self, name: &str) -> Result<SecretKey, KeyError> {
        self.keys.key(name)
    }

    /// The same, if it is there; none is made.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn key_if_there(&self, name: &str) -> Result<Option<SecretKey>, KeyError> {
        self.keys.key_if_there(name)
    }

    /// Removes the keys whose names begin with `prefix`, but for those in `kept`: their use is over.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn remove_keys(&self, prefix: &str, kept: &[&str]) -> Result<(), KeyError> {
        self.keys.remove_others(prefix, kept)
    }

    /// The clock of this authority.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The ledger, for those who read it.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.journal.ledger()
    }

    /// Where this engine keeps its files.
    #[must_use]
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// Who is behind a pseudonym, where that has not been erased.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// At most `most` sessions, live and lately ended, after `after` in the order of ids.
    #[must_use]
    pub fn sessions(&self, after: Option<SessionId>, most: usize) -> Vec<Arc<Session>> {
        self.table.page(after, most)
    }

    /// Every session of a subject, live and lately ended.
    #[must_use]
    pub fn sessions_of(&self, subject: &Subject) -> Vec<Arc<Session>> {
        self.table.of_subject(subject)
    }

    /// The name of a rule that a register carries.
    #[must_use]
    pub fn rule_name(&self, rule: nightlatch_core::RuleId) -> String {
        self.rules.name(rule)
    }

    /// Makes what was recorded durable and lets happen what waited for it.
    ///
    /// # Errors
    /// If the disk refuses; nothing of it has happened then, and until a later call succeeds no session starts.
    pub fn commit(&self) -> Result<(), CommitError> {
        let committed = self.journal.commit(|then| match then {
            Then::Admit(session) => self.admit_to_table(&session),
            Then::Settle(session) => session.settle(),
            Then::Add(added) => self.add_to_session(&added),
            Then::EndBlocked(subject, block) => self.end_blocked(&subject, &block),
        });
        self.note(Part::Ledger, &committed);
        self.measure_room();
        committed
    }

    /// Sees to it that the ledger has room for what is owed, as far as the disk gives it.
    pub(crate) fn measure_room(&self) {
        self.room.measured(self.ledger().reserve(self.room.owed_bytes()));
        self.note(Part::Room, &if self.room.is_left() { Ok(()) } else { Err(NoRoom) });
        if let Some(count) = self.room.take_gave_way() {
            self.record(&Entry::EntriesGaveWay { at: self.clock.now().as_millis(), count });
        }
    }

    /// Waits until the entry with this index is on disk and has had its effect.
    pub async fn durable(&self, index: u64) {
        self.journal.durable(index).await;
    }

    /// Records something nobody waits for.
    pub(crate) fn record(&self, entry: &Entry) {
        self.append(entry, None);
    }

    /// The same for what gives way, when the room left is owed to the ends of others. The index, if it was recorded.
    pub(crate) fn record_if_room(&self, entry: &Entry) -> Option<u64> {
        if self.room.has_surplus(entry.to_bytes().len()) {
            return Some(self.append(entry, None));
        }
        self.room.give_way();
        self.stats.gave_way.fetch_add(1, Relaxed);
        None
    }

    /// Records something, and what is to happen when it is on disk.
    pub(crate) fn append(&self, entry: &Entry, then: Option<Then>) -> u64 {
        self.append_with(entry, |_| then)
    }

    /// The same, where what is to happen depends on the entry's index.
    pub(crate) fn append_with(&self, entry: &Entry, then: impl FnOnce(u64) -> Option<Then>) -> u64 {
        let bytes = entry.to_bytes();
        self.room.spent(bytes.len());
        match self.journal.append(&bytes, then, self.clock.now_nanos()) {
            Ok(index) => index,
            Err(error) => {
                // Only an entry beyond the ledger's size limit ends here, and all that is not ours in one is bounded.
                self.note(Part::Ledger, &Err::<(), _>(error));
                u64::MAX
            }
        }
    }

    pub(crate) fn note_disk_failure(&self) {
        self.stats.disk_failures.fetch_add(1, Relaxed);
    }

    /// The session is on record: it is known, timed and flushed from now on.
    pub(crate) fn admit_to_table(&self, session: &Arc<Session>) {
        self.slots.settle(session);
        self.know(session);
        // A disk that took its time may hand over what is over by now, and its parent may soon be forgotten.
        let now_nanos = self.clock.now_nanos();
        if session.deadline().has_passed(Time::from_nanos(now_nanos)) {
            self.decide(session, Activity::Passive, now_nanos, "deadline");
            return;
        }
        self.arm(session);
        // Looked at after it is in the table: a block that we do not see finds it there.
        self.end_if_blocked(session);
    }

    /// The session is found by its credential, and by its parent.
    pub(crate) fn know(&self, session: &Arc<Session>) {
        self.table.insert(session);
        if let Some(parent) = session.parent() {
            parent.adopt(session);
        }
    }

    /// Keeps an ended session known for a while.
    pub(crate) fn forget_later(&self, session: &Arc<Session>) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push_back((self.clock.now(), Arc::clone(session)));
    }

    /// An end waits for its entry to be told.
    pub(crate) fn tell_later(&self, session: &Arc<Session>) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.push_back((self.clock.now(), Arc::clone(session)));
    }

    /// What ended before `before` and could not be told since is closed without a word: a disk that hangs must not keep open what
    /// somebody ordered to be closed.
    pub(crate) fn give_up_telling(&self, before: Time) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, session)) = untold.pop_front_if(|(at, _)| *at < before) {
            if !session.settled() {
                session.give_up_telling();
            }
        }
    }

    /// Forgets what ended before `before`.
    pub(crate) fn forget_ended(&self, before: Time) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.journal.done();
        // Its place is not given away before its end is on disk.
        while let Some((_, session)) =
            ended.pop_front_if(|(at, session)| *at < before && session.end_entry() < done)
        {
            self.table.remove(&session);
            self.forget_device(&session);
            self.slots.release(&session);
        }
    }

    /// The subject under this pseudonym, together with every other session of it.
    pub(crate) fn who(&self, subject: Subject, pseudonym: Pseudonym) -> Arc<Who> {
        self.people_with_sessions.one(Who { subject, pseudonym })
    }

    pub(crate) fn terms(&self) -> &Shared<Terms> {
        &self.terms
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The subject's name in the ledger; a new one is remembered first, which may take the disk's time.
    pub(crate) fn pseudonym(&self, subject: &Subject) -> Result<Pseudonym, PseudonymError> {
        if let Some(known) = self.people.known(&subject.provider, &subject.name) {
            return Ok(known);
        }
        self.people_wait.begins(self.clock.now_nanos());
        let pseudonym = self.people.pseudonym(&subject.provider, &subject.name);
        self.people_wait.ends(self.clock.now_nanos());
        self.note(Part::People, &pseudonym.as_ref().map(drop));
        pseudonym
    }

    /// Since when new subjects have waited for the disk, in nanoseconds by our clock; zero if none does.
    pub(crate) fn people_wait_since(&self) -> u64 {
        self.people_wait.since()
    }

    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    pub(crate) fn logout_tokens(&self) -> &LogoutTokens {
        &self.logout_tokens
    }

    pub(crate) fn devices(&self) -> &Devices {
        &self.devices
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn wheel(&self) -> MutexGuard<'_, Wheel> {
        self.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present thread calls [`Authority::turn`] from now on.
    pub(crate) fn timed_by_this_thread(&self) {
        let _ = self.timekeeper.set(std::thread::current());
    }

    pub(crate) fn wake_timekeeper(&self) {
        if let Some(timekeeper) = self.timekeeper.get() {
            timekeeper.unpark();
        }
    }
}
