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
    drain::Turn,
    gate::{Gate, Guarded},
    seat::Seat,
    upstream::room::Place,
    websocket::close::{CloseCode, close_frame},
};
use afterwards::Afterwards;
use bytes::Bytes;
use flow::Flow;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use nightlatch_core::Activity;
use nightlatch_engine::End;
use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, time::timeout};

pub(crate) mod afterwards;
mod flow;

type Socket = TokioIo<Upgraded>;

/// What a client is told when the gateway stops.
const RESTART: &str = "restart";
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
    /// When it is to close because the gateway stops.
    pub(crate) turn: Turn,
    /// When the rest of a cut is done, after the client's part.
    pub(crate) afterwards: Afterwards,
    /// The client's seat among the connections that may be open.
    pub(crate) seat: Arc<Seat>,
    /// Its place among the connections to applications that may be in use.
    pub(crate) place: Option<Place>,
}

/// Why a relay stops.
enum Parting {
    /// The session is over.
    Over(End),
    /// The gateway stops.
    Restart,
    /// One of the two left.
    Left,
}

/// The two sides and the two directions between them.
struct Relay {
    client: Socket,
    upstream: Socket,
    down: Flow,
    up: Flow,
}

impl Relay {
    /// Relays until both sides have said their last, or one breaks.
    fn poll(&mut self, guarded: &Guarded, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Relay { client, upstream, down, up } = self;
        let down = down.poll_relay(upstream, client, guarded, cx)?;
        let up = up.poll_relay(client, upstream, guarded, cx)?;
        if down.is_ready() && up.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Waits until both sides have closed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let down = self.down.poll_drain(&mut self.upstream, cx);
        let up = self.up.poll_drain(&mut self.client, cx);
        ready!(down);
        up
    }
}

impl Tunnel {
    /// Relays between the two until either leaves, the session ends or the gateway stops.
    pub(crate) async fn run(mut self, client: Upgraded, upstream: Upgraded) {
        let mut relay = Relay {
            client: TokioIo::new(client),
            upstream: TokioIo::new(upstream),
            down: Flow::new(&self.client_gate, Activity::Passive, self.framed),
            up: Flow::new(&self.upstream_gate, self.activity, self.framed),
        };
        let parting = {
            let mut over = pin!(self.guarded.permit.ended());
            let mut stopping = false;
            // The end first: what is over relays nothing more.
            poll_fn(|cx| {
                if let Poll::Ready(end) = over.as_mut().poll(cx) {
                    return Poll::Ready(Parting::Over(end));
                }
                stopping = stopping || self.turn.as_mut().poll(cx).is_ready();
                let relayed = relay.poll(&self.guarded, cx);
                if relayed.is_pending() && stopping && (relay.down.between_frames() || !self.framed) {
                    return Poll::Ready(Parting::Restart);
                }
                relayed.map(|_| Parting::Left)
            })
            .await
        };
        let (_seat, _place) = (Arc::clone(&self.seat), self.place.take());
        match parting {
            Parting::Over(end) => self.cut(end, relay).await,
            // A gate noticed the end before we did, and refused.
            _ if !self.guarded.may_pass() => {
                let end = self.guarded.permit.ended().await;
                self.cut(end, relay).await;
            }
            Parting::Restart => self.close(relay).await,
            // Closed by one of the two, or broken: what is left of it goes with us.
            Parting::Left => {}
        }
    }

    /// The gateway stops, and the session lives: both sides are told so, and the client comes back. Bytes of another protocol have
    /// no place for words, and must not look complete.
    async fn close(self, mut relay: Relay) {
        if !self.framed {
            self.client_gate.reset(None);
            self.upstream_gate.reset(None);
            return;
        }
        let code = CloseCode::SERVICE_RESTART;
        let to_application = crate::random_mask()
            .filter(|_| relay.up.between_frames())
            .map(|mask| close_frame(code, RESTART, Some(mask)));
        self.client_gate.put();
        if say(&mut relay.client, &close_frame(code, RESTART, None)).await.is_err() {
            self.client_gate.reset(None);
        }
        tell_application(&mut relay.upstream, to_application, &self.upstream_gate).await;
        let _ = timeout(CLOSE_WITHIN, poll_fn(|cx| relay.poll_drain(cx))).await;
    }

    /// Ends both sides: in words where a frame may stand and they may be said, else by a reset, and then at once.
    async fn cut(self, end: End, mut relay: Relay) {
        let reason = end.reason.code();
        let client_told = end.told
            && relay.down.between_frames()
            && self.client_gate.last_words(&self.guarded, CLOSE_HOW)
            && say(&mut relay.client, &close_frame(CloseCode::TIMEOUT, reason, None)).await.is_ok();
        let to_application = crate::random_mask()
            .filter(|_| end.told && relay.up.between_frames())
            .map(|mask| close_frame(CloseCode::TIMEOUT, reason, Some(mask)));
        if !client_told {
            self.client_gate.reset(Some(self.guarded));
            // Dropped here, the client's socket is closed, which is the reset.
            let Relay { client, mut upstream, .. } = relay;
            drop(client);
            self.afterwards.turn().await;
            self.upstream_gate.open();
            tell_application(&mut upstream, to_application, &self.upstream_gate).await;
            return;
        }
        // Of many that end together every client is told before the first application is. Until then its gate lets nothing pass.
        self.afterwards.turn().await;
        self.upstream_gate.open();
        tell_application(&mut relay.upstream, to_application, &self.upstream_gate).await;
        let _ = timeout(CLOSE_WITHIN, poll_fn(|cx| relay.poll_drain(cx))).await;
    }
}

/// Tells the application by a Close, where a frame may stand; else by a reset.
async fn tell_application(to: &mut Socket, close: Option<Bytes>, gate: &Gate) {
    let told = match close {
        Some(close) => say(to, &close).await.is_ok(),
        None => false,
    };
    if !told {
        gate.reset(None);
    }
}

/// Hands over last words, in bounded time.
async fn say(to: &mut Socket, words: &[u8]) -> io::Result<()> {
    let said = timeout(CLOSE_WITHIN, async {
        to.write_all(words).await?;
        to.flush().await
    });
    said.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
