//! Where one frame ends and the next begins (RFC 6455 section 5.2).
//!
//! The tracker is fed the bytes of one direction as they are relayed and reads only what it must: the two to fourteen
//! bytes of each header. Payloads are counted, not looked at, so a gigabyte costs one subtraction. However the bytes
//! are split, the answer is the same, because a header that is cut in the middle is collected until it is whole.
//!
//! It is not a judge of WebSocket. Reserved bits belong to extensions (permessage-deflate uses one), reserved opcodes
//! to future ones, and a text frame inside a fragmented message is for the endpoints to complain about. It refuses only
//! what makes framing itself doubtful: a length with the top bit set, and a control frame that is fragmented or longer
//! than 125 bytes, which two readers would cut differently.

/// What kind of frame it is, as far as a relay cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Text, binary, or a reserved opcode below 8: the first frame of a message.
    Data,
    /// A further frame of a message.
    Continuation,
    /// A heartbeat; never activity.
    Ping,
    /// The answer to one; never activity.
    Pong,
    /// The sender says nothing more after it.
    Close,
    /// A reserved opcode of 8 or more.
    OtherControl,
}

impl FrameKind {
    const fn of(opcode: u8) -> Self {
        match opcode {
            0 => Self::Continuation,
            1..=7 => Self::Data,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => Self::OtherControl,
        }
    }

    /// Whether it may stand between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        !matches!(self, Self::Data | Self::Continuation)
    }
}

/// A frame whose header has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What kind it is.
    pub kind: FrameKind,
    /// Whether its payload is masked, as a client's must be.
    pub masked: bool,
    /// Whether it is the last of its message.
    pub fin: bool,
    /// Bytes of payload still to come.
    pub remaining: u64,
}

/// Why the bytes cannot be cut into frames. After it nobody can say where a frame ends: no Close can be placed any more, and no
/// frame is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameFault {
    /// A length of 2^63 or more (RFC 6455 section 5.2).
    #[error("a frame announces a length with the top bit set")]
    Length,
    /// A control frame of more than 125 bytes (RFC 6455 section 5.5).
    #[error("a control frame is longer than 125 bytes")]
    LongControl,
    /// A control frame that is not the last of its message (RFC 6455 section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
}

/// What was completed by the bytes of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedSummary {
    /// Data and continuation frames that ended in these bytes.
    pub data_frames: u64,
    /// Control frames that ended in these bytes, Close included.
    pub control_frames: u64,
    /// How many of these bytes end with the last whole frame; `None` when no frame ended in them.
    pub last_boundary: Option<usize>,
}

/// Follows the frames of one direction.
#[derive(Debug, Clone, Default)]
pub struct FrameTracker {
    state: State,
    message_open: bool,
    close_seen: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Collecting a header; none of it yet means between frames.
    Header {
        bytes: [u8; HEADER_BYTES_MAX],
        have: usize,
    },
    /// Inside a payload, with at least one byte to come.
    Payload(Frame),
    Faulty(FrameFault),
}

/// Opcode and length, the longest extended length, and the mask.
const HEADER_BYTES_MAX: usize = 14;

impl Default for State {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_BYTES_MAX], have: 0 }
    }
}

impl FrameTracker {
    /// Follows the next bytes of the direction.
    ///
    /// # Errors
    ///
    /// A [`FrameFault`], at this call and every one after it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<FeedSummary, FrameFault> {
        let mut fed = FeedSummary::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (used, ended) = self.step(rest)?;
            rest = rest.get(used..).unwrap_or_default();
            if let Some(kind) = ended {
                *(if kind.is_control() { &mut fed.control_frames } else { &mut fed.data_frames }) += 1;
                fed.last_boundary = Some(bytes.len() - rest.len());
            }
        }
        match self.state {
            State::Faulty(fault) => Err(fault),
            State::Header { .. } | State::Payload(_) => Ok(fed),
        }
    }

    /// How many of the next bytes belong to the frame under way: none between frames, all if they do not complete it.
    /// The tracker stays where it is.
    ///
    /// # Errors
    ///
    /// The [`FrameFault`] that feeding those bytes would bring.
    pub fn split_at_boundary(&self, bytes: &[u8]) -> Result<usize, FrameFault> {
        if self.at_boundary() {
            return Ok(0);
        }
        let mut ahead = self.clone();
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let (step, ended) = ahead.step(rest)?;
            used += step;
            if ended.is_some() {
                break;
            }
        }
        Ok(used)
    }

    /// Whether the bytes so far end with a whole frame, so that another frame may be put here. A control frame may be
    /// even if a [message is open](Self::message_open).
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header { have: 0, .. })
    }

    /// The frame under way, once its header is whole; `None` between frames and within a header.
    #[must_use]
    pub fn frame(&self) -> Option<Frame> {
        match self.state {
            State::Payload(frame) => Some(frame),
            State::Header { .. } | State::Faulty(_) => None,
        }
    }

    /// Whether a fragmented message has begun and not ended.
    #[must_use]
    pub fn message_open(&self) -> bool {
        self.message_open
    }

    /// Whether the sender has sent a whole Close, after which it may send nothing (and nothing may be sent for it).
    #[must_use]
    pub fn close_seen(&self) -> bool {
        self.close_seen
    }

    /// Uses some of `rest`, which is not empty: a byte of a header, or as much of a payload as there is. Tells how
    /// many, and the frame that ended with them.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, Option<FrameKind>), FrameFault> {
        match &mut self.state {
            State::Faulty(fault) => Err(*fault),
            State::Payload(frame) => {
                let used = rest.len().min(usize::try_from(frame.remaining).unwrap_or(usize::MAX));
                frame.remaining -= used as u64;
                let frame = *frame;
                Ok((used, self.ended(frame)))
            }
            State::Header { bytes, have } => {
                if let (Some(slot), Some(&byte)) = (bytes.get_mut(*have), rest.first()) {
                    *slot = byte;
                    *have += 1;
                }
                let (bytes, have) = (*bytes, *have);
                match parse_header(&bytes, have) {
                    Ok(None) => Ok((1, None)),
                    Ok(Some(frame)) => {
                        self.state = State::Payload(frame);
                        Ok((1, self.ended(frame)))
                    }
                    Err(fault) => {
                        self.state = State::Faulty(fault);
                        Err(fault)
                    }
                }
            }
        }
    }

    /// Goes back between frames if nothing of the frame remains.
    fn ended(&mut self, frame: Frame) -> Option<FrameKind> {
        if frame.remaining > 0 {
            return None;
        }
        self.state = State::default();
        match frame.kind {
            FrameKind::Data | FrameKind::Continuation => self.message_open = !frame.fin,
            FrameKind::Close => self.close_seen = true,
            FrameKind::Ping | FrameKind::Pong | FrameKind::OtherControl => {}
        }
        Some(frame.kind)
    }
}

/// The header in the first `have` bytes, if it is whole with the last of them.
fn parse_header(bytes: &[u8; HEADER_BYTES_MAX], have: usize) -> Result<Option<Frame>, FrameFault> {
    let [first, second, extended @ ..] = bytes;
    let (fin, kind) = (first & 0x80 != 0, FrameKind::of(first & 0x0f));
    if have >= 1 && kind.is_control() && !fin {
        return Err(FrameFault::FragmentedControl);
    }
    if have < 2 {
        return Ok(None);
    }
    let (masked, short) = (second & 0x80 != 0, second & 0x7f);
    if kind.is_control() && short > 125 {
        return Err(FrameFault::LongControl);
    }
    let length_bytes = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if have < 2 + length_bytes + if masked { 4 } else { 0 } {
        return Ok(None);
    }
    let long = extended.iter().take(length_bytes).fold(0, |length, &byte| length << 8 | u64::from(byte));
    let remaining = if length_bytes == 0 { u64::from(short) } else { long };
    if remaining >> 63 != 0 {
        return Err(FrameFault::Length);
    }
    Ok(Some(Frame { kind, masked, fin, remaining }))
}

#[cfg(test)]
mod tests;
