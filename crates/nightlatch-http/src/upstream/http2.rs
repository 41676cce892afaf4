//! HTTP/2 to an application: at any time a connection carries the streams of one session only.
//!
//! An application, or whatever stands before it, may answer a burst of resets by closing the connection, and a socket in the middle of
//! a frame can be cut only by closing it. Were many sessions on it, the end of one would break off what others are doing. So a connection
//! belongs to one session for as long as it has a stream, and to nobody after that: then another may have it.
//!
//! A stream that is given up is reset. A connection that has seen [`RESETS_MOST`] of them takes no more requests, and closes with its last
//! stream, before the other side counts too many.

use super::{Sent, UpBody, UpstreamError, lock, room::Place};
use crate::{
    gate::{Gate, GatedIo, Guarded},
    http2::{
        followed::Followed,
        outgoing::{Outgoing, StreamOut},
        pump::Pump,
    },
    inbound::Inbound,
    limits::Limits,
    outlet::Outlet,
    upload::Progress,
};
use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{Builder, SendRequest},
};
use http::{
    Request, Response, Uri,
    header::{CONNECTION, HOST, TRANSFER_ENCODING},
    uri::{Authority, Scheme},
};
use http_body::Body;
use nightlatch_core::SessionId;
use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::oneshot, task::AbortHandle};

/// Streams at once on one connection.
const STREAMS_MOST: usize = 32;
/// Resets that one connection sends before it takes no more requests.
const RESETS_MOST: usize = 16;
/// What frames of a few bytes may cost before the connection is closed for it, beyond their bytes. Wide: an application of many small
/// messages and a client that is slow to take them are no attack.
const SMALL_FRAMES: usize = 16 << 20;
/// Bytes of one stream that `h2` may hold.
const SEND_BUFFER: usize = 64 * 1024;

/// The connections to one application.
pub(super) struct Pool {
    slots: Mutex<Vec<Slot>>,
    /// How many are kept that carry nothing.
    idle_most: usize,
}

/// A connection, and who has it.
struct Slot {
    line: Arc<Line>,
    /// Whose streams it carries: a session's, or those of public routes (none).
    owner: Option<SessionId>,
    streams: usize,
    resets: usize,
    /// Held while it carries something.
    place: Option<Place>,
}

struct Line {
    write_within: Duration,
    send: SendRequest<Bytes>,
    outgoing: Arc<Outgoing>,
    task: AbortHandle,
}

/// The use of a connection for one exchange. Dropping it resets the stream; [`Use::complete`] does not.
pub(super) struct Use {
    pool: Arc<Pool>,
    line: Arc<Line>,
    stream: Option<Stream>,
}

/// A request's way in, once it has begun.
struct Stream {
    out: Arc<StreamOut>,
    way: Way,
}

/// Who can still reset it.
enum Way {
    /// The request is whole.
    Whole(SendStream<Bytes>),
    /// A task that sends its body, and is told when both sides have said everything. If it never hears of that, it resets.
    Uploading(oneshot::Sender<()>),
}

impl Pool {
    /// Of an application; so many connections are kept that carry nothing.
    pub(super) fn new(idle_most: usize) -> Pool {
        Pool { slots: Mutex::default(), idle_most }
    }

    /// One more stream on a connection that carries this session's, if there is one.
    pub(super) fn join(self: &Arc<Self>, owner: Option<SessionId>) -> Option<Use> {
        let mut slots = self.usable();
        let own =
            slots.iter_mut().find(|slot| slot.streams > 0 && slot.owner == owner && slot.is_usable())?;
        own.streams += 1;
        Some(self.of(&own.line))
    }

    /// A connection that carries nothing, if there is one; else the place comes back.
    pub(super) fn take_over(self: &Arc<Self>, owner: Option<SessionId>, place: Place) -> Result<Use, Place> {
        let mut slots = self.usable();
        let free = slots.iter_mut().rfind(|slot| slot.streams == 0 && slot.is_usable());
        let Some(free) = free else { return Err(place) };
        (free.owner, free.streams, free.place) = (owner, 1, Some(place));
        Ok(self.of(&free.line))
    }

    /// Those that are still open.
    fn usable(&self) -> MutexGuard<'_, Vec<Slot>> {
        let mut slots = lock(&self.slots);
        slots.retain(|slot| !slot.line.task.is_finished());
        slots
    }

    /// Enters a new connection, and uses it.
    pub(super) async fn begin(
        self: &Arc<Self>,
        (io, gate): (GatedIo, Arc<Gate>),
        owner: Option<SessionId>,
        place: Place,
        limits: &Limits,
    ) -> Result<Use, h2::Error> {
        let outgoing = Outgoing::to_application(gate);
        let io = Followed::client(io, Arc::clone(&outgoing));
        let (send, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(limits.http2.stream_window)
            .initial_connection_window_size(limits.http2.connection_window)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(SMALL_FRAMES)
            .handshake::<_, Bytes>(io)
            .await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an application ended");
            }
        });
        let line =
            Arc::new(Line { write_within: limits.write_within, send, outgoing, task: task.abort_handle() });
        let place = Some(place);
        lock(&self.slots).push(Slot { line: Arc::clone(&line), owner, streams: 1, resets: 0, place });
        Ok(self.of(&line))
    }

    fn of(self: &Arc<Self>, line: &Arc<Line>) -> Use {
        Use { pool: Arc::clone(self), line: Arc::clone(line), stream: None }
    }

    /// An exchange is over. Nobody has the connection once it carries no other.
    fn done(&self, line: &Arc<Line>, reset: bool) {
        let mut slots = lock(&self.slots);
        let Some(at) = slots.iter().position(|slot| Arc::ptr_eq(&slot.line, line)) else { return };
        let Some(slot) = slots.get_mut(at) else { return };
        slot.streams -= 1;
        slot.resets += usize::from(reset);
        if slot.streams > 0 {
            return;
        }
        drop(slot.place.take());
        let is_spent = slot.resets >= RESETS_MOST;
        let idle = slots.iter().filter(|slot| slot.streams == 0).count();
        if is_spent || idle > self.idle_most {
            // With the last of its handles the connection says goodbye and closes.
            slots.swap_remove(at);
        }
    }
}

impl Slot {
    /// Whether it takes one more request.
    fn is_usable(&self) -> bool {
        let room = self.streams < STREAMS_MOST.min(self.line.send.current_max_send_streams());
        room && self.resets < RESETS_MOST
    }
}

impl Use {
    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<UpBody>,
        guarded: Option<&Guarded>,
        progress: &Progress,
        failed: impl FnOnce(h2::Error) -> UpstreamError,
    ) -> Sent {
        // Its turn, as far as the other side limits how many there may be.
        let Ok(mut send) = self.line.send.clone().ready().await else {
            self.retire();
            return Sent::Returned(request);
        };
        if guarded.is_some_and(|guarded| !guarded.may_pass()) {
            // Nothing more passes. Who waits for the end will cut.
            return pending().await;
        }
        let (head, body) = request.into_parts();
        let ends = body.is_end_stream();
        let entered = self.line.outgoing.enter(guarded.cloned(), || {
            let (answering, stream) = send.send_request(as_http2(head), ends)?;
            Ok((stream.stream_id().as_u32(), (answering, stream)))
        });
        let (out, (answering, stream)) = match entered {
            Ok(entered) => entered,
            Err(error) => return Sent::Failed(failed(error)),
        };
        let out = Arc::new(out);
        progress.through(Outlet::Stream(Arc::clone(&out)));
        let way = if ends {
            Way::Whole(stream)
        } else {
            let (done, hears) = oneshot::channel();
            let within = self.line.write_within;
            tokio::spawn(upload((stream, Arc::clone(&out)), guarded.cloned(), body, within, hears));
            Way::Uploading(done)
        };
        self.stream = Some(Stream { out, way });
        match answering.await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = Inbound::stream(&head.headers, body);
                Sent::Answered(Response::from_parts(head, body))
            }
            Err(error) => Sent::Failed(failed(error)),
        }
    }

    /// Both sides have said everything.
    pub(super) fn complete(mut self) {
        if self.stream.as_ref().is_some_and(|stream| stream.out.may_be_whole())
            && let Some(stream) = self.stream.take()
            && let Way::Uploading(done) = stream.way
        {
            let _ = done.send(());
        }
    }

    /// It takes no more requests.
    pub(super) fn retire(&self) {
        let mut slots = lock(&self.pool.slots);
        if let Some(slot) = slots.iter_mut().find(|slot| Arc::ptr_eq(&slot.line, &self.line)) {
            slot.resets = RESETS_MOST;
        }
    }
}

/// Given up: the stream is reset, together with whatever of it was on its way.
impl Drop for Use {
    fn drop(&mut self) {
        let given_up = self.stream.take();
        let reset = given_up.is_some();
        if let Some(Stream { out, way: Way::Whole(mut stream) }) = given_up {
            out.resets();
            stream.send_reset(Reason::CANCEL);
        }
        self.pool.done(&self.line, reset);
    }
}

/// Sends a body, and then waits until the answer is whole too.
async fn upload(
    (mut stream, out): (SendStream<Bytes>, Arc<StreamOut>),
    guarded: Option<Guarded>,
    body: UpBody,
    within: Duration,
    mut hears: oneshot::Receiver<()>,
) {
    let permit = guarded.as_ref().map(|guarded| &guarded.permit);
    let pump = Pump { stream: &mut stream, out: &out, permit, within, broken: Reason::CANCEL };
    let given_up = tokio::select! {
        heard = &mut hears => heard.is_err(),
        _ = pump.run(body) => hears.await.is_err(),
    };
    if given_up {
        out.resets();
        stream.send_reset(Reason::CANCEL);
    }
}

/// A request as HTTP/2 wants it: the host in its target, nothing about a connection (RFC 9113 sections 8.3.1 and 8.2.2).
fn as_http2(mut head: http::request::Parts) -> Request<()> {
    let authority = head.headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let mut target = head.uri.into_parts();
    target.scheme = Some(Scheme::HTTP);
    target.authority = authority;
    // Without an authority it is none, and `h2` says so.
    head.uri = Uri::from_parts(target).unwrap_or_default();
    head.version = http::Version::HTTP_2;
    Request::from_parts(head, ())
}
