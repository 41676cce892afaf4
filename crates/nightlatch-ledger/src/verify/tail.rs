//! Checking the end of a ledger, for whoever wants an answer at once: what was written last, and what was signed last.
//!
//! Only the newest segments are read, from the one in which the newest checkpoint ends. Every entry in them is hashed, and
//! the root that stands in the block where the checkpoint ends is held against the signed one. That root vouches for all
//! before it, but only [`verify`](super::verify) reads those entries and sees whether they are the ones it was made of. So
//! a tail that is whole says that the disk kept what was written last, and that it was signed with this key; no more.

use std::path::Path;

use super::{CheckpointSource, Finding, VerifyError};
use crate::{
    checkpoint::SignedCheckpoint,
    files::{self, CHECKPOINT},
    note::VerifierKey,
    read::Entry,
    scan::{Block, Damage, DamageKind, Scan, Step},
};

/// What the end of a ledger shows by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The first entry that was read; of those before it nothing is said.
    pub from: u64,
    /// How many entries there are, these included.
    pub entries: u64,
    /// How many entries the newest checkpoint covers; `None` if there is none that this key signed.
    pub signed_entries: Option<u64>,
    /// The newest entry.
    pub newest: Option<Entry>,
    /// What is wrong; empty if the tail fits together.
    pub findings: Vec<Finding>,
}

/// Reads the newest segments of a ledger's own directory, also while it is in use, and holds the newest checkpoint against
/// them. Nothing is written.
///
/// # Errors
///
/// [`VerifyError`] only if there was nothing to check or it could not be read.
pub fn tail(dir: &Path, log: &VerifierKey) -> Result<Tail, VerifyError> {
    let mut findings = Vec::new();
    // Read before the segments: what a checkpoint covers is on the disk before it is signed.
    let note = files::read_if_there(&dir.join(CHECKPOINT))?;
    let signed = note.and_then(|note| {
        let parsed = SignedCheckpoint::parse(&String::from_utf8_lossy(&note), log);
        let source = CheckpointSource::Newest;
        parsed.map_err(|error| findings.push(Finding::Checkpoint { source, error })).ok()
    });
    let checkpoint = signed.as_ref().map(SignedCheckpoint::checkpoint);
    let covered = checkpoint.map_or(0, |checkpoint| checkpoint.size);
    let (mut scan, from) = Scan::tail(dir, covered)?.ok_or(VerifyError::NoLedger)?;
    let (mut entries, mut newest, mut root) = (from, None, None);
    loop {
        match scan.step()? {
            Step::Block(block) => {
                entries = block.header.first + u64::from(block.header.count);
                newest = newest_of(&block, entries).or(newest);
                if entries == covered {
                    root = Some(block.header.root);
                }
            }
            Step::End(_) | Step::Damage(Damage { kind: DamageKind::Missing, .. }) => break,
            Step::Damage(damage) => {
                findings.push(Finding::Damaged(damage));
                break;
            }
        }
    }
    if let Some(checkpoint) = checkpoint.filter(|checkpoint| findings.is_empty() && checkpoint.size > 0) {
        let by = CheckpointSource::Newest;
        if entries < covered {
            findings.push(Finding::Truncated { by, entries, signed: covered });
        } else if root != Some(checkpoint.root) {
            findings.push(Finding::Contradicted { by, entries: 0..covered });
        }
    }
    Ok(Tail { from, entries, signed_entries: checkpoint.map(|checkpoint| checkpoint.size), newest, findings })
}

fn newest_of(block: &Block, entries: u64) -> Option<Entry> {
    let payload = block.payloads().last()?.to_vec();
    Some(Entry { index: entries - 1, payload })
}
