//! When one credential takes the place of another.
//!
//! A session may get further credentials, one at each step-up. Which of them a client goes on with is not ours to know: answers get lost, tabs
//! race, requests overtake each other. So nothing is replaced by being *issued*. A credential is replaced when a later one is *presented*,
//! for then its holder has it; and it stays good for the overlap after that, for what was sent before. Used after that, somebody has it
//! who should not, or the holder does: nobody can tell, so the session ends.
//!
//! Of two that are issued side by side (two tabs step up at once), answers may arrive in either order, so neither is the old one of the
//! other. A credential is *later* than another only if the other had reached its holder before it was issued: it had been presented by then,
//! or so much time had passed that its answer had arrived or was lost.
//!
//! The rule is a function of what was issued and presented, which are sets that only grow; so the instant of replacement only goes down, and
//! whoever computes it from the same entries, in whatever order, finds the same.

use crate::{Span, Time};

/// How long a credential stays good after a later one was first presented, and how long an answer may take to arrive.
pub const CREDENTIAL_OVERLAP: Span = Span::from_secs(30);

/// A credential in the life of its session. Entries are places in the record: unique, and in the order in which things happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The entry by which it was issued.
    pub entry: u64,
    /// When.
    pub at: Time,
    /// The entry of its first presentation; none while it was not presented.
    pub presented_entry: Option<u64>,
}

impl Issue {
    /// Whether its first presentation replaces `other`.
    #[must_use]
    pub fn replaces(&self, other: &Issue) -> bool {
        let had_been_presented = other.presented_entry.is_some_and(|entry| entry < self.entry);
        let had_time_to_arrive = self.at >= other.at.plus(CREDENTIAL_OVERLAP);
        other.entry < self.entry && (had_been_presented || had_time_to_arrive)
    }
}

/// Whether a credential that was replaced at `replaced` is no longer good at `now`.
#[must_use]
pub fn is_spent(replaced: Time, now: Time) -> bool {
    now >= replaced.plus(CREDENTIAL_OVERLAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule is a row: the other's entry, instant and presentation; this one's entry and instant; whether this replaces that.
    #[test]
    fn a_later_one_replaces_what_had_reached_its_holder() {
        let rows = [
            // Presented before this one was issued.
            ((3, 0, Some(4)), (5, 100), true),
            // Presented, but only after this one was issued: two tabs.
            ((3, 0, Some(6)), (5, 100), false),
            // Never presented, and issued a moment ago; the instant before, at and after its answer must have arrived.
            ((3, 0, None), (5, 100), false),
            ((3, 0, None), (5, 29_999), false),
            ((3, 0, None), (5, 30_000), true),
            ((3, 0, None), (5, 30_001), true),
            ((3, 0, Some(6)), (5, 30_000), true),
            // What comes later, and itself.
            ((7, 0, None), (5, 90_000), false),
            ((7, 0, Some(8)), (5, 90_000), false),
            ((5, 0, Some(6)), (5, 90_000), false),
        ];
        for ((entry, at, presented_entry), this, expected) in rows {
            let other = Issue { entry, at: Time::from_millis(at), presented_entry };
            let issue = Issue { entry: this.0, at: Time::from_millis(this.1), presented_entry: None };
            assert_eq!(issue.replaces(&other), expected, "{issue:?} {other:?}");
        }
    }

    #[test]
    fn it_is_good_for_the_overlap_and_not_at_its_end() {
        let replaced = Time::from_millis(1_000);
        let spent = |now| is_spent(replaced, Time::from_millis(now));
        assert_eq!([999, 1_000, 30_999, 31_000, 31_001].map(spent), [false, false, false, true, true]);
        assert!(!is_spent(Time::MAX, Time::MAX.minus(Span::from_secs(1))));
    }
}
