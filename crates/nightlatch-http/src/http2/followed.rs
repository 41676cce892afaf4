//! The way down from `h2` to the socket, followed frame by frame.

use super::{
    frames::{Frames, RST_STREAM},
    outgoing::Outgoing,
};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What `h2` reads from and writes to. Whose bytes are about to go down is known before they do; that all of them have left is known
/// when a flush has come through, because `h2` flushes only what it has written, and TLS only when it holds nothing back.
pub(crate) struct Followed<I> {
    io: I,
    outgoing: Arc<Outgoing>,
    frames: Frames,
    /// Bytes that were announced and not taken. `h2` offers them again, first of all.
    announced: usize,
    /// What comes from a client.
    incoming: Option<Incoming>,
}

/// The way up, followed.
struct Incoming {
    frames: Frames,
    /// Streams that were reset with what was read last, in order.
    resets: Vec<u32>,
}

impl Incoming {
    /// Tells the resets that `h2` has understood by now: it reads on when it has understood all frames that are complete.
    fn understood(&mut self, tell: impl FnMut(u32)) {
        let complete = self.resets.len().saturating_sub(usize::from(self.frames.is_within_one()));
        self.resets.drain(..complete).for_each(tell);
    }

    /// Takes what was read. How many frames about the connection begin in it?
    fn read(&mut self, bytes: &[u8]) -> u32 {
        let Incoming { frames, resets } = self;
        let mut control = 0;
        frames.follow(bytes, |head| {
            control += u32::from(!head.carries());
            resets.extend((head.kind == RST_STREAM).then_some(head.stream));
        });
        control
    }
}

impl<I> Followed<I> {
    /// Follows what a server writes.
    pub(crate) fn server(io: I, outgoing: Arc<Outgoing>) -> Followed<I> {
        let incoming = Some(Incoming { frames: Frames::of_client(), resets: Vec::new() });
        Followed { io, outgoing, frames: Frames::default(), announced: 0, incoming }
    }

    /// Follows what a client writes.
    pub(crate) fn client(io: I, outgoing: Arc<Outgoing>) -> Followed<I> {
        Followed { io, outgoing, frames: Frames::of_client(), announced: 0, incoming: None }
    }

    /// Announces every frame that begins in what is new of these bytes, taken or not: what `h2` has begun to write stays on its way.
    fn announce(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let (mut known, mut may_pass) = (self.announced, true);
        for piece in pieces {
            let new = piece.get(known..).unwrap_or_default();
            known = known.saturating_sub(piece.len());
            self.announced += new.len();
            self.frames.follow(new, |head| may_pass &= self.outgoing.passes(head));
        }
        if may_pass {
            return Ok(());
        }
        self.outgoing.reset();
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "a frame of nobody's"))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Followed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(incoming) = &mut this.incoming {
            incoming.understood(|stream| this.outgoing.given_up(stream));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(Ok(())) };
        let read = buf.filled().get(before..).unwrap_or_default();
        if this.outgoing.takes_control(incoming.read(read)) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many frames about the connection")))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Followed<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.announce(pieces)?;
        let taken = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, pieces))?;
        self.announced -= taken;
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if self.announced == 0 {
            self.outgoing.left();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What was cut by closing is recorded as it happens: the socket goes with us.
impl<I> Drop for Followed<I> {
    fn drop(&mut self) {
        self.outgoing.closes();
    }
}
