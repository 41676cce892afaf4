//! A narrow way in for the fuzz targets, and no promise to anybody else.
//!
//! The form of the segment files and of the history is the ledger's own business; a target gets plain values of it.

use crate::{
    block::{Frames, HEADER_BYTES, Header, push_frame},
    hash::Hash,
    history::Notes,
};

/// A block that begins with entry `first`; `None` if it would be too long. Its root is that of nothing: a block by itself has none.
#[must_use]
pub fn block(first: u64, payloads: &[&[u8]]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for (payload, index) in payloads.iter().zip(first..) {
        push_frame(&mut body, index, payload, &Hash::of_leaf(payload))?;
    }
    let (count, length) = (u32::try_from(payloads.len()).ok()?, u32::try_from(body.len()).ok()?);
    let header = Header { first, count, length, root: Hash::of_empty_tree() };
    Some([&header.encode()[..], &body].concat())
}

/// The first index and the payloads of the block that these bytes begin with, if it is whole.
#[must_use]
pub fn read_block(bytes: &[u8]) -> Option<(u64, Vec<Vec<u8>>)> {
    let header = Header::decode(bytes.get(..HEADER_BYTES)?)?;
    let length = usize::try_from(header.length).ok()?;
    let body = bytes.get(HEADER_BYTES..)?.get(..length)?;
    let frames = Frames::decode(&header, body).ok()?;
    let payloads = frames.payloads.into_iter().filter_map(|range| body.get(range)).map(<[u8]>::to_vec);
    Some((header.first, payloads.collect()))
}

/// The whole notes of a history of checkpoints, and how many bytes behind them are none.
#[must_use]
pub fn split_history(history: &[u8]) -> (Vec<&str>, usize) {
    let Notes { notes, unfinished_bytes } = Notes::split(history);
    (notes, unfinished_bytes)
}
