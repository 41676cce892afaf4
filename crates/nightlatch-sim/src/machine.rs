//! The machine under the engine: what is to be done to it, and the instants at which the engine dies in the middle of a step.

use crate::{
    calls,
    chance::Chance,
    history::Step,
    model::Model,
    platter::Platter,
    world::{Difference, World},
};
use nightlatch_core::EndReason;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is planned for the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// Whether a cut takes the power, and not only the process.
    pub(crate) power: bool,
    luck: u64,
}

/// What had been told and known at the instant of a cut, by session: the end that could be told, and whether it was known.
type Seen = Arc<Mutex<Vec<(Option<(EndReason, u64)>, bool)>>>;

impl World {
    /// Plans something for the machine; false if the step is none of these.
    pub(crate) fn plan(&mut self, step: Step) -> bool {
        match step {
            Step::CutIn { calls, power, luck } => {
                self.plan = Plan { power, luck };
                self.platter().cut_in(calls);
            }
            Step::DiskFails { calls, how, luck } => self.platter().fail_in(calls, how, luck),
            Step::DiskFull { full } => self.platter().fill(full),
            _ => return false,
        }
        true
    }

    pub(crate) fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call failed since this was asked last.
    pub(crate) fn was_troubled(&mut self) -> bool {
        let troubled = self.platter().take_troubled();
        self.uneasy |= troubled;
        troubled
    }

    /// Does something that the engine may not survive. None if it did not: then the model is as it was before, and knows what had been told up
    /// to that instant.
    pub(crate) fn survive<T>(&mut self, work: impl FnOnce(&mut World) -> T) -> Option<T> {
        let seen = self.witness();
        let before = seen.is_some().then(|| self.model.clone());
        let platter = Arc::clone(&self.platter);
        let done = calls::with(&platter, || work(self));
        if !self.platter().is_dead() {
            return Some(done);
        }
        if let Some(before) = before {
            self.model = before;
        }
        if let Some(seen) = seen {
            took_place(&mut self.model, &seen.lock().unwrap_or_else(PoisonError::into_inner));
        }
        None
    }

    fn witness(&mut self) -> Option<Seen> {
        if !self.platter().is_to_be_cut() {
            return None;
        }
        let seen = Seen::default();
        if let Ok(engine) = self.engine() {
            let (engine, saw) = (Arc::downgrade(engine), Arc::clone(&seen));
            let names: Vec<_> = self.names.iter().map(|(name, _)| *name).collect();
            self.platter().witness(Box::new(move || {
                let Some(engine) = engine.upgrade() else { return };
                let of = |name: &_| match engine.session(*name) {
                    Some(session) => {
                        let end = session.end().filter(|_| session.settled());
                        (end.map(|end| (end.reason, end.at.as_millis())), true)
                    }
                    None => (None, false),
                };
                *saw.lock().unwrap_or_else(PoisonError::into_inner) = names.iter().map(of).collect();
            }));
        }
        Some(seen)
    }

    /// Takes the power, if that is what was planned, and puts back what was left of it; true if something is lost that a sync was believed for.
    pub(crate) fn after_the_cut(&mut self) -> Result<bool, Difference> {
        let Plan { power, luck } = self.plan;
        let lost = power && self.lose_power(luck)?;
        if power {
            self.clocks.reboot(0);
        }
        self.platter().revive();
        Ok(lost)
    }

    pub(crate) fn lose_power(&mut self, luck: u64) -> Result<bool, Difference> {
        let lost = self.platter().lose_power(&mut Chance::new(luck));
        lost.map_err(|error| Difference(format!("the simulated disk itself failed: {error}")))
    }
}

/// Takes over what had been told and known.
fn took_place(model: &mut Model, seen: &[(Option<(EndReason, u64)>, bool)]) {
    for (session, (told, known)) in model.sessions.iter_mut().zip(seen) {
        session.disk.started |= *known && !session.lost;
        if session.told.is_none() {
            session.told = *told;
        }
    }
}
