//! Where frames begin in a stream of bytes (RFC 9113 section 4.1). Nothing of a payload is kept.

/// DATA (RFC 9113 section 6.1).
pub(crate) const DATA: u8 = 0x0;
/// HEADERS (section 6.2).
pub(crate) const HEADERS: u8 = 0x1;
/// RST_STREAM (section 6.4).
pub(crate) const RST_STREAM: u8 = 0x3;
/// CONTINUATION (section 6.10).
pub(crate) const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const HEAD_BYTES: usize = 9;
/// What a client sends before its first frame (section 3.4).
const PREFACE_BYTES: u32 = 24;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of its payload.
    pub(crate) length: u32,
    /// What it is.
    pub(crate) kind: u8,
    flags: u8,
    /// Its stream; 0 for the connection.
    pub(crate) stream: u32,
}

impl Head {
    /// Whether nothing follows on its stream in this direction.
    pub(crate) fn ends_stream(self) -> bool {
        self.kind == RST_STREAM || self.makes_whole()
    }

    /// Whether with it everything of a request or an answer has been said.
    pub(crate) fn makes_whole(self) -> bool {
        self.flags & END_STREAM != 0 && (self.kind == DATA || self.kind == HEADERS)
    }

    /// Whether it carries something of a request or an answer.
    pub(crate) fn carries(self) -> bool {
        matches!(self.kind, DATA | HEADERS | CONTINUATION)
    }

    fn read(bytes: [u8; HEAD_BYTES]) -> Head {
        let [a, b, c, kind, flags, e, f, g, h] = bytes;
        Head {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            // The highest bit is reserved.
            stream: u32::from_be_bytes([e & 0x7f, f, g, h]),
        }
    }
}

/// Follows one direction of a connection from its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames {
    head: [u8; HEAD_BYTES],
    /// Bytes of the next head so far.
    filled: usize,
    /// Bytes of the payload under way that are still to come.
    payload: u32,
}

impl Frames {
    /// What a client writes: its preface comes first.
    pub(crate) fn of_client() -> Frames {
        Frames { payload: PREFACE_BYTES, ..Frames::default() }
    }

    /// Whether a frame whose head was told is not complete.
    pub(crate) fn is_within_one(&self) -> bool {
        self.payload > 0
    }

    /// Takes the next bytes, and tells each head that is complete with them.
    pub(crate) fn follow(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Head)) {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(usize::try_from(self.payload).unwrap_or(usize::MAX));
            bytes = &bytes[skipped..];
            self.payload -= u32::try_from(skipped).unwrap_or(self.payload);
            let taken = bytes.len().min(HEAD_BYTES - self.filled);
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD_BYTES {
                let head = Head::read(self.head);
                self.filled = 0;
                self.payload = head.length;
                tell(head);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(heads: &[Head]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for head in heads {
            bytes.extend_from_slice(&head.length.to_be_bytes()[1..]);
            bytes.extend([head.kind, head.flags]);
            bytes.extend_from_slice(&head.stream.to_be_bytes());
            bytes.extend(std::iter::repeat_n(0xaa, head.length as usize));
        }
        bytes
    }

    prop_compose! {
        fn head()(length in 0_u32..600, kind in 0_u8..12, flags: u8, stream in 0_u32..1 << 31) -> Head {
            Head { length, kind, flags, stream }
        }
    }

    proptest! {
        #[test]
        fn every_head_is_told_once_however_the_bytes_are_cut(
            heads in prop::collection::vec(head(), 0..12),
            cuts in prop::collection::vec(0_usize..9_000, 0..20),
            client: bool,
        ) {
            let mut bytes = if client { b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec() } else { Vec::new() };
            bytes.extend(written(&heads));
            let mut frames = if client { Frames::of_client() } else { Frames::default() };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut told = Vec::new();
            for piece in cuts.windows(2) {
                frames.follow(&bytes[piece[0]..piece[1]], |head| told.push(head));
            }
            prop_assert_eq!(told, heads);
        }
    }

    #[test]
    fn what_ends_a_stream() {
        let rows = [
            (DATA, 1, true),
            (DATA, 0, false),
            (HEADERS, 5, true),
            (HEADERS, 4, false),
            (RST_STREAM, 0, true),
            (8, 1, false),
            (CONTINUATION, 5, false),
        ];
        for (kind, flags, ends) in rows {
            assert_eq!(Head { length: 0, kind, flags, stream: 1 }.ends_stream(), ends, "{kind} {flags}");
        }
    }
}
