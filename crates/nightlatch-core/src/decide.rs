//! The one question: may this session go on, and until when?
//!
//! The whole rule fits on half a page. A session that ended has ended. One whose deadline has come ends now, for the reason of that
//! deadline. One that lives is told no where a fresh authentication is needed and there is none: that ends nothing, and is no activity.
//! Any other may go on, and if what it did counts as activity, last activity moves to `now`. The caller commits the
//! returned word by compare-and-swap and asks again if another writer was faster; because every write is a join, asking again
//! gives the answer that the order of writers deserves.

use crate::{Activity, Deadline, DeadlineReason, EndReason, Register, Time, Word};

/// What is known of a session at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Last activity and end.
    pub word: Word,
    /// The idle limit.
    pub idle: Register,
    /// The hard end.
    pub hard_end: Register,
    /// When a lease's parent would end or did; none for a session that stands alone.
    pub parent: Option<Time>,
}

/// What happens in a session, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it moves the idle deadline.
    pub activity: Activity,
    /// For what needs a fresh authentication: the first instant at which the youngest that will do is too old, or zero if there is
    /// none that will do. None if nothing of the kind is needed.
    pub fresh_until: Option<Time>,
}

/// An event that needs nothing.
impl From<Activity> for Event {
    fn from(activity: Activity) -> Event {
        Event { activity, fresh_until: None }
    }
}

/// The answer, with everything that the caller must do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on until the deadline.
    Allow {
        /// When it would end first if nothing else happened, with this event counted.
        deadline: Deadline,
        /// The word to commit, if the event moved last activity.
        commit: Option<Word>,
    },
    /// It lives, and this event needs an authentication that is fresher than any it has. Nothing is to be committed.
    InsufficientAuthentication {
        /// When it would end first if nothing else happened.
        deadline: Deadline,
    },
    /// It is over as of now: commit this end *before* anybody is refused, or a stalled touch could pass it.
    End {
        /// Why.
        reason: EndReason,
        /// The deadline that passed.
        deadline: Deadline,
        /// The word to commit.
        commit: Word,
    },
    /// It ended before.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// When the session would end first, seen as it is.
#[must_use]
pub fn deadline(seen: &Seen) -> Deadline {
    let idle =
        Deadline { at: seen.word.last_activity().plus(seen.idle.span()), reason: DeadlineReason::Idle };
    let absolute = Deadline { at: seen.hard_end.time(), reason: DeadlineReason::Absolute };
    let own = idle.earlier(absolute);
    match seen.parent {
        Some(at) => own.earlier(Deadline { at, reason: DeadlineReason::Parent }),
        None => own,
    }
}

/// Decides on an event of the session at `now`.
#[must_use]
pub fn decide(seen: &Seen, event: impl Into<Event>, now: Time) -> Verdict {
    let Event { activity, fresh_until } = event.into();
    if let Some(reason) = seen.word.end() {
        return Verdict::Ended { reason };
    }
    let due = deadline(seen);
    if due.has_passed(now) {
        let reason = due.reason.end();
        return match seen.word.ended(reason) {
            Some(commit) => Verdict::End { reason, deadline: due, commit },
            None => Verdict::Ended { reason },
        };
    }
    if fresh_until.is_some_and(|until| now >= until) {
        return Verdict::InsufficientAuthentication { deadline: due };
    }
    let touched = match activity {
        Activity::Active => seen.word.touched(now),
        Activity::Passive => None,
    };
    match touched {
        Some(word) => Verdict::Allow { deadline: deadline(&Seen { word, ..*seen }), commit: Some(word) },
        None => Verdict::Allow { deadline: due, commit: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, RuleId, Span};

    /// A rule is a row: idle limit, hard end, parent's deadline, last activity, end, event, now => answer. `active<1500`: it needs an
    /// authentication, and the youngest is fresh until then.
    const TABLE: &str = "
        # the instant before, at and after the idle deadline
        900 9000  -    1000 -       passive 1899 => until 1900 idle
        900 9000  -    1000 -       passive 1900 => end idle_timeout due 1900
        900 9000  -    1000 -       passive 1901 => end idle_timeout due 1900
        # activity moves it, traffic does not
        900 9000  -    1000 -       active  1500 => until 2400 idle, last 1500
        900 9000  -    1000 -       passive 1500 => until 1900 idle
        900 9000  -    1000 -       active  1899 => until 2799 idle, last 1899
        900 9000  -    1000 -       active  1900 => end idle_timeout due 1900
        # an event that comes late by its own clock moves nothing back
        900 9000  -    1500 -       active  1200 => until 2400 idle
        # the absolute limit does not slide
        900 2000  -    1500 -       active  1999 => until 2000 absolute, last 1999
        900 2000  -    1500 -       active  2000 => end absolute_timeout due 2000
        900 2000  -    1999 -       active  2001 => end absolute_timeout due 2000
        # both at one instant: the absolute limit is named
        900 1900  -    1000 -       passive 1900 => end absolute_timeout due 1900
        # an end absorbs
        900 9000  -    1000 logout  active  1001 => ended logout
        900 9000  -    1000 revoked active  9999 => ended revoked
        # a lease cannot outlive its parent
        900 9000  1800 1000 -       active  1799 => until 1800 parent, last 1799
        900 9000  1800 1000 -       active  1800 => end parent_ended due 1800
        900 9000  5000 1000 -       passive 1900 => end idle_timeout due 1900
        900 9000  0    1000 -       active  1001 => end parent_ended due 0
        # a sensitive event: the instant before, at and after the youngest authentication is too old
        900 9000  -    1000 -       active<1500  1499 => until 2399 idle, last 1499
        900 9000  -    1000 -       active<1500  1500 => insufficient, until 1900 idle
        900 9000  -    1000 -       active<1500  1501 => insufficient, until 1900 idle
        900 9000  -    1000 -       passive<1500 1499 => until 1900 idle
        900 9000  -    1000 -       passive<1500 1500 => insufficient, until 1900 idle
        # one that has none that will do
        900 9000  -    1000 -       active<0     1001 => insufficient, until 1900 idle
        # over is over, and is said first
        900 9000  -    1000 -       active<1500  1900 => end idle_timeout due 1900
        900 9000  -    1000 -       active<9999  1900 => end idle_timeout due 1900
        900 9000  -    1000 logout  active<1500  1600 => ended logout
        # a clock that stepped far ahead ends, and does not overflow
        900 9000  -    1000 -       active  4398046511103 => end idle_timeout due 1900
    ";

    #[test]
    fn never_late_never_early_never_longer_never_revived_by_the_table() {
        let mut rows = 0;
        for row in TABLE.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
            let (given, expected) = row.split_once(" => ").unwrap();
            assert_eq!(answer(given), expected, "{row}");
            rows += 1;
        }
        assert_eq!(rows, 28);
    }

    fn answer(given: &str) -> String {
        let [idle, hard_end, parent, last, end, event, now] =
            given.split_whitespace().collect::<Vec<_>>()[..]
        else {
            panic!("seven words a row: {given}")
        };
        let millis = |text: &str| text.parse::<u64>().unwrap();
        let time = |text: &str| Time::from_millis(millis(text));
        let live = Word::live(Generation::default(), time(last));
        let seen = Seen {
            word: end.parse().map_or(live, |reason| live.ended(reason).unwrap()),
            idle: Register::idle(Span::from_millis(millis(idle)), RuleId::default()),
            hard_end: Register::hard_end(time(hard_end), RuleId::default()),
            parent: (parent != "-").then(|| time(parent)),
        };
        let (kind, fresh_until) = event.split_once('<').unzip();
        let kind = kind.unwrap_or(event);
        let activity = if kind == "active" { Activity::Active } else { Activity::Passive };
        let until = |deadline: Deadline| {
            format!("until {} {:?}", deadline.at.as_millis(), deadline.reason).to_lowercase()
        };
        match decide(&seen, Event { activity, fresh_until: fresh_until.map(time) }, time(now)) {
            Verdict::InsufficientAuthentication { deadline } => format!("insufficient, {}", until(deadline)),
            Verdict::Ended { reason } => format!("ended {reason}"),
            Verdict::End { reason, deadline, commit } => {
                assert_eq!(commit.end(), Some(reason));
                format!("end {reason} due {}", deadline.at.as_millis())
            }
            Verdict::Allow { deadline, commit } => {
                let moved = commit.map(|word| format!(", last {}", word.last_activity().as_millis()));
                format!("{}{}", until(deadline), moved.unwrap_or_default())
            }
        }
    }
}
