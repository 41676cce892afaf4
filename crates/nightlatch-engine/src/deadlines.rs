//! Deadlines that fall due while nobody asks.
//!
//! A check finds a passed deadline by itself; what is open and quiet must be woken. [`Authority::turn`] does that: it says when it
//! wants to be called again and may be called at any time, as often as one likes. It always looks at the clock and at the session
//! before it acts; a touch does not move the timer, so an entry that comes up early is simply armed again at the
//! deadline as it then stands.

use crate::{cell::Committed, engine::Authority, session::Session};
use nightlatch_core::{Activity, Span, Time};

/// How long what is open waits for its end to be on record, before it is closed without a word.
const TOLD_WITHIN: Span = Span::from_secs(2);

impl Authority {
    /// Arms a timer for the session's deadline as it stands.
    pub(crate) fn arm(&self, session: &Session) {
        let due = session.deadline().at;
        let mut wheel = self.wheel();
        let sooner = wheel.next().is_none_or(|next| due < next);
        wheel.arm(due, session.slot().index);
        drop(wheel);
        if sooner {
            self.wake_timekeeper();
        }
    }

    /// Ends every session whose deadline has come, and says when to call again at the latest; none if no timer stands.
    pub fn turn(&self) -> Option<Time> {
        let now_nanos = self.clock().now_nanos();
        let mut fired = Vec::new();
        self.wheel().advance(Time::from_nanos(now_nanos), &mut fired);
        // First everything ends, so that of many that fall due together nothing more passes for the last one either; then
        // each is written down and told.
        let mut ended = Vec::new();
        for session in self.slots().tenants(&fired) {
            match self.decide_silently(&session, Activity::Passive, now_nanos, "deadline") {
                Committed::EndedNow(reason, deadline) => ended.push((session, reason, deadline)),
                Committed::Live(deadline) => self.wheel().arm(deadline.at, session.slot().index),
                Committed::Ended(_) => {}
            }
        }
        for (session, reason, deadline) in ended {
            self.record_due(&session, reason, deadline, now_nanos, "deadline");
        }
        self.give_up_telling(Time::from_nanos(now_nanos).minus(TOLD_WITHIN));
        self.wheel().next()
    }
}
