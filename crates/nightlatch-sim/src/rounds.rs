//! The engine's own rounds: timers, commits, upkeep, snapshots. In the product a thread calls each; here a step does.

use crate::{
    clocks::Happened,
    world::{Difference, World, equal},
};
use nightlatch_engine::Part;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

impl World {
    pub(crate) fn turn(&mut self) -> Result<(), Difference> {
        let next = self.engine()?.turn();
        for index in 0..self.names.len() {
            let Some(session) = self.real(index)? else { continue };
            match self.model.end(index, self.now()) {
                Some(_) => equal("after a turn it is noticed", &session.end().is_some(), &true)?,
                None => {
                    let due = self.model.deadline(index).0;
                    let in_time = next.is_some_and(|next| next.as_millis() <= due);
                    equal("the next turn comes in time", &in_time, &true)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self, fails: bool) -> Result<(), Difference> {
        self.disk.fails.store(fails, SeqCst);
        let expected = !fails || self.engine()?.ledger().pending() == 0;
        let committed = self.engine()?.commit().is_ok();
        self.disk.fails.store(false, SeqCst);
        if !self.was_troubled() {
            equal("a commit succeeds", &committed, &expected)?;
        }
        self.recording = committed;
        if committed {
            self.model.commit();
        }
        Ok(())
    }

    /// A round of upkeep, which also tries again what failed to be recorded. After one in which nothing failed everything is as if
    /// nothing ever had.
    pub(crate) fn upkeep(&mut self) -> Result<(), Difference> {
        let appended = self.appended()?;
        self.engine()?.upkeep();
        self.clocks_are_noted()?;
        let engine = self.engine()?;
        let failing = engine.health().faults.iter().any(|fault| fault.part == Part::Ledger);
        let all_there = engine.ledger().durable() >= appended && !failing;
        let troubled = self.was_troubled();
        if troubled {
            self.clocks.reserve_perhaps(false);
        } else {
            self.clocks.reserve(false);
            equal("what waited is on disk", &(all_there || self.recording), &true)?;
        }
        if all_there && !self.recording {
            self.recording = true;
            self.model.commit();
        }
        if troubled {
            return Ok(());
        }
        self.model.flush();
        self.uneasy = !self.recording;
        Ok(())
    }

    /// The table is written down, and before it has its name what waits is recorded.
    pub(crate) fn snapshot(&mut self) -> Result<(), Difference> {
        let appended = self.appended()?;
        let refused_before = self.engine()?.times_at_fault(Part::Ledger);
        self.engine()?.snapshot();
        let engine = self.engine()?;
        let (all_there, refused) =
            (engine.ledger().durable() >= appended, engine.times_at_fault(Part::Ledger) > refused_before);
        if !self.was_troubled() {
            equal("what a snapshot says is on disk", &all_there, &true)?;
        }
        if all_there {
            self.recording = true;
            self.model.commit();
        } else if refused {
            self.recording = false;
        }
        Ok(())
    }

    fn clocks_are_noted(&mut self) -> Result<(), Difference> {
        let happened = self.clocks.look();
        let stats = self.engine()?.stats();
        let count = |noted: &AtomicU64| noted.load(SeqCst);
        let noted = Happened {
            forward: count(&stats.clock_steps_forward),
            back: count(&stats.clock_steps_back),
            suspended: count(&stats.suspensions),
        };
        equal("what happened to the clocks is noted", &noted, &happened)
    }

    /// How many entries there are, those that wait for the disk included.
    fn appended(&self) -> Result<u64, Difference> {
        let ledger = self.engine()?.ledger();
        Ok(ledger.durable() + ledger.pending())
    }
}
