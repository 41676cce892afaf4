//! HTTP/2 on an accepted connection.
//!
//! One task drives a connection and all that happens on its streams, so that nothing of it outlives it: when the client goes, every
//! exchange of its goes, and what it holds of applications. An end of a session resets that session's streams and leaves the others
//! alone; the connection never hears of it (no GOAWAY).

use crate::{
    answer::Answer,
    gateway::Gateway,
    http2::{
        followed::Followed,
        outgoing::{Outgoing, StreamOut},
        pump::{Pump, Pumped},
    },
    inbound::Inbound,
    outlet::Outlet,
    road::Peer,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use h2::{Reason, RecvStream, server::SendResponse};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST},
};
use http_body::Body as _;
use std::{future::poll_fn, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep, timeout},
};

/// Streams that a client may have open at once on one connection.
const STREAMS_MOST: u32 = 100;
/// Bytes that a client may send ahead on one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes that a client may send ahead on one connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long a client may take nothing of a stream.
const WRITE_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of one stream that `h2` may hold.
const SEND_BUFFER: usize = 64 * 1024;

/// What a client's connection is to each of its streams.
struct Line {
    gateway: Arc<Gateway>,
    address: IpAddr,
    secure: bool,
    seat: Arc<OwnedSemaphorePermit>,
    outgoing: Arc<Outgoing>,
}

impl Gateway {
    /// Speaks HTTP/2 on this connection until either side has had enough, or `stop` says so and what is open has finished.
    pub(crate) async fn http2<I>(
        self: Arc<Self>,
        io: I,
        peer: Peer,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.limits;
        let Some(gate) = peer.outlet.connection() else { return Ok(()) };
        let outgoing = Outgoing::to_client(Arc::clone(gate));
        let io = Followed::server(io, Arc::clone(&outgoing));
        let Peer { address, secure, seat, .. } = peer;
        let line = Arc::new(Line { gateway: Arc::clone(&self), address, secure, seat, outgoing });
        let mut settings = h2::server::Builder::new();
        settings
            .max_concurrent_streams(STREAMS_MOST)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER);
        let handshake = timeout(limits.handshake_within, settings.handshake::<_, Bytes>(io));
        let mut connection = handshake.await?.map_err(io::Error::other)?;
        let mut streams = FuturesUnordered::new();
        let mut stopping = false;
        let mut quiet = pin!(sleep(limits.head_within));
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(io::Error::other(error)),
                    Some(Ok((request, respond))) => streams.push(Arc::clone(&line).stream(request, respond)),
                },
                Some(()) = streams.next() => {
                    if streams.is_empty() {
                        quiet.set(sleep(if stopping { Duration::ZERO } else { limits.head_within }));
                    }
                }
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    connection.graceful_shutdown();
                    quiet.set(sleep(limits.drain_within));
                }
                () = &mut quiet, if stopping || streams.is_empty() => {
                    if stopping {
                        return Ok(());
                    }
                    // It has had nothing to ask for long enough. It is told, and closed.
                    stopping = true;
                    connection.graceful_shutdown();
                    quiet.set(sleep(limits.drain_within));
                }
            }
        }
    }
}

impl Line {
    /// One request and its answer.
    async fn stream(self: Arc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let id = respond.stream_id().as_u32();
        let Ok((out, ())) = self.outgoing.enter(None, || Ok::<_, h2::Error>((id, ()))) else { return };
        let out = Arc::new(out);
        let outlet = Outlet::Stream(Arc::clone(&out));
        let peer = Peer { address: self.address, secure: self.secure, outlet, seat: Arc::clone(&self.seat) };
        let only_head = request.method() == Method::HEAD;
        let request = one_reading(request);
        let answer = tokio::select! {
            answer = self.gateway.handle(request, &peer) => answer,
            // The client wants it no longer: whatever was done for it goes with it.
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
        };
        self.answer(answer, only_head, respond, &out).await;
    }

    async fn answer(
        &self,
        answer: Answer,
        only_head: bool,
        mut respond: SendResponse<Bytes>,
        out: &StreamOut,
    ) {
        let (mut head, body) = answer.into_parts();
        let length = body.size_hint().exact().filter(|_| !only_head);
        finish_head(&mut head.headers, length);
        let ends = only_head || body.is_end_stream();
        let permit = out.permit();
        if let Some(permit) = &permit
            && permit.ask().is_err()
        {
            permit.ended().await;
            out.resets();
            respond.send_reset(Reason::CANCEL);
            return;
        }
        out.queue(1);
        if ends {
            out.finish();
        }
        let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), ends) else { return };
        if ends {
            return;
        }
        let within = WRITE_WITHIN;
        let pump = Pump {
            stream: &mut stream,
            out,
            permit: permit.as_ref(),
            within,
            broken: Reason::INTERNAL_ERROR,
        };
        let _: Pumped = pump.run(body).await;
    }
}

/// A request as the rest of the gateway reads it: its host in `Host`, its cookies in one field (RFC 9113 section 8.2.3).
fn one_reading(request: Request<RecvStream>) -> Request<Inbound> {
    let (mut head, body) = request.into_parts();
    if !head.headers.contains_key(HOST)
        && let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::try_from(authority.as_str())
    {
        head.headers.insert(HOST, host);
    }
    join_cookies(&mut head.headers);
    let body = Inbound::stream(&head.headers, body);
    Request::from_parts(head, body)
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// The fields of an answer as HTTP/2 wants them: nothing about a connection (RFC 9113 section 8.2.2), and its length if it is known.
fn finish_head(headers: &mut HeaderMap, length: Option<u64>) {
    headers.remove(CONNECTION);
    if let Some(length) = length
        && length > 0
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}
