//! The signed checkpoints of one verification, and holding the growing tree against them.
//!
//! A checkpoint is a claim: "the first so many entries have this root". All claims are collected before an entry is
//! read and sorted by size, so that one walk over the entries answers every one of them, without proofs.

use std::{collections::BTreeSet, io, path::Path};

use super::{
    Trust,
    report::{Anchor, AnchoredBy, CheckpointSource, Finding, Form, Report},
};
use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    cosigned,
    files::{self, CHECKPOINT, CHECKPOINTS},
    frontier::Frontier,
    hash::Hash,
    history::Notes,
    note::{NoteError, Signed},
};

/// A checkpoint with a good signature, and what follows from it if the entries agree.
struct Claim {
    source: CheckpointSource,
    checkpoint: Checkpoint,
    anchors: Vec<AnchoredBy>,
}

/// All claims, and how far the entries have answered them.
pub(super) struct Claims {
    form: Form,
    origin: String,
    /// By size, smallest last, so that the next to be answered is popped.
    open: Vec<Claim>,
    /// Size of the file `checkpoint`, if it can be believed: the size of an export.
    newest_size: Option<u64>,
    frontier: Frontier,
    agreed: u64,
    agreed_size: u64,
    not_agreed: u64,
    anchors: Vec<Anchor>,
    findings: Vec<Finding>,
    strangers: BTreeSet<String>,
}

impl Claims {
    /// Reads the checkpoints of the directory, and the caller's. What cannot be believed becomes a finding.
    pub(super) fn collect(dir: &Path, form: Form, trust: &Trust, supplied: &[String]) -> io::Result<Self> {
        let mut claims = Self {
            form,
            origin: trust.log.name().to_owned(),
            open: Vec::new(),
            newest_size: None,
            frontier: Frontier::default(),
            agreed: 0,
            agreed_size: 0,
            not_agreed: 0,
            anchors: Vec::new(),
            findings: Vec::new(),
            strangers: BTreeSet::new(),
        };
        for (size, note) in cosigned::notes(dir)? {
            claims.collect_note(CheckpointSource::Cosigned(size), &String::from_utf8_lossy(&note), trust);
        }
        // A running ledger writes the history first, so it is read last: it has at least what `checkpoint` had.
        if let Some(note) = files::read_if_there(&dir.join(CHECKPOINT))? {
            let source = CheckpointSource::Newest;
            claims.newest_size = claims.collect_note(source, &String::from_utf8_lossy(&note), trust);
        }
        let history_size = claims.collect_history(dir, trust)?;
        // Others' exports have no history; a ledger always has one.
        let expects_history = form == Form::Segments || history_size.is_some();
        if expects_history && claims.newest_size > history_size.flatten() {
            claims.findings.push(Finding::HistoryBehind);
        }
        for (note, place) in supplied.iter().zip(1..) {
            claims.collect_note(CheckpointSource::Supplied(place), note, trust);
        }
        claims.open.sort_by_key(|claim| std::cmp::Reverse(claim.checkpoint.size));
        claims.find_forks();
        claims.answer();
        Ok(claims)
    }

    /// Reads the history; gives the size of its last checkpoint, or `None` if there is no such file.
    fn collect_history(&mut self, dir: &Path, trust: &Trust) -> io::Result<Option<Option<u64>>> {
        let Some(bytes) = files::read_if_there(&dir.join(CHECKPOINTS))? else { return Ok(None) };
        let mut last = None;
        for (note, place) in Notes::split(&bytes).notes.into_iter().zip(1..) {
            let size = self.collect_note(CheckpointSource::History(place), note, trust);
            if size.is_some() && size <= last {
                self.findings.push(Finding::HistoryOrder { place });
            }
            last = size.max(last);
        }
        Ok(Some(last))
    }

    /// Verifies one checkpoint's signatures; gives its size if it can be believed.
    fn collect_note(&mut self, source: CheckpointSource, note: &str, trust: &Trust) -> Option<u64> {
        let signed = match SignedCheckpoint::parse(note, &trust.log) {
            Ok(signed) => signed,
            Err(error) => {
                self.findings.push(Finding::Checkpoint { source, error });
                return None;
            }
        };
        let mut anchors = Vec::new();
        if matches!(source, CheckpointSource::Supplied(_)) {
            anchors.push(AnchoredBy::Caller);
        }
        // A log that cosigns for itself is no witness.
        for witness in trust.witnesses.iter().filter(|witness| !witness.is_same_pair(&trust.log)) {
            let name = witness.name().to_owned();
            match signed.witnessed_by(witness) {
                Ok(Signed { unix_seconds: Some(unix_seconds) }) => {
                    anchors.push(AnchoredBy::Witness { name, unix_seconds });
                }
                // A key that signs without a time is a log's, and no witness either.
                Ok(Signed { unix_seconds: None }) | Err(NoteError::NotSigned | NoteError::Form) => {}
                Err(NoteError::Forged) => self.findings.push(Finding::Cosignature { source, witness: name }),
            }
        }
        for name in
            signed.cosigners().filter(|name| trust.witnesses.iter().all(|witness| witness.name() != *name))
        {
            self.strangers.insert(name.to_owned());
        }
        let checkpoint = signed.checkpoint().clone();
        let size = checkpoint.size;
        self.open.push(Claim { source, checkpoint, anchors });
        Some(size)
    }

    fn find_forks(&mut self) {
        for pair in self.open.windows(2) {
            let [one, other] = pair else { continue };
            let size = one.checkpoint.size;
            if size == other.checkpoint.size && one.checkpoint.root != other.checkpoint.root {
                self.findings.push(Finding::Forked { one: one.source, other: other.source, size });
            }
        }
    }

    /// How many entries the largest claim covers.
    pub(super) fn covered(&self) -> u64 {
        self.open.first().map_or(0, |claim| claim.checkpoint.size).max(self.agreed_size)
    }

    /// How many entries the directory's own newest checkpoint covers.
    pub(super) fn newest_size(&self) -> u64 {
        self.newest_size.unwrap_or(0)
    }

    /// The tree so far.
    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Adds the next entry's leaf hash, and answers every claim over exactly so many entries.
    pub(super) fn push(&mut self, leaf: Hash) {
        self.frontier.push(leaf);
        self.answer();
    }

    fn answer(&mut self) {
        let size = self.frontier.size();
        while let Some(claim) = self.open.pop_if(|claim| claim.checkpoint.size == size) {
            if claim.checkpoint.root != self.frontier.root() {
                // Once one does not agree, none over more entries can; the first says where.
                if self.not_agreed == 0 {
                    let entries = self.agreed_size..size;
                    self.findings.push(Finding::Contradicted { by: claim.source, entries });
                }
                self.not_agreed += 1;
                continue;
            }
            self.agreed += 1;
            self.agreed_size = size;
            if size > 0 {
                self.anchors.extend(claim.anchors.into_iter().map(|by| Anchor { entries: size, by }));
            }
        }
    }

    /// The walk stopped at something that is wrong; what follows was not checked.
    pub(super) fn stop(self, finding: Finding) -> Report {
        self.report(Some(finding), 0)
    }

    /// The walk came to the end of the log. A claim over more entries shows that it was cut.
    pub(super) fn finish(self, unfinished_bytes: u64) -> Report {
        let truncated = self.open.first().map(|largest| Finding::Truncated {
            by: largest.source,
            entries: self.frontier.size(),
            signed: largest.checkpoint.size,
        });
        self.report(truncated, unfinished_bytes)
    }

    fn report(mut self, finding: Option<Finding>, unfinished_bytes: u64) -> Report {
        self.findings.extend(finding);
        Report {
            form: self.form,
            origin: self.origin,
            entries: self.frontier.size(),
            root: self.frontier.root(),
            checkpoints_agreed: self.agreed,
            checkpoints_not_agreed: self.not_agreed + self.open.len() as u64,
            signed_entries: self.agreed_size,
            unfinished_bytes,
            anchors: newest_of_each(self.anchors),
            findings: self.findings,
            strangers: self.strangers.into_iter().collect(),
        }
    }
}

/// Keeps the anchor over the most entries for the caller and for each witness. They come in order of size.
fn newest_of_each(anchors: Vec<Anchor>) -> Vec<Anchor> {
    let mut newest: Vec<Anchor> = Vec::new();
    for anchor in anchors {
        match newest.iter_mut().find(|kept| is_same_party(&kept.by, &anchor.by)) {
            Some(kept) => *kept = anchor,
            None => newest.push(anchor),
        }
    }
    newest
}

fn is_same_party(one: &AnchoredBy, other: &AnchoredBy) -> bool {
    match (one, other) {
        (AnchoredBy::Caller, AnchoredBy::Caller) => true,
        (AnchoredBy::Witness { name: one, .. }, AnchoredBy::Witness { name: other, .. }) => one == other,
        _ => false,
    }
}
