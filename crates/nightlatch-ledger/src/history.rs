//! The checkpoints a ledger has signed, on its own disk.
//!
//! `checkpoint` is the newest and is replaced as a whole. `checkpoints` has all of them, each a signed note and an empty
//! line, and only grows. The history is written first: whatever was ever signed and handed out is in it, so that a
//! directory put back from an older copy contradicts itself, or the checkpoint somebody else kept.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint, SignedCheckpointError},
    files::{self, CHECKPOINT, CHECKPOINTS},
    note::VerifierKey,
};

/// The parts of a history file: whole notes, and bytes behind the last of them that are none.
pub(crate) struct Notes<'a> {
    pub(crate) notes: Vec<&'a str>,
    pub(crate) unfinished_bytes: usize,
}

impl<'a> Notes<'a> {
    /// Splits a history. A note is its text, an empty line and its signatures, and ends with another empty line.
    pub(crate) fn split(history: &'a [u8]) -> Self {
        // A crash may cut a character in half; what stands before it is text.
        let text = match str::from_utf8(history) {
            Ok(text) => text,
            Err(error) => str::from_utf8(&history[..error.valid_up_to()]).unwrap_or_default(),
        };
        let mut notes = Vec::new();
        let mut rest = text;
        while let Some(length) = note_bytes(rest) {
            // The second line feed of the separator is the history's own, not the note's.
            notes.push(&rest[..length - 1]);
            rest = &rest[length..];
        }
        let unfinished_bytes = history.len() - (text.len() - rest.len());
        Self { notes, unfinished_bytes }
    }

    /// The newest checkpoint that was signed.
    ///
    /// A power cut may leave out any sector of a note that was being written. It may then look like a whole one, and nobody signed it.
    /// It counts as unfinished if `published`, which is written only after the note is on the disk, is not newer than the note before it.
    pub(crate) fn newest(
        &mut self,
        key: &VerifierKey,
        published: Option<&SignedCheckpoint>,
    ) -> Result<Option<SignedCheckpoint>, SignedCheckpointError> {
        let Some((last, before)) = self.notes.split_last() else { return Ok(None) };
        let error = match SignedCheckpoint::parse(last, key) {
            Ok(signed) => return Ok(Some(signed)),
            Err(error) => error,
        };
        let newest = before.last().map(|note| SignedCheckpoint::parse(note, key)).transpose()?;
        if size(published) > size(newest.as_ref()) {
            return Err(error);
        }
        self.unfinished_bytes += last.len() + 1;
        self.notes.pop();
        Ok(newest)
    }
}

/// The bytes of the first note and its separator; `None` if it is not all there.
fn note_bytes(history: &str) -> Option<usize> {
    let text = history.find("\n\n")? + 2;
    Some(text + history[text..].find("\n\n")? + 2)
}

fn size(signed: Option<&SignedCheckpoint>) -> Option<u64> {
    signed.map(|signed| signed.checkpoint().size)
}

/// The two files, as the process that signs holds them.
pub(crate) struct History {
    dir: PathBuf,
    file: File,
    /// Bytes of the history that are known to be whole notes on the disk.
    length: u64,
    /// The newest in the history.
    newest: Option<SignedCheckpoint>,
    /// What `checkpoint` has.
    published: Option<SignedCheckpoint>,
}

impl History {
    /// Reads both files, and cuts off a note that a crash left unfinished.
    pub(crate) fn open(dir: &Path, key: &VerifierKey) -> Result<Self, HistoryError> {
        let file = files::open_or_create(&dir.join(CHECKPOINTS))?;
        let bytes = files::read_if_there(&dir.join(CHECKPOINTS))?.unwrap_or_default();
        let current = files::read_if_there(&dir.join(CHECKPOINT))?;
        let current =
            current.map(|note| SignedCheckpoint::parse(&String::from_utf8_lossy(&note), key)).transpose()?;
        let mut history = Notes::split(&bytes);
        let last = history.newest(key, current.as_ref())?;

        let length = (bytes.len() - history.unfinished_bytes) as u64;
        if history.unfinished_bytes > 0 {
            file.set_len(length)?;
        }
        if let Some(note) = history.notes.last() {
            // A process that was killed, or whose sync failed, may have left what the disk does not have; and `checkpoint` must not get ahead.
            file.write_all_at(format!("{note}\n").as_bytes(), length - note.len() as u64 - 1)?;
        }
        file.sync_all()?;
        if size(current.as_ref()) > size(last.as_ref()) {
            return Err(HistoryError::Behind);
        }
        Ok(Self { dir: dir.to_owned(), file, length, newest: last, published: current })
    }

    pub(crate) fn newest(&self) -> Option<&SignedCheckpoint> {
        self.newest.as_ref()
    }

    /// What recovery must find confirmed by the entries: the newest of the history, and what `checkpoint` has.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &Checkpoint> {
        self.newest.iter().chain(&self.published).map(SignedCheckpoint::checkpoint)
    }

    /// Keeps a checkpoint that is newer than all before it. After an error it may be asked again.
    pub(crate) fn keep(&mut self, signed: SignedCheckpoint) -> io::Result<()> {
        let record = format!("{}\n", signed.note());
        // Written at a known place, so that what a failed attempt left behind is written over.
        self.file.write_all_at(record.as_bytes(), self.length)?;
        self.file.sync_data()?;
        self.length += record.len() as u64;
        self.newest = Some(signed);
        self.publish()
    }

    /// Sees to it that `checkpoint` is the newest.
    pub(crate) fn publish(&mut self) -> io::Result<()> {
        if let Some(newest) = self.newest.as_ref().filter(|newest| self.published.as_ref() != Some(newest)) {
            files::replace(&self.dir, CHECKPOINT, newest.note().as_bytes())?;
            self.published = Some(newest.clone());
        }
        Ok(())
    }
}

/// Why the checkpoints kept on disk cannot be built upon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Foreign(#[from] SignedCheckpointError),
    #[error("`checkpoint` is newer than all of `checkpoints`")]
    Behind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_split_into_whole_notes_and_an_unfinished_rest() {
        let whole = "a\n1\n\n\u{2014} x y\n\na\n2\n\n\u{2014} x y\n\n".as_bytes();
        let rest = "a\n3\n\n\u{2014} x y\n\n".as_bytes();
        for length in 0..rest.len() {
            let cut = [whole, &rest[..length]].concat();
            let history = Notes::split(&cut);
            assert_eq!(
                history.notes,
                ["a\n1\n\n\u{2014} x y\n", "a\n2\n\n\u{2014} x y\n"],
                "{length} bytes more"
            );
            assert_eq!(history.unfinished_bytes, length);
        }
        assert_eq!(Notes::split(b"").notes.len(), 0);
    }
}
