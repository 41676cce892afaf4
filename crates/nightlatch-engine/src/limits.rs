//! Limits of a running session go down, at once and for good.

use crate::{engine::Engine, entry::Entry, session::Session};
use nightlatch_core::{Span, Time};
use std::sync::Arc;

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

impl Engine {
    /// Lowers what is higher; what is lower already stays. True if anything changed.
    ///
    /// The change is recorded, and the timer is armed anew at once: a deadline that this brings near does not wait for the
    /// timer that stood for the one before.
    pub fn lower(&self, session: &Arc<Session>, lower: Lower<'_>) -> bool {
        let rule = self.rules().number(lower.rule);
        let idle = lower
            .idle
            .is_some_and(|limit| session.cell.lower_idle(nightlatch_core::Register::idle(limit, rule)));
        let hard_end = lower
            .hard_end
            .is_some_and(|at| session.cell.lower_hard_end(nightlatch_core::Register::hard_end(at, rule)));
        if !idle && !hard_end {
            return false;
        }
        let (idle, hard_end) = (session.idle(), session.hard_end());
        self.record(&Entry::LimitsLowered {
            session: session.facts.id.to_string(),
            at: self.clock().now().as_millis(),
            idle_ms: idle.span().as_millis(),
            idle_rule: self.rule_name(idle.rule()),
            hard_end: hard_end.time().as_millis(),
            hard_end_rule: self.rule_name(hard_end.rule()),
        });
        self.arm(session);
        true
    }
}
