//! A session while the program runs: what never changes, what only moves one way, and who is to be woken.
//!
//! There may be a million of them, so a session is small, and most of them are quiet: what all sessions need stands in the
//! session itself, what many have in common is shared ([`Who`], [`Terms`]), and what few need (a parent, leases, somebody who waits,
//! an end) is put [`Aside`] when it is needed first.

use crate::{
    added::{Added, AddedSet, Authentication},
    cell::Cell,
    slots::Slot,
};
use nightlatch_core::{
    Activity, CredentialHash, Deadline, EndReason, Kind, ProviderSession, Register, SessionId, Span, Subject,
    Time, deadline,
};
use nightlatch_store::Pseudonym;
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release,
            Ordering::SeqCst,
        },
    },
};
use tokio::sync::Notify;

/// Whose a session is; the sessions of one subject share it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Who {
    /// The subject.
    pub subject: Subject,
    /// The subject's name in the ledger.
    pub pseudonym: Pseudonym,
}

/// What a session was started with; sessions that started alike share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// What kind of subject.
    pub kind: Kind,
    /// The subject's groups at sign-in.
    pub groups: Vec<String>,
    /// The policy version it started under.
    pub policy_version: u32,
    /// How long before the deadline its user is warned.
    pub warning: Span,
    /// The application it was started for, if one was named.
    pub app: Option<String>,
    /// How the subject authenticated, in the provider's words.
    pub acr: Option<String>,
}

/// What is settled when a session starts and never changes.
#[derive(Debug)]
pub struct Facts {
    /// The hash of its credential.
    pub credential: CredentialHash,
    /// Its public name.
    pub id: SessionId,
    /// Whose it is.
    pub who: Arc<Who>,
    /// What it was started with.
    pub terms: Arc<Terms>,
    /// When the subject had authenticated, never after the session was made; the absolute limit counts from here.
    pub started: Time,
}

/// One session. Shared by the table, the timers and every connection that stands in it.
///
/// In this order a check reads what stands first, and little else.
#[repr(C)]
pub struct Session {
    pub(crate) cell: Cell,
    aside: OnceLock<Box<Aside>>,
    open: AtomicU32,
    /// The word is not on disk as it is.
    changed: AtomicBool,
    /// Set when the end may be told: it is on disk, or follows from the numbers.
    settled: AtomicBool,
    /// Set when what is open has waited for that long enough.
    given_up: AtomicBool,
    /// What never changes.
    pub facts: Facts,
    passive: AtomicU32,
    slot: u32,
    /// The last traffic that was no activity.
    last_seen: AtomicU64,
}

/// Who a session stands with, by what is known when it starts.
#[derive(Debug, Default)]
pub(crate) struct Kin {
    /// The session that this lease cannot outlive.
    pub(crate) parent: Option<Arc<Session>>,
    /// The session that this one continues after an end.
    pub(crate) continues: Option<SessionId>,
    /// The session at the provider that it began with.
    pub(crate) provider_session: Option<ProviderSession>,
}

/// What few sessions need.
#[derive(Default)]
struct Aside {
    kin: Kin,
    /// Wakes what is open, here and in every lease of the family.
    signal: Arc<Notify>,
    /// The leases that cannot outlive this session, as far as they may still live.
    leases: Mutex<Vec<Weak<Session>>>,
    refused: AtomicU32,
    ended_at: AtomicU64,
    /// One more than the index of the entry of its end; zero while there is none.
    end_entry: AtomicU64,
    /// Limits went down by the entry before this index; the highest number while they do.
    lowered_by: AtomicU64,
    /// What it got since it started.
    added: OnceLock<Box<AddedSet>>,
}

/// No entry yet.
const NO_ENTRY: u64 = u64::MAX;

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
    /// A session in the slot that the cell's word was made for.
    pub(crate) fn new(facts: Facts, cell: Cell, slot: u32, kin: Kin) -> Session {
        let aside = OnceLock::new();
        if kin.parent.is_some() || kin.continues.is_some() || kin.provider_session.is_some() {
            let signal = kin.parent.as_ref().map_or_else(Arc::default, |parent| Arc::clone(parent.signal()));
            aside.get_or_init(|| Box::new(Aside { kin, signal, ..Aside::default() }));
        }
        Session {
            cell,
            facts,
            open: 0.into(),
            passive: 0.into(),
            last_seen: 0.into(),
            aside,
            slot,
            changed: true.into(),
            settled: false.into(),
            given_up: false.into(),
        }
    }

    /// What is aside, made now if it was not needed before.
    fn aside(&self) -> &Aside {
        self.aside.get_or_init(Box::default)
    }

    /// Wakes what is open, here and in every lease of the family.
    pub(crate) fn signal(&self) -> &Arc<Notify> {
        &self.aside().signal
    }

    /// The session that this lease cannot outlive.
    pub(crate) fn parent(&self) -> Option<&Arc<Session>> {
        self.aside.get()?.kin.parent.as_ref()
    }

    /// Where its last activity is on disk.
    pub(crate) fn slot(&self) -> Slot {
        Slot { index: self.slot, generation: self.cell.word().generation() }
    }

    /// The word was written: it is to be flushed. Told after the write, so that a flush that misses one meets the other.
    pub(crate) fn changed(&self) {
        self.changed.store(true, Release);
    }

    /// The word, if it was written since this was last asked.
    pub(crate) fn take_changed(&self) -> Option<u64> {
        // Looked at first: most have not changed, and asking must not take their memory away from who checks.
        let changed = self.changed.load(Relaxed) && self.changed.swap(false, AcqRel);
        changed.then(|| self.cell.word().bits())
    }

    /// The instant that would end it first as things stand, its parent's included.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        deadline(&self.cell.seen(self.parent_end()))
    }

    /// When the parent would end, or did.
    pub(crate) fn parent_end(&self) -> Option<Time> {
        let parent = self.parent()?;
        Some(parent.end().map_or_else(|| parent.deadline().at, |end| end.at))
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let reason = self.cell.word().end()?;
        let at = match self.aside.get().map_or(0, |aside| aside.ended_at.load(SeqCst)) {
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
                let parent_end = self.parent().and_then(|parent| parent.end());
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
        Time::from_millis(self.last_seen.load(Relaxed)).max(self.last_activity())
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
        self.open.load(Relaxed)
    }

    /// How many requests did not count as activity.
    #[must_use]
    pub fn passive(&self) -> u32 {
        self.passive.load(Relaxed)
    }

    /// How many requests were refused after the end.
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.aside.get().map_or(0, |aside| aside.refused.load(Relaxed))
    }

    /// The session that this lease belongs to.
    #[must_use]
    pub fn parent_id(&self) -> Option<SessionId> {
        self.parent().map(|parent| parent.facts.id)
    }

    /// The session that this one continues after an end.
    #[must_use]
    pub fn continues(&self) -> Option<SessionId> {
        self.aside.get()?.kin.continues
    }

    /// The session at the provider that it began with, if the provider named one.
    #[must_use]
    pub fn provider_session(&self) -> Option<ProviderSession> {
        self.aside.get()?.kin.provider_session
    }

    /// Whether its end may be told: it is on disk, or would be found again from the numbers.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.settled.load(SeqCst)
    }

    /// Counts traffic that was let through. What counts as activity is in the word already.
    pub(crate) fn count(&self, activity: Activity, now: Time) {
        if activity == Activity::Passive {
            self.last_seen.fetch_max(now.as_millis(), Relaxed);
            self.passive.fetch_add(1, Relaxed);
        }
    }

    /// One more permit is held. A number for the record; nothing is decided by it, so it orders nothing.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// One less.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Counts a refusal; true for the first one.
    pub(crate) fn refuse(&self) -> bool {
        self.aside().refused.fetch_add(1, SeqCst) == 0
    }

    pub(crate) fn note_refused(&self, times: u32) {
        if times > 0 {
            self.aside().refused.store(times, SeqCst);
        }
    }

    /// A lease of this session begins.
    pub(crate) fn adopt(&self, lease: &Arc<Session>) {
        let mut leases = self.aside().leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.len() == leases.capacity() {
            leases.retain(|lease| lease.upgrade().is_some_and(|lease| lease.end().is_none()));
        }
        leases.push(Arc::downgrade(lease));
    }

    /// The leases of a session that ended.
    pub(crate) fn orphans(&self) -> Vec<Arc<Session>> {
        let Some(aside) = self.aside.get() else { return Vec::new() };
        let leases = aside.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.iter().filter_map(Weak::upgrade).collect()
    }

    /// What it got since it started, if it got something.
    pub(crate) fn added(&self) -> Option<&AddedSet> {
        self.aside.get()?.added.get().map(|added| &**added)
    }

    /// It gets an authentication and a credential, which was first presented by that entry and then, if it was.
    pub(crate) fn add(&self, added: &Arc<Added>, presented: Option<(u64, Time)>) {
        self.aside().added.get_or_init(Box::default).insert(added, presented);
    }

    /// Whether a credential of it is no longer good at `now`: one that was added, or the one that it started with.
    pub(crate) fn is_spent(&self, added: Option<&Added>, now: Time) -> bool {
        self.added().is_some_and(|set| set.is_spent(added, now))
    }

    /// Every authentication of its subject: that of the start, and what was added since.
    #[must_use]
    pub fn authentications(&self) -> Vec<Authentication> {
        let first = Authentication {
            at: self.facts.started,
            acr: self.facts.terms.acr.clone(),
            presented: None,
            replaced: self.added().and_then(AddedSet::first_replaced),
        };
        let added = self.added().map(AddedSet::authentications).unwrap_or_default();
        std::iter::once(first).chain(added).collect()
    }

    /// When the subject last authenticated in this way, or in any. A lease is no authentication: its parent's count.
    #[must_use]
    pub fn authenticated(&self, acr: Option<&str>) -> Option<Time> {
        if let Some(parent) = self.parent() {
            return parent.authenticated(acr);
        }
        let first = acr.is_none() || self.facts.terms.acr.as_deref() == acr;
        let added = self.added().and_then(|added| added.youngest(acr));
        first.then_some(self.facts.started).max(added)
    }

    /// Limits are about to go down: until [`noted`](Session::note_lowered) they are not what is on record.
    pub(crate) fn lowering(&self) {
        self.aside().lowered_by.store(NO_ENTRY, SeqCst);
    }

    /// They went down by the entry with this index.
    pub(crate) fn note_lowered(&self, index: u64) {
        self.aside().lowered_by.store(index.saturating_add(1), SeqCst);
    }

    /// Whether the limits as they stand are on disk, which has every entry below `done`.
    pub(crate) fn limits_on_disk(&self, done: u64) -> bool {
        self.aside.get().is_none_or(|aside| aside.lowered_by.load(SeqCst) <= done)
    }

    /// It is about to be ended at `at` on somebody's order. Noted before the word says so, so that whoever sees the end
    /// sees when.
    pub(crate) fn propose_end(&self, at: Time) {
        let _ = self.aside().ended_at.compare_exchange(0, at.as_millis(), SeqCst, SeqCst);
    }

    pub(crate) fn note_end(&self, at: Time) {
        self.aside().ended_at.store(at.as_millis(), SeqCst);
    }

    pub(crate) fn note_end_entry(&self, index: u64) {
        self.aside().end_entry.store(index.saturating_add(1), SeqCst);
    }

    /// The index of the entry of its end; the highest number if there is none.
    pub(crate) fn end_entry(&self) -> u64 {
        let noted = self.aside.get().map_or(0, |aside| aside.end_entry.load(SeqCst));
        noted.checked_sub(1).unwrap_or(NO_ENTRY)
    }

    /// Whether what is open need not wait any longer for the end to be told.
    pub(crate) fn given_up(&self) -> bool {
        self.given_up.load(SeqCst)
    }

    /// The disk takes too long: wakes everything that stands in this session, to be closed without a word.
    pub(crate) fn give_up_telling(&self) {
        self.given_up.store(true, SeqCst);
        self.signal().notify_waiters();
    }

    /// The end may be told now: wakes everything that stands in this session or one of its leases.
    pub(crate) fn settle(&self) {
        self.settled.store(true, SeqCst);
        self.signal().notify_waiters();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {:?})", self.facts.id, self.cell.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_of_them_fit_in_160_megabytes() {
        // What is in front of it are the counts of an `Arc`.
        assert!(size_of::<Session>() + 2 * size_of::<usize>() <= 160);
    }

    /// The price of a session that began with one at its provider, beside 32 bytes in the index of those.
    #[test]
    fn what_few_need_takes_144_bytes_at_most() {
        assert!(size_of::<Aside>() <= 144, "{}", size_of::<Aside>());
    }
}
