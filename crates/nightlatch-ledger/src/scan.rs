//! Reading segment files from the start, and telling a torn tail from damage.
//!
//! A commit writes one block and syncs it before the next is begun, so a crash can break the last block and no other.
//! Bytes that are no whole block are therefore one of two things:
//!
//! - **A torn tail**: a commit that never finished, and that nobody was told had. Cutting it off loses nothing.
//! - **Damage**: something that had been on the record is gone. That must never be dropped in silence.
//!
//! They look alike where they begin, so the decision is made by what else is known. It is damage if any of these shows
//! that the commit had once finished: a later segment exists (one is begun only behind a finished one), a later block
//! header stands behind it in the same file, or a signed checkpoint covers it. Otherwise it is a torn tail.
//!
//! What is left open: damage to the very last block, when no checkpoint covers it, cannot be told from a torn tail. A
//! checkpoint soon after a commit closes that gap; nothing else could, short of a second sync for each commit.
//! And a torn tail whose header was lost, and one of whose payloads contains the bytes of a whole block header, is taken
//! for damage: the mistake is then on the side of refusing.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{
    block::{FRAME_BYTES, Frames, HEADER_BYTES, Header, MAGIC},
    files,
};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// A whole block, as it stands in a segment.
#[derive(Debug)]
pub(crate) struct Block {
    /// First index in the segment's name.
    pub(crate) segment: u64,
    /// Where its header begins in the segment.
    pub(crate) offset: u64,
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    pub(crate) frames: Frames,
}

impl Block {
    /// Where the next block begins in the segment.
    pub(crate) fn end(&self) -> u64 {
        self.offset + HEADER_BYTES as u64 + self.body.len() as u64
    }

    /// Where each frame begins in the segment.
    pub(crate) fn frame_offsets(&self) -> impl Iterator<Item = u64> {
        let frames = self.offset + (HEADER_BYTES - FRAME_BYTES) as u64;
        self.frames.payloads.iter().map(move |payload| frames + payload.start as u64)
    }

    /// The payloads, in order.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.payloads.iter().map(|payload| &self.body[payload.clone()])
    }

    /// This block, found to be wrong.
    pub(crate) fn damage(&self, kind: DamageKind) -> Damage {
        Damage { index: self.header.first, segment: self.segment, offset: self.offset, kind }
    }
}

/// Where the log ends, and what stands behind its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// First index in the last segment's name; `None` if there is no segment.
    pub(crate) segment: Option<u64>,
    /// Where the next block would begin in the last segment.
    pub(crate) offset: u64,
    /// Bytes behind that, up to the last that is not zero: an unfinished commit.
    pub(crate) torn_bytes: u64,
}

/// Something that had been on the record is not there any more as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first entry that is concerned. All before it are whole.
    pub index: u64,
    /// The segment file, by the first index in its name.
    pub segment: u64,
    /// Where the broken block begins in that file, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

/// The ways in which a segment can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// What stands where a block should begin is none.
    Block,
    /// A whole block of other entries stands where this entry should be: one was removed, inserted or moved.
    Order,
    /// The entry's bytes are not the ones that were written there.
    Entry,
    /// The block's entries are whole, but the tree they give is not the one the block was written for.
    Root,
    /// The segment file that should begin with this entry is not there.
    Segment,
    /// The log ends before this entry, though a signed checkpoint covers it.
    Missing,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::Block => "what stands here is no block of entries",
            DamageKind::Order => "a block of other entries stands here",
            DamageKind::Entry => "the entry is not as it was written",
            DamageKind::Root => "the entries do not give the tree this block was written for",
            DamageKind::Segment => "the segment file is missing",
            DamageKind::Missing => "the log ends here, but a signed checkpoint covers more",
        };
        let Self { index, segment, offset, .. } = self;
        write!(f, "entry {index}: {what} (segment {segment}, byte {offset})")
    }
}

/// What a scan comes upon next.
#[derive(Debug)]
pub(crate) enum Step {
    Block(Block),
    End(Tail),
    Damage(Damage),
}

/// Reads the blocks of a directory's segments in order.
pub(crate) struct Scan {
    dir: PathBuf,
    /// First indexes of the segments not yet opened, last one first.
    ahead: Vec<u64>,
    open: Option<Open>,
    /// Index of the next entry.
    next: u64,
    /// Entries below this are covered by a checkpoint.
    covered: u64,
}

struct Open {
    segment: u64,
    file: BufReader<File>,
    length: u64,
    offset: u64,
}

impl Scan {
    /// Begins at the first entry; entries below `covered` are known to have been durable.
    pub(crate) fn new(dir: &Path, covered: u64) -> io::Result<Self> {
        let mut ahead = files::segments(dir)?;
        ahead.reverse();
        Ok(Self { dir: dir.to_owned(), ahead, open: None, next: 0, covered })
    }

    /// Begins in the segment in which the entries below `covered` end, and says with which entry that is; `None` if there is
    /// no segment.
    pub(crate) fn tail(dir: &Path, covered: u64) -> io::Result<Option<(Self, u64)>> {
        let mut scan = Self::new(dir, covered)?;
        let needed = scan.ahead.iter().position(|first| *first < covered.max(1));
        scan.ahead.truncate(needed.map_or(scan.ahead.len(), |last| last + 1));
        let Some(from) = scan.ahead.last().copied() else { return Ok(None) };
        scan.next = from;
        Ok(Some((scan, from)))
    }

    /// The next block, or why there is none. After an end or damage there is nothing more to ask.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        loop {
            let Some(mut open) = self.open.take() else {
                let Some(segment) = self.ahead.pop() else {
                    return Ok(self.end(Tail { segment: None, offset: 0, torn_bytes: 0 }));
                };
                if segment != self.next {
                    let kind = DamageKind::Segment;
                    return Ok(Step::Damage(Damage {
                        index: self.next,
                        segment: self.next,
                        offset: 0,
                        kind,
                    }));
                }
                self.open = Some(Open::new(&self.dir, segment)?);
                continue;
            };
            if open.offset == open.length && !self.ahead.is_empty() {
                continue; // a finished segment ends where its last block does; the next one follows
            }
            return match open.read_block(self.next)? {
                Ok(block) => Ok(self.pass(open, block)),
                Err(broken) => self.judge(open, &broken),
            };
        }
    }

    fn pass(&mut self, mut open: Open, block: Block) -> Step {
        self.next += u64::from(block.header.count);
        open.offset = block.end();
        self.open = Some(open);
        Step::Block(block)
    }

    /// Decides what it means that no whole block stands at the offset.
    fn judge(&mut self, mut open: Open, broken: &Broken) -> io::Result<Step> {
        let offset = open.offset;
        let torn_bytes = open.bytes_up_to_last_set(offset)?;
        let tail = Tail { segment: Some(open.segment), offset, torn_bytes };
        if torn_bytes == 0 && self.ahead.is_empty() {
            return Ok(self.end(tail));
        }
        let follows = open.header_follows(broken.search, torn_bytes)?;
        // Beside a running ledger the block may have been finished since, and even the next one. Whatever follows it
        // was seen before this second look, so a block that is still broken now was broken when the next was written.
        open.file.seek(SeekFrom::Start(offset))?;
        let Broken { index, kind, .. } = match open.read_block(self.next)? {
            Ok(block) => return Ok(self.pass(open, block)),
            Err(broken) => broken,
        };
        let finished =
            self.next < self.covered || !self.ahead.is_empty() || kind == DamageKind::Order || follows;
        let damage = Damage { index, segment: open.segment, offset, kind };
        Ok(if finished { Step::Damage(damage) } else { Step::End(tail) })
    }

    /// The log stops here with nothing behind it: its end, unless a checkpoint covers more.
    fn end(&self, tail: Tail) -> Step {
        if self.next >= self.covered {
            return Step::End(tail);
        }
        let segment = tail.segment.unwrap_or(0);
        Step::Damage(Damage { index: self.next, segment, offset: tail.offset, kind: DamageKind::Missing })
    }
}

/// Why there is no whole block, and from where a later one could stand.
struct Broken {
    index: u64,
    kind: DamageKind,
    search: u64,
}

impl Open {
    fn new(dir: &Path, segment: u64) -> io::Result<Self> {
        let file = File::open(files::segment_path(dir, segment))?;
        let length = file.metadata()?.len();
        Ok(Self { segment, file: BufReader::with_capacity(READ_BYTES, file), length, offset: 0 })
    }

    /// Reads the block at the offset, which must begin with entry `next`.
    fn read_block(&mut self, next: u64) -> io::Result<Result<Block, Broken>> {
        let broken = |index, kind, search| Ok(Err(Broken { index, kind, search }));
        let header = self.read_up_to(HEADER_BYTES as u64)?;
        let Some(header) = Header::decode(&header) else {
            return broken(next, DamageKind::Block, self.offset);
        };
        if header.first != next || header.count == 0 {
            return broken(next, DamageKind::Order, self.offset);
        }
        let start = self.offset + HEADER_BYTES as u64;
        let body = self.read_up_to(u64::from(header.length))?;
        let there = body.len() as u64;
        match Frames::decode(&header, &body) {
            Ok(frames) if there == u64::from(header.length) => {
                Ok(Ok(Block { segment: self.segment, offset: self.offset, header, body, frames }))
            }
            Ok(_) => broken(next, DamageKind::Block, start + there),
            Err(index) => broken(index, DamageKind::Entry, start + there),
        }
    }

    /// Reads on from where the last read ended; less than `length` bytes only at the end of the file.
    fn read_up_to(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.by_ref().take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// How many bytes stand behind the offset up to the last one that is not zero.
    fn bytes_up_to_last_set(&mut self, offset: u64) -> io::Result<u64> {
        const ZEROS: [u8; 4096] = [0; 4096];
        self.file.seek(SeekFrom::Start(offset))?;
        let mut buffer = vec![0; READ_BYTES];
        let (mut seen, mut last) = (0, 0);
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                return Ok(last);
            }
            for chunk in buffer[..read].chunks(ZEROS.len()) {
                // Slices are compared at once, bytes one by one: most of a preallocated file is zeros.
                if *chunk != ZEROS[..chunk.len()]
                    && let Some(set) = chunk.iter().rposition(|byte| *byte != 0)
                {
                    last = seen + set as u64 + 1;
                }
                seen += chunk.len() as u64;
            }
        }
    }

    /// Whether a whole header stands anywhere from `search` up to the last byte that is set.
    fn header_follows(&mut self, search: u64, torn_bytes: u64) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(search))?;
        let end = self.offset + torn_bytes;
        let bytes = self.read_up_to(end.saturating_sub(search))?;
        Ok(bytes
            .windows(HEADER_BYTES)
            .any(|window| window.starts_with(MAGIC) && Header::decode(window).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ledger, Options, Signer};

    #[test]
    fn a_commit_made_while_the_scan_goes_on_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::create(&folder.path().join("ledger.key"), "node-a.example").unwrap();
        let dir = folder.path().join("ledger");
        let (ledger, _) = Ledger::open(&dir, Options { segment_bytes: 4096 }, signer).unwrap();
        let commit = || {
            ledger.append(b"entry").unwrap();
            ledger.commit().unwrap();
        };
        commit();
        let mut scan = Scan::new(&dir, 0).unwrap();
        // The first step reads ahead, and sees zeros where the next commits are about to be.
        assert!(matches!(scan.step().unwrap(), Step::Block(block) if block.header.first == 0));
        commit();
        commit();
        assert!(matches!(scan.step().unwrap(), Step::Block(block) if block.header.first == 1));
        assert!(matches!(scan.step().unwrap(), Step::Block(block) if block.header.first == 2));
        assert!(matches!(scan.step().unwrap(), Step::End(Tail { torn_bytes: 0, .. })));
    }
}
