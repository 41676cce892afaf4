//! Subjects who may not start a session, and whose sessions have all ended.
//!
//! A block can be lifted, so it is no flag that only goes up, and two orders at once could leave behind what neither
//! meant. What makes it a join is its version: each change is an entry of the ledger, the entry's index is its version, and
//! of two changes the one with the higher index stands. Indexes are unique and never change, memory is changed under the
//! lock that the index was taken under, and a restart replays the entries in their order; so whoever looks, from wherever, finds
//! the same last change.
//!
//! Against a start at the same time there are three nets, in the order of the ledger:
//!
//! 1. a start appends its entry under the same lock, so its entry stands before the block's, or it is refused;
//! 2. one that stood before and was not admitted yet is ended when it is admitted;
//! 3. when the block's own entry is on disk, everything before it has been admitted, and what still lives is ended then.
//!
//! If we crash between the block's entry and the ends that follow from it, the next start finds the block after the start of
//! the session, and ends it as of the block.
//!
//! A block has no end of its own. The clock counts a step forward as time passed, which is the safe side for a deadline and
//! the wrong one for a block.

use crate::{
    end::EndOrder,
    engine::Authority,
    entry::{BlockRecord, EndNote, Entry, clip},
    journal::Then,
    open::Recovery,
    session::Session,
};
use nightlatch_core::{EndReason, Subject, Time};
use nightlatch_store::{Pseudonym, PseudonymError};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// An order to block a subject, or to lift that.
#[derive(Clone, Copy, Debug)]
pub struct BlockOrder<'a> {
    /// Who: an API key's name.
    pub by: &'a str,
    /// What is behind it: a ticket, an operator's words.
    pub cause: Option<&'a str>,
}

/// A block that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose, by the name that the ledger has.
    pub pseudonym: String,
    /// Since when.
    pub at: Time,
    /// Who ordered it.
    pub by: String,
    /// What is behind it, where somebody said.
    pub cause: Option<String>,
    /// The index of its entry.
    pub entry: u64,
}

/// Every subject that was ever blocked in this ledger, as far as it is not forgotten again.
#[derive(Debug, Default)]
pub(crate) struct Blocks(RwLock<Changes>);

/// The changes of each subject, oldest first: the last one stands.
type Changes = BTreeMap<String, Vec<Change>>;

/// A block, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    entry: u64,
    block: Option<Arc<Block>>,
}

/// Held while a start appends its entry: no block comes in between.
pub(crate) struct Unblocked<'a> {
    _held: RwLockReadGuard<'a, Changes>,
}

impl Blocks {
    /// The subject may start a session for as long as this is held; the error is the block by which it may not.
    pub(crate) fn unblocked(&self, pseudonym: &str) -> Result<Unblocked<'_>, Arc<Block>> {
        let held = self.read();
        match standing(&held, pseudonym) {
            Some(block) => Err(Arc::clone(block)),
            None => Ok(Unblocked { _held: held }),
        }
    }

    /// The block of a subject, if it stands.
    fn of(&self, pseudonym: &str) -> Option<Arc<Block>> {
        standing(&self.read(), pseudonym).cloned()
    }

    /// Those that stood when the ledger had `size` entries, for a snapshot.
    pub(crate) fn as_of(&self, size: u64) -> Vec<Arc<Block>> {
        let stood = |changes: &Vec<Change>| {
            changes.iter().rev().find(|change| change.entry < size).and_then(|change| change.block.clone())
        };
        self.read().values().filter_map(stood).collect()
    }

    /// Takes in a block from before this start.
    pub(crate) fn take_up(&self, block: Block) {
        let pseudonym = block.pseudonym.clone();
        let change = Change { entry: block.entry, block: Some(Arc::new(block)) };
        self.write().insert(pseudonym, vec![change]);
    }

    fn read(&self) -> RwLockReadGuard<'_, Changes> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Changes> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn standing<'a>(changes: &'a Changes, pseudonym: &str) -> Option<&'a Arc<Block>> {
    changes.get(pseudonym)?.last()?.block.as_ref()
}

/// Adds a change, and forgets those that no snapshot can ask for any more: all before the last of which the entry is on disk,
/// which is below `done`.
fn change(changes: &mut Changes, pseudonym: &str, change: Change, done: u64) {
    let of_subject = changes.entry(pseudonym.to_owned()).or_default();
    of_subject.push(change);
    let known = of_subject.iter().rposition(|change| change.entry < done).unwrap_or(0);
    of_subject.drain(..known);
}

impl Authority {
    /// Blocks a subject: no session of it starts, and all present ones end (`blocked`). Takes effect at once; it is done when
    /// [`Authority::blocked`] has completed. One that is blocked already stays so, as it was.
    ///
    /// May write to disk (a subject seen for the first time), so call it where blocking is allowed.
    ///
    /// # Errors
    /// If the subject is new and cannot be remembered; then it is not blocked.
    pub fn block(&self, subject: &Subject, order: BlockOrder<'_>) -> Result<Arc<Block>, PseudonymError> {
        let pseudonym = self.pseudonym(subject)?.to_string();
        let mut changes = self.blocks().write();
        let block = match standing(&changes, &pseudonym) {
            Some(stands) => Arc::clone(stands),
            None => {
                let record = BlockRecord {
                    subject: pseudonym.clone(),
                    at: self.clock().now().as_millis(),
                    by: clip(order.by).to_owned(),
                    cause: order.cause.map(|cause| clip(cause).to_owned()),
                };
                let entry = Entry::SubjectBlocked(record.clone());
                let then = |index| Some(Then::EndBlocked(subject.clone(), Arc::new(record.block(index))));
                let index = self.append_with(&entry, then);
                let block = Arc::new(record.block(index));
                let done = self.journal().done();
                change(
                    &mut changes,
                    &pseudonym,
                    Change { entry: index, block: Some(Arc::clone(&block)) },
                    done,
                );
                block
            }
        };
        drop(changes);
        self.end_blocked(subject, &block);
        Ok(block)
    }

    /// Waits until a block is on record, and so is the end of every session that it ended.
    pub async fn blocked(&self, subject: &Subject, block: &Block) {
        self.durable(block.entry).await;
        for session in self.sessions_of(subject) {
            if let Some(end) = session.end() {
                crate::Refusal { session, end }.told().await;
            }
        }
    }

    /// Lifts the block of a subject: it may start sessions again, those that ended stay ended. None if it is not blocked.
    ///
    /// Takes effect at once, and is done when the entry with the returned index is on disk ([`Authority::durable`]). A start
    /// that it allows has a later entry, so it is never on disk without it.
    pub fn unblock(&self, subject: &Subject, order: BlockOrder<'_>) -> Option<u64> {
        let pseudonym = self.people().known(&subject.provider, &subject.name)?.to_string();
        let mut changes = self.blocks().write();
        standing(&changes, &pseudonym)?;
        let record = BlockRecord {
            subject: pseudonym.clone(),
            at: self.clock().now().as_millis(),
            by: clip(order.by).to_owned(),
            cause: order.cause.map(|cause| clip(cause).to_owned()),
        };
        let index = self.append(&Entry::SubjectUnblocked(record), None);
        change(&mut changes, &pseudonym, Change { entry: index, block: None }, self.journal().done());
        Some(index)
    }

    /// The block of a subject, if one stands.
    #[must_use]
    pub fn block_of(&self, subject: &Subject) -> Option<Arc<Block>> {
        let pseudonym = self.people().known(&subject.provider, &subject.name)?;
        self.blocks().of(&pseudonym.to_string())
    }

    /// At most `most` blocks that stand, after the one of `after`, in the order of pseudonyms.
    #[must_use]
    pub fn blocks_after(&self, after: Option<Pseudonym>, most: usize) -> Vec<Arc<Block>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |after| Excluded(after.to_string()));
        let changes = self.blocks().read();
        let stands =
            changes.range((from, Unbounded)).filter_map(|(_, changes)| changes.last()?.block.clone());
        stands.take(most).collect()
    }

    /// Ends what lives of a subject that is blocked.
    pub(crate) fn end_blocked(&self, subject: &Subject, block: &Block) {
        for session in self.sessions_of(subject) {
            self.end(&session, order(block));
        }
    }

    /// A session that was on its way to disk when its subject was blocked ends as it is admitted.
    pub(crate) fn end_if_blocked(&self, session: &Arc<Session>) {
        if let Some(block) = self.blocks().of(&session.facts.who.pseudonym.to_string()) {
            self.end(session, order(&block));
        }
    }

    /// Ends a session whose subject was blocked after it started, unless its deadline had come before. True if it did.
    pub(crate) fn end_as_blocked(
        &self,
        session: &Arc<Session>,
        block: &BlockRecord,
        recovery: &mut Recovery,
    ) -> bool {
        let (blocked_at, deadline) = (Time::from_millis(block.at), session.deadline());
        if deadline.has_passed(blocked_at) || !session.cell.end(EndReason::Blocked) {
            return false;
        }
        session.note_end(blocked_at);
        recovery.ended_while_down += 1;
        self.record_end(
            session,
            true,
            EndNote {
                reason: EndReason::Blocked,
                deadline,
                ended_at: blocked_at,
                at: self.clock().now(),
                lateness_us: None,
                while_down: true,
                by: &block.by,
                cause: block.cause.as_deref(),
            },
        );
        true
    }
}

fn order(block: &Block) -> EndOrder<'_> {
    EndOrder { reason: EndReason::Blocked, by: &block.by, cause: block.cause.as_deref() }
}
