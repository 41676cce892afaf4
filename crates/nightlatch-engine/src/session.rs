//! A session while the program runs: what never changes, what only moves one way, and who is to be woken.

use crate::{cell::Cell, slots::Slot};
use nightlatch_core::{
    Activity, CredentialHash, Deadline, EndReason, Kind, Register, SessionId, Span, Subject, Time, deadline,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};
use tokio::sync::Notify;

/// What is settled when a session starts and never changes.
#[derive(Debug)]
pub struct Facts {
    /// Its public name.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// The subject's name in the ledger.
    pub pseudonym: String,
    /// What kind of subject.
    pub kind: Kind,
    /// The subject's groups at sign-in.
    pub groups: Vec<String>,
    /// When the subject had authenticated, never after the session was made; the absolute limit counts from here.
    pub started: Time,
    /// The policy version it started under.
    pub policy_version: u32,
    /// How long before the deadline its user is warned.
    pub warning: Span,
    /// The application it was started for, if one was named.
    pub app: Option<String>,
    /// How the subject authenticated, in the provider's words.
    pub acr: Option<String>,
    /// The session that this one continues after an end.
    pub continues: Option<SessionId>,
    /// The hash of its credential.
    pub credential: CredentialHash,
}

/// One session. Shared by the table, the timers and every connection that stands in it.
pub struct Session {
    /// What never changes.
    pub facts: Facts,
    pub(crate) cell: Cell,
    pub(crate) slot: Slot,
    /// The session that this lease cannot outlive.
    pub(crate) parent: Option<Arc<Session>>,
    /// Wakes what is open, here and in every lease of the family.
    pub(crate) signal: Arc<Notify>,
    /// The leases that cannot outlive this session, as far as they may still live.
    leases: Mutex<Vec<Weak<Session>>>,
    counts: Counts,
    /// Limits went down by the entry before this index; the highest number while they do.
    lowered_by: AtomicU64,
    /// Set when the end may be told: it is on disk, or follows from the numbers.
    settled: AtomicBool,
    /// Set when what is open has waited for that long enough.
    given_up: AtomicBool,
}

/// Traffic and end, for the record and the screen. None of these decides anything.
#[derive(Debug)]
struct Counts {
    last_seen: AtomicU64,
    open: AtomicU32,
    passive: AtomicU32,
    refused: AtomicU32,
    ended_at: AtomicU64,
    end_entry: AtomicU64,
}

/// No entry yet.
const NO_ENTRY: u64 = u64::MAX;

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            last_seen: 0.into(),
            open: 0.into(),
            passive: 0.into(),
            refused: 0.into(),
            ended_at: 0.into(),
            end_entry: NO_ENTRY.into(),
        }
    }
}

/// How and when a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// The instant it was over: the deadline that passed, or when it was ended.
    pub at: Time,
    /// Whether it may be told: it is on disk, or would be found again. If not, what is open is reset and nothing is said of why.
    pub told: bool,
}

impl Session {
    pub(crate) fn new(facts: Facts, cell: Cell, slot: Slot, parent: Option<Arc<Session>>) -> Session {
        let signal = parent.as_ref().map_or_else(Arc::default, |parent| Arc::clone(&parent.signal));
        Session {
            facts,
            cell,
            slot,
            parent,
            signal,
            leases: Mutex::default(),
            counts: Counts::default(),
            lowered_by: AtomicU64::new(0),
            settled: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        }
    }

    /// The instant that would end it first as things stand, its parent's included.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        deadline(&self.cell.seen(self.parent_end()))
    }

    /// When the parent would end, or did.
    pub(crate) fn parent_end(&self) -> Option<Time> {
        let parent = self.parent.as_ref()?;
        Some(parent.end().map_or_else(|| parent.deadline().at, |end| end.at))
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let reason = self.cell.word().end()?;
        let at = match self.counts.ended_at.load(SeqCst) {
            // The winner of the swap has not come to write it down yet; the numbers say it as well.
            0 => self.due_instant(reason),
            millis => Time::from_millis(millis),
        };
        Some(End { reason, at, told: self.settled() })
    }

    fn due_instant(&self, reason: EndReason) -> Time {
        let seen = self.cell.seen(None);
        match reason {
            EndReason::IdleTimeout => seen.word.last_activity().plus(seen.idle.span()),
            EndReason::AbsoluteTimeout => seen.hard_end.time(),
            EndReason::ParentEnded => {
                let parent_end = self.parent.as_ref().and_then(|parent| parent.end());
                parent_end.map_or(seen.word.last_activity(), |end| end.at)
            }
            _ => seen.word.last_activity(),
        }
    }

    /// When something last counted as activity.
    #[must_use]
    pub fn last_activity(&self) -> Time {
        self.cell.word().last_activity()
    }

    /// When there was last any traffic. Extends nothing.
    #[must_use]
    pub fn last_seen(&self) -> Time {
        Time::from_millis(self.counts.last_seen.load(Relaxed)).max(self.last_activity())
    }

    /// The idle limit and the rule that set it.
    #[must_use]
    pub fn idle(&self) -> Register {
        self.cell.seen(None).idle
    }

    /// The hard end and the rule that set it.
    #[must_use]
    pub fn hard_end(&self) -> Register {
        self.cell.seen(None).hard_end
    }

    /// The absolute limit as it stands: from authentication to the hard end.
    #[must_use]
    pub fn absolute(&self) -> Span {
        self.hard_end().time().since(self.facts.started)
    }

    /// How many permits are held for it.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.counts.open.load(Relaxed)
    }

    /// How many requests did not count as activity.
    #[must_use]
    pub fn passive(&self) -> u32 {
        self.counts.passive.load(Relaxed)
    }

    /// How many requests were refused after the end.
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.counts.refused.load(Relaxed)
    }

    /// The session that this lease belongs to.
    #[must_use]
    pub fn parent_id(&self) -> Option<SessionId> {
        self.parent.as_ref().map(|parent| parent.facts.id)
    }

    /// Whether its end may be told: it is on disk, or would be found again from the numbers.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.settled.load(SeqCst)
    }

    pub(crate) fn count(&self, activity: Activity, now: Time) {
        self.counts.last_seen.fetch_max(now.as_millis(), Relaxed);
        if activity == Activity::Passive {
            self.counts.passive.fetch_add(1, Relaxed);
        }
    }

    /// One more permit is held.
    pub(crate) fn opened(&self) {
        self.counts.open.fetch_add(1, SeqCst);
    }

    /// One less.
    pub(crate) fn closed(&self) {
        self.counts.open.fetch_sub(1, SeqCst);
    }

    /// Counts a refusal; true for the first one.
    pub(crate) fn refuse(&self) -> bool {
        self.counts.refused.fetch_add(1, SeqCst) == 0
    }

    pub(crate) fn note_refused(&self, times: u32) {
        self.counts.refused.store(times, SeqCst);
    }

    /// A lease of this session begins.
    pub(crate) fn adopt(&self, lease: &Arc<Session>) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.len() == leases.capacity() {
            leases.retain(|lease| lease.upgrade().is_some_and(|lease| lease.end().is_none()));
        }
        leases.push(Arc::downgrade(lease));
    }

    /// The leases of a session that ended.
    pub(crate) fn orphans(&self) -> Vec<Arc<Session>> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.iter().filter_map(Weak::upgrade).collect()
    }

    /// Limits are about to go down: until [`noted`](Session::note_lowered) they are not what is on record.
    pub(crate) fn lowering(&self) {
        self.lowered_by.store(NO_ENTRY, SeqCst);
    }

    /// They went down by the entry with this index.
    pub(crate) fn note_lowered(&self, index: u64) {
        self.lowered_by.store(index.saturating_add(1), SeqCst);
    }

    /// Whether the limits as they stand are on disk, which has every entry below `done`.
    pub(crate) fn limits_on_disk(&self, done: u64) -> bool {
        self.lowered_by.load(SeqCst) <= done
    }

    /// It is about to be ended at `at` on somebody's order. Noted before the word says so, so that whoever sees the end
    /// sees when.
    pub(crate) fn propose_end(&self, at: Time) {
        let _ = self.counts.ended_at.compare_exchange(0, at.as_millis(), SeqCst, SeqCst);
    }

    pub(crate) fn note_end(&self, at: Time) {
        self.counts.ended_at.store(at.as_millis(), SeqCst);
    }

    pub(crate) fn note_end_entry(&self, index: u64) {
        self.counts.end_entry.store(index, SeqCst);
    }

    /// The index of the entry of its end; the highest number if there is none.
    pub(crate) fn end_entry(&self) -> u64 {
        self.counts.end_entry.load(SeqCst)
    }

    /// Whether what is open need not wait any longer for the end to be told.
    pub(crate) fn given_up(&self) -> bool {
        self.given_up.load(SeqCst)
    }

    /// The disk takes too long: wakes everything that stands in this session, to be closed without a word.
    pub(crate) fn give_up_telling(&self) {
        self.given_up.store(true, SeqCst);
        self.signal.notify_waiters();
    }

    /// The end may be told now: wakes everything that stands in this session or one of its leases.
    pub(crate) fn settle(&self) {
        self.settled.store(true, SeqCst);
        self.signal.notify_waiters();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {:?})", self.facts.id, self.cell.word())
    }
}
