//! What is done every half second: flush activity, move the time reservation, watch the clock, forget, sign. And, beside it, snapshots.
//!
//! None of it is on the road of a request, and each part may fail without the others: a failure is counted, said, and tried again
//! the next time round. If we crash between two rounds, the activity of at most a second is lost and nothing else.

use crate::{clock::ClockStep, engine::Authority, entry::Entry, health::Part, session::Session};
use nightlatch_core::Span;
use nightlatch_store::{ReservationFile, snapshot};
use std::sync::{Arc, MutexGuard, PoisonError, atomic::Ordering::Relaxed};

/// How long an ended session is remembered, so that whoever holds its credential learns why it ended.
const ENDED_KEPT: Span = Span::from_secs(24 * 3600);
/// A snapshot is taken when the ledger has grown by so many entries since the last.
const SNAPSHOT_EVERY: u64 = 50_000;

/// The files that upkeep writes.
pub(crate) struct Disk {
    pub(crate) slots: nightlatch_store::Slots,
    pub(crate) time: ReservationFile,
    pub(crate) snapshot_at: u64,
    pub(crate) snapshot_tried_at: u64,
    pub(crate) signed_at: u64,
}

impl Authority {
    /// One round of upkeep.
    ///
    /// What failed before is tried again here, if nothing else asks for it: a disk that is back is noticed without a start.
    pub fn upkeep(&self) {
        self.round_begins();
        self.note_clock_steps();
        self.reserve_time(false);
        self.flush_activity();
        self.forget_ended(self.clock().now().minus(ENDED_KEPT));
        self.remember_people();
        if self.is_at_fault(Part::Ledger) {
            // It says by itself what comes of it.
            let _ = self.commit();
        } else {
            self.measure_room();
        }
        self.sign();
        self.round_ends();
    }

    /// Writes a [snapshot](Authority::snapshot) when the ledger has grown enough for one.
    pub fn snapshot_if_due(&self) {
        if self.snapshot_is_due() {
            self.snapshot();
        }
    }

    /// After the ledger has grown; after one that failed, when it has grown some more, so that a full disk is not written to without end.
    fn snapshot_is_due(&self) -> bool {
        const AFTER_FAILURE: u64 = SNAPSHOT_EVERY / 10;
        let disk = self.disk();
        self.journal().done() >= disk.snapshot_at + SNAPSHOT_EVERY
            && self.journal().done() >= disk.snapshot_tried_at + AFTER_FAILURE
    }

    /// Puts the file of people right, if a new subject could not be remembered.
    fn remember_people(&self) {
        if self.is_at_fault(Part::People) {
            let mended = self.people().mend();
            self.note(Part::People, &mended);
        }
    }

    /// Leaves the files so that the next start finds everything at once: the last thing to be called.
    pub fn stop(&self) {
        self.record(&Entry::Stopped { at: self.clock().now().as_millis() });
        let committed = self.commit();
        if let Err(error) = &committed {
            tracing::error!(%error, "the last entries could not be written");
        }
        self.flush_activity();
        self.snapshot();
        self.sign();
        self.reserve_time(committed.is_ok());
    }

    pub(crate) fn reserve_time(&self, clean: bool) {
        let reservation = self.clock().reservation(clean);
        let stored = self.disk().time.store(&reservation);
        if stored.is_ok() {
            self.clock().keep(&reservation);
        }
        self.note(Part::Time, &stored);
    }

    /// Records what happened to the clocks since the last look.
    pub(crate) fn note_clock_steps(&self) {
        while let Some(step) = self.clock().watch() {
            self.note_clock_step(step);
            // What fell due by it is open right now.
            self.wake_timekeeper();
        }
    }

    fn note_clock_step(&self, step: ClockStep) {
        let (at, stats) = (self.clock().now().as_millis(), self.stats());
        let (direction, by_nanos, count) = match step {
            ClockStep::Forward { by_nanos } => ("forward", by_nanos, &stats.clock_steps_forward),
            ClockStep::Back { by_nanos } => ("back", by_nanos, &stats.clock_steps_back),
            ClockStep::Suspended { by_nanos } => {
                let by_ms = by_nanos / 1_000_000;
                stats.suspensions.fetch_add(1, Relaxed);
                tracing::warn!(by_ms, "the machine was suspended");
                self.record(&Entry::MachineSuspended { at, by_ms });
                return;
            }
        };
        let by_ms = by_nanos / 1_000_000;
        count.fetch_add(1, Relaxed);
        tracing::warn!(direction, by_ms, "the wall clock stepped");
        self.record(&Entry::ClockStepped { at, direction: direction.to_owned(), by_ms });
    }

    fn flush_activity(&self) {
        let mut disk = self.disk();
        let flushed = self.slots().flush(&mut disk.slots);
        drop(disk);
        self.note(Part::Activity, &flushed);
    }

    /// Signs a checkpoint if the ledger has grown.
    fn sign(&self) {
        let size = self.ledger().durable();
        if self.disk().signed_at == size {
            return;
        }
        let signed = self.ledger().checkpoint();
        if signed.is_ok() {
            self.disk().signed_at = size;
        }
        self.note(Part::Checkpoint, &signed.map(drop));
    }

    /// Writes the table down, so that the next start need not read the whole ledger. With many sessions it takes its time; nobody may call it
    /// twice at once.
    ///
    /// If we crash here, the snapshot before this one stands. What it says is on disk in the ledger first, or it is not written: nobody
    /// would find again what only a snapshot knew, once that is lost.
    pub fn snapshot(&self) {
        // Taken before the table is read: what comes in meanwhile is in the snapshot and in the tail, which is no harm.
        let size = self.journal().done();
        let written = snapshot::write(self.data().snapshot(), self.node(), size, self.kept(size), || {
            self.all_limits_are_on_record()
        });
        let mut disk = self.disk();
        disk.snapshot_tried_at = size;
        if written.is_ok() {
            disk.snapshot_at = size;
        }
        drop(disk);
        self.note(Part::Snapshot, &written);
    }

    /// Sees to it that limits which went down are on disk, for whoever saw them. (An end that is seen before its entry is on disk needs no
    /// such care: the next start records it anew before it tells anybody.)
    fn all_limits_are_on_record(&self) -> bool {
        // Those that are going down right now have their entry when this lock is free.
        drop(self.lowering.lock().unwrap_or_else(PoisonError::into_inner));
        self.commit().is_ok()
    }

    /// Every session that is known, live or ended; those that come in meanwhile may or may not be among them.
    pub(crate) fn every_session(&self) -> impl Iterator<Item = Arc<Session>> {
        SessionPages { engine: self, page: Vec::new().into_iter(), last: None }
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Walks the table a page at a time, so that its lock is never held for long.
struct SessionPages<'a> {
    engine: &'a Authority,
    page: std::vec::IntoIter<Arc<Session>>,
    last: Option<nightlatch_core::SessionId>,
}

impl Iterator for SessionPages<'_> {
    type Item = Arc<Session>;

    fn next(&mut self) -> Option<Arc<Session>> {
        const PAGE: usize = 1_000;
        let next = self.page.next().or_else(|| {
            self.page = self.engine.sessions(self.last, PAGE).into_iter();
            self.page.next()
        })?;
        self.last = Some(next.facts.id);
        Some(next)
    }
}
