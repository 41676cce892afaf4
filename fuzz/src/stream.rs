//! Streams that are followed while they pass: the answer must not depend on how they were cut, and a naive reading of the
//! whole must find the same boundaries.

use crate::input::{Input, pieces};
use bytes::Bytes;
use nightlatch_http::{
    sse::EventStream,
    websocket::{
        close::{CloseCode, close_frame},
        frames::{FrameFault, FrameTracker},
    },
};

/// Frames end where RFC 6455 says, however the bytes come; at each such place a Close may stand, and nowhere else.
pub fn websocket_frames(data: &[u8]) {
    let mut input = Input::new(data);
    let cuts = input.take(4);
    let stream = input.rest();
    let expected = read_frames(stream);

    let mut whole = FrameTracker::default();
    let fed = whole.feed(stream);
    match (fed, expected.fault) {
        (Ok(fed), None) => {
            assert_eq!(fed.data_frames, expected.data());
            assert_eq!(fed.control_frames, expected.ends.len() as u64 - expected.data());
            assert_eq!(fed.last_boundary, expected.ends.last().map(|(end, _)| *end));
            let last = expected.ends.last().map_or(0, |(end, _)| *end);
            assert_eq!(whole.at_boundary(), last == stream.len());
            assert_eq!(whole.close_seen(), expected.ends.iter().any(|(_, opcode)| *opcode == 8));
        }
        (Err(fault), Some(expected)) => assert_eq!(fault, expected),
        (fed, fault) => panic!("the tracker says {fed:?}, RFC 6455 says {fault:?}"),
    }

    let mut tracker = FrameTracker::default();
    let mut at = 0;
    for piece in pieces(stream, cuts) {
        let next_end = expected.ends.iter().map(|(end, _)| *end).find(|end| *end > at);
        match tracker.split_at_boundary(&stream[at..]) {
            Ok(0) => assert!(tracker.at_boundary() || at == stream.len()),
            Ok(length) => assert_eq!(at + length, next_end.unwrap_or(stream.len())),
            Err(fault) => assert_eq!((next_end, Some(fault)), (None, expected.fault)),
        }
        let boundary = at == 0 || expected.ends.iter().any(|(end, _)| *end == at);
        assert_eq!(tracker.at_boundary(), boundary, "at byte {at}");
        if boundary {
            let mut closed = tracker.clone();
            assert!(closed.feed(&close_frame(CloseCode::TIMEOUT, "idle_timeout", None)).is_ok());
            assert!(closed.close_seen() && closed.at_boundary());
        }
        let fed = tracker.feed(piece);
        let within = |end: &usize| *end > at && *end <= at + piece.len();
        if let Ok(fed) = fed {
            let mut ends = expected.ends.iter().map(|(end, _)| *end).filter(within);
            assert_eq!(fed.last_boundary.map(|end| at + end), ends.next_back());
        } else {
            assert_eq!(fed.err(), expected.fault);
            return;
        }
        at += piece.len();
    }
    assert_eq!(tracker.message_open(), whole.message_open());
    assert_eq!(tracker.frame(), whole.frame());
}

struct Frames {
    /// Where each whole frame ends, and its opcode.
    ends: Vec<(usize, u8)>,
    fault: Option<FrameFault>,
}

impl Frames {
    fn data(&self) -> u64 {
        self.ends.iter().filter(|(_, opcode)| *opcode < 8).count() as u64
    }
}

/// RFC 6455 section 5.2, read from the first byte to the last.
fn read_frames(stream: &[u8]) -> Frames {
    let mut frames = Frames { ends: Vec::new(), fault: None };
    let mut at = 0;
    while let Some(&first) = stream.get(at) {
        let (fin, opcode) = (first >= 0x80, first & 0x0f);
        if opcode >= 8 && !fin {
            frames.fault = Some(FrameFault::FragmentedControl);
            break;
        }
        let Some(&second) = stream.get(at + 1) else { break };
        let (mask, short) = (if second >= 0x80 { 4 } else { 0 }, second & 0x7f);
        if opcode >= 8 && short >= 126 {
            frames.fault = Some(FrameFault::LongControl);
            break;
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(header) = stream.get(at..at + 2 + extended + mask) else { break };
        let mut length = 0_u128;
        for byte in &header[2..2 + extended] {
            length = length * 256 + u128::from(*byte);
        }
        let length = if extended == 0 { u128::from(short) } else { length };
        if length >= 1 << 63 {
            frames.fault = Some(FrameFault::Length);
            break;
        }
        let end = (at + header.len()) as u128 + length;
        if end > stream.len() as u128 {
            break;
        }
        at = usize::try_from(end).unwrap_or(usize::MAX);
        frames.ends.push((at, opcode));
    }
    frames
}

/// What has passed is always the beginning of what came, and ends between two events whenever a last event may follow; no byte is lost.
pub fn event_streams(data: &[u8]) {
    let mut input = Input::new(data);
    let most = match input.byte() {
        255 => 64 * 1024,
        small => usize::from(small % 32),
    };
    let cuts = input.take(4);
    let stream = input.rest();
    let boundaries = event_boundaries(stream);

    let mut relay = EventStream::new(most);
    let mut passed = Vec::new();
    let mut came = 0;
    for piece in pieces(stream, cuts) {
        let out = relay.push(Bytes::copy_from_slice(piece));
        came += piece.len();
        let oversized = out.oversized;
        for part in out.pieces() {
            passed.extend_from_slice(&part);
        }
        assert_eq!(passed, &stream[..passed.len()], "what passes is what came");
        if relay.can_end() {
            assert!(came - passed.len() <= most, "more is kept back than may be");
            let newest = boundaries.iter().rfind(|end| **end <= came).copied().unwrap_or(0);
            assert_eq!(passed.len(), newest, "all whole events pass, and nothing else");
        } else {
            assert!(oversized);
            assert_eq!(passed.len(), came, "an event that is too large passes as it comes");
        }
    }
    passed.extend_from_slice(&relay.into_rest());
    assert_eq!(passed, stream, "the end of the stream passes as it is");
}

/// Everywhere an event may begin, by the HTML standard: the text is cut into lines first, and lines into events.
fn event_boundaries(stream: &[u8]) -> Vec<usize> {
    let mut boundaries = Vec::new();
    let mut at = if stream.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut in_event = false;
    while let Some(length) = stream[at..].iter().position(|byte| *byte == b'\r' || *byte == b'\n') {
        let line = &stream[at..at + length];
        match line.first() {
            None => in_event = false,
            Some(b':') => {}
            Some(_) => in_event = true,
        }
        let end = at + length + 1;
        let crlf = stream[end - 1] == b'\r' && stream.get(end) == Some(&b'\n');
        if !in_event {
            boundaries.push(end);
            boundaries.extend(crlf.then_some(end + 1));
        }
        at = end + usize::from(crlf);
    }
    boundaries
}
