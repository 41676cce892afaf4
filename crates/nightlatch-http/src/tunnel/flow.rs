//! One direction of a tunnel: what was read and not yet taken, and where in the frames the taken bytes end.
//!
//! Tunnels are quiet most of the time and there may be tens of thousands of them, so a quiet one holds no buffer: bytes are read into one that all
//! tunnels of a thread share, offered to the other socket in the same breath, and only what that does not take is kept. There is no
//! await in between, so nobody else can use the shared one meanwhile.

use super::Socket;
use crate::{
    gate::{Gate, Guarded},
    websocket::frames::FrameTracker,
};
use nightlatch_core::Activity;
use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// A direction between two upgraded connections.
pub(super) struct Flow {
    gate: Arc<Gate>,
    frames: FrameTracker,
    framing: bool,
    /// Whether the bytes are WebSocket's frames at all; of others every one is as good as any.
    framed: bool,
    activity: Activity,
    /// Read, and not taken by the socket.
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// All that was taken has left, as far as anybody knows.
    Idle,
    /// Taken bytes may wait above the socket.
    Unflushed,
    /// The source has ended, and the other side is to be told.
    Ending,
    Ended,
}

impl Flow {
    /// A direction whose bytes go through `gate`; `activity` says whether its data counts.
    pub(super) fn new(gate: &Arc<Gate>, activity: Activity, framed: bool) -> Flow {
        Flow {
            gate: Arc::clone(gate),
            frames: FrameTracker::default(),
            framing: framed,
            framed,
            activity,
            kept: Vec::new(),
            state: State::Idle,
        }
    }

    /// Relays until the source ends and the other side has been told so. Once the session is over nothing more passes and this never
    /// completes: who waits for the end will cut.
    pub(super) fn poll_relay(
        &mut self,
        from: &mut Socket,
        to: &mut Socket,
        guarded: &Guarded,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_kept(to, guarded, cx))?;
            match self.state {
                State::Idle => {}
                State::Unflushed => {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    self.state = State::Idle;
                }
                State::Ending => {
                    // That this was all is as much as a byte: what is cut must not look complete.
                    if !guarded.may_pass() {
                        return Poll::Pending;
                    }
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
            if self.state == State::Idle {
                ready!(self.poll_chunk(from, to, guarded, cx))?;
            }
        }
    }

    /// Reads once and offers what came to the other socket.
    fn poll_chunk(
        &mut self,
        from: &mut Socket,
        to: &mut Socket,
        guarded: &Guarded,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        SHARED.with_borrow_mut(|shared| {
            let read = ready!(poll_read(from, shared, cx))?;
            if read.is_empty() {
                self.state = State::Ending;
                return Poll::Ready(Ok(()));
            }
            let taken = match self.poll_offer(read, to, guarded, cx) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0,
            };
            self.kept.extend_from_slice(&read[taken..]);
            Poll::Ready(Ok(()))
        })
    }

    /// Offers what was kept, and lets the buffer go once it is empty.
    fn poll_kept(
        &mut self,
        to: &mut Socket,
        guarded: &Guarded,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            let offered = self.poll_offer(&kept, to, guarded, cx);
            self.kept = kept;
            let taken = ready!(offered)?;
            self.kept.drain(..taken);
        }
        self.kept = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Offers bytes to the socket, if the session lives, and follows the frames in those that it takes.
    fn poll_offer(
        &mut self,
        bytes: &[u8],
        to: &mut Socket,
        guarded: &Guarded,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if !guarded.may_pass() {
            return Poll::Pending;
        }
        self.gate.put();
        let taken = ready!(Pin::new(to).poll_write(cx, bytes))?;
        self.state = State::Unflushed;
        if self.follow(&bytes[..taken]) && self.activity == Activity::Active {
            // If it is over by now, the next question finds it so.
            let _ = guarded.permit.touch();
        }
        Poll::Ready(Ok(taken))
    }

    /// Follows the frames in bytes that were taken; whether there is a data frame among them. Once nobody can say where a
    /// frame ends, none is counted any more, and the cut will be a reset.
    fn follow(&mut self, taken: &[u8]) -> bool {
        if !self.framed {
            return true;
        }
        let fed = self.frames.feed(taken);
        self.framing = fed.is_ok();
        fed.is_ok_and(|fed| fed.data_frames > 0)
    }

    /// Reads on and throws it away until the peer has closed too, so that its last words do not meet a closed socket.
    pub(super) fn poll_drain(&mut self, from: &mut Socket, cx: &mut Context<'_>) -> Poll<()> {
        let kept = std::mem::take(&mut self.kept);
        let mut followed = self.frames.feed(&kept).is_ok();
        SHARED.with_borrow_mut(|shared| {
            while followed && !self.frames.close_seen() {
                match ready!(poll_read(from, shared, cx)) {
                    Ok(read) if !read.is_empty() => followed = self.frames.feed(read).is_ok(),
                    _ => break,
                }
            }
            Poll::Ready(())
        })
    }

    /// Whether a frame of ours may follow what has left.
    pub(super) fn between_frames(&self) -> bool {
        self.framing && self.frames.at_boundary() && !self.frames.close_seen()
    }
}

/// What one read brings, in the buffer that is handed in; nothing at the end.
fn poll_read<'b>(
    from: &mut Socket,
    buffer: &'b mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<&'b [u8]>> {
    let mut read = ReadBuf::new(buffer);
    ready!(Pin::new(from).poll_read(cx, &mut read))?;
    let filled = read.filled().len();
    Poll::Ready(Ok(&buffer[..filled]))
}
