//! Event streams, cut only between events (HTML standard, "server-sent events").
//!
//! When a session ends while a stream is open, the client must be told in the stream, and what it was just being sent
//! must not turn into half an event with our words glued to it. So the relay hands out whole events only and keeps the
//! beginning of the next one back until its end arrives; at a cut that beginning is dropped, and the final event
//! follows. Bytes are never changed. Whole events pass as slices of the buffers they came in; only what is kept
//! back is copied.
//!
//! An event ends at a blank line. A line ends with LF, CRLF or CR, mixed at will, and a CRLF may arrive in two pieces: the
//! CR ends the line then, and an LF that comes next belongs to it. A comment line outside an event (`: keep-alive`) is
//! complete by itself and passes at once, or heartbeats would be held back until the next event.
//!
//! An event larger than the limit is not kept: from there bytes pass as they come until the event has ended, and for
//! that time [`EventStream::can_end`] is false, and a cut is a reset.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use nightlatch_core::EndReason;

use crate::cookies::trim;

/// The bytes of an incomplete event that are kept back, unless said otherwise.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// Whether a response is an event stream that can be followed: `text/event-stream`, and not compressed.
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().split(|&byte| byte == b';').next());
    let plain = |value: &http::HeaderValue| trim(value.as_bytes()).eq_ignore_ascii_case(b"identity");
    essence.is_some_and(|essence| trim(essence).eq_ignore_ascii_case(b"text/event-stream"))
        && headers.get_all(CONTENT_ENCODING).into_iter().all(plain)
}

/// The event that tells a client why its stream ends. It may stand only where [`EventStream::can_end`].
#[must_use]
pub fn final_event(reason: EndReason) -> Bytes {
    Bytes::from(format!("event: nightlatch-ended\ndata: {}\n\n", reason.code()))
}

/// Follows one event stream from its first byte.
#[derive(Debug)]
pub struct EventStream {
    lines: Lines,
    held: BytesMut,
    held_bytes_max: usize,
    oversized: bool,
}

/// Bytes to hand on, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// What was held back before, now complete.
    pub held: Bytes,
    /// From the chunk at hand.
    pub chunk: Bytes,
    /// The event under way became larger than the limit with this chunk, or was already: a part of it is in here.
    pub oversized: bool,
}

impl Passed {
    /// The pieces that are not empty.
    pub fn pieces(self) -> impl Iterator<Item = Bytes> {
        [self.held, self.chunk].into_iter().filter(|piece| !piece.is_empty())
    }
}

impl Default for EventStream {
    fn default() -> Self {
        Self::new(HELD_BYTES_MAX)
    }
}

impl EventStream {
    /// A stream of which at most `held_bytes_max` bytes are kept back.
    #[must_use]
    pub fn new(held_bytes_max: usize) -> Self {
        Self { lines: Lines::default(), held: BytesMut::new(), held_bytes_max, oversized: false }
    }

    /// Takes the next bytes of the stream and hands out what is complete.
    pub fn push(&mut self, mut chunk: Bytes) -> Passed {
        let boundary = self.lines.last_boundary(&chunk);
        let complete = boundary.unwrap_or(0);
        let begun = chunk.len() - complete + if boundary.is_some() { 0 } else { self.held.len() };
        let was_oversized = self.oversized;
        self.oversized = (was_oversized && boundary.is_none()) || begun > self.held_bytes_max;

        let passing = if self.oversized { chunk.len() } else { complete };
        let held = if passing > 0 { self.held.split().freeze() } else { Bytes::new() };
        let passed =
            Passed { held, chunk: chunk.split_to(passing), oversized: was_oversized || self.oversized };
        self.held.extend_from_slice(&chunk);
        passed
    }

    /// Whether all that was handed out ends between two events, so that a final event may follow. What is held back is
    /// to be dropped then.
    #[must_use]
    pub fn can_end(&self) -> bool {
        !self.oversized
    }

    /// What is held back, for when the upstream ends the stream by itself: its last words pass as they are.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.held.freeze()
    }
}

/// What the lines so far amount to.
#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    line: Line,
    /// A field line stands since the last blank line.
    in_event: bool,
    /// The last byte was a CR; an LF now belongs to it.
    after_cr: bool,
    /// Bytes of the stream so far, as long as they may be a byte order mark.
    mark: Mark,
}

/// The line under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    Comment,
    Field,
}

/// How much of a byte order mark has been seen at the start of the stream; it is no part of the first line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    None,
    One,
    Two,
    Over,
}

impl Lines {
    /// Follows a chunk; tells how many of its bytes end with the last place where an event may begin.
    fn last_boundary(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut last = None;
        for (at, &byte) in chunk.iter().enumerate() {
            if self.boundary_after(byte) {
                last = Some(at + 1);
            }
        }
        last
    }

    fn boundary_after(&mut self, byte: u8) -> bool {
        if self.mark != Mark::Over && self.is_mark(byte) {
            return false;
        }
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if after_cr => return !self.in_event,
            b'\r' | b'\n' => {}
            b':' if self.line == Line::Empty => {
                self.line = Line::Comment;
                return false;
            }
            _ => {
                if self.line == Line::Empty {
                    self.line = Line::Field;
                }
                return false;
            }
        }
        match std::mem::take(&mut self.line) {
            Line::Empty => self.in_event = false,
            Line::Comment => {}
            Line::Field => self.in_event = true,
        }
        !self.in_event
    }

    /// Whether a byte at the start of the stream belongs to a byte order mark. One that is begun and not finished was the
    /// beginning of a field after all.
    fn is_mark(&mut self, byte: u8) -> bool {
        let (next, is_mark) = match (self.mark, byte) {
            (Mark::None, 0xef) => (Mark::One, true),
            (Mark::One, 0xbb) => (Mark::Two, true),
            (Mark::Two, 0xbf) => (Mark::Over, true),
            _ => (Mark::Over, false),
        };
        if !is_mark && self.mark != Mark::None {
            self.line = Line::Field;
        }
        self.mark = next;
        is_mark
    }
}

#[cfg(test)]
mod tests;
