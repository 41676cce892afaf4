//! The clocks of a machine that lie, and what an honest authority makes of them.
//!
//! The authority's rule, in words: time goes on with the steady clock; where the wall clock is ahead, it is believed; where it is
//! behind, it is not. After a start in the same boot the steady clock tells how much time passed since the last reservation. After
//! a boot only the wall clock can tell, and behind the reservation it is a fault.

use nightlatch_engine::ManualTime;
use std::sync::Arc;

const MS: u64 = 1_000_000;
/// The beginning of all histories, in milliseconds since the Unix epoch.
pub(crate) const BEGIN: u64 = 1_700_000_000_000;

/// A machine's clocks, and the time as it should be answered. All in nanoseconds.
pub(crate) struct Clocks {
    pub(crate) machine: Arc<ManualTime>,
    boots: u64,
    steady: u64,
    now: u64,
    /// For how long the machine was suspended since it booted.
    slept: u64,
    /// What may be on disk: one, unless a write is not known to have happened. None is a reservation that was lost.
    reserved: Vec<Option<Reserved>>,
    noted: Noted,
}

/// What happened to the clocks and was noted since the last start: each thing of 250 ms or more, once.
#[derive(Clone, Copy, Default)]
struct Noted {
    offset: u64,
    behind: u64,
    slept: u64,
    counts: Happened,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) forward: u64,
    pub(crate) back: u64,
    pub(crate) suspended: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reserved {
    boots: u64,
    steady: u64,
    now: u64,
    until: u64,
}

/// What a start of the clock should come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It goes on, at this instant.
    At(u64),
    /// A clock fault; it goes on from here.
    Fault {
        /// In nanoseconds.
        at: u64,
    },
    /// A clock fault, because there is no reservation; it goes on from the wall clock.
    Unreserved {
        /// In nanoseconds.
        at: u64,
    },
}

impl Begin {
    pub(crate) fn instant(self) -> u64 {
        let (Begin::At(at) | Begin::Fault { at } | Begin::Unreserved { at }) = self;
        at
    }
}

impl Clocks {
    pub(crate) fn new() -> Clocks {
        let now = BEGIN * MS;
        let noted = Noted { offset: now, ..Noted::default() };
        let machine = Arc::new(ManualTime::new(now));
        Clocks { machine, boots: 0, steady: 0, now, slept: 0, reserved: vec![None], noted }
    }

    pub(crate) fn now_millis(&self) -> u64 {
        self.now / MS
    }

    pub(crate) fn now_nanos(&self) -> u64 {
        self.now
    }

    /// How far the answer is ahead of the steady clock. Somebody who read that one a while ago adds to it what this is now.
    pub(crate) fn offset_nanos(&self) -> u64 {
        self.now - self.steady
    }

    pub(crate) fn pass(&mut self, nanos: u64) {
        self.machine.advance(nanos);
        self.steady += nanos;
        self.now = (self.now + nanos).max(self.machine.wall());
    }

    /// The machine is suspended: nothing runs, and the time counts.
    pub(crate) fn suspend(&mut self, nanos: u64) {
        self.machine.suspend(nanos);
        (self.steady, self.slept) = (self.steady + nanos, self.slept + nanos);
        self.now = (self.now + nanos).max(self.machine.wall());
    }

    /// Somebody looks at the clocks, and notes what happened to them since the last look.
    pub(crate) fn look(&mut self) -> Happened {
        const NOTED: u64 = 250 * MS;
        let noted = &mut self.noted;
        if self.slept >= noted.slept + NOTED {
            noted.counts.suspended += 1;
            noted.slept = self.slept;
        }
        let offset = self.now - self.steady;
        if offset >= noted.offset + NOTED {
            noted.counts.forward += 1;
            noted.offset = offset;
        }
        let behind = self.now - self.machine.wall();
        if behind.abs_diff(noted.behind) >= NOTED {
            noted.counts.back += u64::from(behind > noted.behind);
            noted.behind = behind;
        }
        noted.counts
    }

    pub(crate) fn wall_forward(&mut self, millis: u64) {
        self.machine.set_wall(self.machine.wall() + millis * MS);
        self.now = self.now.max(self.machine.wall());
    }

    pub(crate) fn wall_back(&self, millis: u64) {
        self.machine.set_wall(self.machine.wall() - millis * MS);
    }

    /// The engine has put its reservation on disk.
    pub(crate) fn reserve(&mut self, clean: bool) {
        self.reserved.clear();
        self.reserve_perhaps(clean);
    }

    /// It may have.
    pub(crate) fn reserve_perhaps(&mut self, clean: bool) {
        let until = if clean { self.now } else { self.now + 1_000 * MS };
        self.reserved.push(Some(Reserved { boots: self.boots, steady: self.steady, now: self.now, until }));
    }

    pub(crate) fn lose_reservation(&mut self) {
        self.reserved = vec![None];
    }

    /// Time passes while nothing runs.
    pub(crate) fn pass_unseen(&mut self, millis: u64) {
        self.machine.advance(millis * MS);
        self.steady += millis * MS;
    }

    /// The machine boots anew; its wall clock says `ahead` milliseconds more than the time that it should.
    pub(crate) fn reboot(&mut self, ahead: i64) {
        self.boots += 1;
        (self.steady, self.slept) = (0, 0);
        let honest = self.now.max(self.machine.wall());
        self.machine.reboot();
        self.machine.set_wall(honest.saturating_add_signed(ahead * MS as i64));
    }

    /// What a start of the authority's clock may come to now: one thing, unless it is not known which reservation is on disk.
    pub(crate) fn begin(&self) -> Vec<Begin> {
        let wall = self.machine.wall();
        let of = |reserved: &Option<Reserved>| match reserved {
            None => Begin::Unreserved { at: wall },
            Some(last) if last.boots == self.boots => {
                Begin::At(wall.max(last.now + (self.steady - last.steady)))
            }
            Some(last) if wall >= last.until => Begin::At(wall),
            Some(last) => Begin::Fault { at: last.until },
        };
        self.reserved.iter().map(of).collect()
    }

    /// A start that did not come to its end may have put a reservation on disk: from where the clock began, or from `latest` on record if it
    /// was behind that.
    pub(crate) fn begun_perhaps(&mut self, latest: u64) {
        for begin in self.begin() {
            for now in [begin.instant(), begin.instant().max(latest)] {
                let until = now + 1_000 * MS;
                self.reserved.push(Some(Reserved { boots: self.boots, steady: self.steady, now, until }));
            }
        }
        self.reserved.sort_unstable();
        self.reserved.dedup();
    }

    /// The engine has begun, at this instant.
    pub(crate) fn begun(&mut self, now: u64) {
        self.now = now;
        self.noted = Noted { offset: now - self.steady, slept: self.slept, ..Noted::default() };
    }
}
