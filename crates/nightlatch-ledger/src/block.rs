//! The bytes on disk: a commit is one block, and a block is there whole or not at all.
//!
//! ```text
//! block  = header frame*
//! header = magic[8] first:u64 count:u32 length:u32 root[32] check:u64      64 bytes
//! frame  = length:u16 check:u64 payload[length]                            10 bytes and the payload
//! ```
//!
//! All numbers are big-endian. `first` is the index of the first entry, `length` counts the bytes of all frames, `root`
//! is the tree's root with this block in it. The header's check is the first eight bytes of the SHA-256 of what stands
//! before it; a frame's check is the first eight bytes of the leaf hash, exclusive-or the entry's index, so that an
//! entry in the wrong place is noticed as surely as a changed one, and by its own index.
//!
//! The checks find accidents. Whoever can write the file can recompute them; what finds *that* is the root in a signed
//! checkpoint, see [`crate::verify`].
//!
//! The root in the header chains the blocks: each one vouches for everything before it. The header stands on its own
//! so that a block with a broken body can be stepped over, to see whether a later block proves that it was once whole.

use std::ops::Range;

use crate::hash::{HASH_BYTES, Hash};

/// The longest payload, in bytes: a tlog-tiles entry bundle has a 16-bit length.
pub const PAYLOAD_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes of a block's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_BYTES: usize = 10;
/// How a block begins; the digits are the format's version.
pub(crate) const MAGIC: &[u8; 8] = b"nlblock1";

const CHECKED_BYTES: usize = HEADER_BYTES - 8;

/// What a block says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) length: u32,
    pub(crate) root: Hash,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.first.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.count.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.length.to_be_bytes());
        bytes[24..24 + HASH_BYTES].copy_from_slice(self.root.as_bytes());
        let check = Hash::of_bytes(&bytes[..CHECKED_BYTES]).prefix();
        bytes[CHECKED_BYTES..].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// `None` if these bytes are not a whole header, or it is not as it was written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.try_into().ok()?;
        if &bytes[..8] != MAGIC
            || number(&bytes[CHECKED_BYTES..]) != Hash::of_bytes(&bytes[..CHECKED_BYTES]).prefix()
        {
            return None;
        }
        let root: [u8; HASH_BYTES] = bytes[24..24 + HASH_BYTES].try_into().ok()?;
        Some(Self {
            first: number(&bytes[8..16]),
            count: u32::try_from(number(&bytes[16..20])).ok()?,
            length: u32::try_from(number(&bytes[20..24])).ok()?,
            root: Hash::from(root),
        })
    }
}

/// Writes one frame behind what is there; `leaf` is the payload's leaf hash.
///
/// The payload has been measured against [`PAYLOAD_BYTES_MAX`]; `None` if it has not, and nothing is written.
pub(crate) fn push_frame(bytes: &mut Vec<u8>, index: u64, payload: &[u8], leaf: &Hash) -> Option<()> {
    let length = u16::try_from(payload.len()).ok()?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&(leaf.prefix() ^ index).to_be_bytes());
    bytes.extend_from_slice(payload);
    Some(())
}

/// How many payload bytes the frame that begins here says it has; `None` if too little is here to say.
pub(crate) fn frame_payload_bytes(bytes: &[u8]) -> Option<usize> {
    let length: [u8; 2] = bytes.get(..2)?.try_into().ok()?;
    Some(usize::from(u16::from_be_bytes(length)))
}

/// Reads the frame that begins here: its payload and leaf hash; `None` unless it is whole and is entry `index`.
pub(crate) fn frame(bytes: &[u8], index: u64) -> Option<(&[u8], Hash)> {
    let length = frame_payload_bytes(bytes)?;
    let check = number(bytes.get(2..FRAME_BYTES)?);
    let payload = bytes.get(FRAME_BYTES..FRAME_BYTES + length)?;
    let leaf = Hash::of_leaf(payload);
    (check == leaf.prefix() ^ index).then_some((payload, leaf))
}

/// The frames of a whole block: where each begins in the body, where its payload is, and its leaf hash.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) payloads: Vec<Range<usize>>,
    pub(crate) leaves: Vec<Hash>,
}

impl Frames {
    /// Reads every frame of a block's body; the error is the index of the first entry that is not as it was written.
    pub(crate) fn decode(header: &Header, body: &[u8]) -> Result<Self, u64> {
        let mut frames = Self::default();
        let mut at = 0;
        for index in header.first..header.first.saturating_add(u64::from(header.count)) {
            let (payload, leaf) = body.get(at..).and_then(|rest| frame(rest, index)).ok_or(index)?;
            let start = at + FRAME_BYTES;
            at = start + payload.len();
            frames.payloads.push(start..at);
            frames.leaves.push(leaf);
        }
        // More bytes than the count has frames for: the entry that should not be there is the one after the last.
        if at == body.len() { Ok(frames) } else { Err(header.first.saturating_add(u64::from(header.count))) }
    }
}

/// Up to eight bytes as a big-endian number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { first: 7, count: 2, length: 30, root: Hash::of_empty_tree() }
    }

    #[test]
    fn a_header_goes_there_and_back() {
        assert_eq!(Header::decode(&header().encode()), Some(header()));
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_noticed() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_frame_is_noticed_and_so_is_a_wrong_place() {
        let mut bytes = Vec::new();
        assert_eq!(push_frame(&mut bytes, 7, b"payload", &Hash::of_leaf(b"payload")), Some(()));
        assert_eq!(frame(&bytes, 7).map(|(payload, _)| payload), Some(&b"payload"[..]));
        assert_eq!(frame(&bytes, 8), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(frame(&flipped, 7), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_frame_and_no_header() {
        assert_eq!(frame(&[0; 64], 0), None);
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), None);
    }
}
