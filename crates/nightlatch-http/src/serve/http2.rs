//! HTTP/2 on an accepted connection.
//!
//! One task drives a connection and all that happens on its streams, so that nothing of it outlives it: when the client goes, every
//! exchange of its goes, and what it holds of applications. An end of a session resets that session's streams and leaves the others
//! alone; the connection never hears of it (no GOAWAY).

use crate::{
    alarm::Alarms,
    answer::{Answer, NeedsHttp1},
    failures::CutOff,
    gateway::Gateway,
    http2::{
        followed::Followed,
        outgoing::{Outgoing, StreamOut},
        pump::{Pump, Pumped},
    },
    inbound::Inbound,
    limits::Limits,
    outlet::Outlet,
    road::Peer,
    seat::Seat,
    stopping::Stopping,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use h2::{
    Reason, RecvStream,
    server::{Connection, SendResponse},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST},
};
use http_body::Body as _;
use std::{future::poll_fn, io, net::IpAddr, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{interval, sleep, timeout},
};

/// For how long a client's frames about the connection are counted together.
const CONTROL_PERIOD: Duration = Duration::from_secs(10);
/// What frames of a few bytes may cost before the connection is closed for it, beyond their bytes: 16,000 messages of a call that its
/// application is slow to read.
const SMALL_FRAMES: usize = 4 << 20;
/// How long the last frames of a connection may take: less than whoever stops the gateway waits.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);
/// Bytes of one stream that `h2` may hold.
const SEND_BUFFER: usize = 64 * 1024;

/// What a client's connection is to each of its streams.
struct Line {
    gateway: Arc<Gateway>,
    address: IpAddr,
    secure: bool,
    alarms: Alarms,
    seat: Arc<Seat>,
    outgoing: Arc<Outgoing>,
}

impl Gateway {
    /// Speaks HTTP/2 on this connection until either side has had enough, or `stop` says so and what is open has finished.
    pub(crate) async fn http2<I>(
        self: Arc<Self>,
        io: I,
        peer: Peer,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.limits;
        let Some(gate) = peer.outlet.connection() else { return Ok(()) };
        let outgoing = Outgoing::to_client(Arc::clone(gate), limits.http2.control_frames);
        let io = Followed::server(io, Arc::clone(&outgoing));
        let Peer { address, secure, alarms, seat, .. } = peer;
        let line = Arc::new(Line { gateway: Arc::clone(&self), address, secure, alarms, seat, outgoing });
        let handshake = timeout(limits.handshake_within, settings(&limits).handshake::<_, Bytes>(io));
        let Ok(begun) = handshake.await else {
            self.cut_offs.count(CutOff::Handshake);
            return Ok(());
        };
        let mut connection = begun.map_err(io::Error::other)?;
        let mut streams = FuturesUnordered::new();
        let mut abandoned = Abandoned { more_than_answered: 0, most: limits.http2.abandoned, told: false };
        let mut period = interval(CONTROL_PERIOD);
        // Runs while nothing is asked for, and when the connection is to close.
        let mut quiet = pin!(sleep(limits.head_within));
        let mut stop = pin!(Stopping::of(stop));
        let (mut closing, mut stopping) = (false, false);
        loop {
            let close = tokio::select! {
                // What the streams have to send goes out in the same turn: between the question whether a piece may pass and the
                // socket lies no waiting for a turn, in which its session might end and the connection with it.
                biased;
                Some(answered) = streams.next() => {
                    if abandoned.too_many(answered) {
                        self.cut_offs.count(CutOff::Abandoned);
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                    if streams.is_empty() && !stopping {
                        quiet.set(sleep(if closing { limits.drain_within } else { limits.head_within }));
                    }
                    false
                }
                accepted = connection.accept() => match accepted {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(io::Error::other(error)),
                    Some(Ok((request, respond))) => {
                        streams.push(Arc::clone(&line).stream(request, respond));
                        false
                    }
                },
                () = stop.as_mut(), if !stopping => {
                    stopping = true;
                    quiet.set(sleep(limits.drain_within));
                    true
                }
                () = &mut quiet, if stopping || streams.is_empty() => {
                    if closing {
                        drop(streams);
                        goodbye(connection).await;
                        return Ok(());
                    }
                    quiet.set(sleep(limits.drain_within));
                    true
                }
                _ = period.tick() => {
                    line.outgoing.forgive(limits.http2.control_frames);
                    false
                }
            };
            if close && !closing {
                // Told, so that what is asked for next is asked elsewhere; what is open may finish.
                closing = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// The time is over, and whoever answered streams is gone: `h2` resets them. The last word says up to which stream anything was done
/// (RFC 9113 section 6.8): what is beyond may be asked again elsewhere, and what was reset may have been acted on.
async fn goodbye<I>(mut connection: Connection<I, Bytes>)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let leave = async {
        // Nothing goes out after the last word, so the resets go first.
        poll_fn(|cx| Poll::Ready(connection.poll_closed(cx).is_ready())).await;
        connection.abrupt_shutdown(Reason::NO_ERROR);
        let _ = poll_fn(|cx| connection.poll_closed(cx)).await;
    };
    let _ = timeout(GOODBYE_WITHIN, leave).await;
}

fn settings(limits: &Limits) -> h2::server::Builder {
    let mut settings = h2::server::Builder::new();
    settings
        .max_concurrent_streams(limits.http2.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_window_size(limits.http2.stream_window)
        .initial_connection_window_size(limits.http2.connection_window)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES);
    settings
}

/// Streams that the client gave up before they were answered. A few are a person who changed his mind, and a page has many at once; one
/// who gives up what he asks for, over and over, only wants it to be worked on.
struct Abandoned {
    more_than_answered: u32,
    most: u32,
    told: bool,
}

impl Abandoned {
    /// Whether they have become too many. Said once.
    fn too_many(&mut self, answered: bool) -> bool {
        self.more_than_answered = match answered {
            true => self.more_than_answered.saturating_sub(1),
            false => self.more_than_answered + 1,
        };
        let too_many = self.more_than_answered > self.most;
        too_many && !std::mem::replace(&mut self.told, too_many)
    }
}

impl Line {
    /// One request and its answer. False if the client gave it up.
    async fn stream(self: Arc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> bool {
        let id = respond.stream_id().as_u32();
        let Ok((out, ())) = self.outgoing.enter(None, || Ok::<_, h2::Error>((id, ()))) else { return true };
        let out = Arc::new(out);
        let outlet = Outlet::Stream(Arc::clone(&out));
        let (alarms, seat) = (self.alarms.clone(), Arc::clone(&self.seat));
        let peer = Peer { address: self.address, secure: self.secure, outlet, pins: None, alarms, seat };
        let only_head = request.method() == Method::HEAD;
        let request = one_reading(request);
        let answer = {
            let mut answering = pin!(self.gateway.handle(request, &peer));
            loop {
                tokio::select! {
                    answer = answering.as_mut() => break answer,
                    // Whatever was done for it goes with it.
                    _ = poll_fn(|cx| respond.poll_reset(cx)) => return false,
                    () = out.body_wanted() => go_on(&mut respond, &out),
                }
            }
        };
        self.answer(answer, only_head, respond, &out).await
    }

    async fn answer(
        &self,
        answer: Answer,
        only_head: bool,
        mut respond: SendResponse<Bytes>,
        out: &StreamOut,
    ) -> bool {
        if answer.extensions().get::<NeedsHttp1>().is_some() {
            out.resets();
            respond.send_reset(Reason::HTTP_1_1_REQUIRED);
            return true;
        }
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
            return true;
        }
        out.queue(1);
        if ends {
            out.finish();
        }
        let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), ends) else {
            out.not_finished();
            return false;
        };
        if ends {
            return true;
        }
        let within = self.gateway.limits.write_within;
        let pump = Pump {
            stream: &mut stream,
            out,
            permit: permit.as_ref(),
            within,
            broken: Reason::INTERNAL_ERROR,
        };
        let pumped = pump.run(body).await;
        if pumped == Pumped::TookNothing {
            self.gateway.cut_offs.count(CutOff::TakesNothing);
        }
        pumped != Pumped::Refused
    }
}

/// 100 (RFC 9110 section 15.2.1): there is a permit, and an application that reads the body.
fn go_on(respond: &mut SendResponse<Bytes>, out: &StreamOut) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::CONTINUE;
    out.queue(1);
    // A stream that the client has reset meanwhile is found so at once.
    let _ = respond.send_informational(response);
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
