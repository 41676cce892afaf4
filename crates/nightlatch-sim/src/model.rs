//! The rules of a session's end, as one would say them aloud, over a plain list.
//!
//! A session is over from the first of: its last activity and the idle limit, its hard end, the instant its parent is over. Nobody
//! has to notice. Somebody may end it before that. That is all.

use nightlatch_core::EndReason;

/// One session as the model has it. Instants and spans are milliseconds.
#[derive(Clone, Debug)]
pub struct Modelled {
    /// Its parent's place in the list.
    pub parent: Option<usize>,
    /// Last activity.
    pub last: u64,
    /// The idle limit.
    pub idle: u64,
    /// The hard end.
    pub hard_end: u64,
    /// What somebody did, if somebody ended it: why and when.
    pub ordered: Option<(EndReason, u64)>,
    /// How it ended, once somebody has found that it did: from then on nothing that comes late can change it.
    pub noticed: Option<(EndReason, u64)>,
    /// When its subject had authenticated.
    pub started: u64,
    /// Its start was never on record and was lost in a crash: nobody had been told of it.
    pub lost: bool,
    /// When it began.
    pub begun: u64,
    /// What the disk knows.
    pub disk: OnDisk,
    /// The end that was told to somebody.
    pub told: Option<(EndReason, u64)>,
    /// The credentials that it got after its start.
    pub added: Vec<Added>,
}

/// A credential that a session got after its start.
#[derive(Clone, Debug)]
pub struct Added {
    /// When it was issued.
    pub issued: u64,
    /// Its place among everything that ever happened to credentials.
    pub place: u64,
    /// When it was first presented, behind the place of that.
    pub presented: Option<(u64, u64)>,
    /// What the disk knows.
    pub disk: AddedOnDisk,
}

/// What survives a crash of a credential.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddedOnDisk {
    /// Whether it is on record that it was issued: before that it opens nothing.
    pub issued: bool,
    /// Whether it is that it was presented.
    pub presented: bool,
}

/// How long an old credential stays good, in milliseconds.
pub(crate) const OVERLAP: u64 = 30_000;

/// What survives a crash for sure.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk {
    /// Whether its start is on record.
    pub started: bool,
    /// Last activity, as slots or snapshots have it.
    pub last: u64,
    /// Last activity as it was flushed to the slots.
    pub flushed: u64,
    /// The idle limit on record.
    pub idle: u64,
    /// The hard end on record.
    pub hard_end: u64,
    /// Whether what somebody did to it is on record.
    pub ordered: bool,
}

/// All sessions there ever were.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// In the order they were begun.
    pub sessions: Vec<Modelled>,
    /// How much happened to credentials.
    pub happened: u64,
}

impl Model {
    /// A session begins at `now`, with these limits, idle and absolute.
    pub fn start(&mut self, now: u64, started: u64, limits: (u64, u64), parent: Option<usize>) -> usize {
        let (idle, absolute) = limits;
        let hard_end = started + absolute;
        let disk = OnDisk { started: false, last: now, flushed: now, idle, hard_end, ordered: false };
        self.sessions.push(Modelled {
            parent,
            last: now,
            idle,
            hard_end,
            ordered: None,
            noticed: None,
            started,
            lost: false,
            begun: now,
            disk,
            told: None,
            added: Vec::new(),
        });
        self.sessions.len() - 1
    }

    /// The instant from which a session is or will be over, and why: of several at one instant the absolute limit is
    /// named, then the idle one, then the parent.
    #[must_use]
    pub fn deadline(&self, index: usize) -> (u64, EndReason) {
        let session = &self.sessions[index];
        if let Some((reason, at)) = session.ordered.or(session.noticed) {
            return (at, reason);
        }
        let mut first = (session.hard_end, EndReason::AbsoluteTimeout);
        let idle = session.last + session.idle;
        if idle < first.0 {
            first = (idle, EndReason::IdleTimeout);
        }
        if let Some(parent) = session.parent {
            let (at, _) = self.deadline(parent);
            if at < first.0 {
                first = (at, EndReason::ParentEnded);
            }
        }
        first
    }

    /// How it ended, if it is over at `now`.
    #[must_use]
    pub fn end(&self, index: usize, now: u64) -> Option<(EndReason, u64)> {
        let (at, reason) = self.deadline(index);
        (now >= at).then_some((reason, at))
    }

    /// What somebody is to be told who looked at the clock at `then` and decides only now: an end that was found meanwhile, or what the
    /// numbers say of that instant.
    #[must_use]
    pub fn late_answer(&self, index: usize, then: u64) -> Option<(EndReason, u64)> {
        let session = &self.sessions[index];
        session.ordered.or(session.noticed).or_else(|| self.end(index, then))
    }

    /// Something that counts as activity, at `now`.
    pub fn touch(&mut self, index: usize, now: u64) {
        if self.late_answer(index, now).is_none() {
            let session = &mut self.sessions[index];
            session.last = session.last.max(now);
        }
    }

    /// Somebody ends it at `now`.
    pub fn order(&mut self, index: usize, reason: EndReason, now: u64) {
        if self.late_answer(index, now).is_none() {
            self.sessions[index].ordered = Some((reason, now));
        }
    }

    /// The limits go down at `now`, to what is lower. What that makes overdue ends by it.
    pub fn lower(&mut self, index: usize, idle: u64, hard_end: u64, now: u64) {
        if self.end(index, now).is_some() {
            return;
        }
        let session = &mut self.sessions[index];
        let overdue = now >= session.last + idle || now >= hard_end;
        if overdue {
            session.ordered = Some((EndReason::PolicyTightened, now));
            return;
        }
        session.idle = session.idle.min(idle);
        session.hard_end = session.hard_end.min(hard_end);
    }

    /// A session gets a credential at `now`.
    pub fn add(&mut self, index: usize, now: u64) {
        self.happened += 1;
        let added =
            Added { issued: now, place: self.happened, presented: None, disk: AddedOnDisk::default() };
        self.sessions[index].added.push(added);
    }

    /// Whether it is on record that the first credential of a session, or one that was added, was issued.
    #[must_use]
    pub fn is_known(&self, index: usize, added: Option<usize>) -> bool {
        let session = &self.sessions[index];
        added.map_or(session.disk.started, |added| session.added[added].disk.issued)
    }

    /// A credential is presented at `now`.
    pub fn present(&mut self, index: usize, added: Option<usize>, now: u64) {
        self.happened += 1;
        let place = self.happened;
        if let Some(added) = added {
            self.sessions[index].added[added].presented.get_or_insert((place, now));
        }
    }

    /// When a credential was replaced: when the first that came after it was presented. Every added one comes after the first; and after another that
    /// had been used by then, or whose answer had had the time to arrive.
    #[must_use]
    pub fn replaced(&self, index: usize, added: Option<usize>) -> Option<u64> {
        let all = &self.sessions[index].added;
        let comes_after = |later: &&Added| {
            let Some(old) = added.map(|added| &all[added]) else { return true };
            let used = old.presented.is_some_and(|(place, _)| place < later.place);
            later.place > old.place && (used || later.issued - old.issued >= OVERLAP)
        };
        all.iter().filter(comes_after).filter_map(|later| later.presented).map(|(_, at)| at).min()
    }

    /// Whether a credential is not good any more at `now`.
    #[must_use]
    pub fn is_spent(&self, index: usize, added: Option<usize>, now: u64) -> bool {
        self.replaced(index, added).is_some_and(|at| now >= at + OVERLAP)
    }

    /// Everything that was recorded is on disk now.
    pub fn commit(&mut self) {
        for session in self.sessions.iter_mut().filter(|session| !session.lost) {
            session.disk.started = true;
            (session.disk.idle, session.disk.hard_end) = (session.idle, session.hard_end);
            session.disk.ordered = session.ordered.is_some();
            for added in &mut session.added {
                added.disk = AddedOnDisk { issued: true, presented: added.presented.is_some() };
            }
        }
    }

    /// The last activity of every session on record is on disk now.
    pub fn flush(&mut self) {
        for session in self.sessions.iter_mut().filter(|session| session.disk.started) {
            (session.disk.last, session.disk.flushed) = (session.last, session.last);
        }
    }
}
