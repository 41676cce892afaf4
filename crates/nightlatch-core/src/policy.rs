//! The firm's limits, checked once when they are made.

use crate::{Register, RuleId, Span, Time};

/// Idle limit, absolute limit and warning that hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    idle: Span,
    absolute: Span,
    warning: Span,
}

/// Why limits do not hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A session that could not live.
    #[error("a limit of zero would end every session at its start")]
    ZeroLimit,
    /// An idle limit that could never be the one that ends a session.
    #[error("the idle limit must be shorter than the absolute limit")]
    IdleNotBelowAbsolute,
    /// A warning that would begin before the last activity.
    #[error("the warning must be shorter than the idle limit")]
    WarningNotBelowIdle,
}

impl Limits {
    /// Limits with `warning` before the deadline.
    ///
    /// # Errors
    /// When they do not hold together; see [`PolicyError`].
    pub fn new(idle: Span, absolute: Span, warning: Span) -> Result<Limits, PolicyError> {
        match () {
            () if idle == Span::ZERO || absolute == Span::ZERO => Err(PolicyError::ZeroLimit),
            () if idle >= absolute => Err(PolicyError::IdleNotBelowAbsolute),
            () if warning >= idle => Err(PolicyError::WarningNotBelowIdle),
            () => Ok(Limits { idle, absolute, warning }),
        }
    }

    /// How long nothing may happen.
    #[must_use]
    pub const fn idle(&self) -> Span {
        self.idle
    }

    /// How long a session lives at most, from authentication.
    #[must_use]
    pub const fn absolute(&self) -> Span {
        self.absolute
    }

    /// How long before the deadline people are warned.
    #[must_use]
    pub const fn warning(&self) -> Span {
        self.warning
    }
}

/// What is in force: the limits every session starts with, and the version that entries name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Counts up with every accepted change.
    pub version: u32,
    /// The firm's limits.
    pub limits: Limits,
}

impl Policy {
    /// The two registers of a session that starts under this policy.
    ///
    /// The hard end counts from authentication, never from now, so that a session started late does not live longer. An
    /// authentication that claims to lie ahead counts from `now`.
    #[must_use]
    pub fn registers(&self, rule: RuleId, authenticated: Time, now: Time) -> (Register, Register) {
        let started = authenticated.min(now);
        (Register::idle(self.limits.idle, rule), Register::hard_end(started.plus(self.limits.absolute), rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(idle: u64, absolute: u64, warning: u64) -> Result<Limits, PolicyError> {
        Limits::new(Span::from_millis(idle), Span::from_millis(absolute), Span::from_millis(warning))
    }

    #[test]
    fn limits_that_do_not_hold_together_are_refused() {
        assert!(limits(900, 9_000, 100).is_ok());
        assert_eq!(limits(0, 9_000, 0), Err(PolicyError::ZeroLimit));
        assert_eq!(limits(9_000, 9_000, 100), Err(PolicyError::IdleNotBelowAbsolute));
        assert_eq!(limits(900, 9_000, 900), Err(PolicyError::WarningNotBelowIdle));
    }

    #[test]
    fn never_longer_the_hard_end_counts_from_authentication() {
        let policy = Policy { version: 1, limits: limits(900, 9_000, 100).unwrap() };
        let hard_end = |authenticated, now| {
            policy
                .registers(RuleId::new(0), Time::from_millis(authenticated), Time::from_millis(now))
                .1
                .time()
                .as_millis()
        };
        assert_eq!(hard_end(1_000, 5_000), 10_000);
        assert_eq!(hard_end(5_000, 5_000), 14_000);
        assert_eq!(hard_end(7_000, 5_000), 14_000, "an authentication ahead of the clock gains nothing");
    }
}
