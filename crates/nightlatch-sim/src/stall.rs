//! Hostile schedules: somebody looks at the clock and is held up, and the world goes on before they decide.
//!
//! The instant between reading the clock and committing what follows from it is where a decision can be overtaken: the session ends, is
//! forgotten, its slot is let again, time goes on for a day. So an operation runs in a thread of its own, and is stopped in its first
//! look at the clock with the time it read; the next steps of the history happen; then it goes on with that old time. Only one
//! of the two threads runs at any moment, so a history stays as deterministic as its steps.

use crate::{
    history::Step,
    world::{Difference, World, equal},
};
use nightlatch_core::{Activity, EndReason};
use nightlatch_engine::{Admission, EndOrder, ManualTime, TimeSource};
use std::{
    cell::RefCell,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

/// What is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A request that counts.
    Touch,
    /// A request that does not.
    Check,
    /// An open permit that is asked, and counts.
    Permit,
    /// Somebody's order to end a session.
    Revoke,
    /// A look at the timers.
    Turn,
}

thread_local! {
    /// Does what is held up, for all histories of the present thread. What engines keep for each thread is not made again each time.
    static HELPER: RefCell<Option<Sender<Job>>> = const { RefCell::new(None) };
    /// Says that the time was read, and waits until it may be used.
    static GATE: RefCell<Option<(Sender<()>, Receiver<()>)>> = const { RefCell::new(None) };
}

/// The machine's clocks, at which a thread may be held up.
pub(crate) struct HeldTime(pub(crate) Arc<ManualTime>);

impl TimeSource for HeldTime {
    /// Read after the wall clock, so the last that is read of a look at the clock.
    fn boot_nanos(&self) -> u64 {
        let nanos = self.0.boot_nanos();
        if let Some((reached, go_on)) = GATE.take() {
            // Nobody waits any more if the history is over.
            let _ = reached.send(());
            let _ = go_on.recv();
        }
        nanos
    }

    fn awake_nanos(&self) -> u64 {
        self.0.awake_nanos()
    }

    fn wall_nanos(&self) -> u64 {
        self.0.wall_nanos()
    }

    fn boot_id(&self) -> [u8; 16] {
        self.0.boot_id()
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Lets the helper do this.
fn aside(job: Job) -> Result<(), Difference> {
    let helper = HELPER.take().unwrap_or_else(|| {
        let (helper, jobs) = channel::<Job>();
        thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        helper
    });
    let sent = helper.send(job).map_err(|_| Difference("what was held up panicked".into()));
    HELPER.set(Some(helper));
    sent
}

/// What the operation that was held up came to: the end that it met or brought about, if there is one.
type Outcome = Result<(), (EndReason, u64)>;

impl World {
    /// Holds an operation up while `meanwhile` happens, and holds what it comes to against the time that it had read.
    pub(crate) fn hold_up(&mut self, who: usize, held: Held, meanwhile: &[Step]) -> Result<(), Difference> {
        if self.over {
            return Ok(());
        }
        let index = self.pick(who).filter(|index| self.model.sessions[*index].disk.started);
        let Some(index) = index.filter(|_| !self.platter().is_to_be_cut()) else {
            return meanwhile.iter().try_for_each(|step| self.step(*step));
        };
        let Some(work) = self.work(index, held)? else { return Ok(()) };
        let (then_nanos, offset_nanos) = (self.clocks.now_nanos(), self.clocks.offset_nanos());
        let (reached, was_reached) = channel();
        let (go_on, may_go_on) = channel();
        let (came_to, outcome) = channel();
        aside(Box::new(move || {
            GATE.set(Some((reached, may_go_on)));
            let outcome = work();
            // One that never looked at the clock leaves its gate behind.
            GATE.set(None);
            let _ = came_to.send(outcome);
        }))?;
        // An error means that it never looked at the clock: it is done.
        let _ = was_reached.recv();
        let mut happens = meanwhile.iter().filter(|step| step.lets_the_engine_run());
        let happened = happens.try_for_each(|step| self.step(*step));
        let _ = go_on.send(());
        let outcome = outcome.recv().map_err(|_| Difference("what was held up panicked".into()))?;
        happened?;
        if self.over {
            return Ok(());
        }
        // Time that a wall clock's step forward made pass meanwhile has passed for it, too.
        let then = (then_nanos + self.clocks.offset_nanos() - offset_nanos) / 1_000_000;
        self.late(index, held, then, outcome)?;
        self.compare()
    }

    #[allow(clippy::type_complexity, reason = "one closure for five operations")]
    fn work(
        &self,
        index: usize,
        held: Held,
    ) -> Result<Option<Box<dyn FnOnce() -> Outcome + Send>>, Difference> {
        let engine = Arc::clone(self.engine()?);
        let credential = self.names[index].1.hash();
        let check = move |activity| match engine.check(&credential, activity, "sim") {
            Admission::Granted(_) => Ok(()),
            Admission::Ended(refusal) => Err((refusal.end.reason, refusal.end.at.as_millis())),
            Admission::Insufficient(_) | Admission::Unknown => Err((EndReason::Logout, 0)),
        };
        let engine = Arc::clone(self.engine()?);
        Ok(Some(match held {
            Held::Touch => Box::new(move || check(Activity::Active)),
            Held::Check => Box::new(move || check(Activity::Passive)),
            // That check would look at the clock for itself, and end it.
            Held::Permit if self.model.is_spent(index, None, self.now()) => return Ok(None),
            Held::Permit => {
                let Admission::Granted(permit) = engine.check(&credential, Activity::Passive, "sim") else {
                    return Ok(None);
                };
                Box::new(move || permit.touch().map(drop).map_err(|end| (end.reason, end.at.as_millis())))
            }
            Held::Revoke => {
                let Some(session) = self.real(index)? else { return Ok(None) };
                let order = EndOrder { reason: EndReason::Revoked, by: "sim", cause: None };
                Box::new(move || {
                    engine.end(&session, order);
                    Ok(())
                })
            }
            Held::Turn => Box::new(move || {
                engine.turn();
                Ok(())
            }),
        }))
    }

    fn late(&mut self, index: usize, held: Held, then: u64, outcome: Outcome) -> Result<(), Difference> {
        if matches!(held, Held::Touch | Held::Check) && self.model.is_spent(index, None, then) {
            self.model.order(index, EndReason::CredentialReuse, then);
        }
        // Forgotten before it was found: it ended long ago, and who asks is told nothing.
        let unknown = outcome == Err((EndReason::Logout, 0));
        let answer = self.model.late_answer(index, then);
        match held {
            Held::Touch | Held::Check | Held::Permit => {
                let told = answer.map_or(Ok(()), Err);
                if !(unknown && told.is_err()) {
                    equal("what was held up is told", &outcome, &told)?;
                }
                if held != Held::Check {
                    self.model.touch(index, then);
                }
            }
            Held::Revoke => self.model.order(index, EndReason::Revoked, then),
            Held::Turn => {}
        }
        Ok(())
    }
}
