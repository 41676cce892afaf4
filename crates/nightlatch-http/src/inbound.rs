//! A body as it comes in, from a client or from an application, over either protocol.

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// What is wrong with what the other side sent, or how it broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundError {
    /// Over HTTP/1.
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    /// Over HTTP/2.
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl InboundError {
    /// Whether the other side went away, rather than saying what is not HTTP.
    pub(crate) fn is_broken_off(&self) -> bool {
        match self {
            InboundError::Http1(error) => !error.is_parse() && !error.is_user(),
            InboundError::Http2(error) => {
                error.is_io() || error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)
            }
        }
    }
}

/// The body of a request or an answer, as it comes.
pub(crate) enum Inbound {
    /// Over HTTP/1.
    Http1(Incoming),
    /// Over HTTP/2.
    Http2(Stream),
}

/// A body that comes as a stream of HTTP/2. The other side may send more as this is read, and not before.
pub(crate) struct Stream {
    receive: RecvStream,
    /// Bytes still to come, if that was said.
    expected: Option<u64>,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Data,
    Trailers,
    Done,
}

impl Inbound {
    /// The body that follows these fields on a stream.
    pub(crate) fn stream(headers: &HeaderMap, receive: RecvStream) -> Inbound {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let expected = if receive.is_end_stream() { Some(0) } else { length };
        Inbound::Http2(Stream { receive, expected, state: Reading::Data })
    }
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if self.state == Reading::Data {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Whoever reads on has room for it.
                    let _ = self.receive.flow_control().release_capacity(data.len());
                    self.expected = self.expected.map(|expected| expected.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    self.state = Reading::Done;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.state = Reading::Trailers,
            }
        }
        if self.state == Reading::Done {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.receive.poll_trailers(cx)).transpose();
        self.state = Reading::Done;
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = InboundError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        match &mut *self {
            Inbound::Http1(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Inbound::Http2(stream) => {
                stream.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Inbound::Http1(body) => body.is_end_stream(),
            Inbound::Http2(stream) => stream.state == Reading::Done || stream.receive.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Inbound::Http1(body) => body.size_hint(),
            Inbound::Http2(stream) => stream.expected.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
