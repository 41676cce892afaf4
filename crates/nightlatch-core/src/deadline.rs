//! The instant that would end a session first, and why.

use crate::{EndReason, Time};

/// Which limit sets a deadline. The reason stands beside the instant so that a cut never has to guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadlineReason {
    /// The absolute limit of the session itself.
    Absolute,
    /// The idle limit of the session itself.
    Idle,
    /// The deadline of the session that this lease belongs to.
    Parent,
}

impl DeadlineReason {
    /// The reason of an end that happens because this deadline passed.
    #[must_use]
    pub const fn end(self) -> EndReason {
        match self {
            DeadlineReason::Absolute => EndReason::AbsoluteTimeout,
            DeadlineReason::Idle => EndReason::IdleTimeout,
            DeadlineReason::Parent => EndReason::ParentEnded,
        }
    }
}

/// The instant that would end a session first, with its reason.
///
/// `now >= at` is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    /// The first instant at which the session is over.
    pub at: Time,
    /// Which limit sets it. Of two limits that fall on the same instant the absolute one is named, then the idle one.
    pub reason: DeadlineReason,
}

impl Deadline {
    /// Whether it has come.
    #[must_use]
    pub fn has_passed(self, now: Time) -> bool {
        now >= self.at
    }

    /// The earlier of the two.
    #[must_use]
    pub fn earlier(self, other: Deadline) -> Deadline {
        self.min(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_late_the_instant_before_at_and_after() {
        let deadline = Deadline { at: Time::from_millis(1_000), reason: DeadlineReason::Idle };
        assert!(!deadline.has_passed(Time::from_millis(999)));
        assert!(deadline.has_passed(Time::from_millis(1_000)));
        assert!(deadline.has_passed(Time::from_millis(1_001)));
    }
}
