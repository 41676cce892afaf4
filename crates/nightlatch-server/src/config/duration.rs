//! How long, as people write it: `15m`, `1h30m`, `250ms`.
//!
//! A limit is a number with its unit, or it is misread: 15 of what? So a bare number is refused, and so are the
//! spellings that different tools read differently (`15M`, `1.5h`, `15 min`). Units go from the greatest to the least,
//! each at most once, which leaves one way to read everything that is accepted.

use std::fmt;

use serde::{Serialize, Serializer};

use super::code::Code;
use super::mistake::Mistake;
use super::source::quoted;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A length of time in milliseconds; never zero and never over a year when it comes from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Millis(pub(crate) u64);

impl Millis {
    /// The longest that is taken. A session limit over a year is a slip of the unit.
    const LONGEST: Self = Self(365 * 86_400_000);

    /// Reads what was sent from elsewhere in the same form; none if it is not a duration, is zero, or is over a year.
    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    /// Reads what stands in the file.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let sum = sum(text).ok_or_else(|| {
            Mistake::new(Code::BadDuration, format!("`{}` is not a duration", quoted(text))).hint(
                "write numbers with the units d, h, m, s or ms, the greatest first: `15m`, `1h30m`, `250ms`",
            )
        })?;
        if sum == 0 {
            return Err(Mistake::new(
                Code::BadDuration,
                "a limit of nothing would end every session at once",
            ));
        }
        if sum > Self::LONGEST.0 {
            let message = format!("`{}` is longer than a year, so it would limit nothing", quoted(text));
            return Err(Mistake::new(Code::BadDuration, message));
        }
        Ok(Self(sum))
    }
}

fn sum(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    let mut units = UNITS.iter();
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        sum = sum.saturating_add(number.parse::<u64>().ok()?.saturating_mul(*millis));
        rest = after;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

// === impl Millis ===

/// In the form of the file, so that what is shown can be pasted back.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (name, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{name}", rest / millis)?;
                rest %= millis;
            }
        }
        if self.0 == 0 { f.write_str("0ms") } else { Ok(()) }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_duration() {
        let rows = [
            ("15m", Some(900_000)),
            ("12h", Some(43_200_000)),
            ("90s", Some(90_000)),
            ("250ms", Some(250)),
            ("1h30m", Some(5_400_000)),
            ("1d", Some(86_400_000)),
            ("0h15m", Some(900_000)),
            ("365d", Some(31_536_000_000)),
            ("365d1ms", None),
            ("0s", None),
            ("", None),
            ("15", None),
            ("m", None),
            ("15M", None),
            ("15 m", None),
            (" 15m", None),
            ("15min", None),
            ("1.5h", None),
            ("-15m", None),
            ("+15m", None),
            ("30m1h", None),
            ("1m1m", None),
            ("99999999999999999999d", None),
            ("18446744073709551615d", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Millis::parse(text).ok().map(|millis| millis.0), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_back(millis in 1..=Millis::LONGEST.0) {
            prop_assert_eq!(Millis::parse(&Millis(millis).to_string()).ok(), Some(Millis(millis)));
        }
    }
}
