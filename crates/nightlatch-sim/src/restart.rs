//! What may differ after a restart, and what may not.
//!
//! After a clean stop nothing differs. After a crash these may, and nothing else:
//!
//! - A session whose start was not on record is gone; nobody had its credential.
//! - Last activity may be what was flushed last, or anything between that and what it was. So a deadline may be earlier. What only a snapshot
//!   knew goes with the snapshots; the next flush has it.
//! - Limits that went down a moment ago may stand where the record has them.
//! - An end that was not told may not have happened. One that was told has: by the same order, or from the same numbers.
//! - A policy that is tighter than before holds for every session that runs.
//! - A clock that cannot be trusted ends everything. If that is because the reservation is lost, an end by the numbers that was told
//!   and not yet on record comes back as a clock fault: it stays an end, under another name.

use crate::{
    clocks::Begin,
    history::Step,
    model::{Model, Modelled},
    world::{Difference, REMEMBERED, World, equal},
};
use nightlatch_core::EndReason;
use nightlatch_engine::{ClockFault, Recovery, Session};
use std::{fs, sync::atomic::Ordering::SeqCst};

/// Starts that may fail one after the other, before it is the engine's fault.
const TRIES_MOST: usize = 6;

/// What is known of a start before it is made.
#[derive(Clone, Copy, Debug)]
struct Down {
    step: Step,
    /// When the engine went down, in nanoseconds.
    then: u64,
    /// The latest instant that may be on record.
    latest: u64,
    /// Whether the clock cannot have been trusted in a start that did not come to its end.
    faulty: bool,
    /// Whether it may not have been.
    faulty_perhaps: bool,
}

impl Down {
    fn new(step: Step, then: u64) -> Down {
        Down { step, then, latest: then, faulty: false, faulty_perhaps: false }
    }

    /// A start did not come to its end; the clock had begun in one of these ways.
    fn tried(&mut self, begins: &[Begin]) {
        let trusted = |begin: &Begin| matches!(begin, Begin::At(_));
        self.faulty |= !begins.iter().any(trusted);
        // At an instant before what is on record is behind it.
        self.faulty_perhaps |= !begins.iter().all(|begin| trusted(begin) && begin.instant() >= self.latest);
        self.latest = begins.iter().map(|begin| begin.instant()).fold(self.latest, u64::max);
    }
}

impl World {
    /// Stops or kills the engine, does to the machine what the step says, and starts it again.
    pub(crate) fn restart(&mut self, step: Step) -> Result<(), Difference> {
        if let Step::Restart { .. } = step
            && self.survive(World::stop).is_none()
        {
            return self.rise(step);
        }
        let then = self.clocks.now_nanos();
        self.kill();
        self.was_troubled();
        self.meanwhile(step)?;
        self.bring_up(Down::new(step, then))
    }

    /// The engine died in the middle of a step: it is started again.
    pub(crate) fn rise(&mut self, step: Step) -> Result<(), Difference> {
        let then = self.clocks.now_nanos();
        self.kill();
        self.was_troubled();
        self.over = self.after_the_cut()?;
        self.bring_up(Down::new(step, then))
    }

    fn stop(&mut self) {
        let Ok(engine) = self.engine() else { return };
        engine.stop();
        let recorded = engine.ledger().pending() == 0;
        if self.was_troubled() || !recorded {
            self.clocks.reserve_perhaps(true);
            self.clocks.reserve_perhaps(false);
            if recorded {
                self.model.commit();
            }
            return;
        }
        self.model.commit();
        self.model.flush();
        self.clocks.reserve(true);
    }

    /// Starts the engine, again if it dies or is refused something meanwhile, and holds what it finds against what was.
    fn bring_up(&mut self, mut down: Down) -> Result<(), Difference> {
        let before = self.model.clone();
        for _ in 0..TRIES_MOST {
            let opened = self.survive(World::open);
            if !matches!(opened, Some(Ok(_))) {
                let latest = down.latest;
                down.tried(&self.clocks.begin());
                self.clocks.begun_perhaps(latest);
            }
            match opened {
                Some(Ok(_)) if self.over => return self.not_longer(&before),
                Some(Ok(recovery)) => return self.found(down, &before, &recovery),
                // A disk that lost what it had promised may leave nothing that can be vouched for: then it does not start.
                Some(Err(_)) if self.over => return Ok(()),
                Some(Err(difference)) => {
                    if !self.was_troubled() {
                        return Err(difference);
                    }
                    self.platter().revive();
                }
                None => {
                    self.kill();
                    self.was_troubled();
                    self.over |= self.after_the_cut()?;
                    // The next boot may have a clock that is right, and nothing on record that says that this one's was not.
                    down.faulty &= !self.plan.power;
                }
            }
        }
        Err(Difference("it does not come up".into()))
    }

    /// A disk that lost what it had promised may have lost an end, but makes nothing longer than it ever was.
    fn not_longer(&self, before: &Model) -> Result<(), Difference> {
        for (index, was) in before.sessions.iter().enumerate() {
            let Some(session) = self.real(index)? else { continue };
            let what = |what: &str| format!("session {index} after a lie: {what} is not longer");
            let last = session.last_activity().as_millis();
            equal(&what("activity"), &last.max(was.last), &was.last)?;
            if session.end().is_none() {
                let (most_idle, most_hard_end) = (self.policy.0, was.started + self.policy.1);
                let (idle, hard_end) =
                    (session.idle().span().as_millis(), session.hard_end().time().as_millis());
                equal(&what("idle limit"), &idle.max(most_idle), &most_idle)?;
                equal(&what("hard end"), &hard_end.max(most_hard_end), &most_hard_end)?;
            }
        }
        Ok(())
    }

    fn found(&mut self, down: Down, before: &Model, recovery: &Recovery) -> Result<(), Difference> {
        let Down { step, then, faulty, faulty_perhaps, .. } = down;
        let troubled = self.was_troubled();
        self.recording = true;
        self.clock_began(&down, recovery)?;
        if troubled {
            self.clocks.reserve_perhaps(false);
        } else {
            self.clocks.reserve(false);
        }
        for index in 0..before.sessions.len() {
            let Some(session) = self.real(index)? else {
                self.absent(index, before)?;
                continue;
            };
            let found = Found {
                index,
                session: &session,
                before,
                then: then / 1_000_000,
                fault: recovery.clock_fault.is_some() || faulty_perhaps,
                step,
                policy: self.policy,
            };
            let now = self.now();
            found.adopt(&mut self.model, now).map_err(|Difference(what)| {
                Difference(format!(
                    "session {index} after {step:?}: {what}; it was {:?}",
                    before.sessions[index]
                ))
            })?;
            self.adopt_added(index, &session)?;
            equal("a fault that was met ends all", &(faulty && session.end().is_none()), &false)?;
        }
        // What opening found is on record when it returns.
        self.model.commit();
        Ok(())
    }

    /// Holds the instant at which the engine's clock began, and what was wrong with it, against what it may begin at.
    fn clock_began(&mut self, down: &Down, recovery: &Recovery) -> Result<(), Difference> {
        let Down { latest, faulty_perhaps, .. } = *down;
        let real = self.engine()?.clock().now_nanos();
        let begins = self.clocks.begin();
        let right = begins.iter().any(|begin| match (*begin, recovery.clock_fault) {
            // A start that was behind the record and did not come to its end may have kept how far that had gone.
            (Begin::At(at), None) => real == at || faulty_perhaps && (at..=latest).contains(&real),
            (Begin::Unreserved { .. }, Some(ClockFault::ReservationUnreadable)) => true,
            (Begin::At(at), Some(ClockFault::BehindRecord { .. })) => at < latest,
            (Begin::Fault { .. }, Some(ClockFault::BehindReservation { .. })) => true,
            _ => false,
        });
        if !right {
            return Err(Difference(format!(
                "the clock should begin {begins:?}, and begins at {real} with {:?}",
                recovery.clock_fault
            )));
        }
        let faulty_starts = self.engine()?.stats().clock_faults.load(SeqCst);
        equal("a clock fault is counted", &faulty_starts, &u64::from(recovery.clock_fault.is_some()))?;
        self.faults += faulty_starts;
        self.clocks.begun(real);
        Ok(())
    }

    fn meanwhile(&mut self, step: Step) -> Result<(), Difference> {
        self.cut_slots();
        match step {
            Step::PowerCut { down, ahead, luck } => {
                self.over = self.lose_power(luck)?;
                self.clocks.pass_unseen(down);
                self.clocks.reboot(ahead);
            }
            Step::Crash { down } | Step::Restart { down } => self.clocks.pass_unseen(down),
            Step::Reboot { down, ahead } => {
                self.clocks.pass_unseen(down);
                self.clocks.reboot(ahead);
            }
            Step::TighterPolicy { idle, absolute } => {
                self.policy = (self.policy.0.min(idle), self.policy.1.min(absolute));
            }
            Step::LoseSnapshots => drop(fs::remove_dir_all(self.dir.join("snapshot"))),
            Step::LoseSlots => drop(fs::remove_file(self.dir.join("slots"))),
            Step::SpoilReservation => {
                drop(fs::write(self.dir.join("time"), [9; 5_000]));
                self.clocks.lose_reservation();
            }
            Step::LoseReservation { back } => {
                drop(fs::remove_file(self.dir.join("time")));
                self.clocks.lose_reservation();
                self.clocks.wall_back(back);
            }
            _ => {}
        }
        let behind_its_back = matches!(
            step,
            Step::LoseSnapshots | Step::LoseSlots | Step::SpoilReservation | Step::LoseReservation { .. }
        );
        if behind_its_back {
            let read = self.platter().reread();
            read.map_err(|error| Difference(format!("the simulated disk itself failed: {error}")))?;
        }
        Ok(())
    }

    /// Cuts the zeros behind the slots in use off, which no history comes near: reading them would be most of the work.
    fn cut_slots(&self) {
        const BYTES_MOST: u64 = 16 * 4_096;
        let slots = fs::OpenOptions::new().write(true).open(self.dir.join("slots"));
        if let Ok(slots) = slots
            && slots.metadata().is_ok_and(|metadata| metadata.len() > BYTES_MOST)
        {
            drop(slots.set_len(BYTES_MOST));
        }
    }

    /// A session that is not known after a restart: it was not on record, or was over so long that it may be forgotten.
    fn absent(&mut self, index: usize, before: &Model) -> Result<(), Difference> {
        let model = &mut self.model.sessions[index];
        model.lost |= !model.disk.started;
        let now = self.clocks.now_millis();
        let forgotten = before.end(index, now).is_some_and(|(_, at)| now - at >= REMEMBERED);
        equal(
            &format!("session {index} is not known any more"),
            &true,
            &(self.model.sessions[index].lost || forgotten),
        )
    }
}

/// One session as it was found again.
struct Found<'a> {
    index: usize,
    session: &'a Session,
    before: &'a Model,
    /// When the engine went down, in milliseconds.
    then: u64,
    /// Whether the clock could not be trusted.
    fault: bool,
    /// What happened to the machine.
    step: Step,
    /// The limits of the policy in force now.
    policy: (u64, u64),
}

impl Found<'_> {
    /// Holds what was found against what was, and takes it over.
    fn adopt(&self, model: &mut Model, now: u64) -> Result<(), Difference> {
        let was = &self.before.sessions[self.index];
        let last = self.session.last_activity().as_millis();
        let (flushed, least) = match self.step {
            // A snapshot may still know later activity than the ledger, but need not.
            Step::LoseSlots => (was.begun, was.begun),
            Step::LoseSnapshots => (was.disk.flushed, was.disk.flushed),
            _ => (was.disk.flushed, was.disk.last),
        };
        between("last activity", least, last, was.last)?;
        let (idle, hard_end) =
            (self.session.idle().span().as_millis(), self.session.hard_end().time().as_millis());
        let (most_idle, most_hard_end) = (self.policy.0, was.started + self.policy.1);
        between("idle limit", was.idle.min(most_idle), idle, was.disk.idle)?;
        between("hard end", was.hard_end.min(most_hard_end), hard_end, was.disk.hard_end)?;
        if self.session.end().is_none() {
            equal("the policy holds for it", &(idle <= most_idle && hard_end <= most_hard_end), &true)?;
        }

        let taken = &mut model.sessions[self.index];
        *taken = Modelled { last, idle, hard_end, ordered: None, noticed: None, told: None, ..was.clone() };
        // It may have been written and not acknowledged.
        taken.disk.started = true;
        (taken.disk.last, taken.disk.flushed) = (last, flushed);
        let derived = model.end(self.index, now);
        let real = self.session.end().map(|end| (end.reason, end.at.as_millis()));
        self.told_stays_told(real)?;
        if real == derived && !(was.disk.ordered && was.ordered != real) {
            return Ok(());
        }
        let Some((reason, at)) = real else {
            return Err(Difference(format!("it lives, and should be over: {derived:?}")));
        };
        let fault = self.fault && reason == EndReason::ClockFault;
        // An order that reached the slots and not the ledger is known without its instant.
        let order =
            was.ordered.is_some_and(|(ordered, when)| ordered == reason && (when == at || !was.disk.ordered));
        let noticed = self.before.end(self.index, self.then).is_some_and(|(before, _)| before == reason);
        let overdue = at >= last + most_idle || at >= most_hard_end;
        let tightened = reason == EndReason::PolicyTightened && overdue;
        let cause = fault || order || noticed || tightened;
        equal(&format!("its end {real:?} has a cause"), &true, &(cause && at <= now))?;
        model.sessions[self.index].ordered = real;
        Ok(())
    }

    fn told_stays_told(&self, real: Option<(EndReason, u64)>) -> Result<(), Difference> {
        let Some((told, when)) = self.before.sessions[self.index].told else { return Ok(()) };
        let by_numbers = |reason| {
            matches!(reason, EndReason::IdleTimeout | EndReason::AbsoluteTimeout | EndReason::ParentEnded)
        };
        let unreserved = matches!(self.step, Step::SpoilReservation | Step::LoseReservation { .. });
        let stays = real.is_some_and(|(reason, at)| {
            let renamed = unreserved && self.fault && reason == EndReason::ClockFault;
            (reason, at) == (told, when) || by_numbers(told) && at <= when && (by_numbers(reason) || renamed)
        });
        equal(&format!("what was told stays: {told} at {when}, and now {real:?}"), &stays, &true)
    }
}

fn between(what: &str, low: u64, real: u64, high: u64) -> Result<(), Difference> {
    let within = (low..=high).contains(&real);
    equal(&format!("{what} {real} lies within {low} and {high}"), &within, &true)
}
