//! The state word under every interleaving.
//!
//! The product's own `cell` is compiled here with loom's atomics, and loom runs each model in every order that the memory model
//! allows. So these are not samples: within the bounds of a model, what is asserted holds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../src/cell.rs"]
mod cell;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use cell::{Cell, Committed};
use loom::{sync::Arc, thread};
use nightlatch_core::{Activity, EndReason, Generation, Register, RuleId, Span, Time, Word};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use sync::{AtomicU64, Ordering};

const LAST: u64 = 1_000;
const IDLE: u64 = 900;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn cell() -> Arc<Cell> {
    let idle = Register::idle(Span::from_millis(IDLE), RuleId::default());
    let hard_end = Register::hard_end(at(9_000), RuleId::default());
    Arc::new(Cell::new(Word::live(Generation::default(), at(LAST)), idle, hard_end))
}

fn idle(millis: u64, rule: u32) -> Register {
    Register::idle(Span::from_millis(millis), RuleId::new(rule))
}

/// Runs one model with few enough switches of threads that it takes seconds.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(body);
}

#[test]
fn never_revived_one_of_two_ends_wins_and_no_touch_passes_it() {
    model(|| {
        let cell = cell();
        let touch = thread::spawn({
            let cell = Arc::clone(&cell);
            move || cell.decide(None, Activity::Active, at(1_500))
        });
        let revoke = thread::spawn({
            let cell = Arc::clone(&cell);
            move || cell.end(EndReason::Revoked)
        });
        let logout = cell.end(EndReason::Logout);
        let (touched, revoked) = (touch.join().unwrap(), revoke.join().unwrap());
        assert!(logout ^ revoked, "exactly one wins");
        let reason = if logout { EndReason::Logout } else { EndReason::Revoked };
        assert_eq!(cell.word().end(), Some(reason));
        let last = match touched {
            Committed::Live(_) => 1_500,
            Committed::Ended(found) => {
                assert_eq!(found, reason);
                LAST
            }
            Committed::InsufficientAuthentication(_) | Committed::EndedNow(..) => {
                panic!("its deadline had not come, and nothing was asked of its authentications")
            }
        };
        assert_eq!(cell.word().last_activity(), at(last), "a touch counts if and only if it was let through");
        for now in [0, 1_200, 8_999] {
            assert_eq!(cell.decide(None, Activity::Active, at(now)), Committed::Ended(reason));
        }
        assert_eq!(cell.word().last_activity(), at(last));
    });
}

#[test]
fn never_revived_a_touch_that_read_the_clock_before_the_deadline_cannot_pass_the_end() {
    model(|| {
        let cell = cell();
        let stalled = thread::spawn({
            let cell = Arc::clone(&cell);
            move || cell.decide(None, Activity::Active, at(LAST + IDLE - 1))
        });
        let deadline = thread::spawn({
            let cell = Arc::clone(&cell);
            move || cell.decide(None, Activity::Passive, at(LAST + IDLE))
        });
        let check = cell.decide(None, Activity::Passive, at(LAST + IDLE));
        let (stalled, deadline) = (stalled.join().unwrap(), deadline.join().unwrap());
        let winners = [check, deadline].iter().filter(|end| matches!(end, Committed::EndedNow(..))).count();
        match stalled {
            Committed::Live(until) => {
                assert_eq!((winners, until.at), (0, at(LAST + 2 * IDLE - 1)));
                assert_eq!(cell.word().end(), None);
            }
            Committed::Ended(reason) => {
                assert_eq!((winners, reason), (1, EndReason::IdleTimeout));
                assert_eq!(cell.word().last_activity(), at(LAST));
            }
            Committed::InsufficientAuthentication(_) | Committed::EndedNow(..) => {
                panic!("its deadline had not come, and nothing was asked of its authentications")
            }
        }
    });
}

#[test]
fn never_longer_limits_that_go_down_while_somebody_decides() {
    model(|| {
        let cell = cell();
        let lower = |limit, rule| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.lower_idle(idle(limit, rule)))
        };
        let (one, two) = (lower(500, 1), lower(400, 2));
        let touched = cell.decide(None, Activity::Active, at(1_450));
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert!(two, "nothing is lower than the lowest");
        let _ = one;
        let seen = cell.seen(None);
        assert_eq!(seen.idle, idle(400, 2), "the lowest stays, whatever came first");
        match touched {
            Committed::Live(_) => {
                assert!(matches!(cell.decide(None, Activity::Passive, at(1_849)), Committed::Live(_)));
                let end = cell.decide(None, Activity::Passive, at(1_850));
                assert!(
                    matches!(end, Committed::EndedNow(EndReason::IdleTimeout, due) if due.at == at(1_850))
                );
            }
            Committed::EndedNow(reason, due) => {
                assert_eq!((reason, due.at), (EndReason::IdleTimeout, at(1_400)));
            }
            Committed::InsufficientAuthentication(_) | Committed::Ended(_) => panic!("nobody else ends it"),
        }
    });
}

#[test]
fn never_longer_a_hard_end_that_goes_down_counts_from_then_on() {
    model(|| {
        let cell = cell();
        let lower = thread::spawn({
            let cell = Arc::clone(&cell);
            move || cell.lower_hard_end(Register::hard_end(at(1_100), RuleId::default()))
        });
        let touched = cell.decide(None, Activity::Active, at(1_100));
        assert!(lower.join().unwrap());
        let over = matches!(touched, Committed::EndedNow(EndReason::AbsoluteTimeout, _));
        assert!(over || matches!(touched, Committed::Live(_)));
        let again = cell.decide(None, Activity::Active, at(1_101));
        assert!(!matches!(again, Committed::Live(_)), "whoever asks after it went down is refused");
    });
}

/// What tokio says of its `Notify`, and no more: who was made (and enabled) before `notify_waiters` is woken by it.
struct Signal(AtomicU64);

struct Notified(u64);

impl Signal {
    fn notified(&self) -> Notified {
        Notified(self.0.load(Ordering::Acquire))
    }

    fn notify_waiters(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this one sleeps for ever if nobody notifies any more.
    fn sleeps(&self, notified: &Notified) -> bool {
        self.0.load(Ordering::Acquire) == notified.0
    }
}

/// Whether there is an order in which the waiter sleeps through the end.
fn an_end_can_be_slept_through(registers_first: bool) -> bool {
    let missed = std::sync::Arc::new(AtomicBool::new(false));
    let found = std::sync::Arc::clone(&missed);
    model(move || {
        let shared = Arc::new((cell(), Signal(AtomicU64::new(0))));
        let waiter = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (cell, signal) = &*shared;
                let ask = || matches!(cell.decide(None, Activity::Passive, at(1_500)), Committed::Live(_));
                let (notified, live) = match registers_first {
                    true => (signal.notified(), ask()),
                    false => {
                        let live = ask();
                        (signal.notified(), live)
                    }
                };
                live.then_some(notified)
            }
        });
        let (cell, signal) = &*shared;
        assert!(cell.end(EndReason::Revoked));
        signal.notify_waiters();
        if let Some(notified) = waiter.join().unwrap() {
            found.fetch_or(signal.sleeps(&notified), SeqCst);
        }
    });
    missed.load(SeqCst)
}

#[test]
fn never_late_who_registers_and_then_asks_does_not_miss_the_end() {
    assert!(!an_end_can_be_slept_through(true));
}

#[test]
fn never_late_the_model_would_show_it_if_somebody_asked_first() {
    assert!(an_end_can_be_slept_through(false));
}
