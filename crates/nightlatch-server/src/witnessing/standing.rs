//! What is known of each witness, for who watches: what it cosigned last, what went wrong, and whether it has seen another history.
//!
//! Of this process, which shows one ledger. Plain numbers behind atomics; the thread that shows is the only one that writes them.

use super::show::{Refusal, Seen};
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

nightlatch_core::listed! {
    /// In which way a witness was not had, where that is no evidence of anything.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Failure {
        /// No answer.
        Unreachable,
        /// It does not know this ledger, or knows it by another key.
        Stranger,
        /// An answer that is none of a witness, or whose signature does not hold.
        Answer,
        /// Files on our side.
        Ledger,
    }
}

/// What is known of one witness.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The name in its key.
    pub(crate) name: String,
    entries: AtomicU64,
    unix_seconds: AtomicU64,
    contradicts: AtomicBool,
    contradicted: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
}

static STANDINGS: RwLock<Vec<Arc<Standing>>> = RwLock::new(Vec::new());

/// Of every witness that is shown the record by this process, in the order of the configuration.
pub(crate) fn standings() -> Vec<Arc<Standing>> {
    STANDINGS.read().unwrap_or_else(PoisonError::into_inner).clone()
}

// === impl Failure ===

impl Failure {
    /// The word for it in metrics and log.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Stranger => "stranger",
            Self::Answer => "answer",
            Self::Ledger => "ledger",
        }
    }
}

// === impl Standing ===

impl Standing {
    /// Of a witness that cosigned this last, if it ever did. It is among [`standings`] from then on.
    pub(super) fn open(name: &str, last: Option<Seen>) -> Arc<Standing> {
        let standing = Arc::new(Standing {
            name: name.to_owned(),
            entries: AtomicU64::new(last.map_or(0, |seen| seen.entries)),
            unix_seconds: AtomicU64::new(last.map_or(0, |seen| seen.unix_seconds)),
            contradicts: AtomicBool::new(false),
            contradicted: AtomicU64::new(0),
            failures: Default::default(),
        });
        STANDINGS.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&standing));
        standing
    }

    /// Takes down what came of showing it the record.
    pub(super) fn note(&self, shown: &Result<Seen, Refusal>) {
        match shown {
            Ok(seen) => {
                self.entries.store(seen.entries, Relaxed);
                self.unix_seconds.store(seen.unix_seconds, Relaxed);
                self.contradicts.store(false, Relaxed);
            }
            Err(Refusal::Contradicted(_)) => {
                self.contradicts.store(true, Relaxed);
                self.contradicted.fetch_add(1, Relaxed);
            }
            Err(Refusal::Failed(failure, _)) => {
                self.failures[failure.place()].fetch_add(1, Relaxed);
            }
        }
    }

    /// What it cosigned last; of 0 entries at 0 if nothing yet.
    pub(crate) fn seen(&self) -> Seen {
        Seen { entries: self.entries.load(Relaxed), unix_seconds: self.unix_seconds.load(Relaxed) }
    }

    /// Whether it said, when it last said anything of it, that it has seen another history.
    pub(crate) fn contradicts(&self) -> bool {
        self.contradicts.load(Relaxed)
    }

    /// How often it said so.
    pub(crate) fn contradicted(&self) -> u64 {
        self.contradicted.load(Relaxed)
    }

    /// How often it was not had in this way.
    pub(crate) fn failures(&self, failure: Failure) -> u64 {
        self.failures[failure.place()].load(Relaxed)
    }
}
