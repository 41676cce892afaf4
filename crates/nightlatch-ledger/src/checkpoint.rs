//! Checkpoints (<https://c2sp.org/tlog-checkpoint>, version 1.0.0): the size and root of a log, to be signed.
//!
//! A checkpoint is a few lines that pin down every entry before it. It is small enough to be printed, mailed or read
//! out, and that is its use: one that has left the operator's hands makes every later rewriting of the record visible.

use std::fmt;

use crate::{
    hash::Hash,
    note::{Note, NoteError, Signed, VerifierKey},
};

/// The size and root of a log that calls itself `origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; the first line.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// The RFC 6962 root of the tree of those entries.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines are allowed, and not kept.
    ///
    /// # Errors
    ///
    /// [`CheckpointFormError`] unless it is an origin, a plain decimal size and a base64 root, each on its line.
    pub fn parse(text: &str) -> Result<Self, CheckpointFormError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointFormError)?.split('\n');
        let (Some(origin), Some(digits), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointFormError);
        };
        let size: u64 = digits.parse().map_err(|_| CheckpointFormError)?;
        let root = Hash::from_base64(root).ok_or(CheckpointFormError)?;
        // `parse` takes `+7` and `007`; one size has one spelling here.
        if origin.is_empty() || digits != size.to_string() || lines.any(str::is_empty) {
            return Err(CheckpointFormError);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// The text to be signed, with its final newline.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

/// The text of a note is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: want lines with the origin, the size and the root")]
pub struct CheckpointFormError;

/// A checkpoint whose signature by the log was verified, or made, here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Reads a signed note and verifies the log's signature.
    ///
    /// # Errors
    ///
    /// See [`SignedCheckpointError`].
    pub fn parse(note: &str, log: &VerifierKey) -> Result<Self, SignedCheckpointError> {
        let note = Note::parse(note).map_err(SignedCheckpointError::Note)?;
        note.verify(log).map_err(SignedCheckpointError::Note)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| SignedCheckpointError::Form)?;
        if checkpoint.origin != log.name() {
            return Err(SignedCheckpointError::Origin { origin: checkpoint.origin });
        }
        Ok(Self { checkpoint, note })
    }

    pub(crate) fn new(checkpoint: Checkpoint, note: Note) -> Self {
        Self { checkpoint, note }
    }

    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note, signatures included: the bytes to hand on.
    #[must_use]
    pub fn note(&self) -> String {
        self.note.to_string()
    }

    /// This checkpoint with the cosignature of a witness, out of the signature lines that it answered with; and when the witness says it
    /// saw it, in seconds since 1970-01-01 UTC. Lines by other keys are passed over.
    ///
    /// # Errors
    ///
    /// As for [`witnessed_by`](Self::witnessed_by), [`NoteError::Form`] if these are not signature lines, and
    /// [`NoteError::NotSigned`] for a key that is no witness's.
    pub fn cosigned(&self, lines: &str, witness: &VerifierKey) -> Result<(Self, u64), NoteError> {
        let (note, signed) = self.note.with_signature(lines, witness)?;
        let unix_seconds = signed.unix_seconds.ok_or(NoteError::NotSigned)?;
        Ok((Self { checkpoint: self.checkpoint.clone(), note }, unix_seconds))
    }

    /// This checkpoint with the other's cosignatures by witnesses that have not cosigned this one; `None` if the other is of other entries.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Option<Self> {
        let note = self.note.merged(&other.note)?;
        Some(Self { checkpoint: self.checkpoint.clone(), note })
    }

    /// The names that signatures besides the log's are in. Whether they are good is for [`witnessed_by`](Self::witnessed_by).
    pub fn cosigners(&self) -> impl Iterator<Item = &str> {
        self.note.names().filter(|name| *name != self.checkpoint.origin)
    }

    /// Whether this witness cosigned, and when it says it did.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotSigned`] if it did not, [`NoteError::Forged`] if somebody wrote that it did.
    pub fn witnessed_by(&self, witness: &VerifierKey) -> Result<Signed, NoteError> {
        self.note.verify(witness)
    }
}

/// Why bytes are not a checkpoint that this log signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedCheckpointError {
    /// Not a signed note, or not signed by the log's key.
    #[error(transparent)]
    Note(NoteError),
    /// Signed by the log's key, but no checkpoint.
    #[error("signed, but not a checkpoint")]
    Form,
    /// Signed by the log's key under another log's name.
    #[error("the checkpoint is of `{origin}`, which is not the name of the key")]
    Origin {
        /// The name in the checkpoint.
        origin: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_specifications_example_goes_there_and_back() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        assert_eq!(checkpoint.to_string(), TEXT);
        assert_eq!(Checkpoint::parse(&format!("{TEXT}an extension\n")), Ok(checkpoint));
    }

    #[test]
    fn a_size_has_one_spelling_and_every_line_is_needed() {
        for (from, to) in
            [("20852163", "020852163"), ("20852163", "+20852163"), ("20852163", "-1"), ("CsU", "Cs")]
        {
            assert_eq!(Checkpoint::parse(&TEXT.replace(from, to)), Err(CheckpointFormError), "{to}");
        }
        assert_eq!(Checkpoint::parse(&format!("\n{TEXT}")), Err(CheckpointFormError));
        assert_eq!(Checkpoint::parse(&format!("{TEXT}\n")), Err(CheckpointFormError));
        assert_eq!(Checkpoint::parse("origin\n7\n"), Err(CheckpointFormError));
    }
}
