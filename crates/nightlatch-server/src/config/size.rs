//! How many bytes, as people write it: `64KiB`, `10MiB`.
//!
//! Like a duration, a size is a number with its unit. Only the binary units are taken: `K` and `KB` are 1,000 bytes to one program
//! and 1,024 to the next.

use std::fmt;

use serde::{Serialize, Serializer};

use super::code::Code;
use super::mistake::Mistake;
use super::source::quoted;

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes; never zero and never over a tebibyte when it comes from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bytes(pub(crate) u64);

impl Bytes {
    /// The most that is taken. More would limit nothing.
    const MOST: Self = Self(1 << 40);

    /// Reads what stands in the file.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let bad = |message: String| Mistake::new(Code::BadSize, message);
        let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit);
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let bytes = unit.and_then(|(_, bytes)| Some(number.parse::<u64>().ok()?.saturating_mul(*bytes)));
        match bytes {
            None => Err(bad(format!("`{}` is not a size", quoted(text)))
                .hint("write a whole number with the unit B, KiB, MiB or GiB: `64KiB`")),
            Some(0) => Err(bad("a limit of no bytes would let nothing through".to_owned())),
            Some(bytes) if bytes > Self::MOST.0 => {
                Err(bad(format!("`{}` is more than 1024GiB, so it would limit nothing", quoted(text))))
            }
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}

// === impl Bytes ===

/// In the form of the file, so that what is shown can be pasted back.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, bytes): &&(&str, u64)| self.0.is_multiple_of(*bytes);
        match UNITS.iter().find(whole).filter(|_| self.0 > 0) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => f.write_str("0B"),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_size() {
        let rows = [
            ("64KiB", Some(65_536)),
            ("1B", Some(1)),
            ("10MiB", Some(10_485_760)),
            ("1024GiB", Some(1 << 40)),
            ("1025GiB", None),
            ("99999999999999999999GiB", None),
            ("99999999999GiB", None),
            ("0KiB", None),
            ("64", None),
            ("64K", None),
            ("64KB", None),
            ("64kib", None),
            ("64 KiB", None),
            ("1.5MiB", None),
            ("-1B", None),
            ("KiB", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Bytes::parse(text).ok().map(|bytes| bytes.0), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_back(bytes in 1..=Bytes::MOST.0) {
            prop_assert_eq!(Bytes::parse(&Bytes(bytes).to_string()).ok(), Some(Bytes(bytes)));
        }
    }
}
