//! The file of people: one JSON line for each, added at the end.
//!
//! The keys are needed to check a row when it is loaded and never again, so they are not kept in memory: erasing copies
//! the other lines from the old file to the new one as they are.
//!
//! What follows a failed write or sync is not to be trusted: some of it may be on the disk, and a kernel that failed
//! to write a page may forget that it had to. So after a failure the next change, whatever it is, copies the lines that
//! are known to be good into a new file.
//!
//! **If we crash here:** see the module above; this is where it is kept.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{OpenPeopleError, Person, Pseudonym};
use crate::file::{self, FileError, failed};
use crate::hex;

/// The file, and how much of it is good.
#[derive(Debug)]
pub(super) struct Rows {
    path: PathBuf,
    file: File,
    /// Where the last good line ends.
    good_bytes: u64,
    /// Whether there may be something else after it.
    suspect: bool,
}

/// What opening the file found.
pub(super) struct Loaded {
    pub(super) rows: Rows,
    /// One for each line, in order.
    pub(super) content: Vec<Row>,
    pub(super) cut_off_bytes: u64,
}

/// A person with the pseudonym that follows from the key.
pub(super) struct Row {
    pub(super) pseudonym: Pseudonym,
    pub(super) person: Person,
}

/// A row as it stands in the file.
#[derive(Deserialize)]
struct Line {
    pseudonym: Pseudonym,
    key: String,
    provider: String,
    name: String,
}

// === impl Rows ===

impl Rows {
    /// Opens or creates the file, checks every line, and cuts off a torn last one.
    pub(super) fn open(path: &Path) -> Result<Loaded, OpenPeopleError> {
        let file = file::open_or_create(path)?;
        file::refuse_if_open_to_others::<OpenPeopleError>(&file, path)?;
        // It would be the copy of an erasure that a crash stopped, with names in it.
        file::remove(&file::next_version(path))?;

        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(failed("read", path))?;
        let good = &bytes[..bytes.len() - torn_bytes(&bytes)];
        let mut content = Vec::new();
        for (text, line) in good.split_inclusive(|&byte| byte == b'\n').zip(1..) {
            let damaged = |what| OpenPeopleError::Damaged { path: path.to_owned(), line, what };
            content.push(Row::parse(text).map_err(damaged)?);
        }

        let (good_bytes, cut_off_bytes) = (good.len() as u64, torn_bytes(&bytes) as u64);
        if cut_off_bytes > 0 {
            file.set_len(good_bytes).map_err(failed("cut off the end of", path))?;
        }
        // What was written just before a kill can be read although it is not yet on the disk. That is the last line at most.
        let last = good.split_inclusive(|&byte| byte == b'\n').next_back().unwrap_or_default();
        file::keep_what_was_read(&file, path, last, good_bytes - last.len() as u64)?;
        file::sync_dir(file::parent(path))?;
        let rows = Rows { path: path.to_owned(), file, good_bytes, suspect: false };
        Ok(Loaded { rows, content, cut_off_bytes })
    }

    /// Adds a line, durable when this returns. After an error it is not there, or will be gone with the next change.
    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), FileError> {
        if self.suspect {
            return self.rewrite(None, line);
        }
        self.suspect = true;
        self.file.write_all_at(line, self.good_bytes).map_err(failed("write", &self.path))?;
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        self.good_bytes += line.len() as u64;
        self.suspect = false;
        Ok(())
    }

    /// Copies the good lines into a new file, if anything may stand behind them.
    pub(super) fn mend(&mut self) -> Result<(), FileError> {
        if self.suspect { self.rewrite(None, b"") } else { Ok(()) }
    }

    /// Puts a file without the row of `erased` in the place of this one, durable when this returns.
    pub(super) fn rewrite_without(&mut self, erased: &Pseudonym) -> Result<(), FileError> {
        self.rewrite(Some(erased), b"")
    }

    fn rewrite(&mut self, erased: Option<&Pseudonym>, added: &[u8]) -> Result<(), FileError> {
        // Should this fail after the rename, the open handle is on a file without a name: nothing may be added there.
        self.suspect = true;
        let path = &self.path;
        let mut content = vec![0; usize::try_from(self.good_bytes).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut content, 0).map_err(failed("read", path))?;
        let mut kept = Vec::with_capacity(content.len() + added.len());
        for line in content.split_inclusive(|&byte| byte == b'\n') {
            let altered = |what| failed("copy", path)(io::Error::new(ErrorKind::InvalidData, what));
            let row = Row::parse(line).map_err(altered)?;
            if erased != Some(&row.pseudonym) {
                kept.extend_from_slice(line);
            }
        }
        kept.extend_from_slice(added);
        let good_bytes = kept.len() as u64;
        let file = file::replace::<FileError>(path, |writer| {
            writer.write_all(&kept).map_err(failed("write", path))
        })?;
        (self.file, self.good_bytes, self.suspect) = (file, good_bytes, false);
        Ok(())
    }
}

// === impl Row ===

impl Row {
    /// A row for a new person with a fresh key.
    pub(super) fn new(key: &[u8; 32], person: Person) -> Row {
        Row { pseudonym: Pseudonym::derive(key, &person), person }
    }

    /// The line that this row, made with this key, is in the file.
    pub(super) fn line(&self, key: &[u8; 32]) -> Vec<u8> {
        let line = json!({
            "pseudonym": self.pseudonym.to_string(),
            "key": hex::encode(key),
            "provider": &*self.person.provider,
            "name": &*self.person.name,
        });
        format!("{line}\n").into_bytes()
    }

    /// Reads a line back, and holds it to its own pseudonym. The error says what is wrong.
    fn parse(line: &[u8]) -> Result<Row, &'static str> {
        let line: Line = serde_json::from_slice(line).map_err(|_| "it is not a row")?;
        let key = hex::decode(&line.key).ok_or("its key is not a key")?;
        let row = Row::new(&key, Person { provider: line.provider.into(), name: line.name.into() });
        if row.pseudonym != line.pseudonym {
            return Err("its pseudonym does not follow from the rest of it");
        }
        Ok(row)
    }
}

/// How many bytes at the end are what a crash leaves of a line that was being added.
///
/// That is a line without its end, or one with holes: a block of it that never reached the disk reads as zeros, and
/// JSON has no zero bytes. A whole last line that is merely wrong is damage like any other, because it may have been
/// answered for.
fn torn_bytes(bytes: &[u8]) -> usize {
    let Some((_, before)) = bytes.split_last() else { return 0 };
    let last = before.iter().rposition(|&byte| byte == b'\n').map_or(bytes, |end| &bytes[end + 1..]);
    let torn = !last.ends_with(b"\n") || last.contains(&0);
    if torn { last.len() } else { 0 }
}

#[cfg(test)]
mod tests;
