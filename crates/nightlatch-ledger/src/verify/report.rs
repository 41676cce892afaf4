//! What a verification found, in data and in words.
//!
//! The words matter as much as the data: an auditor must not be able to read more into them than was shown. So a report
//! says how far it looked, what signature covers how much, and whether anything but the operator's word stands behind it.

use std::{fmt, ops::Range};

use jiff::Timestamp;

use crate::{checkpoint::SignedCheckpointError, hash::Hash, note::NoteError, scan::Damage};

/// The form of the files that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A ledger's own segment files.
    Segments,
    /// An export in the tlog-tiles layout.
    Tiles,
}

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What kind of files were checked.
    pub form: Form,
    /// The ledger's name, from the key.
    pub origin: String,
    /// Entries that were read and hashed, from the first on without a gap.
    pub entries: u64,
    /// The root of the tree of those entries.
    pub root: Hash,
    /// Checkpoints that agree with the entries.
    pub checkpoints_agreed: u64,
    /// Checkpoints whose root the entries do not give, or that cover more than could be read.
    pub checkpoints_not_agreed: u64,
    /// How many entries the largest checkpoint that agrees covers.
    pub signed_entries: u64,
    /// Bytes behind the last entry that are no whole commit: one that a crash cut short, or that is being written now.
    pub unfinished_bytes: u64,
    /// What vouches for the record besides the ledger's own key; empty if nothing does.
    pub anchors: Vec<Anchor>,
    /// Names in which checkpoints are cosigned by keys that the caller did not say to trust; whether they were is not known.
    pub strangers: Vec<String>,
    /// What is wrong; empty if the record is consistent.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything that was checked fits together.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.findings.is_empty()
    }

    /// Where the first bad entry is, as narrowly as it is known; `None` if no entry is known to be bad.
    #[must_use]
    pub fn first_bad_entry(&self) -> Option<Range<u64>> {
        self.findings.iter().filter_map(Finding::entries).min_by_key(|entries| entries.start)
    }

    /// Entries after the newest checkpoint: whole, but no signature covers them.
    #[must_use]
    pub fn unsigned_entries(&self) -> u64 {
        self.entries.saturating_sub(self.signed_entries)
    }

    /// Entries that were read and that nothing besides the ledger's own key vouches for: the last so many.
    #[must_use]
    pub fn unanchored_entries(&self) -> u64 {
        self.entries.saturating_sub(self.anchored_entries())
    }

    /// How many entries something besides the ledger's own key vouches for.
    #[must_use]
    pub fn anchored_entries(&self) -> u64 {
        self.anchors.iter().map(|anchor| anchor.entries).max().unwrap_or(0)
    }
}

/// Something beyond the operator's reach that agrees with the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// How many entries, from the first, it vouches for.
    pub entries: u64,
    /// Who or what it is.
    pub by: AnchoredBy,
}

/// Who stands behind an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchoredBy {
    /// The caller brought the checkpoint. That it had been out of the operator's hands is the caller's to know.
    Caller,
    /// A witness cosigned the checkpoint.
    Witness {
        /// The name of the witness's key.
        name: String,
        /// When, by the witness's clock, in seconds since 1970-01-01 UTC.
        unix_seconds: u64,
    },
}

/// Where a checkpoint came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointSource {
    /// The file `checkpoint`.
    Newest,
    /// The file `checkpoints`; counted from 1.
    History(usize),
    /// A file of `cosigned`, by the number of entries in its name.
    Cosigned(u64),
    /// The caller; counted from 1.
    Supplied(usize),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A segment file is not as it was written. What follows was not checked.
    Damaged(Damage),
    /// An exported entry, or the file that should have it, is not as it was written. What follows was not checked.
    Tile {
        /// The first entry concerned.
        index: u64,
        /// The file, below the export's root.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The entries are whole, but not those a checkpoint was signed for: one of these was changed, removed, inserted or
    /// moved by somebody who made the rest fit.
    Contradicted {
        /// Which checkpoint, the first of those that do not agree.
        by: CheckpointSource,
        /// The first bad entry is one of these; before them a smaller checkpoint agrees.
        entries: Range<u64>,
    },
    /// The log has fewer entries than a checkpoint covers: it was cut, or put back from an older copy.
    Truncated {
        /// Which checkpoint.
        by: CheckpointSource,
        /// Entries there are.
        entries: u64,
        /// Entries the checkpoint covers.
        signed: u64,
    },
    /// The ledger's key signed two different histories of the same length.
    Forked {
        /// One checkpoint.
        one: CheckpointSource,
        /// The other.
        other: CheckpointSource,
        /// Entries both cover.
        size: u64,
    },
    /// A checkpoint was changed, or is not the ledger's.
    Checkpoint {
        /// Which.
        source: CheckpointSource,
        /// What is wrong with it.
        error: SignedCheckpointError,
    },
    /// A checkpoint has a cosignature in the name of a witness that the witness did not make.
    Cosignature {
        /// Which.
        source: CheckpointSource,
        /// The name of the witness's key.
        witness: String,
    },
    /// A checkpoint in the history does not cover more than the one before it.
    HistoryOrder {
        /// Counted from 1.
        place: usize,
    },
    /// The newest checkpoint is not in the history: one of the two was put back or removed.
    HistoryBehind,
}

impl Finding {
    /// Where the first bad entry is, as narrowly as this finding knows it.
    #[must_use]
    pub fn entries(&self) -> Option<Range<u64>> {
        match self {
            Self::Damaged(Damage { index, .. }) | Self::Tile { index, .. } => {
                Some(*index..index.saturating_add(1))
            }
            Self::Contradicted { entries, .. } => Some(entries.clone()),
            Self::Truncated { entries, .. } => Some(*entries..entries.saturating_add(1)),
            Self::Forked { .. }
            | Self::Checkpoint { .. }
            | Self::Cosignature { .. }
            | Self::HistoryOrder { .. }
            | Self::HistoryBehind => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_consistent() { "consistent" } else { "inconsistent" };
        writeln!(f, "{verdict}: ledger `{}`", self.origin)?;
        for finding in &self.findings {
            writeln!(f, "found: {finding}")?;
        }
        let Self { entries, checkpoints_agreed, signed_entries, .. } = self;
        writeln!(f, "checked: {entries} entries, root {}", self.root)?;
        write!(f, "checkpoints: {checkpoints_agreed} agree, the largest over {signed_entries} entries")?;
        match self.checkpoints_not_agreed {
            0 => writeln!(f)?,
            others => writeln!(f, "; {others} do not agree or could not be checked")?,
        }
        if self.unsigned_entries() > 0 {
            writeln!(
                f,
                "unsigned: {} entries after that are covered by no checkpoint",
                self.unsigned_entries()
            )?;
        }
        if self.unfinished_bytes > 0 {
            writeln!(
                f,
                "unfinished: {} bytes behind the last entry are no whole commit",
                self.unfinished_bytes
            )?;
        }
        self.write_anchors(f)
    }
}

impl Report {
    /// Up to where the record is vouched for, by whom and since when, and from where on it is not.
    fn write_anchors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Anchor { entries, by } in &self.anchors {
            match by {
                AnchoredBy::Caller => {
                    writeln!(f, "anchored: {entries} entries by a checkpoint supplied for this check")?
                }
                AnchoredBy::Witness { name, unix_seconds } => {
                    writeln!(
                        f,
                        "anchored: {entries} entries by witness `{name}` at {}",
                        instant(*unix_seconds)
                    )?;
                }
            }
        }
        match (self.anchored_entries(), self.unanchored_entries()) {
            (0, _) => writeln!(
                f,
                "not independently anchored: whoever holds the ledger's key could have written all of this anew"
            )?,
            (_, 0) => {}
            (anchored, others) => writeln!(
                f,
                "not independently anchored: the {others} entries from entry {anchored} on; whoever holds the ledger's key could have \
                 written these anew"
            )?,
        }
        if self.strangers.is_empty() {
            return Ok(());
        }
        let names = self.strangers.join("`, `");
        writeln!(f, "not checked: cosignatures in the name of `{names}`, whose keys were not given")
    }
}

/// A witness's time as people read it; one that no calendar has, as the number it is.
fn instant(unix_seconds: u64) -> String {
    let timestamp = i64::try_from(unix_seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| format!("unix time {unix_seconds}"), |timestamp| timestamp.to_string())
}

impl fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => write!(f, "the newest checkpoint"),
            Self::History(place) => write!(f, "checkpoint {place} of the history"),
            Self::Cosigned(size) => write!(f, "the cosigned checkpoint of {size} entries"),
            Self::Supplied(place) => write!(f, "supplied checkpoint {place}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(damage) => damage.fmt(f),
            Self::Tile { index, path, fault } => write!(f, "entry {index}: {fault} (`{path}`)"),
            Self::Contradicted { by, entries: Range { start, end } } => write!(
                f,
                "{by} was signed for other entries: the first that differs is one of {start} to {}",
                end.saturating_sub(1)
            ),
            Self::Truncated { by, entries, signed } => {
                write!(f, "entry {entries}: the log ends here, but {by} was signed for {signed} entries")
            }
            Self::Forked { one, other, size } => {
                write!(f, "{one} and {other} were signed for two different histories of {size} entries")
            }
            Self::Checkpoint { source, error: SignedCheckpointError::Note(NoteError::Form) } => {
                write!(f, "{source} is not a signed note")
            }
            Self::Checkpoint { source, error } => write!(f, "{source} cannot be believed: {error}"),
            Self::Cosignature { source, witness } => {
                write!(f, "{source} has a cosignature that witness `{witness}` did not make")
            }
            Self::HistoryOrder { place } => {
                write!(f, "checkpoint {place} of the history does not cover more than the one before it")
            }
            Self::HistoryBehind => write!(f, "the newest checkpoint is not in the history of checkpoints"),
        }
    }
}
