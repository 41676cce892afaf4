//! The steps of a history, and drawing them by chance.
//!
//! Spans are drawn around what matters: just below, at and just above a limit, and otherwise anything. Sessions are named by a
//! number that the world takes modulo those there are, so that every list of steps is a history and a shorter one is, too.

use crate::{chance::Chance, model::OVERLAP, platter::Failing, stall::Held, swarm::Swarm};
use std::iter;

/// The idle limit of the policy in force, in milliseconds.
pub(crate) const IDLE: u64 = 60_000;
/// The absolute limit.
pub(crate) const ABSOLUTE: u64 = 600_000;

/// Something that happens. Spans are milliseconds; `who` and `what` choose among what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields say what they are, and the line above them what for")]
pub enum Step {
    /// A session begins, with limits of its own.
    Start { idle: u64, absolute: u64, authenticated_before: u64 },
    /// A lease begins under a session.
    Lease { who: usize, idle: u64 },
    /// A request that counts.
    Touch { who: usize },
    /// The subject of a session authenticated again, so long ago: it gets a credential.
    StepUp { who: usize, before: u64 },
    /// A request with one of the credentials that a session has.
    Present { who: usize, which: usize, counts: bool },
    /// A request that does not, whose permit is kept open.
    Open { who: usize },
    /// An open permit is asked.
    Ask { what: usize },
    /// An open permit is asked, and counts.
    AskActive { what: usize },
    /// An open permit is given back.
    Close { what: usize },
    /// Somebody ends a session.
    Revoke { who: usize },
    /// The idle limit goes down.
    LowerIdle { who: usize, idle: u64 },
    /// The hard end goes down to so long from now.
    LowerEnd { who: usize, left: u64 },
    /// Time passes.
    Pass { millis: u64 },
    /// Time passes, a part of a millisecond.
    PassNanos { nanos: u64 },
    /// Somebody sets the wall clock forward.
    WallForward { millis: u64 },
    /// Somebody sets the wall clock back.
    WallBack { millis: u64 },
    /// The machine is suspended: its clocks go on, and nothing runs.
    Suspended { millis: u64 },
    /// The virtual machine stands still, its clocks with it, and its wall clock is set right afterwards.
    Paused { millis: u64 },
    /// The timers are looked at.
    Turn,
    /// What was appended goes to disk.
    Commit,
    /// The disk refuses what was appended.
    CommitFails,
    /// A round of upkeep.
    Upkeep,
    /// The table is written down.
    Snapshot,
    /// The process is killed and started again after a while.
    Crash { down: u64 },
    /// The process is stopped and started again after a while.
    Restart { down: u64 },
    /// The machine goes down and boots anew; its wall clock then is so far ahead of what it should be, or behind.
    Reboot { down: u64, ahead: i64 },
    /// The power goes and comes back: what was not synced is there or not, as `luck` has it.
    PowerCut { down: u64, ahead: i64, luck: u64 },
    /// After so many more calls that change a file, the process is killed in the middle of whatever it does, or the power goes.
    CutIn { calls: u64, power: bool, luck: u64 },
    /// After so many more calls that change a file, one fails.
    DiskFails { calls: u64, how: Failing, luck: u64 },
    /// The disk is full from now on, or is not any more.
    DiskFull { full: bool },
    /// Something looks at the clock and is held up for the next steps.
    HeldUp { who: usize, what: Held, steps: usize },
    /// Both limits are to go down, and one of them would go up.
    LowerBoth { who: usize, idle: u64, left: u64 },
    /// The process is killed and started again with a policy that is tighter, where it is.
    TighterPolicy { idle: u64, absolute: u64 },
    /// The process is killed and its snapshots are lost.
    LoseSnapshots,
    /// The process is killed and its slots are lost.
    LoseSlots,
    /// The process is killed and its time reservation cannot be read any more.
    SpoilReservation,
    /// The process is killed, and its time reservation is lost; the wall clock is set back by so much.
    LoseReservation { back: u64 },
}

impl Step {
    /// Whether the engine goes down and comes up again.
    pub(crate) fn is_a_restart(self) -> bool {
        matches!(
            self,
            Step::Crash { .. }
                | Step::Restart { .. }
                | Step::Reboot { .. }
                | Step::PowerCut { .. }
                | Step::TighterPolicy { .. }
                | Step::LoseSnapshots
                | Step::LoseSlots
                | Step::SpoilReservation
                | Step::LoseReservation { .. }
        )
    }

    /// Whether it can happen while a thread of the engine is held up.
    pub(crate) fn lets_the_engine_run(self) -> bool {
        !self.is_a_restart() && !matches!(self, Step::CutIn { .. } | Step::HeldUp { .. })
    }
}

/// The steps that belong to `seed`: of the kinds that its history has.
pub fn history(seed: u64, steps: usize) -> impl Iterator<Item = Step> {
    let mut chance = Chance::new(seed);
    let swarm = Swarm::draw(&mut chance);
    iter::repeat_with(move || step(&mut chance)).filter(move |step| swarm.has(*step)).take(steps)
}

fn step(chance: &mut Chance) -> Step {
    let who = chance.below(64) as usize;
    match chance.below(1_000) {
        0..90 => Step::Start {
            idle: limit(chance, IDLE),
            absolute: limit(chance, ABSOLUTE),
            authenticated_before: chance.one_of(&[0, 0, 0, 1, 30_000, ABSOLUTE - 1]),
        },
        90..130 => Step::Lease { who, idle: limit(chance, IDLE) },
        130..200 => Step::Touch { who },
        200..225 => Step::StepUp { who, before: chance.one_of(&[0, 0, 1, 30_000]) },
        225..270 => Step::Present { who, which: chance.below(4) as usize, counts: chance.below(2) == 0 },
        270..330 => Step::Open { who },
        330..370 => Step::Ask { what: who },
        370..400 => Step::AskActive { what: who },
        400..420 => Step::Close { what: who },
        420..450 => Step::Revoke { who },
        450..475 => Step::LowerIdle { who, idle: limit(chance, IDLE) },
        475..495 => Step::LowerEnd { who, left: limit(chance, ABSOLUTE) },
        495..507 => {
            Step::CutIn { calls: calls(chance), power: chance.below(2) == 0, luck: chance.below(1 << 32) }
        }
        507..515 => Step::PowerCut {
            down: down(chance),
            ahead: chance.one_of(&[0, 0, 1_000, -5_000]),
            luck: chance.below(1 << 32),
        },
        515..527 => Step::DiskFails { calls: calls(chance), how: how(chance), luck: chance.below(1 << 32) },
        527..533 => Step::DiskFull { full: chance.below(3) > 0 },
        533..543 => Step::LowerBoth { who, idle: limit(chance, IDLE), left: limit(chance, ABSOLUTE) },
        543..568 => Step::HeldUp {
            who,
            what: chance.one_of(&[
                Held::Touch,
                Held::Touch,
                Held::Check,
                Held::Permit,
                Held::Revoke,
                Held::Turn,
            ]),
            steps: chance.one_of(&[1, 2, 4, 8]),
        },
        568..645 => Step::Pass { millis: span(chance) },
        645..660 => Step::PassNanos { nanos: 1 + chance.below(1_999_999) },
        660..668 => Step::WallForward { millis: span(chance) },
        668..675 => Step::Paused { millis: span(chance) },
        675..684 => Step::WallBack { millis: span(chance) },
        684..690 => Step::Suspended { millis: span(chance) },
        690..790 => Step::Turn,
        790..880 => Step::Commit,
        880..890 => Step::CommitFails,
        890..942 => Step::Upkeep,
        942..950 => Step::Snapshot,
        950..953 => Step::TighterPolicy {
            idle: chance.one_of(&[IDLE, IDLE / 2, IDLE / 3]),
            absolute: chance.one_of(&[ABSOLUTE, ABSOLUTE / 2]),
        },
        953..965 => Step::Crash { down: down(chance) },
        965..978 => Step::Restart { down: down(chance) },
        978..985 => {
            Step::Reboot { down: down(chance), ahead: chance.one_of(&[0, 0, 0, 1_000, -5_000, 60_000]) }
        }
        985..990 => Step::LoseSnapshots,
        990..995 => Step::LoseSlots,
        995..997 => Step::SpoilReservation,
        _ => Step::LoseReservation { back: chance.one_of(&[0, 0, 1, 30_000]) },
    }
}

fn limit(chance: &mut Chance, most: u64) -> u64 {
    match chance.below(4) {
        0 => most,
        1 => most * 2,
        2 => 1 + chance.below(most),
        _ => 1 + chance.below(2_000),
    }
}

fn span(chance: &mut Chance) -> u64 {
    match chance.below(40) {
        0..14 => chance.below(500),
        14..22 => chance.below(IDLE / 4),
        22..26 => OVERLAP - 1 + chance.below(3),
        26..32 => IDLE - 1 + chance.below(3),
        32..36 => chance.below(2 * IDLE),
        36..39 => ABSOLUTE - 1 + chance.below(3),
        _ => 25 * 3_600_000,
    }
}

fn down(chance: &mut Chance) -> u64 {
    chance.one_of(&[0, 1, 50, 900, 1_500, IDLE / 2, IDLE])
}

/// Few, mostly: a step makes no more than a dozen.
fn calls(chance: &mut Chance) -> u64 {
    let most = chance.one_of(&[3, 12, 60]);
    chance.below(most)
}

fn how(chance: &mut Chance) -> Failing {
    match chance.below(20) {
        0..7 => Failing::Lost,
        7..12 => Failing::Kept,
        12..19 => Failing::Torn,
        _ => Failing::Lies,
    }
}
