//! Instants and lengths of time as people and programs read them.
//!
//! The engine counts milliseconds. Outside, an instant is an RFC 3339 text in UTC with its milliseconds, because a number without a unit
//! and an origin is misread sooner or later; a length of time in JSON is a number whose name ends in `_ms`. These are conversions
//! only: nothing here asks for the time.

use crate::config::duration::Millis;
use jiff::Timestamp;
use nightlatch_core::{Span, Time};

/// An instant as RFC 3339 in UTC: `2026-11-21T22:05:59.123Z`.
pub(crate) fn instant(at: Time) -> String {
    instant_ms(at.as_millis())
}

/// The same from milliseconds since the Unix epoch.
pub(crate) fn instant_ms(millis: u64) -> String {
    let timestamp = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    timestamp.map_or_else(|| millis.to_string(), |timestamp| format!("{timestamp:.3}"))
}

/// An instant that was sent to us as RFC 3339, with any offset. None if it is not one, or before 1970.
pub(crate) fn read_instant(text: &str) -> Option<Time> {
    // An offset or `Z` must be there: a local time without its zone is not an instant.
    let timestamp: Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_millisecond()).ok().map(Time::from_millis)
}

/// A length of time that was sent to us, as durations are written in the configuration. None if it is not one, or zero.
pub(crate) fn read_span(text: &str) -> Option<Span> {
    Millis::read(text).map(|millis| Span::from_millis(millis.0))
}

/// A number of bytes as people say it: `15.8 GiB`, `64 MiB`. Cut off after one digit, so that there is never less than it says.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, of)) = UNITS.into_iter().find(|(_, of)| bytes >= *of) else {
        return format!("{bytes} B");
    };
    match (bytes / of, bytes % of * 10 / of) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, tenths) => format!("{whole}.{tenths} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_as_people_say_them() {
        let rows = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (64 << 20, "64 MiB"),
            (16_219 << 20, "15.8 GiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ];
        for (number, text) in rows {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn instants_go_there_and_back() {
        let rows = [
            ("2026-11-21T22:05:59.123Z", Some("2026-11-21T22:05:59.123Z")),
            ("2026-11-21T22:05:59Z", Some("2026-11-21T22:05:59.000Z")),
            ("2026-11-21T17:05:59.5-05:00", Some("2026-11-21T22:05:59.500Z")),
            ("2026-11-21T22:05:59", None),
            ("2026-11-21", None),
            ("1969-12-31T23:59:59Z", None),
            ("1700000000000", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(read_instant(text).map(instant).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn lengths_are_numbers_with_units() {
        let rows = [
            ("15m", Some(900_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1d", Some(86_400_000)),
            ("15", None),
            ("0s", None),
            ("1s1m", None),
            ("1m1m", None),
            ("m", None),
            ("-1m", None),
            ("", None),
            ("1.5h", None),
        ];
        for (text, expected) in rows {
            assert_eq!(read_span(text).map(Span::as_millis), expected, "{text}");
        }
    }
}
