//! The ledger as the write-ahead log: what waits for an entry to be on disk.
//!
//! Appending is cheap and does not touch the disk; [`Journal::commit`] makes everything appended durable in one go and then lets
//! happen what waited for it: a session that starts becomes known, an end that is not derivable may be told. If we crash
//! before the commit, neither had happened as far as anybody outside can know.

use crate::{added::Added, block::Block, session::Session};
use nightlatch_core::Subject;
use nightlatch_ledger::{AppendError, CommitError, Ledger};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::Thread,
};
use tokio::sync::watch;

/// What happens once an entry is on disk.
#[derive(Debug)]
pub(crate) enum Then {
    /// The session becomes known.
    Admit(Arc<Session>),
    /// The session's end may be told.
    Settle(Arc<Session>),
    /// The session gets an authentication, and its credential becomes known.
    Add(Arc<Added>),
    /// Every session of the subject that started before the block ends.
    EndBlocked(Subject, Arc<Block>),
}

/// The ledger, and what waits for it.
pub(crate) struct Journal {
    ledger: Ledger,
    waiting: Mutex<VecDeque<(u64, Then)>>,
    /// Held while what waited happens, so that it happens in order and is not called done before it has.
    happening: Mutex<()>,
    /// Every entry below this index is on disk and what waited for it has happened.
    done: watch::Sender<u64>,
    committer: OnceLock<Thread>,
    /// Since when entries have waited, in nanoseconds; zero while none does.
    since: AtomicU64,
}

impl Journal {
    pub(crate) fn new(ledger: Ledger) -> Journal {
        let (done, _) = watch::channel(ledger.durable());
        Journal {
            ledger,
            waiting: Mutex::default(),
            happening: Mutex::default(),
            done,
            committer: OnceLock::new(),
            since: AtomicU64::new(0),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Appends an entry's bytes and notes what is to happen when it is on disk. Returns the entry's index.
    pub(crate) fn append(
        &self,
        bytes: &[u8],
        then: impl FnOnce(u64) -> Option<Then>,
        now_nanos: u64,
    ) -> Result<u64, AppendError> {
        let _ = self.since.compare_exchange(0, now_nanos, SeqCst, SeqCst);
        // Index and place in the queue are taken under one lock, so that the queue is in the order of the log.
        let mut waiting = self.waiting();
        let index = self.ledger.append(bytes)?;
        waiting.extend(then(index).map(|then| (index, then)));
        drop(waiting);
        if let Some(committer) = self.committer.get() {
            committer.unpark();
        }
        Ok(index)
    }

    /// Makes everything appended durable; `happen` is called for what waited, in order.
    ///
    /// On an error nothing of it has happened, and the next call tries again.
    pub(crate) fn commit(&self, mut happen: impl FnMut(Then)) -> Result<(), CommitError> {
        let durable = self.ledger.commit()?;
        self.since.store(0, SeqCst);
        let turn = self.happening.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut waiting = self.waiting();
            let ready = waiting.pop_front_if(|(index, _)| *index < durable);
            drop(waiting);
            match ready {
                Some((_, then)) => happen(then),
                None => break,
            }
        }
        // A commit that came after ours may have had its turn before.
        self.done.send_if_modified(|done| {
            let grown = *done < durable;
            *done = durable.max(*done);
            grown
        });
        drop(turn);
        Ok(())
    }

    /// Since when entries have waited for the disk, in nanoseconds by our clock; zero if none does. What came in while the last
    /// were written begins anew.
    pub(crate) fn waits_since(&self) -> u64 {
        self.since.load(SeqCst)
    }

    /// Every entry below this index is on disk and has had its effect on the table.
    pub(crate) fn done(&self) -> u64 {
        *self.done.borrow()
    }

    /// The present thread commits from now on and is woken when there is something to do.
    pub(crate) fn committed_by_this_thread(&self) {
        let _ = self.committer.set(std::thread::current());
    }

    /// Waits until the entry with this index is on disk and what waited for it has happened: a session that starts is known.
    pub(crate) async fn durable(&self, index: u64) {
        // The sender is ours: the wait ends by success only.
        let _ = self.done.subscribe().wait_for(|done| *done > index).await;
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(u64, Then)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
