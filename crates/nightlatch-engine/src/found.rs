//! The table as snapshot, ledger and slots have it, before the clock is asked.
//!
//! Each source is taken in as it comes; because everything that changes in a session is a join, it does not matter where they overlap.

use crate::{
    entry::{BlockRecord, Entry, SessionEnded, SessionStarted},
    upkeep::SessionRecord,
};
use nightlatch_core::{EndReason, Generation, Time, Word};
use std::collections::BTreeMap;

/// Every session that was found, by name, and the latest instant that anything tells of.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) known: BTreeMap<String, Known>,
    /// The last change of each subject's block, and its entry's index.
    pub(crate) blocks: BTreeMap<String, (u64, Option<BlockRecord>)>,
    pub(crate) latest: Time,
}

/// What is known of one session.
pub(crate) struct Known {
    /// Its start, with the limits as they were lowered since.
    pub(crate) start: SessionStarted,
    pub(crate) word: Word,
    pub(crate) ended_at: Option<Time>,
    /// The index of the entry of its end, if that is on record.
    pub(crate) end_entry: Option<u64>,
    /// How many requests were refused after its end, as far as is known.
    pub(crate) refused: u32,
    /// The first block of its subject after it started: it ended then, if by nothing before.
    pub(crate) blocked: Option<BlockRecord>,
}

impl Found {
    pub(crate) fn take_record(&mut self, record: SessionRecord) {
        let ended_at = record.ended_at.map(Time::from_millis);
        self.saw(ended_at.unwrap_or_default());
        self.insert(Known {
            word: Word::from_bits(record.word),
            ended_at,
            end_entry: record.end_entry,
            refused: record.refused,
            blocked: None,
            start: record.start,
        });
    }

    pub(crate) fn take_entry(&mut self, index: u64, entry: Entry) {
        self.saw(Time::from_millis(entry.at()));
        match entry {
            Entry::SessionStarted(start) => {
                let generation = Generation::new(start.generation);
                let word = Word::live(generation, Time::from_millis(start.last_activity));
                self.insert(Known {
                    start: *start,
                    word,
                    ended_at: None,
                    end_entry: None,
                    refused: 0,
                    blocked: None,
                });
            }
            Entry::SessionEnded(ended) => self.end(index, &ended),
            Entry::LimitsLowered { session, idle_ms, idle_rule, hard_end, hard_end_rule, .. } => {
                let Some(known) = self.known.get_mut(&session) else { return };
                if idle_ms < known.start.idle_ms {
                    (known.start.idle_ms, known.start.idle_rule) = (idle_ms, idle_rule);
                }
                if hard_end < known.start.hard_end {
                    (known.start.hard_end, known.start.hard_end_rule) = (hard_end, hard_end_rule);
                }
            }
            Entry::RefusedAfterEnd { session, .. } => {
                if let Some(known) = self.known.get_mut(&session) {
                    known.refused = known.refused.max(1);
                }
            }
            Entry::SubjectBlocked(block) => self.block(index, block),
            Entry::SubjectUnblocked(lifted) => self.change_block(&lifted.subject, index, None),
            Entry::Cut(_)
            | Entry::OutcomeWithheld { .. }
            | Entry::ClockStepped { .. }
            | Entry::ClockFault { .. }
            | Entry::EntriesGaveWay { .. }
            | Entry::Started { .. }
            | Entry::Stopped { .. } => {}
        }
    }

    pub(crate) fn take_slots(&mut self, words: &[Option<u64>]) {
        for known in self.known.values_mut() {
            if let Some(Some(bits)) = words.get(known.start.slot as usize) {
                known.word = known.word.joined(Word::from_bits(*bits));
            }
            self.latest = self.latest.max(known.word.last_activity());
        }
    }

    /// Every name, a lease after the session it belongs to.
    pub(crate) fn parents_first(&self) -> Vec<&str> {
        let mut names: Vec<(usize, &String)> =
            self.known.keys().map(|name| (self.depth(name), name)).collect();
        names.sort();
        names.into_iter().map(|(_, name)| name.as_str()).collect()
    }

    fn depth(&self, name: &str) -> usize {
        let parent = |name: &String| self.known.get(name)?.start.parent.clone();
        // A ledger that names a circle of parents does not keep us here for ever.
        std::iter::successors(Some(name.to_owned()), parent).take(64).count()
    }

    fn insert(&mut self, known: Known) {
        let name = known.start.session.clone();
        self.known.entry(name).or_insert(known);
    }

    fn end(&mut self, index: u64, ended: &SessionEnded) {
        // One that is not known was forgotten before the snapshot.
        let Some(known) = self.known.get_mut(&ended.session) else { return };
        let reason = ended.reason.parse().unwrap_or(EndReason::ClockFault);
        known.word = known.word.touched(Time::from_millis(ended.last_activity)).unwrap_or(known.word);
        known.word = known.word.ended(reason).unwrap_or(known.word);
        known.ended_at = Some(Time::from_millis(ended.ended_at));
        known.end_entry = Some(index);
    }

    /// Takes in a block that stood when the snapshot was taken.
    pub(crate) fn take_block(&mut self, index: u64, block: BlockRecord) {
        let subject = block.subject.clone();
        self.change_block(&subject, index, Some(block));
    }

    fn block(&mut self, index: u64, block: BlockRecord) {
        for known in self.known.values_mut() {
            if known.start.subject == block.subject && known.word.end().is_none() {
                known.blocked.get_or_insert_with(|| block.clone());
            }
        }
        self.take_block(index, block);
    }

    /// The change with the highest index stands, in whatever order they are met.
    fn change_block(&mut self, subject: &str, index: u64, block: Option<BlockRecord>) {
        let last = self.blocks.entry(subject.to_owned()).or_insert((index, None));
        if index >= last.0 {
            *last = (index, block);
        }
    }

    fn saw(&mut self, at: Time) {
        self.latest = self.latest.max(at);
    }
}
