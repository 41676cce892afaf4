//! The part of a session that changes: one word and two registers.
//!
//! [`Cell`] is the only place where a decision is committed. It reads, asks the core, and writes by compare-and-swap what the
//! core answered; when another writer was faster it asks again. Whoever wins the swap from live to ended is told so, and
//! exactly one does: that is who records the end.

use crate::sync::{AtomicU64, Ordering};
use nightlatch_core::{Deadline, EndReason, Event, Register, Seen, Time, Verdict, Word, decide};

/// The state word and the limits of one session.
#[derive(Debug)]
pub(crate) struct Cell {
    word: AtomicU64,
    idle: AtomicU64,
    hard_end: AtomicU64,
}

/// What was decided and committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It goes on, until this deadline.
    Live(Deadline),
    /// It goes on until this deadline, and this event needs a fresher authentication.
    InsufficientAuthentication(Deadline),
    /// It ended here and now, by this call: the caller records it.
    EndedNow(EndReason, Deadline),
    /// It had ended.
    Ended(EndReason),
}

impl Cell {
    pub(crate) fn new(word: Word, idle: Register, hard_end: Register) -> Cell {
        Cell {
            word: AtomicU64::new(word.bits()),
            idle: AtomicU64::new(idle.bits()),
            hard_end: AtomicU64::new(hard_end.bits()),
        }
    }

    /// What is known right now; `parent` is when a lease's parent would end.
    pub(crate) fn seen(&self, parent: Option<Time>) -> Seen {
        Seen {
            word: self.word(),
            idle: Register::from_bits(self.idle.load(Ordering::Acquire)),
            hard_end: Register::from_bits(self.hard_end.load(Ordering::Acquire)),
            parent,
        }
    }

    pub(crate) fn word(&self) -> Word {
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// Decides on an event at `now` and commits what follows.
    pub(crate) fn decide(&self, parent: Option<Time>, event: impl Into<Event>, now: Time) -> Committed {
        let event = event.into();
        loop {
            let seen = self.seen(parent);
            let (word, outcome) = match decide(&seen, event, now) {
                Verdict::InsufficientAuthentication { deadline } => {
                    return Committed::InsufficientAuthentication(deadline);
                }
                Verdict::Ended { reason } => return Committed::Ended(reason),
                Verdict::Allow { deadline, commit: None } => return Committed::Live(deadline),
                Verdict::Allow { deadline, commit: Some(word) } => (word, Committed::Live(deadline)),
                Verdict::End { reason, deadline, commit } => (commit, Committed::EndedNow(reason, deadline)),
            };
            if self.swap(seen.word, word) {
                return outcome;
            }
        }
    }

    /// Ends it for `reason`. True for the one call that did.
    pub(crate) fn end(&self, reason: EndReason) -> bool {
        loop {
            let word = self.word();
            match word.ended(reason) {
                None => return false,
                Some(ended) if self.swap(word, ended) => return true,
                Some(_) => {}
            }
        }
    }

    /// Lowers the idle limit; true if it was higher.
    pub(crate) fn lower_idle(&self, register: Register) -> bool {
        self.idle.fetch_min(register.bits(), Ordering::AcqRel) > register.bits()
    }

    /// Lowers the hard end; true if it was later.
    pub(crate) fn lower_hard_end(&self, register: Register) -> bool {
        self.hard_end.fetch_min(register.bits(), Ordering::AcqRel) > register.bits()
    }

    fn swap(&self, from: Word, to: Word) -> bool {
        self.word.compare_exchange(from.bits(), to.bits(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
