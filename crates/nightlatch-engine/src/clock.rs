//! The one clock of an authority: never backwards, and never slower than real time.
//!
//! A session may live only so long, so the dangerous lie of a clock is to say that *less* time has passed than did. Two
//! clocks of the machine are read for each answer and the later one is believed:
//!
//! - `CLOCK_BOOTTIME` plus an offset: steady, counts suspension, not moved when somebody sets the wall clock;
//! - the wall clock: it alone knows of the time during which a virtual machine stood still.
//!
//! `now = max(boot + offset, wall)`, and whenever the wall was ahead the offset is raised to meet it. The offset only goes up,
//! so the answer never goes back, whatever is done to the wall clock: set back, it is ignored; set forward, that counts as time
//! passed. Both are noticed by [`Clock::watch`] when they exceed 250 ms, and so is a suspension of the machine: it counts like any
//! other time, but whoever asks why everything ended at once is to find it.
//!
//! Across a restart the *reservation* on disk takes over: a little ahead of now it promises that no later start of
//! this clock begins before it.

use crate::time_source::TimeSource;
use nightlatch_core::Time;
use nightlatch_store::Reservation;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How far the reservation runs ahead of now.
pub(crate) const RESERVED_AHEAD_NANOS: u64 = 1_000_000_000;
/// A difference between the clocks below this is theirs to have; above it is an entry and an alert.
const NOTED_NANOS: u64 = 250_000_000;

/// The clock of this authority. Cheap to ask: two reads that stay out of the kernel, and no lock.
pub struct Clock {
    source: Box<dyn TimeSource>,
    boot_id: [u8; 16],
    /// Unix time minus boot time, in nanoseconds; only goes up.
    offset: AtomicU64,
    /// The offset that the watch has seen.
    watched: AtomicU64,
    /// How far behind the wall clock was when that was last noted.
    noted_behind: AtomicU64,
    /// How far boot time was ahead of the clock that stands still in a suspension, when that was last noted. Where namespaces have
    /// moved either, only what is added to it says anything.
    noted_sleep: AtomicI64,
    /// The offset of the reservation that is on disk.
    kept_offset: AtomicU64,
    /// The instant up to which the reservation on disk goes.
    kept_until: AtomicU64,
}

/// A clock that cannot be trusted: what was live before must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// The machine booted anew and its clock is behind a time that had been reached before.
    BehindReservation {
        /// By how much, in nanoseconds.
        by_nanos: u64,
    },
    /// There was a reservation and it is gone or cannot be read, so nobody knows what time had been reached.
    ReservationUnreadable,
    /// The clock is behind something that is on record, and no reservation tells how far time had gone.
    BehindRecord {
        /// By how much, in nanoseconds.
        by_nanos: u64,
    },
    /// The same boot, but less time since it than had passed before.
    BootTimeWentBack {
        /// By how much, in nanoseconds.
        by_nanos: u64,
    },
}

impl ClockFault {
    /// In words, for the record.
    #[must_use]
    pub fn cause(self) -> String {
        match self {
            ClockFault::BehindReservation { by_nanos } => {
                format!("after a boot the clock is {} ms behind a time reached before", by_nanos / 1_000_000)
            }
            ClockFault::ReservationUnreadable => "the time reservation is gone or cannot be read".to_owned(),
            ClockFault::BehindRecord { by_nanos } => {
                format!("the clock is {} ms behind something on record", by_nanos / 1_000_000)
            }
            ClockFault::BootTimeWentBack { by_nanos } => {
                format!("the steady clock is {} ms behind within one boot", by_nanos / 1_000_000)
            }
        }
    }
}

/// What happened to the clocks between two looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStep {
    /// The wall clock stepped forward against the steady one: counted as time passed. So looks a virtual machine that stood still.
    Forward {
        /// By how much, in nanoseconds.
        by_nanos: u64,
    },
    /// It stepped back: ignored.
    Back {
        /// How far behind this clock the wall clock now is, in nanoseconds.
        by_nanos: u64,
    },
    /// The machine was suspended: counted as the time that it is.
    Suspended {
        /// For how long, in nanoseconds.
        by_nanos: u64,
    },
}

impl Clock {
    /// Starts the clock where the last run left off, or later.
    ///
    /// With a fault, the clock still runs (from the latest time it knows of), so that the ends it causes can be dated.
    #[must_use]
    pub fn start(source: Box<dyn TimeSource>, reserved: Option<&Reservation>) -> (Clock, Option<ClockFault>) {
        let (boot, wall) = read(&*source);
        let boot_id = source.boot_id();
        let known_boot = boot_id != [0; 16];
        let (begin, fault) = match reserved {
            None => (wall, None),
            Some(last) if known_boot && last.boot_id == boot_id => same_boot(last, boot, wall),
            Some(last) => new_boot(last, wall),
        };
        let offset = begin.saturating_sub(boot);
        let clock = Clock {
            noted_sleep: AtomicI64::new(sleep(&*source)),
            source,
            boot_id,
            offset: AtomicU64::new(offset),
            watched: AtomicU64::new(offset),
            noted_behind: AtomicU64::new(0),
            kept_offset: AtomicU64::new(0),
            kept_until: AtomicU64::new(0),
        };
        (clock, fault)
    }

    /// Now, in nanoseconds since the Unix epoch. Never less than any answer before it.
    #[must_use]
    pub fn now_nanos(&self) -> u64 {
        let (boot, wall) = read(&*self.source);
        let needed = wall.saturating_sub(boot);
        let offset = self.offset.load(Ordering::Acquire);
        if needed <= offset {
            return boot + offset;
        }
        boot + self.offset.fetch_max(needed, Ordering::AcqRel).max(needed)
    }

    /// Now, to the whole millisecond before.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_nanos(self.now_nanos())
    }

    /// What the reservation should say now. `clean`: nothing runs any more, and now itself is the promise.
    #[must_use]
    pub fn reservation(&self, clean: bool) -> Reservation {
        let now = self.now_nanos();
        let boot = self.source.boot_nanos();
        Reservation {
            boot_id: self.boot_id,
            boot_nanos: boot,
            offset_nanos: i64::try_from(self.offset.load(Ordering::Acquire)).unwrap_or(i64::MAX),
            reserved_until_nanos: if clean { now } else { now + RESERVED_AHEAD_NANOS },
            clean,
        }
    }

    /// This reservation is on disk now.
    pub(crate) fn keep(&self, stored: &Reservation) {
        let offset = u64::try_from(stored.offset_nanos).unwrap_or(0);
        self.kept_offset.fetch_max(offset, Ordering::AcqRel);
        self.kept_until.fetch_max(stored.reserved_until_nanos, Ordering::AcqRel);
    }

    /// Whether any later start of this clock, from what is on disk, begins at `now_nanos` or after, or is a fault.
    ///
    /// Not so for an instant after a wall clock's step that no reservation has seen yet: a crash and a step back
    /// would undo it.
    pub(crate) fn is_kept(&self, now_nanos: u64) -> bool {
        now_nanos <= self.kept_until.load(Ordering::Acquire)
            && self.offset.load(Ordering::Acquire) <= self.kept_offset.load(Ordering::Acquire)
    }

    /// Goes to `at` if that is ahead: something is on record that happened then.
    pub(crate) fn raise(&self, at: Time) {
        let needed = at.as_nanos().saturating_sub(self.source.boot_nanos());
        self.offset.fetch_max(needed, Ordering::AcqRel);
        self.watched.fetch_max(needed, Ordering::AcqRel);
    }

    /// Compares the clocks and tells what happened since the last call, each thing once: to be called until there is nothing more.
    #[must_use]
    pub fn watch(&self) -> Option<ClockStep> {
        let noted = self.noted_sleep.load(Ordering::Acquire);
        let slept = sleep(&*self.source);
        let by_nanos = u64::try_from(slept.saturating_sub(noted)).unwrap_or(0);
        if by_nanos >= NOTED_NANOS {
            // Of several who look, one tells.
            let told = self.noted_sleep.compare_exchange(noted, slept, Ordering::AcqRel, Ordering::Acquire);
            return told.is_ok().then_some(ClockStep::Suspended { by_nanos });
        }
        let now = self.now_nanos();
        let offset = self.offset.load(Ordering::Acquire);
        let watched = self.watched.load(Ordering::Acquire);
        let forward = offset.saturating_sub(watched);
        if forward >= NOTED_NANOS {
            let told = self.watched.compare_exchange(watched, offset, Ordering::AcqRel, Ordering::Acquire);
            return told.is_ok().then_some(ClockStep::Forward { by_nanos: forward });
        }
        let behind = now.saturating_sub(self.source.wall_nanos());
        let noted = self.noted_behind.load(Ordering::Acquire);
        if behind.abs_diff(noted) < NOTED_NANOS {
            return None;
        }
        let told = self.noted_behind.compare_exchange(noted, behind, Ordering::AcqRel, Ordering::Acquire);
        (told.is_ok() && behind > noted).then_some(ClockStep::Back { by_nanos: behind })
    }

    /// How far the wall clock is behind this clock, in nanoseconds.
    #[must_use]
    pub fn wall_behind_nanos(&self) -> u64 {
        self.now_nanos().saturating_sub(self.source.wall_nanos())
    }
}

/// Boot time and wall clock. The wall clock is read first: a pause between the two readings then only makes the steady
/// clock's answer later, which is true. The other way round the pause would be taken for a step forward, and stay.
fn read(source: &dyn TimeSource) -> (u64, u64) {
    let wall = source.wall_nanos();
    (source.boot_nanos(), wall)
}

/// How far boot time is ahead of the clock that a suspension stops. Boot time is read first: a pause between the two then makes it less,
/// and is not taken for a suspension.
fn sleep(source: &dyn TimeSource) -> i64 {
    let boot = source.boot_nanos();
    boot.cast_signed().saturating_sub(source.awake_nanos().cast_signed())
}

/// The steady clock has run on since the last run: it tells how much time passed, and no jump to the reservation is needed.
fn same_boot(last: &Reservation, boot: u64, wall: u64) -> (u64, Option<ClockFault>) {
    if boot < last.boot_nanos {
        let fault = ClockFault::BootTimeWentBack { by_nanos: last.boot_nanos - boot };
        return (wall.max(last.reserved_until_nanos), Some(fault));
    }
    (wall.max(boot.saturating_add_signed(last.offset_nanos)), None)
}

/// Only the wall clock and the reservation are left: behind what was promised, nothing can be believed.
fn new_boot(last: &Reservation, wall: u64) -> (u64, Option<ClockFault>) {
    if wall >= last.reserved_until_nanos {
        return (wall, None);
    }
    let fault = ClockFault::BehindReservation { by_nanos: last.reserved_until_nanos - wall };
    (last.reserved_until_nanos, Some(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_source::ManualTime;
    use std::sync::Arc;

    const S: u64 = 1_000_000_000;

    fn clock(reserved: Option<&Reservation>, wall: u64) -> (Clock, Option<ClockFault>, Arc<ManualTime>) {
        let time = Arc::new(ManualTime::new(wall));
        let (clock, fault) = Clock::start(Box::new(Arc::clone(&time)), reserved);
        (clock, fault, time)
    }

    #[test]
    fn never_revived_a_wall_clock_set_back_is_ignored_and_noted_once() {
        let (clock, _, time) = clock(None, 1000 * S);
        time.advance(10 * S);
        time.set_wall(5 * S);
        assert_eq!(clock.now_nanos(), 1010 * S);
        assert_eq!(clock.watch(), Some(ClockStep::Back { by_nanos: 1005 * S }));
        time.advance(S);
        assert_eq!((clock.now_nanos(), clock.watch()), (1011 * S, None));
    }

    #[test]
    fn never_longer_a_wall_clock_set_forward_counts_as_time_passed() {
        let (clock, _, time) = clock(None, 1000 * S);
        time.set_wall(1060 * S);
        assert_eq!(clock.now_nanos(), 1060 * S);
        assert_eq!(clock.watch(), Some(ClockStep::Forward { by_nanos: 60 * S }));
        time.set_wall(1000 * S);
        assert_eq!(clock.now_nanos(), 1060 * S, "time that passed stays passed");
    }

    #[test]
    fn small_differences_are_followed_and_not_noted() {
        let (clock, _, time) = clock(None, 1000 * S);
        time.set_wall(1000 * S + NOTED_NANOS - 1);
        assert_eq!((clock.now_nanos(), clock.watch()), (1000 * S + NOTED_NANOS - 1, None));
    }

    #[test]
    fn never_longer_time_in_which_the_machine_slept_counts_and_is_noted_once() {
        let (clock, _, time) = clock(None, 1000 * S);
        time.advance(S);
        time.suspend(NOTED_NANOS - 1);
        assert_eq!(clock.watch(), None, "a short one is not noted");
        time.suspend(3600 * S);
        assert_eq!(clock.now_nanos(), 4601 * S + NOTED_NANOS - 1);
        assert_eq!(clock.watch(), Some(ClockStep::Suspended { by_nanos: 3600 * S + NOTED_NANOS - 1 }));
        time.advance(S);
        assert_eq!(clock.watch(), None);
    }

    #[test]
    fn a_suspension_and_a_step_are_told_one_after_the_other() {
        let (clock, _, time) = clock(None, 1000 * S);
        time.suspend(10 * S);
        time.set_wall(1015 * S);
        assert_eq!(clock.watch(), Some(ClockStep::Suspended { by_nanos: 10 * S }));
        assert_eq!(clock.watch(), Some(ClockStep::Forward { by_nanos: 5 * S }));
        assert_eq!(clock.watch(), None);
    }

    #[test]
    fn a_restart_in_the_same_boot_goes_on_by_the_steady_clock() {
        let (first, _, time) = clock(None, 1000 * S);
        time.advance(10 * S);
        let reserved = first.reservation(false);
        time.advance(5 * S);
        time.set_wall(3 * S);
        let (second, fault) = Clock::start(Box::new(Arc::clone(&time)), Some(&reserved));
        assert_eq!((second.now_nanos(), fault), (1015 * S, None));
    }

    #[test]
    fn fail_closed_a_new_boot_behind_the_reservation_is_a_fault() {
        let (first, _, time) = clock(None, 1000 * S);
        let reserved = first.reservation(false);
        time.reboot();
        let rows = [(1001 * S - 1, Some(ClockFault::BehindReservation { by_nanos: 1 })), (1001 * S, None)];
        for (wall, expected) in rows {
            time.set_wall(wall);
            let (second, fault) = Clock::start(Box::new(Arc::clone(&time)), Some(&reserved));
            assert_eq!((second.now_nanos(), fault), (1001 * S, expected));
        }
    }

    #[test]
    fn fail_closed_the_same_boot_with_less_time_behind_it_is_a_fault() {
        let reserved = Reservation {
            boot_id: TimeSource::boot_id(&Arc::new(ManualTime::new(0))),
            boot_nanos: 7,
            offset_nanos: 1000 * S as i64,
            reserved_until_nanos: 1001 * S,
            clean: false,
        };
        let (clock, fault, _) = clock(Some(&reserved), 2000 * S);
        assert_eq!(fault, Some(ClockFault::BootTimeWentBack { by_nanos: 7 }));
        assert_eq!(clock.now_nanos(), 2000 * S);
    }
}
