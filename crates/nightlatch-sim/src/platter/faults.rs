//! What goes wrong: which call fails and how, when there is no space, and the instant from which nothing happens any more.

use crate::chance::Chance;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Nothing of it happened.
    Lost,
    /// It is said to have failed, and happened.
    Kept,
    /// A part of it happened.
    Torn,
    /// A sync says that all is well, and kept nothing.
    Lies,
}

/// What is to become of a call.
pub(crate) enum Verdict {
    /// Let the operating system do it.
    Do,
    /// Let it do that, and say that it failed.
    DoAndFail,
    /// Let it write so many bytes, and say that it failed.
    Partly(usize),
    /// Fail: `full` for want of space.
    Fail { full: bool },
    /// Do nothing and say that all is well.
    Pretend,
}

impl Verdict {
    /// Whether the call happens, whatever is said of it.
    pub(super) fn happens(&self) -> bool {
        matches!(self, Verdict::Do | Verdict::DoAndFail)
    }

    /// The same for a call that happens whole or not at all, and that cannot lie.
    pub(super) fn whole(self) -> Verdict {
        match self {
            Verdict::Partly(_) | Verdict::Pretend => Verdict::Fail { full: false },
            other => other,
        }
    }
}

/// What is planned, and what of it has happened.
pub(super) struct Faults {
    /// Calls until the power goes or the process is killed.
    cut_in: Option<u64>,
    /// Calls until one fails.
    fails_in: Option<(u64, Failing)>,
    /// Whether there is no space for anything new.
    full: bool,
    /// Nothing happens any more.
    dead: bool,
    /// Whether a call failed, or was said to have succeeded and did not.
    troubled: bool,
    /// What is kept of a call that fails.
    pub(super) luck: Chance,
    /// Called at the instant of the cut.
    witness: Option<Box<dyn FnMut() + Send>>,
}

impl Faults {
    /// None.
    pub(super) fn none() -> Faults {
        Faults {
            cut_in: None,
            fails_in: None,
            full: false,
            dead: false,
            troubled: false,
            luck: Chance::new(0),
            witness: None,
        }
    }

    pub(super) fn cut_in(&mut self, calls: u64) {
        self.cut_in = Some(calls);
    }

    pub(super) fn is_to_be_cut(&self) -> bool {
        self.cut_in.is_some()
    }

    pub(super) fn witness(&mut self, look: Box<dyn FnMut() + Send>) {
        self.witness = Some(look);
    }

    pub(super) fn fail_in(&mut self, calls: u64, how: Failing, luck: u64) {
        self.fails_in = Some((calls, how));
        self.luck = Chance::new(luck);
    }

    pub(super) fn fill(&mut self, full: bool) {
        self.full = full;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether a call failed since this was asked last.
    pub(super) fn take_troubled(&mut self) -> bool {
        std::mem::take(&mut self.troubled)
    }

    pub(super) fn forget_plans(&mut self) {
        (self.cut_in, self.fails_in, self.full, self.dead) = (None, None, false, false);
        self.witness = None;
    }

    /// What is to become of the next call; `grows` if it needs space.
    pub(super) fn next(&mut self, grows: bool) -> Verdict {
        self.cut_if_due();
        let verdict = if self.dead {
            Verdict::Fail { full: false }
        } else if self.full && grows {
            Verdict::Fail { full: true }
        } else {
            match self.failing_now() {
                None => return Verdict::Do,
                Some(Failing::Lost) => Verdict::Fail { full: false },
                Some(Failing::Kept) => Verdict::DoAndFail,
                Some(Failing::Torn) => Verdict::Partly(0),
                Some(Failing::Lies) => Verdict::Pretend,
            }
        };
        self.troubled = true;
        verdict
    }

    fn cut_if_due(&mut self) {
        let Some(left) = &mut self.cut_in else { return };
        if *left == 0 && !self.dead {
            self.dead = true;
            if let Some(mut look) = self.witness.take() {
                look();
            }
        }
        *left = left.saturating_sub(1);
    }

    fn failing_now(&mut self) -> Option<Failing> {
        let (left, _) = self.fails_in.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        self.fails_in.take().map(|(_, how)| how)
    }
}
