//! Deadlines that fall due while nobody asks.
//!
//! A check finds a passed deadline by itself; what is open and quiet must be woken. [`Authority::turn`] does that: it says when it
//! wants to be called again and may be called at any time, as often as one likes. It always looks at the clock and at the session
//! before it acts; a touch does not move the timer, so an entry that comes up early is simply armed again at the
//! deadline as it then stands.

use crate::{cell::Committed, engine::Authority, session::Session};
use nightlatch_core::{Activity, Deadline, EndReason, Span, Time};
use std::{collections::VecDeque, sync::Arc};

/// How long what is open waits for its end to be on record, before it is closed without a word.
const TOLD_WITHIN: Span = Span::from_secs(2);

/// How many sessions are fetched, or written down, before something else has a turn; few enough to stay near the processor.
const AT_ONCE: usize = 256;

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
    ///
    /// First everything ends, so that of many that fall due together nothing more passes for the last one either; then each is
    /// written down and told, some at a time: what falls due meanwhile does not wait for a hundred thousand entries.
    pub fn turn(&self) -> Option<Time> {
        let mut owed = VecDeque::new();
        loop {
            self.end_due(&mut owed);
            if owed.is_empty() {
                break;
            }
            for Due { session, reason, deadline, now_nanos } in owed.drain(..owed.len().min(AT_ONCE)) {
                self.record_due(&session, reason, deadline, now_nanos, "deadline");
            }
        }
        self.give_up_telling(self.clock().now().minus(TOLD_WITHIN));
        self.wheel().next()
    }

    /// Ends what is due by now, and adds to what is owed a record.
    fn end_due(&self, owed: &mut VecDeque<Due>) {
        let now_nanos = self.clock().now_nanos();
        let mut fired = Vec::new();
        self.wheel().advance(Time::from_nanos(now_nanos), &mut fired);
        // In the order of their places, which is about that in which they lie in memory: of a hundred thousand the last ends sooner.
        fired.sort_unstable();
        for some in fired.chunks(AT_ONCE) {
            for session in self.slots().tenants(some) {
                match self.decide_silently(&session, Activity::Passive, now_nanos, "deadline") {
                    Committed::EndedNow(reason, deadline) => {
                        owed.push_back(Due { session, reason, deadline, now_nanos });
                    }
                    Committed::Live(deadline) | Committed::InsufficientAuthentication(deadline) => {
                        self.wheel().arm(deadline.at, session.slot().index)
                    }
                    Committed::Ended(_) => {}
                }
            }
        }
    }
}

/// An end that a deadline brought, and that is to be written down.
struct Due {
    session: Arc<Session>,
    reason: EndReason,
    deadline: Deadline,
    /// When it was noticed.
    now_nanos: u64,
}
