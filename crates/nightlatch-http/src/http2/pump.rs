//! A body on its way into a stream, in either direction: no further than the windows have been opened.
//!
//! Whatever is handed to `h2` is sent whenever the other side opens its window, perhaps long after the deadline. So it is handed no more
//! than has been granted, in frames, and asked for just before. What waits for a window waits here, for its session's end as well.

use super::outgoing::StreamOut;
use crate::gate::{Over, ended};
use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use http_body_util::BodyExt;
use nightlatch_engine::Permit;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::timeout;

/// The largest piece handed over at once: a frame of the size that everybody takes (RFC 9113 section 4.2).
const PIECE: usize = 16 * 1024;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// To the end.
    Whole,
    /// The other side wants no more of it.
    Refused,
    /// Nobody took it: the stream was reset by us.
    TookNothing,
    /// Its session ended, or its source broke off: the stream was reset by us.
    Reset,
}

/// A stream that a body goes into.
pub(crate) struct Pump<'a> {
    pub(crate) stream: &'a mut SendStream<Bytes>,
    pub(crate) out: &'a StreamOut,
    /// Asked for every piece; none where nobody is signed in.
    pub(crate) permit: Option<&'a Arc<Permit>>,
    /// How long the other side may take nothing.
    pub(crate) within: Duration,
    /// What to say if the source breaks off.
    pub(crate) broken: Reason,
}

/// How long the other side may take for words about an end.
const WORDS_WITHIN: Duration = Duration::from_secs(1);

/// Why a piece does not pass.
enum Stop {
    Over,
    Broken,
    Refused,
    Slow,
}

impl Pump<'_> {
    /// Sends all of it. If that does not come to its end, the stream is reset.
    pub(crate) async fn run<B>(mut self, mut body: B) -> Pumped
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let stopped = loop {
            // A body that belongs to a session ends with it, so it is waited for without looking at the clock; but the other side may
            // lose interest.
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = refused(self.stream) => break Stop::Refused,
            };
            let sent = match frame {
                None => self.end(),
                Some(Err(_)) => break Stop::Broken,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let last = body.is_end_stream();
                        self.data(data, last).await
                    }
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => self.trailers(trailers),
                        Err(_) => Ok(false),
                    },
                },
            };
            match sent {
                Ok(false) => {}
                Ok(true) => return Pumped::Whole,
                Err(stop) => break stop,
            }
        };
        self.stop(stopped).await
    }

    /// A chunk, and with the last one the end: true if that was it.
    async fn data(&mut self, mut data: Bytes, last: bool) -> Result<bool, Stop> {
        if data.is_empty() && last {
            return self.end();
        }
        let mut over = self.permit.filter(|_| !self.out.speaks()).map(ended);
        while !data.is_empty() {
            let room = self.room(data.len().min(PIECE), &mut over).await?;
            self.ask()?;
            let piece = data.split_to(room.min(data.len()));
            let last = last && data.is_empty();
            self.out.queue(piece.len());
            if last {
                self.out.finish();
            }
            self.stream.send_data(piece, last).map_err(|_| self.refused())?;
            if last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn trailers(&mut self, trailers: http::HeaderMap) -> Result<bool, Stop> {
        self.ask()?;
        self.out.queue(1);
        self.out.finish();
        self.stream.send_trailers(trailers).map_err(|_| self.refused())?;
        Ok(true)
    }

    fn end(&mut self) -> Result<bool, Stop> {
        self.ask()?;
        self.out.finish();
        self.stream.send_data(Bytes::new(), true).map_err(|_| self.refused())?;
        Ok(true)
    }

    /// The other side has reset the stream.
    fn refused(&self) -> Stop {
        self.out.not_finished();
        Stop::Refused
    }

    /// Whether it may pass right now. Words about an end may.
    fn ask(&self) -> Result<(), Stop> {
        match self.permit {
            Some(permit) if !self.out.speaks() && permit.ask().is_err() => Err(Stop::Over),
            _ => Ok(()),
        }
    }

    /// Waits until both windows have room for something of this size, or less.
    async fn room(&mut self, wanted: usize, over: &mut Option<Over>) -> Result<usize, Stop> {
        self.stream.reserve_capacity(wanted);
        let stream = &mut *self.stream;
        let waiting = poll_fn(|cx| {
            if let Some(over) = over
                && over.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Err(Stop::Over));
            }
            poll_room(stream, cx)
        });
        let within = if self.out.speaks() { WORDS_WITHIN } else { self.within };
        timeout(within, waiting).await.unwrap_or(Err(Stop::Slow))
    }

    async fn stop(self, stop: Stop) -> Pumped {
        if let Stop::Refused = stop {
            return Pumped::Refused;
        }
        let over = self.permit.filter(|permit| permit.ask().is_err());
        let is_slow = matches!(stop, Stop::Slow) && over.is_none();
        let reason = match stop {
            Stop::Broken if over.is_none() => self.broken,
            // Clients take it for an end, and not for an invitation to try again.
            _ => Reason::CANCEL,
        };
        if let Some(permit) = over {
            // Not told before it may be.
            permit.ended().await;
        }
        self.out.resets();
        self.stream.send_reset(reason);
        if is_slow { Pumped::TookNothing } else { Pumped::Reset }
    }
}

fn poll_room(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<usize, Stop>> {
    if stream.poll_reset(cx).is_ready() {
        return Poll::Ready(Err(Stop::Refused));
    }
    let room = stream.capacity();
    if room > 0 {
        return Poll::Ready(Ok(room));
    }
    match ready!(stream.poll_capacity(cx)) {
        Some(Ok(room)) => Poll::Ready(Ok(room)),
        Some(Err(_)) | None => Poll::Ready(Err(Stop::Refused)),
    }
}

/// Completes when the other side resets the stream, or its connection is gone.
async fn refused(stream: &mut SendStream<Bytes>) {
    let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
}
