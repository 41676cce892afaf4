//! A limit that only goes down, with the rule that set it.
//!
//! Limits of a running session may be tightened at any time, from any thread, in any order, and must never loosen. Packed
//! with the limit in the high bits and the rule in the low ones, "keep the smaller number" is the whole rule: it is a join, one
//! `fetch_min` commits it, and the rule that won comes with the limit it won with.
//!
//! ```text
//! 63                          22 21        0
//! | limit or instant, ms        | rule      |
//! ```

use crate::{Span, Time, time::BITS as TIME_BITS};
use std::fmt;

const RULE_BITS: u32 = 64 - TIME_BITS;

/// Names a policy rule by number; the engine keeps the names. 22 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RuleId(u32);

impl RuleId {
    /// The rule with this number, at most 2^22 - 1.
    #[must_use]
    pub const fn new(number: u32) -> RuleId {
        const MAX: u32 = (1 << RULE_BITS) - 1;
        RuleId(if number > MAX { MAX } else { number })
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// An idle limit or a hard end, and the rule that set it, as one number that only goes down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(u64);

impl Register {
    /// An idle limit set by `rule`.
    #[must_use]
    pub const fn idle(limit: Span, rule: RuleId) -> Register {
        Register(limit.as_millis() << RULE_BITS | rule.0 as u64)
    }

    /// A hard end set by `rule`.
    #[must_use]
    pub const fn hard_end(at: Time, rule: RuleId) -> Register {
        Register(at.as_millis() << RULE_BITS | rule.0 as u64)
    }

    /// A register read back from memory.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Register {
        Register(bits)
    }

    /// The register as a number; the smaller of two numbers is their join.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The register read as an idle limit.
    #[must_use]
    pub const fn span(self) -> Span {
        Span::from_millis(self.0 >> RULE_BITS)
    }

    /// The register read as a hard end.
    #[must_use]
    pub const fn time(self) -> Time {
        Time::from_millis(self.0 >> RULE_BITS)
    }

    /// The rule that set it.
    #[must_use]
    pub const fn rule(self) -> RuleId {
        RuleId((self.0 & ((1 << RULE_BITS) - 1)) as u32)
    }

    /// The join: the lower limit, and its rule; of two equal limits the rule that stood first in the policy.
    #[must_use]
    pub fn lowered(self, other: Register) -> Register {
        self.min(other)
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Register({}ms by rule {})", self.0 >> RULE_BITS, self.rule().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_longer_a_register_only_goes_down(writes in prop::collection::vec((0u64..1 << 42, 0u32..1 << 22), 1..20)) {
            let mut register = Register::idle(Span::MAX, RuleId::default());
            let mut lowest = u64::MAX;
            for &(limit, rule) in &writes {
                register = register.lowered(Register::idle(Span::from_millis(limit), RuleId::new(rule)));
                lowest = lowest.min(limit);
                prop_assert_eq!(register.span().as_millis(), lowest);
            }
            let winner = writes.iter().filter(|w| w.0 == lowest).map(|w| w.1).min().unwrap();
            prop_assert_eq!(register.rule().number(), winner);
        }
    }
}
