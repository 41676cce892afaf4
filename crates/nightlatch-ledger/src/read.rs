//! Reading entries that are durable, while others are being written.
//!
//! A reader has its own file handle and never takes a lock that an append waits for. Every entry is checked against its
//! hash as it is read, so that a disk that has gone bad is met here and not in front of an auditor.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    block::{self, FRAME_BYTES, HEADER_BYTES, Header},
    files,
    hash::Hash,
    ledger::Published,
    position::Position,
};

/// Bytes read at once.
const WINDOW_BYTES: usize = 128 * 1024;

/// One entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the ledger, counted from 0.
    pub index: u64,
    /// The bytes that were appended.
    pub payload: Vec<u8>,
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no durable entry with this index, at least not yet.
    #[error("entry {index} is not in the ledger")]
    NotThere {
        /// The index asked for.
        index: u64,
    },
    /// The entry was durable once and is not as it was written.
    #[error("entry {index} is damaged on the disk")]
    Damaged {
        /// The first index that could not be read.
        index: u64,
    },
    /// The operating system would not read.
    #[error("could not read the ledger")]
    Io(#[from] io::Error),
}

/// Durable entries in order, from [`Ledger::iter_from`](crate::Ledger::iter_from).
///
/// `next` gives `None` at the durable end, and may be asked again once more is durable: to follow the ledger, wait on
/// [`Ledger::watch`](crate::Ledger::watch) between rounds. After an error there is nothing more.
pub struct Entries {
    published: Arc<Published>,
    next: u64,
    cursor: Option<Cursor>,
    failed: bool,
}

impl Entries {
    pub(crate) fn new(published: Arc<Published>, from: u64) -> Self {
        Self { published, next: from, cursor: None, failed: false }
    }

    /// The next entry with its leaf hash.
    pub(crate) fn next_hashed(&mut self) -> Option<Result<(Entry, Hash), ReadError>> {
        if self.failed || self.next >= self.published.durable() {
            return None;
        }
        let read = self.read_next();
        self.failed = read.is_err();
        Some(read)
    }

    fn read_next(&mut self) -> Result<(Entry, Hash), ReadError> {
        let index = self.next;
        let damaged = || ReadError::Damaged { index };
        if self.cursor.is_none() {
            let (marked, position) = self.published.mark_before(index).ok_or_else(damaged)?;
            let mut cursor = Cursor::open(self.published.dir(), marked, position)?;
            while cursor.next < index {
                cursor.read()?;
            }
            self.cursor = Some(cursor);
        }
        let cursor = self.cursor.as_mut().ok_or_else(damaged)?;
        let (payload, leaf) = cursor.read()?;
        self.next += 1;
        Ok((Entry { index, payload }, leaf))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_hashed().map(|read| read.map(|(entry, _)| entry))
    }
}

/// A place in the segments, in front of entry `next`.
struct Cursor {
    dir: PathBuf,
    file: File,
    next: u64,
    offset: u64,
    block_end: u64,
    window: Vec<u8>,
    window_offset: u64,
}

impl Cursor {
    fn open(dir: &Path, next: u64, position: Position) -> io::Result<Self> {
        let file = File::open(files::segment_path(dir, position.segment))?;
        let Position { offset, block_end, .. } = position;
        Ok(Self { dir: dir.to_owned(), file, next, offset, block_end, window: Vec::new(), window_offset: 0 })
    }

    /// Reads entry `next`, which is durable, and steps over it.
    fn read(&mut self) -> Result<(Vec<u8>, Hash), ReadError> {
        let next = self.next;
        if self.offset == self.block_end {
            self.enter_block()?;
        }
        let read = self.parse(|bytes| {
            let (payload, leaf) = block::frame(bytes, next)?;
            Some((payload.to_vec(), leaf))
        })?;
        let (payload, leaf) = read.ok_or(ReadError::Damaged { index: next })?;
        self.offset += (FRAME_BYTES + payload.len()) as u64;
        self.next += 1;
        Ok((payload, leaf))
    }

    /// Steps over the header of the block that begins with entry `next`, here or in the segment of that name.
    fn enter_block(&mut self) -> Result<(), ReadError> {
        let next = self.next;
        let header =
            |bytes: &[u8]| Header::decode(bytes.get(..HEADER_BYTES)?).filter(|header| header.first == next);
        let mut found = self.parse(header)?;
        if found.is_none() {
            match File::open(files::segment_path(&self.dir, next)) {
                Ok(file) => self.file = file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ReadError::Damaged { index: next });
                }
                Err(error) => return Err(error.into()),
            }
            self.offset = 0;
            self.window.clear();
            found = self.parse(header)?;
        }
        let header = found.ok_or(ReadError::Damaged { index: next })?;
        self.offset += HEADER_BYTES as u64;
        self.block_end = self.offset + u64::from(header.length);
        Ok(())
    }

    /// Parses what stands at the offset. The window may have been read before the block was whole, or may end in the
    /// middle of it, so what does not parse is read again before it is believed.
    fn parse<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let skip = self.offset.checked_sub(self.window_offset).and_then(|skip| usize::try_from(skip).ok());
        if let Some(found) = skip.and_then(|skip| self.window.get(skip..)).and_then(&parse) {
            return Ok(Some(found));
        }
        self.fill()?;
        Ok(parse(&self.window))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.window.resize(WINDOW_BYTES, 0);
        self.window_offset = self.offset;
        let mut filled = 0;
        while filled < WINDOW_BYTES {
            match self.file.read_at(&mut self.window[filled..], self.offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.window.truncate(filled);
        Ok(())
    }
}
