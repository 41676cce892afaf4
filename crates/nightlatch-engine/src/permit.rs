//! The right to pass bytes for a session, asked again for every one of them.
//!
//! A [`Permit`] is handed out by a check that was granted, and only to one that had registered with the session *before* it
//! checked. It does not remember that the answer was yes: each [`ask`](Permit::ask) reads the clock and the session's word anew, so
//! a permit is as good as its session, at the instant of asking and no longer. Whoever waits (for the other side to send
//! something) waits for [`ended`](Permit::ended) too; that registers before it asks, so an end that comes in between is not missed.

use crate::{
    cell::Committed,
    engine::Authority,
    entry::{Cut, Entry, clip},
    lanes::Lane,
    session::{End, Session},
    stats::Channel,
};
use nightlatch_core::{Activity, Deadline, Span};
use std::{fmt, sync::Arc};

/// Held by whatever stands open in a session: one for each, however many parts of it share it.
pub struct Permit {
    lane: Arc<Lane>,
    session: Arc<Session>,
    /// Counted as open: the check was granted.
    open: bool,
}

/// What a cut was, for the record.
#[derive(Clone, Copy, Debug)]
pub struct CutNote<'a> {
    /// What was open.
    pub channel: Channel,
    /// Which route, as a pattern.
    pub route: &'a str,
    /// Which enforcement point.
    pub point: &'a str,
    /// How, in the words of the protocol.
    pub how: &'a str,
}

impl Permit {
    /// Registers with the session. The caller asks next.
    pub(crate) fn register(lane: Arc<Lane>, session: Arc<Session>) -> Permit {
        Permit { lane, session, open: false }
    }

    fn authority(&self) -> &Authority {
        &self.lane.authority
    }

    /// The check was granted: something stands open in the session from now on.
    pub(crate) fn granted(mut self) -> Permit {
        self.session.opened();
        self.open = true;
        self
    }

    /// Whether something may pass right now, and the deadline as it stands. Extends nothing.
    ///
    /// # Errors
    /// The end, if the session is over. It may not have been made durable yet: stop passing at once, and tell the client
    /// when [`ended`](Permit::ended) says so.
    pub fn ask(&self) -> Result<Deadline, End> {
        self.settle_on(Activity::Passive)
    }

    /// Whether something may pass right now, and how long the session has from here. Extends nothing.
    ///
    /// # Errors
    /// As [`ask`](Permit::ask).
    pub fn time_left(&self) -> Result<Span, End> {
        let deadline = self.ask()?;
        Ok(deadline.at.since(self.authority().clock().now()))
    }

    /// As [`ask`](Permit::ask), and if granted it counts as activity.
    ///
    /// # Errors
    /// As [`ask`](Permit::ask).
    pub fn touch(&self) -> Result<Deadline, End> {
        let granted = self.settle_on(Activity::Active);
        if granted.is_ok() {
            self.session.count(Activity::Active, self.authority().clock().now());
        }
        granted
    }

    fn settle_on(&self, activity: Activity) -> Result<Deadline, End> {
        match self.authority().decide(
            &self.session,
            activity,
            self.authority().clock().now_nanos(),
            "enforcement",
        ) {
            Committed::Live(deadline) | Committed::InsufficientAuthentication(deadline) => Ok(deadline),
            Committed::Ended(reason) | Committed::EndedNow(reason, _) => {
                // The word says ended, and it absorbs.
                Err(self.session.end().unwrap_or(End {
                    reason,
                    at: self.authority().clock().now(),
                    told: false,
                }))
            }
        }
    }

    /// Completes when the session is over and its end may be told; or, if the disk takes longer than two seconds to have it on record, with an
    /// end that is not [`told`](End::told): close what is open, and say nothing of why.
    pub async fn ended(&self) -> End {
        loop {
            let woken = self.session.signal().notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Err(end) = self.ask()
                && (end.told || self.session.given_up())
            {
                return end;
            }
            woken.await;
        }
    }

    /// Records that what was held open by this permit has been cut, just now.
    pub fn record_cut(&self, note: CutNote<'_>) {
        let Some(end) = self.session.end() else { return };
        let now_nanos = self.authority().clock().now_nanos();
        let lateness_us = now_nanos.saturating_sub(end.at.as_nanos()) / 1_000;
        self.authority().stats().cuts(note.channel).observe(lateness_us);
        self.authority().record_if_room(&Entry::Cut(Cut {
            session: self.session.facts.id.to_string(),
            subject: self.session.facts.who.pseudonym.to_string(),
            reason: end.reason.code().to_owned(),
            channel: note.channel.code().to_owned(),
            route: clip(note.route).to_owned(),
            point: clip(note.point).to_owned(),
            how: clip(note.how).to_owned(),
            ended_at: end.at.as_millis(),
            at: now_nanos / 1_000_000,
            lateness_us,
        }));
    }

    /// Records what became of a request that had been forwarded whole when the session ended: `status` is the application's
    /// answer, none if it gave none in time.
    pub fn record_withheld(&self, route: &str, status: Option<u16>) {
        self.authority().record(&Entry::OutcomeWithheld {
            session: self.session.facts.id.to_string(),
            at: self.authority().clock().now().as_millis(),
            route: clip(route).to_owned(),
            status,
        });
    }

    /// The session it is for.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.open {
            self.session.closed();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({:?})", self.session)
    }
}
