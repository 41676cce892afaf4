//! Cutting the fuzzer's bytes into what a property needs.
//!
//! Everything is total: where the bytes run out, there are zeros and empty slices. The cuts are simple ones, so that a small
//! change of the input is a small change of what is tried.

/// The bytes that are not used up yet.
pub(crate) struct Input<'d>(&'d [u8]);

impl<'d> Input<'d> {
    pub(crate) fn new(data: &'d [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = self.number();
        usize::try_from(number % end as u64).unwrap_or(0)
    }

    /// Four bytes as a number.
    pub(crate) fn number(&mut self) -> u64 {
        (0..4).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// At most so many of the next bytes.
    pub(crate) fn take(&mut self, most: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn rest(&mut self) -> &'d [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes in pieces whose lengths `cuts` gives, over and over; without cuts it is one piece.
pub(crate) fn pieces<'d>(mut bytes: &'d [u8], cuts: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
    let mut lengths = cuts.iter().cycle();
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let length = lengths.next().map_or(bytes.len(), |length| usize::from(*length).max(1));
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}

/// The text in UTF-8 that these bytes are; broken characters are replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
