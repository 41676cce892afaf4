//! The real engine beside the model, step by step.

use crate::{
    calls,
    clocks::Clocks,
    disk::SimDisk,
    history::{ABSOLUTE, IDLE, Step},
    machine::Plan,
    model::Model,
    platter::Platter,
    stall::HeldTime,
};
use nightlatch_core::{
    Activity, DeadlineReason, EndReason, Kind, Limits, Policy, SessionId, Span, Subject, Time,
};
use nightlatch_engine::{EndOrder, Engine, Lower, Permit, Recovery, Session, Start, Tighter, Token};
use nightlatch_ledger::{Disk, Options};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

const MS: u64 = 1_000_000;
/// How long an ended session is remembered.
pub(crate) const REMEMBERED: u64 = 24 * 3_600_000;
const PERMITS_MOST: usize = 16;

/// What engine and model do not agree on.
#[derive(Debug)]
pub struct Difference(pub String);

/// Agrees, or says what is different.
pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    real: &T,
    model: &T,
) -> Result<(), Difference> {
    match real == model {
        true => Ok(()),
        false => Err(Difference(format!("{what}: the engine says {real:?}, the model {model:?}"))),
    }
}

/// An engine, its model, and the machine they live on.
pub struct World {
    pub(crate) dir: PathBuf,
    pub(crate) clocks: Clocks,
    pub(crate) model: Model,
    pub(crate) disk: Arc<SimDisk>,
    /// The limits of the policy in force, idle and absolute, in milliseconds.
    pub(crate) policy: (u64, u64),
    pub(crate) platter: Arc<Mutex<Platter>>,
    pub(crate) plan: Plan,
    /// A call to the disk failed, and not everything that was to be written has been written since.
    pub(crate) uneasy: bool,
    /// A lying disk lost what it had promised: nothing more can be held against anything.
    pub(crate) over: bool,
    /// None only while nothing runs.
    engine: Option<Arc<Engine>>,
    /// What the sessions of the model are called, in its order.
    pub(crate) names: Vec<(SessionId, Token)>,
    /// What each got since it started, in the model's order.
    pub(crate) added: Vec<Vec<Token>>,
    permits: Vec<(usize, Permit)>,
    /// Whether the last commit reached the disk.
    pub(crate) recording: bool,
    /// Starts with a clock that could not be trusted.
    pub(crate) faults: u64,
}

impl World {
    /// A new engine in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> World {
        let platter = Arc::new(Mutex::new(Platter::new(dir)));
        calls::simulate(dir, &platter);
        let mut world = World {
            dir: dir.to_owned(),
            clocks: Clocks::new(),
            model: Model::default(),
            disk: Arc::default(),
            policy: (IDLE, ABSOLUTE),
            platter,
            plan: Plan::default(),
            uneasy: false,
            over: false,
            engine: None,
            names: Vec::new(),
            added: Vec::new(),
            permits: Vec::new(),
            recording: true,
            faults: 0,
        };
        // A directory that cannot be opened at all shows at the first step.
        let _ = world.survive(World::open);
        world.clocks.reserve(false);
        world
    }

    /// Does a step in both worlds and holds them against each other.
    ///
    /// # Errors
    /// The first thing in which they differ.
    pub fn step(&mut self, step: Step) -> Result<(), Difference> {
        if self.over || self.plan(step) {
            return Ok(());
        }
        if step.is_a_restart() {
            self.restart(step)?;
            return if self.over { Ok(()) } else { self.compare() };
        }
        match self.survive(|world| world.act(step)) {
            Some(done) => done?,
            None => self.rise(step)?,
        }
        if self.over { Ok(()) } else { self.compare() }
    }

    fn act(&mut self, step: Step) -> Result<(), Difference> {
        match step {
            Step::Start { idle, absolute, authenticated_before } => {
                self.start(None, idle, absolute, authenticated_before)
            }
            Step::Lease { who, idle } => match self.pick(who) {
                Some(parent) => self.start(Some(parent), idle, ABSOLUTE, 0),
                None => Ok(()),
            },
            Step::Touch { who } => self.check(who, Activity::Active),
            Step::StepUp { who, before } => self.step_up(who, before),
            Step::Present { who, which, counts } => {
                self.present(who, which, if counts { Activity::Active } else { Activity::Passive })
            }
            Step::Open { who } => self.check(who, Activity::Passive),
            Step::Ask { what } => self.ask(what, Activity::Passive),
            Step::AskActive { what } => self.ask(what, Activity::Active),
            Step::Close { what } => {
                if !self.permits.is_empty() {
                    self.permits.swap_remove(what % self.permits.len());
                }
                Ok(())
            }
            Step::Revoke { who } => self.revoke(who),
            Step::LowerIdle { who, idle } => self.lower(who, Some(idle), None),
            Step::LowerEnd { who, left } => self.lower(who, None, Some(self.now() + left)),
            Step::LowerBoth { who, idle, left } => self.lower(who, Some(idle), Some(self.now() + left)),
            Step::Pass { millis } => {
                self.clocks.pass(millis * MS);
                Ok(())
            }
            Step::PassNanos { nanos } => {
                self.clocks.pass(nanos);
                Ok(())
            }
            Step::Suspended { millis } => {
                self.clocks.suspend(millis * MS);
                Ok(())
            }
            // While it stood still nothing happened that it could have seen: what is left of it is the step.
            Step::WallForward { millis } | Step::Paused { millis } => {
                self.clocks.wall_forward(millis);
                Ok(())
            }
            Step::WallBack { millis } => {
                self.clocks.wall_back(millis);
                Ok(())
            }
            Step::Turn => self.turn(),
            Step::Commit => self.commit(false),
            Step::CommitFails => self.commit(true),
            Step::Upkeep => self.upkeep(),
            Step::Snapshot => self.snapshot(),
            // Plans and restarts are not the engine's to do.
            _ => Ok(()),
        }
    }

    /// Lets time pass in the model alone: for a test that the two are really compared.
    pub fn forget_to_tell_the_engine_of(&mut self, millis: u64) {
        self.clocks.begun(self.clocks.now_nanos() + millis * MS);
    }

    pub(crate) fn engine(&self) -> Result<&Arc<Engine>, Difference> {
        self.engine.as_ref().ok_or_else(|| Difference("the engine cannot be opened".into()))
    }

    pub(crate) fn now(&self) -> u64 {
        self.clocks.now_millis()
    }

    /// What the engine knows of a session of the model.
    pub(crate) fn real(&self, index: usize) -> Result<Option<Arc<Session>>, Difference> {
        Ok(self.engine()?.session(self.names[index].0))
    }

    /// Everything that hangs on the engine is gone, and with it the lock of its directory.
    pub(crate) fn kill(&mut self) {
        self.permits.clear();
        self.engine = None;
    }

    pub(crate) fn open(&mut self) -> Result<Recovery, Difference> {
        let policy = limits(self.policy).map(|limits| Policy { version: 1, limits });
        let policy = policy.ok_or_else(|| Difference("the policy does not hold together".into()))?;
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let source = Box::new(HeldTime(Arc::clone(&self.clocks.machine)));
        let options = Options { segment_bytes: 128 << 10 };
        let (engine, recovery) = Engine::open_on(disk, options, &self.dir, policy, source, "sim")
            .map_err(|error| Difference(format!("it does not open: {error}")))?;
        self.engine = Some(Arc::new(engine));
        Ok(recovery)
    }

    pub(crate) fn pick(&self, who: usize) -> Option<usize> {
        let there: Vec<usize> =
            (0..self.names.len()).filter(|index| !self.model.sessions[*index].lost).collect();
        // Mostly the newer ones: they are the ones that may live.
        let newer = &there[there.len().saturating_sub(12)..];
        if newer.is_empty() { None } else { Some(newer[who % newer.len()]) }
    }

    fn start(
        &mut self,
        parent: Option<usize>,
        idle: u64,
        absolute: u64,
        before: u64,
    ) -> Result<(), Difference> {
        let now = self.now();
        let started = now - before;
        let start = Start {
            subject: Subject { provider: "sim".into(), name: format!("person {}", idle % 3) },
            kind: Kind::Person,
            groups: Vec::new(),
            app: None,
            acr: None,
            authenticated: Some(Time::from_millis(started)),
            continues: None,
            provider_session: None,
            parent: parent.map(|parent| self.names[parent].0),
            tighter: Tighter {
                idle: Some(Span::from_millis(idle)),
                absolute: Some(Span::from_millis(absolute)),
            },
            cause: "sim",
        };
        let parent_lives = parent.is_none_or(|parent| {
            self.model.sessions[parent].disk.started && self.model.end(parent, now).is_none()
        });
        let allowed = now < started + absolute.min(self.policy.1) && parent_lives;
        let begun = self.engine()?.start(start);
        // With a disk that has failed a start may be refused, and must be while nothing can be recorded.
        let troubled = self.was_troubled() || self.uneasy;
        if !(troubled && begun.is_err()) {
            equal("a session starts", &begun.is_ok(), &(self.recording && allowed))?;
        }
        if let Ok(starting) = begun {
            let (session, token) = starting.into_parts();
            self.names.push((session.facts.id, token));
            self.added.push(Vec::new());
            let (most_idle, most_absolute) = self.policy;
            self.model.start(now, started, (idle.min(most_idle), absolute.min(most_absolute)), parent);
        }
        Ok(())
    }

    fn check(&mut self, who: usize, activity: Activity) -> Result<(), Difference> {
        match self.pick(who) {
            Some(index) => self.request(index, None, activity),
            None => Ok(()),
        }
    }

    /// A permit stands open from now on, if there are not too many.
    pub(crate) fn keep(&mut self, index: usize, permit: Permit) {
        if self.permits.len() < PERMITS_MOST {
            self.permits.push((index, permit));
        }
    }

    fn ask(&mut self, what: usize, activity: Activity) -> Result<(), Difference> {
        if self.permits.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let (index, permit) = &self.permits[what % self.permits.len()];
        let end = self.model.end(*index, now);
        let answer = if activity == Activity::Active { permit.touch() } else { permit.ask() };
        match answer {
            Ok(deadline) => {
                equal("a permit says yes", &None, &end)?;
                if activity == Activity::Active {
                    self.model.touch(*index, now);
                }
                equal("until", &deadline.at.as_millis(), &self.model.deadline(*index).0)
            }
            Err(said) => equal("a permit says no", &Some((said.reason, said.at.as_millis())), &end),
        }
    }

    fn revoke(&mut self, who: usize) -> Result<(), Difference> {
        let Some(index) = self.pick(who) else { return Ok(()) };
        let Some(session) = self.real(index)? else { return Ok(()) };
        let now = self.now();
        let order = EndOrder { reason: EndReason::Revoked, by: "sim", cause: None };
        let ended = self.engine()?.end(&session, order).is_some();
        equal("an order ends it", &ended, &self.model.end(index, now).is_none())?;
        self.model.order(index, EndReason::Revoked, now);
        Ok(())
    }

    fn lower(&mut self, who: usize, idle: Option<u64>, hard_end: Option<u64>) -> Result<(), Difference> {
        let Some(index) = self.pick(who) else { return Ok(()) };
        let Some(session) = self.real(index)? else { return Ok(()) };
        let lower = Lower {
            idle: idle.map(Span::from_millis),
            hard_end: hard_end.map(Time::from_millis),
            rule: "sim",
        };
        self.engine()?.lower(&session, lower);
        self.model.lower(index, idle.unwrap_or(u64::MAX / 4), hard_end.unwrap_or(u64::MAX), self.now());
        Ok(())
    }

    /// Holds everything against everything.
    pub(crate) fn compare(&mut self) -> Result<(), Difference> {
        equal("now", &self.engine()?.clock().now_nanos(), &self.clocks.now_nanos())?;
        let now = self.now();
        for index in 0..self.names.len() {
            let (model, end) = (&self.model.sessions[index], self.model.end(index, now));
            let on_record = model.ordered.is_none() || model.disk.ordered;
            let Some(session) = self.real(index)? else {
                let forgotten = on_record && end.is_some_and(|(_, at)| now - at >= REMEMBERED);
                let unknown = model.lost || !model.disk.started || forgotten;
                equal(&format!("session {index} is unknown"), &true, &unknown)?;
                continue;
            };
            let what = |what: &str| format!("session {index}: {what}");
            equal(&what("known"), &true, &(model.disk.started && !model.lost))?;
            equal(&what("last activity"), &session.last_activity().as_millis(), &model.last)?;
            equal(&what("idle limit"), &session.idle().span().as_millis(), &model.idle)?;
            equal(&what("hard end"), &session.hard_end().time().as_millis(), &model.hard_end)?;
            self.compare_added(index, &session)?;
            match session.end() {
                Some(real) => {
                    equal(&what("end"), &Some((real.reason, real.at.as_millis())), &end)?;
                    self.model.sessions[index].noticed = end;
                }
                None if end.is_none() => {
                    let deadline = session.deadline();
                    let real = (deadline.at.as_millis(), reason_of(deadline.reason));
                    equal(&what("deadline"), &real, &self.model.deadline(index))?;
                }
                None => {}
            }
            if session.settled() {
                equal(&what("told after it is on record"), &true, &on_record)?;
                self.model.sessions[index].told = end;
            }
        }
        Ok(())
    }
}

fn limits((idle, absolute): (u64, u64)) -> Option<Limits> {
    Limits::new(Span::from_millis(idle), Span::from_millis(absolute), Span::from_millis(10_000)).ok()
}

fn reason_of(reason: DeadlineReason) -> EndReason {
    match reason {
        DeadlineReason::Absolute => EndReason::AbsoluteTimeout,
        DeadlineReason::Idle => EndReason::IdleTimeout,
        DeadlineReason::Parent => EndReason::ParentEnded,
    }
}
