//! A WebSocket, relayed byte for byte until it is cut between two frames.
//!
//! Both directions are pumped by one task. Bytes are followed by a frame tracker *as the socket takes them*, so that at any
//! moment we know whether what has left ends between two frames. There a Close may stand (between the fragments of a message
//! too: control frames may), and the client gets 3008 and the reason; the application gets a Close of its own, masked as a client's
//! must be. Inside a frame no word fits, and the connection is reset.
//!
//! Frames are passive unless the route is active; then a client's data frame is activity, and a heartbeat never is.
//!
//! Bytes of another protocol that was switched to take the same way without the frames: on an active route any of the client's is
//! activity, and the cut is a reset.

use crate::{
    gate::{Gate, Guarded},
    websocket::{
        close::{CloseCode, close_frame},
        frames::FrameTracker,
    },
};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use nightlatch_core::Activity;
use nightlatch_engine::End;
use std::{future::pending, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

type Socket = TokioIo<Upgraded>;

/// Bytes read at once, a direction.
const CHUNK: usize = 16 * 1024;
/// How long both sides may take to close after a cut.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// The cut, for the record.
const CLOSE_HOW: &str = "close 3008";

/// An open WebSocket.
pub(crate) struct Tunnel {
    pub(crate) guarded: Guarded,
    /// Whether the bytes are WebSocket's frames; those of another protocol have no place for words.
    pub(crate) framed: bool,
    /// Whether a client's data frames count, or any byte where there are no frames.
    pub(crate) activity: Activity,
    pub(crate) client_gate: Arc<Gate>,
    pub(crate) upstream_gate: Arc<Gate>,
    /// The client's seat among the connections that may be open.
    pub(crate) seat: Arc<OwnedSemaphorePermit>,
}

/// A direction between two upgraded connections.
type Halves = Direction<ReadHalf<Socket>, WriteHalf<Socket>>;

/// One direction: what was read and not yet taken, and where in the frames the taken bytes end.
struct Direction<R, W> {
    from: R,
    to: W,
    gate: Arc<Gate>,
    frames: FrameTracker,
    framing: bool,
    /// Whether the bytes are WebSocket's frames at all; of others every one is as good as any.
    framed: bool,
    buffer: Box<[u8]>,
    filled: usize,
    taken: usize,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Direction<R, W> {
    fn new(from: R, to: W, gate: &Arc<Gate>, framed: bool) -> Direction<R, W> {
        Direction {
            from,
            to,
            gate: Arc::clone(gate),
            frames: FrameTracker::default(),
            framing: framed,
            framed,
            buffer: vec![0; CHUNK].into_boxed_slice(),
            filled: 0,
            taken: 0,
        }
    }

    /// Relays until the source ends. `count` hears of data frames as they pass; it says no when nothing may pass.
    async fn pump(&mut self, guarded: &Guarded, activity: Activity) -> io::Result<()> {
        loop {
            self.filled = self.from.read(&mut self.buffer).await?;
            self.taken = 0;
            if self.filled == 0 {
                return self.to.shutdown().await;
            }
            while self.taken < self.filled {
                if guarded.permit.ask().is_err() {
                    // Nothing more passes. Who waits for the end will cut.
                    return pending().await;
                }
                self.gate.put();
                let taken = self.to.write(&self.buffer[self.taken..self.filled]).await?;
                let counts = self.follow(taken);
                self.taken += taken;
                if counts && activity == Activity::Active {
                    // If it is over by now, the next question finds it so.
                    let _ = guarded.permit.touch();
                }
            }
            self.to.flush().await?;
        }
    }

    /// Follows the frames in bytes that are being taken; whether there is a data frame among them. Once nobody can say where a
    /// frame ends, none is counted any more, and the cut will be a reset.
    fn follow(&mut self, taken: usize) -> bool {
        if !self.framed {
            return true;
        }
        let fed = self.frames.feed(&self.buffer[self.taken..self.taken + taken]);
        self.framing = fed.is_ok();
        fed.is_ok_and(|fed| fed.data_frames > 0)
    }

    /// Reads on and throws it away until the peer has closed too, so that its last words do not meet a closed socket.
    async fn drain(&mut self) {
        let mut next = self.frames.feed(&self.buffer[self.taken..self.filled]);
        while next.is_ok() && !self.frames.close_seen() {
            next = match self.from.read(&mut self.buffer).await {
                Ok(read @ 1..) => self.frames.feed(&self.buffer[..read]),
                _ => return,
            };
        }
    }

    /// Whether a frame of ours may follow what has left.
    fn between_frames(&self) -> bool {
        self.framing && self.frames.at_boundary() && !self.frames.close_seen()
    }
}

impl Tunnel {
    /// Relays between the two until either leaves or the session ends.
    pub(crate) async fn run(self, client: Upgraded, upstream: Upgraded) {
        let (client_read, client_write) = tokio::io::split(TokioIo::new(client));
        let (upstream_read, upstream_write) = tokio::io::split(TokioIo::new(upstream));
        let mut down = Direction::new(upstream_read, client_write, &self.client_gate, self.framed);
        let mut up = Direction::new(client_read, upstream_write, &self.upstream_gate, self.framed);
        let end = {
            let both = async {
                let (down, up) =
                    (down.pump(&self.guarded, Activity::Passive), up.pump(&self.guarded, self.activity));
                tokio::try_join!(down, up)
            };
            tokio::select! {
                biased;
                end = self.guarded.permit.ended() => Some(end),
                _ = both => None,
            }
        };
        let _seat = Arc::clone(&self.seat);
        match end {
            Some(end) => self.cut(end, down, up).await,
            // A gate noticed the end before we did, and refused.
            None if !self.guarded.may_pass() => {
                let end = self.guarded.permit.ended().await;
                self.cut(end, down, up).await;
            }
            // Closed by one of the two, or broken: what is left of it goes with us.
            None => {}
        }
    }

    /// Ends both sides: in words where a frame may stand, else by a reset, and then at once.
    async fn cut(self, end: End, mut down: Halves, mut up: Halves) {
        let reason = end.reason.code();
        let to_client = close_frame(CloseCode::TIMEOUT, reason, None);
        let to_application = crate::random_mask()
            .filter(|_| up.between_frames())
            .map(|mask| close_frame(CloseCode::TIMEOUT, reason, Some(mask)));
        self.upstream_gate.open();
        let client_told = down.between_frames()
            && self.client_gate.last_words(&self.guarded, CLOSE_HOW)
            && say(&mut down.to, &to_client).await.is_ok();
        if !client_told {
            self.client_gate.reset(Some(self.guarded));
            // With both halves gone the client's socket is closed, which is the reset.
            drop((down.to, up.from));
            tell_application(&mut up.to, to_application, &self.upstream_gate).await;
            return;
        }
        tell_application(&mut up.to, to_application, &self.upstream_gate).await;
        let _ = timeout(CLOSE_WITHIN, async { tokio::join!(down.drain(), up.drain()) }).await;
    }
}

/// Tells the application by a Close, where a frame may stand; else by a reset.
async fn tell_application(to: &mut WriteHalf<Socket>, close: Option<Bytes>, gate: &Gate) {
    let told = match close {
        Some(close) => say(to, &close).await.is_ok(),
        None => false,
    };
    if !told {
        gate.reset(None);
    }
}

/// Hands over last words, in bounded time.
async fn say(to: &mut WriteHalf<Socket>, words: &[u8]) -> io::Result<()> {
    let said = timeout(CLOSE_WITHIN, async {
        to.write_all(words).await?;
        to.flush().await
    });
    said.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
