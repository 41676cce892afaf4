//! Which kinds of steps a history has.
//!
//! A history that has a little of everything never has much of anything: a full disk is emptied before it matters, a restart
//! cleans up what two clock steps were about to break. So most histories leave some kinds out, each another choice (swarm testing: Groce, Zhang,
//! Eide, Chen, Regehr 2012), and one in four has them all.

use crate::{chance::Chance, history::Step};

/// What may be left out. Starts, requests, time and the engine's own rounds are in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Leases,
    Permits,
    Orders,
    Limits,
    WallClock,
    Standstills,
    Kills,
    Boots,
    Losses,
    FailingCalls,
    FullDisk,
    Schedules,
    Credentials,
}

const KINDS: u64 = 13;

/// The kinds that one history has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swarm(u64);

impl Swarm {
    pub(crate) fn draw(chance: &mut Chance) -> Swarm {
        let all = (1 << KINDS) - 1;
        match chance.below(4) {
            0 => Swarm(all),
            _ => Swarm(chance.below(all + 1)),
        }
    }

    pub(crate) fn has(self, step: Step) -> bool {
        kind(step).is_none_or(|kind| self.0 & (1 << kind as u64) != 0)
    }
}

fn kind(step: Step) -> Option<Kind> {
    Some(match step {
        Step::Lease { .. } => Kind::Leases,
        Step::Open { .. } | Step::Ask { .. } | Step::AskActive { .. } | Step::Close { .. } => Kind::Permits,
        Step::Revoke { .. } => Kind::Orders,
        Step::StepUp { .. } | Step::Present { .. } => Kind::Credentials,
        Step::LowerIdle { .. }
        | Step::LowerEnd { .. }
        | Step::LowerBoth { .. }
        | Step::TighterPolicy { .. } => Kind::Limits,
        Step::WallForward { .. } | Step::WallBack { .. } => Kind::WallClock,
        Step::Suspended { .. } | Step::Paused { .. } => Kind::Standstills,
        Step::Crash { .. } | Step::Restart { .. } => Kind::Kills,
        Step::Reboot { .. } | Step::PowerCut { .. } => Kind::Boots,
        Step::LoseSnapshots | Step::LoseSlots | Step::SpoilReservation | Step::LoseReservation { .. } => {
            Kind::Losses
        }
        Step::CutIn { .. } | Step::DiskFails { .. } | Step::CommitFails => Kind::FailingCalls,
        Step::DiskFull { .. } => Kind::FullDisk,
        Step::HeldUp { .. } => Kind::Schedules,
        Step::Start { .. }
        | Step::Touch { .. }
        | Step::Pass { .. }
        | Step::PassNanos { .. }
        | Step::Turn
        | Step::Commit
        | Step::Upkeep
        | Step::Snapshot => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history;
    use std::collections::BTreeSet;

    #[test]
    fn some_histories_have_every_kind_and_some_have_few() {
        let kinds = |seed| {
            let kinds = history(seed, 4_000).filter_map(kind).map(|kind| kind as u64);
            kinds.collect::<BTreeSet<_>>().len() as u64
        };
        let counts: Vec<u64> = (1..=60).map(kinds).collect();
        assert!(counts.contains(&KINDS), "{counts:?}");
        assert!(counts.iter().any(|count| *count <= KINDS / 3), "{counts:?}");
    }
}
