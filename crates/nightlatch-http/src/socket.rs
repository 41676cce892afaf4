//! A connection as the kernel has it: TCP or a Unix socket, and what every one of ours is set to.
//!
//! Two things are seen to here, because nothing above knows them. *Little waits in the kernel*: what a socket has taken is out of our
//! hands, so `TCP_NOTSENT_LOWAT` keeps what has not been sent yet to [`UNSENT`] bytes, and with it what could travel after a deadline,
//! and what ten thousand slow readers can make us hold. *Nobody is waited for without end*: a peer that takes nothing for
//! [`crate::Limits::write_within`] is given up, whether its window is shut (we notice) or it no longer acknowledges what the kernel took
//! (`TCP_USER_TIMEOUT`; the kernel notices).
//!
//! A Unix socket has neither option and knows no reset: its peer is on this machine, sees the end of the stream, and tells a cut
//! answer from a whole one by its length or its missing last chunk.

use bytes::Bytes;
use socket2::SockRef;
use std::{
    io::{self, IoSlice},
    path::Path,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Sleep, sleep},
};

/// Bytes that may wait unsent in the kernel, a connection: enough to keep a fast line busy between two wake-ups, and no more.
const UNSENT: u32 = 64 * 1024;

/// A connection of either kind, with the time its peer has to take something.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    write_within: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// It goes with a reset.
    abandoned: bool,
    /// What was read too early, and is to be read first.
    ahead: Bytes,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// A TCP connection, accepted or made.
    #[must_use]
    pub fn tcp(tcp: TcpStream, write_within: Duration) -> Socket {
        // Small writes are the rule here (frames, events), and a write held back by Nagle would be one that has "left". A socket that
        // takes none of these is closing already, and its next read says so.
        let _ = tcp.set_nodelay(true);
        let options = SockRef::from(&tcp);
        let _ = options.set_tcp_notsent_lowat(UNSENT);
        let _ = options.set_tcp_user_timeout(Some(write_within));
        Socket::of(Stream::Tcp(tcp), write_within)
    }

    /// A connection over a Unix socket.
    #[must_use]
    pub fn unix(unix: UnixStream, write_within: Duration) -> Socket {
        Socket::of(Stream::Unix(unix), write_within)
    }

    fn of(stream: Stream, write_within: Duration) -> Socket {
        Socket { stream, write_within, stalled: None, abandoned: false, ahead: Bytes::new() }
    }

    /// What was read too early is read again.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>) {
        self.ahead = bytes.into();
    }

    /// Connects to `host:port`, or to `unix:` and the path of a socket.
    pub(crate) async fn connect(to: &str, write_within: Duration) -> io::Result<Socket> {
        match to.strip_prefix("unix:") {
            Some(path) => Ok(Socket::unix(UnixStream::connect(Path::new(path)).await?, write_within)),
            None => Ok(Socket::tcp(TcpStream::connect(to).await?, write_within)),
        }
    }

    /// When this is dropped the peer gets a reset, and what it has not read is thrown away.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// After a write: a peer that takes nothing is given up in time.
    fn patience(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let within = self.write_within;
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(within))).as_mut().poll(cx));
        self.abandoned = true;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let now = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(now));
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
        };
        self.patience(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
        };
        self.patience(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket holds nothing back: what it has taken is with the kernel.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let (true, Stream::Tcp(tcp)) = (self.abandoned, &self.stream) {
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }
}
