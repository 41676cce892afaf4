//! The last activity of each session, in a flat file.
//!
//! Activity is the one part of a session that changes all the time, and the one part that may lose a second in a
//! crash. So it does not go through the ledger: each session has a slot, its 64-bit word is written there once a
//! second if it changed, and one sync makes the whole second durable. There is no log, no compaction and no index; the
//! place in the file is the key.
//!
//! A record is 16 bytes at `16 * index`: the word and a check, both little-endian. Being aligned it never crosses a
//! disk sector, so a power cut leaves the old or the new record. Disks and file systems do worse than that now and
//! then (a block written in the wrong place, or full of noise), and people copy files, so the check binds the word to its index
//! and to its node, whose generations and instants mean nothing to another: the
//! first eight bytes of SHA-256 over a label, the node's name, the index and the word. A cheaper mix would do against accidents, but
//! would have to be defended; this costs one compression, under half a microsecond: at fifty thousand changed words a
//! second, two per cent of one core. It is no defence against somebody who can write to the file: nor would a
//! key be, which lies in the same directory.
//!
//! The label carries the version of the form, so there is no header: to another version every record reads as bad.
//!
//! **If we crash here:** each record is the old or the new word, or is counted as bad. A session without its word
//! falls back to what the snapshot and the ledger say, which is an earlier activity: it may end early by what was lost,
//! never late.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::file::{FileError, failed, keep_what_was_read, open_or_create, parent, sync_dir};

const RECORD_BYTES: usize = 16;
/// The file grows by this many slots (one mebibyte) at a time, so that growing is rare.
const STEP_SLOTS: u64 = 65_536;
const LABEL: &[u8] = b"nightlatch activity slot, form 2";

/// The file of activity slots. Only one of these may be open on a file; [`DataDir`](crate::DataDir) sees to that.
#[derive(Debug)]
pub struct Slots {
    path: PathBuf,
    /// Whose words these are.
    node: Box<str>,
    file: File,
    /// How many slots the file has room for.
    room_slots: u64,
    /// Reused between writes.
    sorted: Vec<(u32, u64)>,
    run: Vec<u8>,
}

/// Everything that was in the file of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The word of each slot by its index; none where nothing was ever written, or where what is there is bad. Slots
    /// at the end may be there only because the file grows in steps.
    pub words: Vec<Option<u64>>,
    /// How many slots held something that does not pass its check.
    pub bad: u64,
}

impl Slots {
    /// Opens the file at `path` of the node of this name, and creates it durably (empty, for this user only) if it is not there.
    pub fn open(path: impl AsRef<Path>, node: &str) -> Result<Slots, FileError> {
        let path = path.as_ref().to_owned();
        let file = open_or_create(&path)?;
        sync_dir(parent(&path))?;
        let bytes = file.metadata().map_err(failed("look at", &path))?.len();
        let room_slots = bytes / RECORD_BYTES as u64;
        Ok(Slots { path, node: node.into(), file, room_slots, sorted: Vec::new(), run: Vec::new() })
    }

    /// Reads every slot. A bad record is not an error: it is counted, and its word is none.
    ///
    /// What is read is durable, too: a process that was killed may have written what the disk does not have yet, and whoever
    /// finds it there writes it no more.
    pub fn read_all(&self) -> Result<Words, FileError> {
        let bytes = self.file.metadata().map_err(failed("look at", &self.path))?.len();
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut content, 0).map_err(failed("read", &self.path))?;
        let used = content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        keep_what_was_read(&self.file, &self.path, &content[..used], 0)?;
        let mut found = Words { words: Vec::with_capacity(content.len() / RECORD_BYTES), bad: 0 };
        for (index, record) in (0..).zip(content.chunks(RECORD_BYTES)) {
            // What was never written reads as zeros. No record is all zeros: its check would be, too.
            let written = record.iter().any(|&byte| byte != 0);
            let word = if written { decode(&self.node, index, record) } else { None };
            found.bad += u64::from(written && word.is_none());
            found.words.push(word);
        }
        Ok(found)
    }

    /// Writes words into their slots, in any order; where an index is given twice, the later one counts.
    ///
    /// Not durable until [`Slots::sync`]. Each record is written whole, the call is not: after an error some words are
    /// written and some are not. Idempotent: repeat it with the same words. Slots that stand next to each other go in
    /// one write. Room for a new highest index is taken from the disk first, so a full disk shows there and not at a
    /// later write to a slot that exists (on a file system that can reserve); those that have their room are written all the same.
    pub fn write(&mut self, words: &[(u32, u64)]) -> Result<(), FileError> {
        self.sorted.clear();
        self.sorted.extend_from_slice(words);
        self.sorted.sort_by_key(|&(index, _)| index);
        self.sorted.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        let Some(&(highest, _)) = self.sorted.last() else { return Ok(()) };
        let grown = match u64::from(highest) >= self.room_slots {
            true => self.grow(u64::from(highest) + 1),
            false => Ok(()),
        };
        let fits = self.sorted.partition_point(|&(index, _)| u64::from(index) < self.room_slots);
        for neighbours in self.sorted[..fits].chunk_by(|left, right| left.0.checked_add(1) == Some(right.0)) {
            self.run.clear();
            for &(index, word) in neighbours {
                self.run.extend_from_slice(&encode(&self.node, index, word));
            }
            let at = u64::from(neighbours[0].0) * RECORD_BYTES as u64;
            self.file.write_all_at(&self.run, at).map_err(failed("write", &self.path))?;
        }
        grown
    }

    /// Makes every word written so far durable.
    ///
    /// After an error a later success does not speak for the words written before: the kernel may have dropped them.
    /// The caller then writes every word again.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }

    fn grow(&mut self, slots_min: u64) -> Result<(), FileError> {
        let slots = slots_min.next_multiple_of(STEP_SLOTS);
        let bytes = slots * RECORD_BYTES as u64;
        let reserve = || rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes);
        match rustix::io::retry_on_intr(reserve) {
            Ok(()) => {}
            // Not every file system can reserve; there a full disk shows at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.file.set_len(bytes).map_err(failed("grow", &self.path))?;
            }
            Err(error) => return Err(failed("grow", &self.path)(error.into())),
        }
        self.room_slots = slots;
        Ok(())
    }
}

fn encode(node: &str, index: u32, word: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&word.to_le_bytes());
    record[8..].copy_from_slice(&check(node, index, word));
    record
}

/// The word of a record, unless it is too short or is not the record of `index`.
fn decode(node: &str, index: u32, record: &[u8]) -> Option<u64> {
    let (word, rest) = record.split_first_chunk()?;
    let word = u64::from_le_bytes(*word);
    (rest == check(node, index, word)).then_some(word)
}

fn check(node: &str, index: u32, word: u64) -> [u8; 8] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(LABEL);
    // The index and the word have a length of their own, so the name need not say its.
    hash.update(node.as_bytes());
    hash.update(&index.to_le_bytes());
    hash.update(&word.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finish().as_ref()[..8]);
    first
}

#[cfg(test)]
mod tests;
