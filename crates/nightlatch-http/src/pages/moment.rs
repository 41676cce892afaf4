//! Instants as people say them, with the exact one at hand.
//!
//! A page without a script does not know the viewer's zone, so it says how long ago or how soon, and keeps the exact instant in
//! UTC: for a pointer in `title`, for programs in `datetime`. What is left out is cut off downwards, for what was as for what will be: a page never says
//! that somebody has longer than they have.

use super::humane;
use nightlatch_core::{Span, Time};

/// An instant, seen from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `12 minutes ago`, `in 12 minutes`.
    pub words: String,
    /// `24 November 2026, 22:41:05 UTC`.
    pub exact: String,
    /// RFC 3339, in UTC.
    pub machine: String,
}

impl Moment {
    /// An instant that has passed by `now`.
    #[must_use]
    pub fn past(at: Time, now: Time) -> Moment {
        let words = match about(now.since(at)) {
            Span::ZERO => "just now".to_owned(),
            ago => format!("{} ago", humane(ago)),
        };
        Moment::with(words, at)
    }

    /// An instant that lies ahead of `now`.
    #[must_use]
    pub fn ahead(at: Time, now: Time) -> Moment {
        let words = match about(at.since(now)) {
            Span::ZERO => "now".to_owned(),
            left => format!("in {}", humane(left)),
        };
        Moment::with(words, at)
    }

    fn with(words: String, at: Time) -> Moment {
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        // Instants of ours end in 2109; no date is beyond what there is a calendar for.
        let at = jiff::Timestamp::from_millisecond(millis).ok();
        let shown = |form: &str| at.map(|at| at.strftime(form).to_string()).unwrap_or_default();
        Moment { words, exact: shown("%-d %B %Y, %H:%M:%S UTC"), machine: shown("%Y-%m-%dT%H:%M:%SZ") }
    }
}

/// The span without what nobody asks for in something so long: whole seconds below two minutes, whole minutes below two days, whole days beyond.
fn about(span: Span) -> Span {
    let secs = span.as_millis() / 1_000;
    let unit = match secs {
        0..120 => 1,
        120..172_800 => 60,
        _ => 86_400,
    };
    Span::from_secs(secs / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_795_560_065_000);

    #[test]
    fn how_long_ago_and_how_soon() {
        let rows = [
            (999, "just now", "now"),
            (1_000, "1 second ago", "in 1 second"),
            (119_999, "119 seconds ago", "in 119 seconds"),
            (120_000, "2 minutes ago", "in 2 minutes"),
            (779_999, "12 minutes ago", "in 12 minutes"),
            (3_660_000, "1 hour 1 minute ago", "in 1 hour 1 minute"),
            (86_400_000, "24 hours ago", "in 24 hours"),
            (259_199_999, "2 days ago", "in 2 days"),
        ];
        for (millis, past, ahead) in rows {
            let span = Span::from_millis(millis);
            assert_eq!(Moment::past(NOW.minus(span), NOW).words, past);
            assert_eq!(Moment::ahead(NOW.plus(span), NOW).words, ahead);
        }
    }

    #[test]
    fn the_exact_instant_is_at_hand() {
        let moment = Moment::past(NOW, NOW);
        assert_eq!(moment.exact, "24 November 2026, 22:41:05 UTC");
        assert_eq!(moment.machine, "2026-11-24T22:41:05Z");
    }
}
