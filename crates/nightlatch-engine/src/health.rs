//! What is wrong right now, since when, and what it stops.
//!
//! Each part of the program that can fail by itself has a line here. A fault stops one of two things, or nothing:
//!
//! - **New sessions**, when what a start promises could not be kept: that it is on record, that its end will be, that its
//!   activity and its time survive a crash. Nothing else stops: every end that follows from the numbers needs no disk.
//! - **Enforcing**, when we are blind: the thread that ends sessions does not run. What comes in is still decided by the
//!   clock at every write; what is open and quiet would not be cut in time, so traffic is to go elsewhere. A disk never does that. While the time reservation cannot be written, an end is told when its entry is on disk instead; while
//!   neither can, what is open is reset without a word.
//!
//! **A disk that fills up** is a fault when something could not be had, and not before. What a start needs most is not looked for in advance but
//! *taken* in advance: the ledger holds the space for the next start, and for the ends of all who live, before anybody asks ([`Part::Room`]), so that
//! line turns red while every promise can still be kept. The few bytes elsewhere (a name that is new, a larger table of slots) show themselves by failing, which
//! refuses one start. A look at the free space would say less: quotas, blocks that are kept for root, file systems that copy on write make of
//! "free" a forecast, and a fault must be a fact. As a warning it is good: the doctor gives it, and so does whoever watches the volume.
//!
//! A fault is said when it begins, once a minute while it stands, and when it is over. All of it mends itself: whatever failed is tried
//! again, at the latest in the next round of upkeep.

use crate::{engine::Authority, reasons::reasons};
use nightlatch_core::Time;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

nightlatch_core::listed! {
    /// What can fail by itself.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Part {
        /// Entries do not reach the disk.
        Ledger,
        /// There is room on the disk for nothing but the ends of the sessions that live.
        Room,
        /// Last activity is not written.
        Activity,
        /// The time reservation is not written.
        Time,
        /// Who is behind a new pseudonym cannot be remembered.
        People,
        /// The table is not written down; a start reads more of the ledger.
        Snapshot,
        /// Checkpoints are not signed or kept.
        Checkpoint,
        /// A round of upkeep does not come to its end: a disk that hangs.
        Upkeep,
        /// The thread that ends sessions does not run.
        Timekeeper,
    }
}

/// What a fault stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stops {
    /// Nothing that anybody would notice.
    Nothing,
    /// No session starts; those that run are enforced.
    NewSessions,
    /// Ends may come late: traffic is to go elsewhere. No session starts either.
    Enforcing,
}

impl Part {
    /// The word used in metrics, logs and answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Part::Ledger => "ledger",
            Part::Room => "room",
            Part::Activity => "activity",
            Part::Time => "time",
            Part::People => "people",
            Part::Snapshot => "snapshot",
            Part::Checkpoint => "checkpoint",
            Part::Upkeep => "upkeep",
            Part::Timekeeper => "timekeeper",
        }
    }

    /// What its fault stops.
    #[must_use]
    pub const fn stops(self) -> Stops {
        match self {
            Part::Snapshot | Part::Checkpoint => Stops::Nothing,
            Part::Ledger | Part::Room | Part::Activity | Part::Time | Part::People | Part::Upkeep => {
                Stops::NewSessions
            }
            Part::Timekeeper => Stops::Enforcing,
        }
    }

    /// In words, for the person who is woken by it.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Part::Ledger => "the ledger cannot be written",
            Part::Room => "the disk is full: what is left is kept for the ends of the sessions that live",
            Part::Activity => "last activity cannot be written",
            Part::Time => "the time reservation cannot be written",
            Part::People => "a new subject cannot be remembered",
            Part::Snapshot => "the snapshot cannot be written",
            Part::Checkpoint => "the checkpoint cannot be signed or kept",
            Part::Upkeep => "the disk does not answer",
            Part::Timekeeper => "the thread that ends sessions does not run",
        }
    }

    const fn is_of_the_disk(self) -> bool {
        !matches!(self, Part::Timekeeper)
    }

    /// The page that says what to do, in `docs/runbooks/`.
    #[must_use]
    pub const fn runbook(self) -> &'static str {
        match self {
            Part::Timekeeper => "clock-fault.md",
            _ => "disk-full.md",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// With what.
    pub part: Part,
    /// Since when, by our clock.
    pub since: Time,
}

/// How the program is, for those who send it traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is wrong, in the order of [`Part::ALL`].
    pub faults: Vec<Fault>,
    /// Sessions may start: no fault stops that.
    pub recording: bool,
    /// Ends come on time: no fault stops that.
    pub enforcing: bool,
    /// How far the wall clock is behind ours, in milliseconds.
    pub wall_behind_ms: u64,
    /// Entries on disk.
    pub ledger_size: u64,
    /// Entries that wait for the disk.
    pub ledger_waiting: u64,
    /// Timers that stand.
    pub timers: u64,
}

/// Since when each part is at fault, and how often it was.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// In nanoseconds by our clock; zero while nothing is wrong.
    since: [AtomicU64; Part::ALL.len()],
    said: [AtomicU64; Part::ALL.len()],
    times: [AtomicU64; Part::ALL.len()],
    /// Since when a round of upkeep is under way; zero between two.
    round_began: AtomicU64,
    /// How often the timekeeper has looked at the clock; zero if there is none.
    looks: AtomicU64,
    /// What that was at the last round of upkeep, and for how many rounds it has been so.
    looks_seen: AtomicU64,
    rounds_without_look: AtomicU64,
}

/// How often a fault that stands is said again.
const SAY_EVERY_NANOS: u64 = 60_000_000_000;
/// An entry that waits longer for the disk, a round of upkeep that takes longer: the disk hangs.
const DISK_HANGS_NANOS: u64 = 2_000_000_000;
const ROUND_HANGS_NANOS: u64 = 5_000_000_000;
/// A timekeeper that has not looked at the clock for so many rounds of upkeep does not run. It looks twice in each. Counted and not timed, so
/// that a machine that stood still as a whole does not look like it.
const TIMEKEEPER_STALLS_ROUNDS: u64 = 10;

impl Faults {
    fn since(&self, part: Part) -> Option<u64> {
        Some(self.since[part.place()].load(SeqCst)).filter(|since| *since > 0)
    }

    /// How often a part began to be at fault.
    pub(crate) fn times(&self, part: Part) -> u64 {
        self.times[part.place()].load(SeqCst)
    }

    /// It has failed since then. True if that is to be said.
    fn begins(&self, part: Part, since_nanos: u64, now_nanos: u64) -> bool {
        let index = part.place();
        if self.since[index].compare_exchange(0, since_nanos.max(1), SeqCst, SeqCst).is_ok() {
            self.times[index].fetch_add(1, SeqCst);
            self.said[index].store(now_nanos, SeqCst);
            return true;
        }
        let said = self.said[index].load(SeqCst);
        now_nanos.saturating_sub(said) >= SAY_EVERY_NANOS
            && self.said[index].compare_exchange(said, now_nanos, SeqCst, SeqCst).is_ok()
    }

    /// It works. How long it did not, in nanoseconds, if this is the first time again.
    fn ends(&self, part: Part, now_nanos: u64) -> Option<u64> {
        let index = part.place();
        if self.since[index].load(SeqCst) == 0 {
            return None;
        }
        match self.since[index].swap(0, SeqCst) {
            0 => None,
            since => Some(now_nanos.saturating_sub(since)),
        }
    }
}

/// The disk gave no more space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk gives no more space")]
pub(crate) struct NoRoom;

/// It should have answered long since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer")]
pub(crate) struct NoAnswer;

/// Since when some have waited for the disk, and none has come back.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    count: AtomicU64,
    since: AtomicU64,
}

impl Waits {
    pub(crate) fn begins(&self, now_nanos: u64) {
        if self.count.fetch_add(1, SeqCst) == 0 {
            self.since.store(now_nanos, SeqCst);
        }
    }

    pub(crate) fn ends(&self, now_nanos: u64) {
        // Whoever came back shows that the disk answers.
        let last = self.count.fetch_sub(1, SeqCst) == 1;
        self.since.store(if last { 0 } else { now_nanos }, SeqCst);
    }

    pub(crate) fn since(&self) -> u64 {
        self.since.load(SeqCst)
    }
}

impl Authority {
    /// How the program is.
    #[must_use]
    pub fn health(&self) -> Health {
        let now_nanos = self.clock().now_nanos();
        let faults: Vec<Fault> = Part::ALL
            .into_iter()
            .filter_map(|part| {
                Some(Fault { part, since: Time::from_nanos(self.fault_since(part, now_nanos)?) })
            })
            .collect();
        let stops = |what| faults.iter().any(|fault| fault.part.stops() == what);
        let enforcing = !stops(Stops::Enforcing);
        Health {
            recording: enforcing && !stops(Stops::NewSessions),
            enforcing,
            faults,
            wall_behind_ms: self.clock().wall_behind_nanos() / 1_000_000,
            ledger_size: self.ledger().durable(),
            ledger_waiting: self.ledger().pending(),
            timers: self.wheel().len() as u64,
        }
    }

    /// How often a part began to be at fault, in this run.
    #[must_use]
    pub fn times_at_fault(&self, part: Part) -> u64 {
        self.faults().times(part)
    }

    /// Whether a session may start, as far as what was noted goes.
    pub(crate) fn may_start(&self) -> bool {
        let stops = |part: &Part| part.stops() != Stops::Nothing;
        Part::ALL.into_iter().filter(stops).all(|part| !self.is_at_fault(part))
    }

    /// Since when a part is at fault: as it was noted, or as can be seen at once.
    fn fault_since(&self, part: Part, now_nanos: u64) -> Option<u64> {
        let seen = match part {
            Part::Room => (!self.room().is_left()).then_some(now_nanos),
            Part::Ledger => self.silent_since(part, now_nanos),
            _ => None,
        };
        self.faults().since(part).or(seen)
    }

    /// Since when a part that should answer has not.
    fn silent_since(&self, part: Part, now_nanos: u64) -> Option<u64> {
        let faults = self.faults();
        let (since, most) = match part {
            Part::Ledger => (self.journal().waits_since(), DISK_HANGS_NANOS),
            Part::People => (self.people_wait_since(), DISK_HANGS_NANOS),
            Part::Upkeep => (faults.round_began.load(SeqCst), ROUND_HANGS_NANOS),
            _ => return None,
        };
        (since > 0 && now_nanos.saturating_sub(since) > most).then_some(since)
    }

    /// Says of a part that it does not answer, if it does not.
    fn note_silence(&self, part: Part, now_nanos: u64) {
        if let Some(since) = self.silent_since(part, now_nanos)
            && self.faults().begins(part, since, now_nanos)
        {
            say(part, &NoAnswer);
        }
    }

    /// Notes whether something was done, and says so when that changes.
    pub(crate) fn note<E: std::error::Error>(&self, part: Part, done: &Result<(), E>) {
        let now_nanos = self.clock().now_nanos();
        match done {
            Ok(()) => {
                if let Some(nanos) = self.faults().ends(part, now_nanos) {
                    tracing::info!(part = part.code(), after_ms = nanos / 1_000_000, "a fault is over");
                }
            }
            Err(error) => {
                if part.is_of_the_disk() {
                    self.note_disk_failure();
                }
                if self.faults().begins(part, now_nanos, now_nanos) {
                    say(part, error);
                }
            }
        }
    }

    /// Whether this part was noted to be at fault.
    pub(crate) fn is_at_fault(&self, part: Part) -> bool {
        self.faults().since(part).is_some()
    }

    /// A round of upkeep begins.
    pub(crate) fn round_begins(&self) {
        let faults = self.faults();
        faults.round_began.store(self.clock().now_nanos(), SeqCst);
        let looks = faults.looks.load(SeqCst);
        if looks == 0 || faults.looks_seen.swap(looks, SeqCst) != looks {
            faults.rounds_without_look.store(0, SeqCst);
        } else if faults.rounds_without_look.fetch_add(1, SeqCst) + 1 >= TIMEKEEPER_STALLS_ROUNDS {
            self.note(Part::Timekeeper, &Err(NoAnswer));
        }
    }

    /// And comes to its end.
    pub(crate) fn round_ends(&self) {
        self.faults().round_began.store(0, SeqCst);
        self.note(Part::Upkeep, &Ok::<(), NoAnswer>(()));
    }

    /// What the timekeeper does whenever it wakes, besides ending what is due: it touches no disk, so it is the one to notice that
    /// others hang on theirs.
    pub(crate) fn watch(&self) {
        let now_nanos = self.clock().now_nanos();
        self.faults().looks.fetch_add(1, SeqCst);
        self.note(Part::Timekeeper, &Ok::<(), NoAnswer>(()));
        for part in [Part::Ledger, Part::People, Part::Upkeep] {
            self.note_silence(part, now_nanos);
        }
        self.note_clock_steps();
    }
}

fn say(part: Part, error: &dyn std::error::Error) {
    let why = reasons(error);
    tracing::error!(part = part.code(), why, runbook = part.runbook(), "{}", part.means());
}
