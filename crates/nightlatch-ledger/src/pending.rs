//! Entries that were appended and are not yet on the disk.
//!
//! They are kept as the very bytes the disk will get, so that a commit only fills in a header, and so that a commit
//! that failed can be repeated byte for byte. A chunk becomes a block; a new one is begun when the last has grown to
//! the limit, so that a disk that fails for a while costs memory but never makes one huge write.

use std::{collections::VecDeque, mem};

use crate::{
    block::{self, FRAME_BYTES, HEADER_BYTES, Header},
    frontier::Frontier,
    hash::Hash,
    tile::TILE_WIDTH,
};

/// A chunk is not made longer than this, whatever the size of a segment.
const CHUNK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Nor longer than this part of a segment, as far as segments are of a size for use: a chunk that does not fit leaves the end of a
/// segment empty, and that must not be much of it.
const CHUNKS_IN_SEGMENT: u64 = 8;
const CHUNK_BYTES_LEAST: u64 = 4096;

/// What waits for the next commit.
#[derive(Debug)]
pub(crate) struct Pending {
    next: u64,
    chunk_bytes_max: usize,
    chunks: VecDeque<Chunk>,
}

impl Pending {
    /// Nothing waits, and the next entry has index `next`.
    pub(crate) fn new(next: u64, segment_bytes: u64) -> Self {
        let part = (segment_bytes / CHUNKS_IN_SEGMENT).max(CHUNK_BYTES_LEAST).min(segment_bytes);
        let chunk_bytes_max = usize::try_from(part).unwrap_or(usize::MAX).min(CHUNK_BYTES_MAX);
        Self { next, chunk_bytes_max, chunks: VecDeque::new() }
    }

    /// The index the next entry will get.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Adds an entry and gives its index; `None`, and nothing added, if the payload is too long for a frame.
    pub(crate) fn push(&mut self, payload: &[u8], leaf: Hash) -> Option<u64> {
        let index = self.next;
        let room = self.chunk_bytes_max.saturating_sub(FRAME_BYTES + payload.len());
        if self.chunks.back().is_none_or(|chunk| chunk.bytes.len() > room) {
            self.chunks.push_back(Chunk::new(index));
        }
        self.chunks.back_mut()?.push(payload, leaf)?;
        self.next += 1;
        Some(index)
    }

    /// Bytes that wait to be written.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum()
    }

    /// Takes what was appended first.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }
}

/// A block in the making.
#[derive(Debug)]
pub(crate) struct Chunk {
    first: u64,
    /// Space for the header, then the frames.
    bytes: Vec<u8>,
    leaves: Vec<Hash>,
    /// Entries that begin a tile: index, and where the frame begins in `bytes`.
    tile_starts: Vec<(u64, usize)>,
}

impl Chunk {
    fn new(first: u64) -> Self {
        Self { first, bytes: vec![0; HEADER_BYTES], leaves: Vec::new(), tile_starts: Vec::new() }
    }

    fn push(&mut self, payload: &[u8], leaf: Hash) -> Option<()> {
        let index = self.first + self.leaves.len() as u64;
        let start = self.bytes.len();
        block::push_frame(&mut self.bytes, index, payload, &leaf)?;
        if index.is_multiple_of(TILE_WIDTH) {
            self.tile_starts.push((index, start));
        }
        self.leaves.push(leaf);
        Some(())
    }

    /// Fills in the header, given the tree before this chunk; a chunk is far too short to overflow its 32-bit numbers.
    pub(crate) fn seal(mut self, before: &Frontier) -> Sealed {
        let mut after = before.clone();
        for leaf in &self.leaves {
            after.push(*leaf);
        }
        let header = Header {
            first: self.first,
            count: u32::try_from(self.leaves.len()).unwrap_or(u32::MAX),
            length: u32::try_from(self.bytes.len() - HEADER_BYTES).unwrap_or(u32::MAX),
            root: after.root(),
        };
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        Sealed(self)
    }
}

/// A block ready to be written, any number of times.
#[derive(Debug)]
pub(crate) struct Sealed(Chunk);

impl Sealed {
    pub(crate) fn first(&self) -> u64 {
        self.0.first
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The leaf hashes, and the entries that begin a tile with the place of their frames in the bytes.
    pub(crate) fn into_parts(mut self) -> (Vec<Hash>, Vec<(u64, usize)>) {
        (mem::take(&mut self.0.leaves), mem::take(&mut self.0.tile_starts))
    }
}
