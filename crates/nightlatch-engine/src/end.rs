//! How a session ends: exactly one caller wins, and it writes the record.

use crate::{
    cell::Committed,
    engine::Authority,
    entry::{EndNote, Entry, SessionEnded},
    journal::Then,
    session::Session,
};
use nightlatch_core::{Activity, Deadline, EndReason, Event, SessionId, Time};
use std::sync::Arc;

/// An order to end a session, from somebody.
#[derive(Clone, Copy, Debug)]
pub struct EndOrder<'a> {
    /// Why.
    pub reason: EndReason,
    /// Who: an API key's name, `user`, ...
    pub by: &'a str,
    /// What is behind it: a ticket, an operator's words.
    pub cause: Option<&'a str>,
}

impl Authority {
    /// Decides on an event and, if that ends the session, records the end. `by` says who noticed.
    ///
    /// A lease's parent is decided on first: a parent whose deadline has passed ends by its own reason before its lease does.
    pub(crate) fn decide(
        &self,
        session: &Arc<Session>,
        event: impl Into<Event>,
        now_nanos: u64,
        by: &str,
    ) -> Committed {
        let committed = self.decide_silently(session, event, now_nanos, by);
        if let Committed::EndedNow(reason, deadline) = committed {
            self.record_due(session, reason, deadline, now_nanos, by);
        }
        committed
    }

    /// The same without the record of the session's own end, which the caller owes: until then the numbers tell when it was.
    pub(crate) fn decide_silently(
        &self,
        session: &Arc<Session>,
        event: impl Into<Event>,
        now_nanos: u64,
        by: &str,
    ) -> Committed {
        let event = event.into();
        if let Some(parent) = session.parent() {
            self.decide(parent, Activity::Passive, now_nanos, by);
        }
        let committed = session.cell.decide(session.parent_end(), event, Time::from_nanos(now_nanos));
        match committed {
            Committed::Live(_) if event.activity == Activity::Active => session.changed(),
            Committed::EndedNow(..) => session.changed(),
            Committed::Live(_) | Committed::InsufficientAuthentication(_) | Committed::Ended(_) => {}
        }
        committed
    }

    /// Records an end that a deadline brought.
    pub(crate) fn record_due(
        &self,
        session: &Arc<Session>,
        reason: EndReason,
        deadline: Deadline,
        now_nanos: u64,
        by: &str,
    ) {
        session.note_end(deadline.at);
        let lateness_us = now_nanos.saturating_sub(deadline.at.as_nanos()) / 1_000;
        self.stats().ends.observe(lateness_us);
        let may_be_told = self.would_be_found_again(session, reason, now_nanos)
            || reason == EndReason::ParentEnded && parent_settled(session);
        self.record_end(
            session,
            may_be_told,
            EndNote {
                reason,
                deadline,
                ended_at: deadline.at,
                at: Time::from_nanos(now_nanos),
                lateness_us: Some(lateness_us),
                while_down: false,
                by,
                cause: None,
            },
        );
    }

    /// Ends a session on somebody's order. Takes effect at once; is told once its entry is on disk, which the returned
    /// index is to be awaited for ([`Authority::durable`]).
    ///
    /// None if it is over already: the first end stays.
    pub fn end(&self, session: &Arc<Session>, order: EndOrder<'_>) -> Option<u64> {
        self.end_as_of(self.clock().now_nanos(), session, order)
    }

    /// The same for a caller that has looked at the clock.
    pub(crate) fn end_as_of(
        &self,
        now_nanos: u64,
        session: &Arc<Session>,
        order: EndOrder<'_>,
    ) -> Option<u64> {
        let now = Time::from_nanos(now_nanos);
        // A deadline that has passed unnoticed came first.
        self.decide(session, Activity::Passive, now_nanos, "check");
        let deadline = session.deadline();
        session.propose_end(now);
        if !session.cell.end(order.reason) {
            return None;
        }
        session.changed();
        session.note_end(now);
        Some(self.record_end(
            session,
            false,
            EndNote {
                reason: order.reason,
                deadline,
                ended_at: now,
                at: now,
                lateness_us: None,
                while_down: false,
                by: order.by,
                cause: order.cause,
            },
        ))
    }

    /// The end's entry, and what waits for it: the end is told now if it `may_be_told`, else when the entry is on disk. The
    /// entry comes first either way, so that the record tells an end before what is cut when that is told. (A gate that meets
    /// the end by itself resets without a word and waits for nobody.)
    pub(crate) fn record_end(&self, session: &Arc<Session>, may_be_told: bool, note: EndNote<'_>) -> u64 {
        self.stats().count_ended(note.reason);
        let mut entry = Entry::SessionEnded(SessionEnded::of(session, note));
        if !self.room().has_surplus(entry.to_bytes().len()) {
            // Long words would take the room of somebody else's end.
            entry = Entry::SessionEnded(SessionEnded::of(session, note.in_short()));
        }
        let then = (!may_be_told).then(|| Then::Settle(Arc::clone(session)));
        if !may_be_told {
            self.tell_later(session);
        }
        self.forget_later(session);
        let index = self.append(&entry, then);
        session.note_end_entry(index);
        let (reason, by) = (note.reason.code(), note.by);
        // The ledger is the record, with all that is known; this is for whoever debugs, and a flood of ends at any higher level would be one of lines.
        tracing::debug!(session = %session.facts.id, reason, by, index, "a session ended");
        if may_be_told {
            session.settle();
        }
        self.room().paid();
        for added in session.added().iter().flat_map(|set| set.all()) {
            self.settle_room(&added);
        }
        // Their word says it already, by way of this one's; what is left is to write it down.
        for lease in session.orphans() {
            self.decide(&lease, Activity::Passive, self.clock().now_nanos(), "parent");
        }
        index
    }

    /// Whether this end would be found again after a crash, whatever is not on disk yet: it follows from numbers that are.
    fn would_be_found_again(&self, session: &Session, reason: EndReason, now_nanos: u64) -> bool {
        reason.follows_from_the_numbers()
            && session.limits_on_disk(self.journal().done())
            && self.clock().is_kept(now_nanos)
    }

    /// The session with this public name, if it is known.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        self.table().by_id(id)
    }

    /// The session with this name, if the name is one and the session is known.
    #[must_use]
    pub fn session_named(&self, name: &str) -> Option<Arc<Session>> {
        name.parse::<SessionId>().ok().and_then(|id| self.session(id))
    }
}

/// A lease's end follows from its parent's once that may be told.
fn parent_settled(session: &Session) -> bool {
    session.parent().is_some_and(|parent| parent.settled())
}
