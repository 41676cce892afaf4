//! The last gate: bytes are handed to the kernel only while their session lives.
//!
//! Between "this chunk may pass" and the kernel stand buffers: hyper's, rustls's, a slow peer's. A chunk that was let
//! through in time could leave one of them minutes after the deadline. So the question is asked once more where no buffer
//! follows but the kernel's own: in the write to the socket. [`GatedIo`] wraps the socket below TLS, and its [`Gate`] holds the permits of
//! whatever is on its way through it. Once a permit says no, the socket takes no more of it.
//!
//! The gate knows something else that a clean cut needs: whether everything passed so far has *left*. hyper and rustls
//! call `poll_flush` on the socket only when their own buffers are empty, so a flush that arrives here says so. With nothing
//! held back, last words may follow (a close frame, a final event); with something held back they would carry it along, and
//! the connection is reset instead.

use crate::socket::Socket;
use nightlatch_core::SessionId;
use nightlatch_engine::{Channel, CutNote, End, Permit};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The name of this enforcement point in the record.
pub(crate) const POINT: &str = "gateway";

/// What stands behind a gate: the permit, and how to name it if it is cut.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    pub(crate) permit: Arc<Permit>,
    pub(crate) channel: Channel,
    pub(crate) route: Arc<str>,
}

impl Guarded {
    /// Whether something of it may pass right now.
    pub(crate) fn may_pass(&self) -> bool {
        self.permit.ask().is_ok()
    }

    /// Records that it was cut just now.
    pub(crate) fn record_cut(&self, how: &str) {
        self.permit.record_cut(CutNote { channel: self.channel, route: &self.route, point: POINT, how });
    }
}

/// Decides whether a socket takes more. Shared by the socket and by whoever produces its bytes.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whose bytes may be on their way; more than one while bytes of a former one have not left.
    held: Vec<Guarded>,
    /// Nothing of ours waits above the socket.
    flushed: bool,
    /// The socket took something since bytes were last announced: until then a flush says nothing about them.
    wrote: bool,
    /// The holder has nothing more to send; forgotten at the next flush.
    released: bool,
    /// The cut that is complete when the next flush arrives, and its words.
    last_words: Option<(Guarded, &'static str)>,
    /// The socket takes nothing any more and is to be reset; what was cut by it, if that is to be recorded.
    reset: Option<Option<Guarded>>,
    /// What is cut by a reset is recorded elsewhere: where the client is told, or where it is known what stood on the connection.
    recorded_elsewhere: bool,
}

impl Gate {
    /// From now on bytes pass for this session only.
    pub(crate) fn hold(&self, guarded: Guarded) {
        let mut state = self.state();
        if state.flushed {
            state.held.clear();
        }
        state.held.push(guarded);
        state.announce();
        state.released = false;
    }

    /// Until all that is on its way now has left, bytes pass only while this session lives too.
    pub(crate) fn hold_one_of_many(&self, guarded: &Guarded) {
        let mut state = self.state();
        if state.held.iter().any(|held| Arc::ptr_eq(&held.permit, &guarded.permit)) {
            return;
        }
        state.held.push(guarded.clone());
        state.announce();
        state.released = true;
    }

    /// What is cut by a reset of this socket is recorded by somebody else.
    pub(crate) fn leave_recording(&self) {
        self.state().recorded_elsewhere = true;
    }

    /// Whether the socket takes nothing any more and will be reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.state().reset.is_some()
    }

    /// What was held is complete: once it has left, the gate is open.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.released = true;
        if state.flushed {
            state.held.clear();
        }
    }

    /// More bytes are about to be put on their way.
    pub(crate) fn put(&self) {
        self.state().announce();
    }

    /// Whether the socket took anything since bytes were last announced, or is about to.
    pub(crate) fn wrote(&self) -> bool {
        self.state().wrote
    }

    /// Opens the gate for last words, if nothing is held back that they would carry along. The cut is recorded when
    /// they have left.
    pub(crate) fn last_words(&self, guarded: &Guarded, how: &'static str) -> bool {
        let mut state = self.state();
        if !state.flushed || state.reset.is_some() {
            return false;
        }
        state.held.clear();
        state.announce();
        state.last_words = Some((guarded.clone(), how));
        true
    }

    /// The next thing to leave is the answer that says so: that cut is recorded when it has left.
    pub(crate) fn record_when_left(&self, guarded: Guarded, how: &'static str) {
        let mut state = self.state();
        state.announce();
        state.last_words = Some((guarded, how));
    }

    /// Opens the gate for words of our own.
    pub(crate) fn open(&self) {
        self.state().held.clear();
    }

    /// The socket takes nothing any more and will be reset when it is dropped; that cut is recorded then.
    pub(crate) fn reset(&self, cut: Option<Guarded>) {
        self.state().reset.get_or_insert(cut);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the socket may take bytes now.
    fn ask(&self) -> io::Result<()> {
        let mut state = self.state();
        state.ask()?;
        state.wrote = true;
        Ok(())
    }

    /// Whether the socket may be told that this was all. It says so of what is on its way, and where a body ends with the connection
    /// it is the last of it; so it is asked for like a byte.
    fn ask_to_end(&self) -> io::Result<()> {
        self.state().ask()
    }

    fn left(&self) {
        let mut state = self.state();
        if !state.wrote {
            return;
        }
        state.flushed = true;
        if state.released {
            state.held.clear();
        } else if state.held.len() > 1 {
            let older = state.held.len() - 1;
            state.held.drain(..older);
        }
        if let Some((guarded, how)) = state.last_words.take() {
            drop(state);
            guarded.record_cut(how);
        }
    }
}

impl State {
    /// Whether all that is on its way may go on. If not, the socket will be reset.
    fn ask(&mut self) -> io::Result<()> {
        if self.reset.is_some() {
            return Err(over_error());
        }
        let Some(refused) = self.held.iter().find(|guarded| !guarded.may_pass()).cloned() else {
            return Ok(());
        };
        self.reset = Some((!self.recorded_elsewhere).then_some(refused));
        Err(over_error())
    }

    fn announce(&mut self) {
        self.flushed = false;
        self.wrote = false;
    }
}

fn over_error() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the session is over")
}

/// A socket behind a gate.
pub(crate) struct GatedIo {
    socket: Socket,
    gate: Arc<Gate>,
    /// Watches the sessions of a peer that takes nothing: nobody asks for more bytes then, so nobody else would notice their end.
    over: Vec<(SessionId, Over)>,
}

/// Completes when a session is over and that may be told.
pub(crate) type Over = Pin<Box<dyn Future<Output = End> + Send + Sync>>;

impl GatedIo {
    /// A socket with a gate that is open.
    pub(crate) fn new(socket: Socket) -> (GatedIo, Arc<Gate>) {
        let gate = Arc::<Gate>::default();
        (GatedIo { socket, gate: Arc::clone(&gate), over: Vec::new() }, gate)
    }

    /// The same for a connection to an application.
    pub(crate) fn towards_application(socket: Socket) -> (GatedIo, Arc<Gate>) {
        let (io, gate) = GatedIo::new(socket);
        gate.leave_recording();
        (io, gate)
    }

    /// After a write: if the peer took nothing, an end of what it was for wakes us as well as its appetite does.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.over.clear();
            return written;
        }
        let held: Vec<Arc<Permit>> =
            self.gate.state().held.iter().map(|guarded| Arc::clone(&guarded.permit)).collect();
        for permit in held {
            let session = permit.session().facts.id;
            if self.over.iter().all(|(watched, _)| *watched != session) {
                self.over.push((session, ended(&permit)));
            }
        }
        if !self.over.iter_mut().any(|(_, over)| over.as_mut().poll(cx).is_ready()) {
            return Poll::Pending;
        }
        self.over.clear();
        Poll::Ready(self.gate.ask().and(Err(over_error())))
    }
}

impl AsyncRead for GatedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for GatedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.gate.ask()?;
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gate.ask()?;
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gate.left();
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.ask_to_end().is_err() {
            // A FIN would make what was cut look complete.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// A socket that is to be reset goes with a RST; that is the cut. Whoever still knows the gate holds nobody's permit by it.
impl Drop for GatedIo {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.held.clear();
        let cut = state.reset.take();
        drop(state);
        let Some(cut) = cut else { return };
        self.socket.abandon();
        if let Some(guarded) = cut {
            guarded.record_cut("reset");
        }
    }
}

/// Completes when the session is over and that may be told; holds its permit.
pub(crate) fn ended(permit: &Arc<Permit>) -> Over {
    let permit = Arc::clone(permit);
    Box::pin(async move { permit.ended().await })
}

#[cfg(test)]
pub(crate) mod tests;
