//! How applications failed, and which limits clients ran into: counted, and said without flooding the log.
//!
//! An application that is down under load fails a thousand requests a second, all for the same reason. The first is worth a line; the
//! rest, their number. So each application has a count for each way to fail, and says each way once in [`SAID_EVERY`] at most, with how many
//! it left out since. What a client runs into is no line at all: whoever can make us write a line can fill a disk.

use crate::upstream::UpstreamError;
use nightlatch_core::{Span, Time};
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// How long nothing is said of an application that goes on failing in the same way.
const SAID_EVERY: Span = Span::from_secs(10);

nightlatch_core::listed! {
    /// A way in which an application fails a request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Failure {
        /// Its address takes no connections.
        Refused,
        /// There is no way to it: no such name, no such socket file, no route.
        Unreachable,
        /// It did not accept a connection within [`connect_within`](crate::Limits::connect_within).
        ConnectTimeout,
        /// It had the whole request and did not begin an answer within [`answer_within`](crate::Limits::answer_within).
        TooSlow,
        /// It closed the connection before it had answered.
        ConnectionLost,
        /// It answered what is not HTTP.
        BadAnswer,
        /// Where its answer ends can be read in two ways.
        AmbiguousAnswer,
        /// It authenticates the connection in a way that cannot be gone on with.
        ConnectionAuthentication,
        /// It broke off in the middle of its answer, and the client's connection broke with it.
        AnswerBrokenOff,
    }
}

impl Failure {
    /// Its word in log and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Failure::Refused => "connection_refused",
            Failure::Unreachable => "unreachable",
            Failure::ConnectTimeout => "connect_timeout",
            Failure::TooSlow => "too_slow",
            Failure::ConnectionLost => "connection_lost",
            Failure::BadAnswer => "bad_answer",
            Failure::AmbiguousAnswer => "ambiguous_answer",
            Failure::ConnectionAuthentication => "connection_authentication",
            Failure::AnswerBrokenOff => "answer_broken_off",
        }
    }

    /// The way this is, unless it is none of the application's.
    pub(crate) fn of(error: &UpstreamError) -> Option<Failure> {
        Some(match error {
            UpstreamError::NoRoom(_) => return None,
            UpstreamError::Connect { source, .. } => match source.kind() {
                std::io::ErrorKind::ConnectionRefused => Failure::Refused,
                _ => Failure::Unreachable,
            },
            UpstreamError::ConnectTimeout(_) => Failure::ConnectTimeout,
            UpstreamError::Answer { .. } if error.is_broken_off() => Failure::ConnectionLost,
            UpstreamError::Answer { .. } => Failure::BadAnswer,
            UpstreamError::Ambiguous { .. } => Failure::AmbiguousAnswer,
            UpstreamError::AuthenticatesConnection(_) => Failure::ConnectionAuthentication,
        })
    }
}

/// The failures of one application.
#[derive(Debug, Default)]
pub(crate) struct Failures([Kind; Failure::ALL.len()]);

#[derive(Debug, Default)]
struct Kind {
    count: AtomicU64,
    line: Mutex<Seldom>,
}

impl Failures {
    /// One more, that nobody is told of here.
    pub(crate) fn count(&self, failure: Failure) {
        self.0[failure.place()].count.fetch_add(1, Relaxed);
    }

    /// One more, and a line about it unless there was one lately.
    pub(crate) fn say(&self, failure: Failure, app: &str, error: &dyn fmt::Display, now: Time) {
        self.count(failure);
        let said = self.0[failure.place()].line.lock().unwrap_or_else(PoisonError::into_inner).say(now);
        if let Some(left_out) = said {
            let kind = failure.code();
            tracing::warn!(app, kind, left_out, %error, "the application gave no answer");
        }
    }

    /// How many there were.
    pub(crate) fn so_far(&self, failure: Failure) -> u64 {
        self.0[failure.place()].count.load(Relaxed)
    }
}

/// A line that is said seldom.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    said: Option<Time>,
    left_out: u64,
}

impl Seldom {
    /// Whether to say it now; if so, how many were left out since it was said last.
    pub(crate) fn say(&mut self, now: Time) -> Option<u64> {
        if self.said.is_some_and(|said| now < said.plus(SAID_EVERY)) {
            self.left_out += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

nightlatch_core::listed! {
    /// A limit that ends what a client does, by its key in `[limits]`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CutOff {
        /// Its TLS handshake took too long.
        Handshake,
        /// Its address has all the connections it may have.
        Share,
        /// As many requests as there may be have a connection to an application.
        Places,
        /// The body it sends trickles.
        SlowBody,
        /// The body it sends is too large.
        LargeBody,
        /// It takes nothing of what it is sent.
        TakesNothing,
        /// It gave up too many streams before they were answered.
        Abandoned,
        /// It sent too many frames about the connection.
        ControlFrames,
    }
}

impl CutOff {
    /// The key in `[limits]` that sets it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            CutOff::Handshake => "handshake_within",
            CutOff::Share => "connections_per_address",
            CutOff::Places => "connections",
            CutOff::SlowBody => "body_least",
            CutOff::LargeBody => "body",
            CutOff::TakesNothing => "write_within",
            CutOff::Abandoned => "http2_abandoned",
            CutOff::ControlFrames => "http2_control_frames",
        }
    }
}

/// How many clients were cut off, by limit.
#[derive(Debug, Default)]
pub(crate) struct CutOffs([AtomicU64; CutOff::ALL.len()]);

impl CutOffs {
    /// One more.
    pub(crate) fn count(&self, limit: CutOff) {
        self.0[limit.place()].fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub(crate) fn so_far(&self, limit: CutOff) -> u64 {
        self.0[limit.place()].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_once_and_then_seldom_with_how_many_were_left_out() {
        let mut line = Seldom::default();
        let at = |millis: u64| Time::from_millis(1_800_000_000_000 + millis);
        let rows = [
            (0, Some(0)),
            (0, None),
            (9_999, None),
            (10_000, Some(2)),
            (10_001, None),
            // Quiet for a day, and then again.
            (86_400_000, Some(1)),
            (86_410_000, Some(0)),
        ];
        for (millis, said) in rows {
            assert_eq!(line.say(at(millis)), said, "at {millis}");
        }
    }

    #[test]
    fn every_kind_has_a_word_and_a_count_of_its_own() {
        let failures = Failures::default();
        for failure in Failure::ALL {
            assert_eq!(failures.so_far(failure), 0, "{failure:?}");
            failures.count(failure);
            assert_eq!(failures.so_far(failure), 1);
        }
        let limits = CutOffs::default();
        for limit in CutOff::ALL {
            assert_eq!(limits.so_far(limit), 0, "{limit:?}");
            limits.count(limit);
            assert_eq!(limits.so_far(limit), 1);
        }
    }
}
