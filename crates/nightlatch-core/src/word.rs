//! The state of a session in one 64-bit word.
//!
//! Last activity and end decide together whether a session lives, so they must change together. Packed in one word, one
//! compare-and-swap commits both, no reader can see half of a change, and the order of racing writers does not matter:
//!
//! ```text
//! 63          46 45    42 41                          0
//! | generation  | end    | last activity, ms          |
//! ```
//!
//! The only two ways to write are joins. [`Word::touched`] raises last activity, and gives up on an ended session.
//! [`Word::ended`] sets the reason, and gives up if there is one. There is no way back from an end: no function of this
//! module makes a live word out of an ended one.

use crate::{EndReason, Time, time::BITS as TIME_BITS};
use std::fmt;

/// Last activity and end of one session, as one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(u64);

/// Which tenant of a slot a word belongs to: counts up each time the slot is used again, 18 bits, wrapping.
///
/// A slot on disk may still hold the word of the session that had the slot before; the generation tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Generation(u32);

const REASON_BITS: u32 = 4;
const GENERATION_BITS: u32 = 64 - TIME_BITS - REASON_BITS;
const REASON_AT: u32 = TIME_BITS;
const GENERATION_AT: u32 = TIME_BITS + REASON_BITS;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const REASON_MASK: u64 = ((1 << REASON_BITS) - 1) << REASON_AT;

const _: () = assert!(EndReason::ALL.len() < 1 << REASON_BITS, "a reason must fit its bits, and 0 is none");

impl Generation {
    /// The generation with this number, modulo 2^18.
    #[must_use]
    pub const fn new(number: u32) -> Generation {
        Generation(number & ((1 << GENERATION_BITS) - 1))
    }

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Generation {
        Generation::new(self.0.wrapping_add(1))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Word {
    /// The word of a session that starts now: live, last active at `started`.
    #[must_use]
    pub const fn live(generation: Generation, started: Time) -> Word {
        Word((generation.0 as u64) << GENERATION_AT | started.as_millis())
    }

    /// A word read back from memory or disk.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Word {
        Word(bits)
    }

    /// The word as a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The tenant this word belongs to.
    #[must_use]
    pub const fn generation(self) -> Generation {
        Generation((self.0 >> GENERATION_AT) as u32)
    }

    /// When something last counted as activity.
    #[must_use]
    pub const fn last_activity(self) -> Time {
        Time::from_millis(self.0 & TIME_MASK)
    }

    /// Why the session ended, if it did.
    ///
    /// A number that no reason has reads as an end by clock fault. Such a word is damaged, or was written by a later version: either way somebody ended
    /// it or nobody can say, and refusing is the only answer that revives nothing. Why it really ended is in the ledger, whose readers take no unknown reason.
    #[must_use]
    pub const fn end(self) -> Option<EndReason> {
        let number = (self.0 & REASON_MASK) >> REASON_AT;
        if number == 0 {
            return None;
        }
        match EndReason::from_number(number) {
            Some(reason) => Some(reason),
            None => Some(EndReason::ClockFault),
        }
    }

    /// The join with activity at `at`; nothing to write if the session ended or was active as late already.
    #[must_use]
    pub const fn touched(self, at: Time) -> Option<Word> {
        if self.0 & REASON_MASK != 0 || at.as_millis() <= self.0 & TIME_MASK {
            return None;
        }
        Some(Word(self.0 & !TIME_MASK | at.as_millis()))
    }

    /// The join with an end for `reason`; nothing to write if it ended already: the first end wins.
    #[must_use]
    pub const fn ended(self, reason: EndReason) -> Option<Word> {
        if self.0 & REASON_MASK != 0 {
            return None;
        }
        Some(Word(self.0 | (reason as u64) << REASON_AT))
    }

    /// The join of two words of the same tenant, as recovery needs it: the later activity, and an end if either has one
    /// (this one's first).
    ///
    /// A word of another generation belongs to another session and changes nothing.
    #[must_use]
    pub const fn joined(self, other: Word) -> Word {
        if self.generation().0 != other.generation().0 {
            return self;
        }
        // Activity after an end does not exist: an ended word keeps its own last activity.
        match (self.end(), other.end()) {
            (Some(_), _) => self,
            (None, Some(_)) => other,
            (None, None) => match self.touched(other.last_activity()) {
                Some(later) => later,
                None => self,
            },
        }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word(#{} last {:?}", self.generation().0, self.last_activity())?;
        match self.end() {
            Some(reason) => write!(f, " ended {reason})"),
            None => write!(f, " live)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(generation: u32, last: u64) -> Word {
        Word::live(Generation::new(generation), Time::from_millis(last))
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        let word = word(0x3_ffff, 1_700_000_000_123);
        assert_eq!(word.generation().number(), 0x3_ffff);
        assert_eq!(word.last_activity(), Time::from_millis(1_700_000_000_123));
        assert_eq!(word.end(), None);
        for reason in EndReason::ALL {
            let ended = word.ended(reason).unwrap();
            assert_eq!(ended.end(), Some(reason));
            assert_eq!(ended.last_activity(), word.last_activity());
            assert_eq!(ended.generation(), word.generation());
        }
    }

    #[test]
    fn never_revived_a_late_touch_finds_the_end() {
        let ended = word(1, 1_000).ended(EndReason::Revoked).unwrap();
        assert_eq!(ended.touched(Time::from_millis(9_000)), None);
    }

    #[test]
    fn never_revived_the_first_end_wins() {
        let ended = word(1, 1_000).ended(EndReason::Revoked).unwrap();
        assert_eq!(ended.ended(EndReason::IdleTimeout), None);
    }

    #[test]
    fn fail_closed_a_damaged_reason_reads_as_an_end() {
        assert_eq!(Word::from_bits(0b1111 << 42).end(), Some(EndReason::ClockFault));
    }

    #[test]
    fn generation_wraps_at_eighteen_bits() {
        assert_eq!(Generation::new(0x3_ffff).next(), Generation::new(0));
    }

    proptest! {
        #[test]
        fn never_revived_no_sequence_of_writes_leaves_an_end(
            bits: u64, writes in prop::collection::vec((any::<bool>(), 0u64..1 << 42, 0usize..12), 0..50)
        ) {
            let mut word = Word::from_bits(bits);
            let mut first_end = word.end();
            let mut last = word.last_activity();
            for (touch, at, reason) in writes {
                let next = match touch {
                    true => word.touched(Time::from_millis(at)),
                    false => word.ended(EndReason::ALL[reason]),
                };
                word = next.unwrap_or(word);
                first_end = first_end.or(word.end());
                prop_assert_eq!(word.end(), first_end);
                prop_assert!(word.last_activity() >= last);
                prop_assert_eq!(word.generation(), Word::from_bits(bits).generation());
                last = word.last_activity();
            }
        }

        #[test]
        fn touches_commute_and_repeat(last in 0u64..1 << 42, a in 0u64..1 << 42, b in 0u64..1 << 42) {
            let touch = |word: Word, at| word.touched(Time::from_millis(at)).unwrap_or(word);
            let start = word(3, last);
            prop_assert_eq!(touch(touch(start, a), b), touch(touch(start, b), a));
            prop_assert_eq!(touch(touch(start, a), a), touch(start, a));
        }

        #[test]
        fn never_longer_joining_a_slot_takes_no_other_tenants_activity(a in 0u32..1 << 18, b in 0u32..1 << 18, last in 0u64..1 << 42) {
            let joined = word(a, 5).joined(word(b, last));
            let expected = if a == b { last.max(5) } else { 5 };
            prop_assert_eq!(joined.last_activity().as_millis(), expected);
        }
    }
}
