//! Recovery: what ended stays ended, what fell due meanwhile is ended, what lives goes on with the deadline it had.
//!
//! The table is built from three sources, and because everything that changes is a join, it does not matter that they overlap:
//!
//! 1. the newest snapshot (or none: then the whole ledger is read),
//! 2. the ledger from there on,
//! 3. the slots, which know later activity than either.
//!
//! Then the clock is asked. Whatever fell due while we were down is ended now and recorded with the deadline it had; nothing was
//! open, so there is no lateness to tell.

use crate::{
    added::Added,
    cell::Cell,
    clock::ClockFault,
    engine::Authority,
    entry::{EndNote, Entry},
    found::{Found, Known, KnownAdded},
    limits::Lower,
    open::Recovery,
    session::{Facts, Kin, Session, Who},
};
use nightlatch_core::{Activity, Deadline, EndReason, SessionId, Subject, Time, Verdict, decide};
use nightlatch_store::Pseudonym;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

impl Authority {
    /// A policy that is tighter than the one before holds for every session at once; a looser one for none that runs.
    pub(crate) fn tighten_all(&self, recovery: &mut Recovery) {
        let limits = self.policy().limits;
        for session in self.every_session().filter(|session| session.end().is_none()) {
            let hard_end = session.facts.started.plus(limits.absolute());
            let lower = Lower {
                idle: Some(limits.idle()).filter(|idle| *idle < session.idle().span()),
                hard_end: Some(hard_end).filter(|hard_end| *hard_end < session.hard_end().time()),
                rule: "policy",
            };
            self.lower(&session, lower);
            recovery.live -= usize::from(session.end().is_some());
        }
    }

    /// Holds the clock against what is on record. Behind that it goes on from there, and is not to be trusted.
    pub(crate) fn behind(&self, latest: Time) -> Option<ClockFault> {
        let by_nanos = latest.as_nanos().saturating_sub(self.clock().now_nanos());
        self.clock().raise(latest);
        (by_nanos > 0).then_some(ClockFault::BehindRecord { by_nanos })
    }

    /// Puts what was found into the table, ends what is due, and records that.
    pub(crate) fn take_up(&self, found: &Found<'_>, recovery: &mut Recovery) {
        let now = self.clock().now();
        if let Some(fault) = recovery.clock_fault {
            self.stats().clock_faults.fetch_add(1, Relaxed);
            self.record(&Entry::ClockFault { at: now.as_millis(), cause: fault.cause() });
        }
        for (entry, block) in found.blocks.values() {
            if let Some(block) = block {
                self.blocks().take_up(block.block(*entry));
            }
        }
        self.logout_tokens().take_up(&found.logout_tokens, now);
        let (mut parents, mut people) = (HashMap::new(), HashMap::new());
        let ordered = found.parents_first();
        let mut sessions = Vec::with_capacity(ordered.len());
        for (id, known) in &ordered {
            let parent = known.parent.and_then(|parent| parents.get(&parent)).cloned();
            let who = people.entry(known.pseudonym).or_insert_with(|| self.who_is(known.pseudonym));
            let session = Arc::new(rebuild(*id, known, Arc::clone(&who.who), parent));
            if found.is_parent(*id) {
                parents.insert(*id, Arc::clone(&session));
            }
            // What is on record as ended keeps no slot: another may have had it since.
            if known.end_entry.is_none() {
                self.slots().settle(&session);
            }
            sessions.push(session);
        }
        self.table().fill(&sessions);
        for (session, (_, known)) in sessions.iter().zip(&ordered) {
            self.give_back(session, known);
        }
        // A lease is adopted only now: when its parent is found to be over, it is not looked for, but comes itself.
        for (session, (_, known)) in sessions.iter().zip(&ordered) {
            let orphan = known.parent.is_some() && session.parent().is_none();
            if let Some(parent) = session.parent() {
                parent.adopt(session);
            }
            let erased = people.get(&known.pseudonym).is_none_or(|who| who.erased);
            self.end_if_due(session, known, orphan, erased, now, recovery);
        }
    }

    /// The session has what it got since it started.
    fn give_back(&self, session: &Arc<Session>, known: &Known) {
        for KnownAdded { entry, issued, authenticated, acr, credential, presented } in &known.added {
            let how = (*authenticated, acr.clone());
            let added = Added::new(session, *credential, (*entry, *issued), how);
            // An end on record was the last that it was owed.
            if presented.is_some() || known.end_entry.is_some() {
                added.take_owed();
            } else {
                self.room().owe_presentation();
            }
            session.add(&added, *presented);
            self.table().add(&added);
        }
    }

    /// The person behind a pseudonym. One who was erased keeps nothing but the pseudonym.
    fn who_is(&self, pseudonym: Pseudonym) -> Behind {
        let person = self.people().person(&pseudonym);
        let erased = person.is_none();
        let subject = match person {
            Some(person) => Subject { provider: person.provider.to_string(), name: person.name.to_string() },
            None => Subject { provider: "erased".to_owned(), name: pseudonym.to_string() },
        };
        Behind { who: self.who(subject, pseudonym), erased }
    }

    fn end_if_due(
        &self,
        session: &Arc<Session>,
        known: &Known,
        orphan: bool,
        erased: bool,
        now: Time,
        recovery: &mut Recovery,
    ) {
        if let Some(entry) = known.end_entry {
            session.note_end_entry(entry);
            session.settle();
            self.forget_later(session);
            return;
        }
        // Its end is appended below, or owed from now on.
        self.room().owe();
        if let Some(block) = &known.blocked
            && self.end_as_blocked(session, block, recovery)
        {
            return;
        }
        let (reason, deadline) =
            match decide(&session.cell.seen(session.parent_end()), Activity::Passive, now) {
                // It ended, and the entry did not reach the disk: nobody was told, but an end absorbs.
                Verdict::Ended { reason } => (reason, session.deadline()),
                Verdict::End { reason, deadline, .. } => (reason, deadline),
                Verdict::Allow { .. } if recovery.clock_fault.is_some() => {
                    (EndReason::ClockFault, session.deadline())
                }
                // A parent that is not known any more ended long ago.
                Verdict::Allow { .. } if orphan => (EndReason::ParentEnded, session.deadline()),
                Verdict::Allow { .. } if erased => (EndReason::Revoked, session.deadline()),
                Verdict::Allow { .. } | Verdict::InsufficientAuthentication { .. } => {
                    recovery.live += 1;
                    self.arm(session);
                    return;
                }
            };
        session.cell.end(reason);
        let ended_at = known.ended_at.unwrap_or(deadline.at.min(now));
        session.note_end(ended_at);
        recovery.ended_while_down += 1;
        self.record_end(
            session,
            true,
            EndNote {
                reason,
                deadline: Deadline { at: deadline.at.max(ended_at), ..deadline },
                ended_at,
                at: now,
                lateness_us: None,
                while_down: true,
                by: "recovery",
                cause: None,
            },
        );
    }
}

/// Who is behind a pseudonym.
struct Behind {
    who: Arc<Who>,
    /// Nothing but the pseudonym is left.
    erased: bool,
}

/// The session that is known by this id.
fn rebuild(id: SessionId, known: &Known, who: Arc<Who>, parent: Option<Arc<Session>>) -> Session {
    let facts = Facts {
        credential: known.credential,
        id,
        who,
        terms: Arc::clone(&known.terms),
        started: known.started,
    };
    let kin = Kin { parent, continues: known.continues, provider_session: known.provider_session };
    let session = Session::new(facts, Cell::new(known.word, known.idle, known.hard_end), known.slot, kin);
    if let Some(at) = known.ended_at {
        session.note_end(at);
    }
    session.note_refused(known.refused);
    session
}
