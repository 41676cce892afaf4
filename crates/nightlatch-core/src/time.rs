//! Instants and spans, in whole milliseconds.
//!
//! A deadline is a whole number of milliseconds and the authority's clock is cut off to whole milliseconds downwards, so
//! comparing the two gives the same answer as comparing exact instants: `floor(now) >= deadline` holds exactly when
//! `now >= deadline` does. What is finer than a millisecond (how late a cut was) is measured by the engine, not decided.

use std::fmt;

/// An instant of the authority's clock: milliseconds since the Unix epoch.
///
/// Held in 42 bits wherever it is packed, which lasts until the year 2109; [`Time::from_millis`] saturates there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

/// A length of time in milliseconds, at most 42 bits (139 years; more saturates).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

/// The bits that an instant or a span may take.
pub(crate) const BITS: u32 = 42;
const MAX: u64 = (1 << BITS) - 1;

impl Time {
    /// The earliest instant.
    pub const ZERO: Time = Time(0);
    /// The latest instant that can be held (the year 2109): "never", for a limit that is not set.
    pub const MAX: Time = Time(MAX);

    /// The instant `millis` after the Unix epoch, at most [`Time::MAX`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Time {
        Time(if millis > MAX { MAX } else { millis })
    }

    /// The instant `nanos` after the Unix epoch, cut off to the whole millisecond before it.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Time {
        Time::from_millis(nanos / 1_000_000)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0 * 1_000_000
    }

    /// This instant moved later by `span`, at most [`Time::MAX`].
    #[must_use]
    pub const fn plus(self, span: Span) -> Time {
        Time::from_millis(self.0 + span.0)
    }

    /// This instant moved earlier by `span`, at least [`Time::ZERO`].
    #[must_use]
    pub const fn minus(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this instant is; nothing if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// The longest span that can be held: "no limit".
    pub const MAX: Span = Span(MAX);

    /// A span of `millis` milliseconds, at most [`Span::MAX`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Span {
        Span(if millis > MAX { MAX } else { millis })
    }

    /// A span of `secs` seconds, at most [`Span::MAX`].
    #[must_use]
    pub const fn from_secs(secs: u64) -> Span {
        Span::from_millis(secs.saturating_mul(1_000))
    }

    /// Length in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// As people read it: `15 min`, `12 h`, `12 min 05 s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes) = (self.0 / 3_600_000, self.0 / 60_000 % 60);
        let (seconds, millis) = (self.0 / 1000 % 60, self.0 % 1000);
        match (hours, minutes, seconds, millis) {
            (0, 0, 0, ms) => write!(f, "{ms} ms"),
            (0, 0, s, 0) => write!(f, "{s} s"),
            (0, 0, s, ms) => write!(f, "{s}.{ms:03} s"),
            (0, m, 0, _) => write!(f, "{m} min"),
            (0, m, s, _) => write!(f, "{m} min {s:02} s"),
            (h, 0, _, _) => write!(f, "{h} h"),
            (h, m, _, _) => write!(f, "{h} h {m:02} min"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_late_cutting_off_to_milliseconds_keeps_the_boundary() {
        let deadline = Time::from_millis(1_000);
        for (nanos, over) in [(999_999_999, false), (1_000_000_000, true), (1_000_000_001, true)] {
            assert_eq!(Time::from_nanos(nanos) >= deadline, over, "{nanos}");
        }
    }

    #[test]
    fn far_away_saturates_and_never_wraps() {
        assert_eq!(Time::MAX.plus(Span::MAX), Time::MAX);
        assert_eq!(Time::ZERO.minus(Span::MAX), Time::ZERO);
        assert_eq!(Time::from_millis(u64::MAX), Time::MAX);
        assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
    }

    #[test]
    fn spans_read_as_people_say_them() {
        let rows = [
            (250, "250 ms"),
            (60_000, "1 min"),
            (90_000, "1 min 30 s"),
            (725_000, "12 min 05 s"),
            (20_000, "20 s"),
            (1_500, "1.500 s"),
            (43_200_000, "12 h"),
            (45_000_000, "12 h 30 min"),
        ];
        for (millis, text) in rows {
            assert_eq!(Span::from_millis(millis).to_string(), text);
        }
    }
}
