//! Limits of a running session go down, at once and for good.
//!
//! A lower limit may make a session overdue that was not before. It then ends *now*, by `policy_tightened`: until now it was
//! let through with good reason, and the record must not read as if enforcement had been late.

use crate::{
    cell::Committed,
    end::EndOrder,
    engine::Authority,
    entry::{Entry, clip},
    session::Session,
};
use nightlatch_core::{Activity, EndReason, Register, Span, Time};
use std::sync::{Arc, PoisonError};

/// Lower limits for a session, and the rule that asks for them.
#[derive(Clone, Copy, Debug)]
pub struct Lower<'a> {
    /// The idle limit.
    pub idle: Option<Span>,
    /// The hard end.
    pub hard_end: Option<Time>,
    /// The rule's name.
    pub rule: &'a str,
}

impl Authority {
    /// Lowers what is higher; what is lower already stays, and so does a session that is over. True if anything changed.
    ///
    /// The change is recorded, and the timer is armed anew at once: a deadline that this brings near does not wait for the
    /// timer that stood for the one before.
    pub fn lower(&self, session: &Arc<Session>, lower: Lower<'_>) -> bool {
        let rule = self.rules().number(clip(lower.rule));
        let idle = lower.idle.map(|limit| Register::idle(limit, rule));
        let hard_end = lower.hard_end.map(|at| Register::hard_end(at, rule));
        let is_lower = || {
            idle.is_some_and(|idle| idle < session.idle())
                || hard_end.is_some_and(|hard_end| hard_end < session.hard_end())
        };
        if !is_lower() {
            return false;
        }
        let turn = self.lowering.lock().unwrap_or_else(PoisonError::into_inner);
        let now_nanos = self.clock().now_nanos();
        let decided = self.decide(session, Activity::Passive, now_nanos, "check");
        if !is_lower() || !matches!(decided, Committed::Live(_)) {
            return false;
        }
        let now = Time::from_nanos(now_nanos);
        let idle_over = lower.idle.is_some_and(|idle| now >= session.last_activity().plus(idle));
        if idle_over || lower.hard_end.is_some_and(|hard_end| now >= hard_end) {
            let order = EndOrder { reason: EndReason::PolicyTightened, by: lower.rule, cause: None };
            return self.end(session, order).is_some();
        }
        // Before they go down: an end by limits that a crash would forget is not told before its entry is on disk.
        session.lowering();
        idle.map(|idle| session.cell.lower_idle(idle));
        hard_end.map(|hard_end| session.cell.lower_hard_end(hard_end));
        let (idle, hard_end) = (session.idle(), session.hard_end());
        let entry = Entry::LimitsLowered {
            session: session.facts.id.to_string(),
            at: now.as_millis(),
            idle_ms: idle.span().as_millis(),
            idle_rule: self.rule_name(idle.rule()),
            hard_end: hard_end.time().as_millis(),
            hard_end_rule: self.rule_name(hard_end.rule()),
        };
        session.note_lowered(self.append(&entry, None));
        drop(turn);
        self.arm(session);
        true
    }
}
