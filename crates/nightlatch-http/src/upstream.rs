//! Connections to applications: pooled, gated, and never used without asking again.
//!
//! A connection is checked out, the permit is asked once more, and only then does the request go in; and what goes in
//! passes the connection's [`Gate`], so that not a byte of it reaches the application after the deadline. A connection goes back to
//! the pool only after an exchange that both sides finished. Anything else (an error, a cut, a client that left) closes it:
//! a connection in an unknown state would mix up two people's answers. One that the application has authenticated never does
//! either: it is [`pinned`].

mod http1;
mod http2;
pub(crate) mod pinned;

use crate::{
    failures::Failures,
    forward::{
        connection_auth,
        framing::{FramingFault, one_framing},
        hop_by_hop::list_has,
    },
    gate::{Gate, GatedIo, Guarded},
    inbound::{Inbound, InboundError},
    limits::Limits,
    outlet::Outlet,
    socket::Socket,
    upload::{Fault, Progress},
};
use bytes::Bytes;
use http::{Request, Response, header::CONNECTION};
use http_body_util::combinators::BoxBody;
use http1::Connection;
use hyper::body::Incoming;
use nightlatch_core::SessionId;
use pinned::{Place, Whose};
use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};
use tokio::time::timeout;

/// The body of a request on its way to an application.
pub(crate) type UpBody = BoxBody<Bytes, UpBodyError>;

/// Why a request's body did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpBodyError {
    /// The client did not send all of it.
    #[error("the client did not send the whole body: {0}")]
    Client(#[source] Fault),
    /// The session ended while it was on its way.
    #[error("the session is over")]
    Over,
}

/// Why an application gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection could be made.
    #[error("cannot connect to `{authority}`: {source}")]
    Connect {
        /// Where to.
        authority: Arc<str>,
        /// What was in the way.
        source: io::Error,
    },
    /// It took too long to connect.
    #[error("`{0}` did not accept a connection in time")]
    ConnectTimeout(Arc<str>),
    /// It broke off, or answered what is not HTTP.
    #[error("`{authority}` gave no valid answer: {source}")]
    Answer {
        /// Who.
        authority: Arc<str>,
        /// What was wrong.
        source: InboundError,
    },
    /// It answered, and where the answer ends can be read in two ways.
    #[error("`{authority}` gave an ambiguous answer: {source}")]
    Ambiguous {
        /// Who.
        authority: Arc<str>,
        /// What was said twice.
        source: FramingFault,
    },
    /// It authenticates the connection, in a way that this client cannot go on with.
    #[error("`{0}` authenticates connections (NTLM, Negotiate)")]
    AuthenticatesConnection(Arc<str>),
}

impl UpstreamError {
    /// Whether the application went away, rather than saying what is not HTTP.
    pub(crate) fn is_broken_off(&self) -> bool {
        matches!(self, UpstreamError::Answer { source, .. } if source.is_broken_off())
    }
}

/// How long a connection may take to be ready for another exchange after one.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// One application's address and the idle connections to it.
pub(crate) struct Upstream {
    /// `host:port`, or `unix:` and a path.
    authority: Arc<str>,
    limits: Limits,
    speaks: Protocol,
    /// The one used last is at the back.
    idle: Mutex<VecDeque<Connection>>,
    shared: Arc<http2::Pool>,
    failures: Failures,
}

/// What an application speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS and without being asked first (RFC 9113 section 3.3).
    Http2,
}

/// A connection in use. Dropping it closes the connection; [`Lease::give_back`] does not.
pub(crate) struct Lease {
    upstream: Arc<Upstream>,
    held: Held,
    /// It was used before, so the application may have closed it meanwhile.
    pub(crate) reused: bool,
    /// Nobody uses it after this exchange.
    alone: bool,
    /// Whose it is if the application authenticates it.
    whose: Whose,
    /// The application authenticates it.
    authenticated: bool,
}

/// What of a connection an exchange has.
enum Held {
    Nothing,
    /// All of it.
    Http1(Connection),
    /// A stream.
    Http2(http2::Use),
}

/// What came of sending a request.
pub(crate) enum Sent {
    /// The head of the answer.
    Answered(Response<Inbound>),
    /// Nothing of it was sent: the connection had been closed. The request comes back for another one.
    Returned(Request<UpBody>),
    /// It failed.
    Failed(UpstreamError),
}

impl Upstream {
    /// An application at `host:port`, or at `unix:` and the path of its socket.
    pub(crate) fn new(authority: &str, speaks: Protocol, limits: Limits) -> Upstream {
        Upstream {
            authority: authority.into(),
            limits,
            speaks,
            idle: Mutex::default(),
            shared: Arc::default(),
            failures: Failures::default(),
        }
    }

    /// `host:port`, or `unix:` and a path.
    pub(crate) fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// How it failed so far.
    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// What stands in `Host` where the client named none.
    pub(crate) fn host(&self) -> &str {
        if self.authority.starts_with("unix:") { "localhost" } else { &self.authority }
    }

    /// A connection for an exchange of this session's (of nobody's on a public route): the one that the application authenticated
    /// for it, or one from the pool, or (`fresh`, or none to be had there) a new one.
    pub(crate) async fn check_out(
        self: &Arc<Self>,
        owner: Option<SessionId>,
        whose: Whose,
        fresh: bool,
    ) -> Result<Lease, UpstreamError> {
        let own = whose.place().filter(|_| !fresh).and_then(|place| place.take(self));
        let authenticated = own.is_some();
        let pooled = match self.speaks {
            _ if fresh => None,
            Protocol::Http1 => own.or_else(|| self.take_idle()).map(Held::Http1),
            Protocol::Http2 => self.shared.check_out(owner).map(Held::Http2),
        };
        let reused = pooled.is_some();
        let held = match pooled {
            Some(held) => held,
            None => self.connect(owner).await?,
        };
        Ok(Lease { upstream: Arc::clone(self), held, reused, alone: false, whose, authenticated })
    }

    async fn connect(&self, owner: Option<SessionId>) -> Result<Held, UpstreamError> {
        let socket = self.reach().await?;
        let held = match self.speaks {
            Protocol::Http1 => {
                Held::Http1(Connection::begin(socket).await.map_err(|source| self.answer(source))?)
            }
            Protocol::Http2 => {
                let begun = self.shared.begin(socket, owner, &self.limits);
                Held::Http2(begun.await.map_err(|source| self.answer(source))?)
            }
        };
        Ok(held)
    }

    async fn reach(&self) -> Result<(GatedIo, Arc<Gate>), UpstreamError> {
        let connect = Socket::connect(&self.authority, self.limits.write_within);
        let socket = match timeout(self.limits.connect_within, connect).await {
            Err(_) => return Err(UpstreamError::ConnectTimeout(Arc::clone(&self.authority))),
            Ok(Err(source)) => {
                return Err(UpstreamError::Connect { authority: Arc::clone(&self.authority), source });
            }
            Ok(Ok(socket)) => socket,
        };
        Ok(GatedIo::towards_application(socket))
    }

    fn answer(&self, source: impl Into<InboundError>) -> UpstreamError {
        UpstreamError::Answer { authority: Arc::clone(&self.authority), source: source.into() }
    }

    /// One that the application has not closed meanwhile, as far as can be seen.
    fn take_idle(&self) -> Option<Connection> {
        std::iter::from_fn(|| lock(&self.idle).pop_back())
            .find_map(|mut connection| connection.is_ready().then_some(connection))
    }
}

impl Lease {
    /// How its application failed so far.
    pub(crate) fn failures(&self) -> &Failures {
        self.upstream.failures()
    }

    /// Sends a request and waits for the head of the answer. From here on every byte of it is asked for at the socket.
    pub(crate) async fn send(
        &mut self,
        request: Request<UpBody>,
        guarded: Option<&Guarded>,
        progress: &Progress,
    ) -> Sent {
        self.alone = list_has(request.headers(), &CONNECTION, "close");
        self.authenticated |= connection_auth::is_offered(request.headers());
        let connection = match &mut self.held {
            Held::Nothing => return Sent::Returned(request),
            Held::Http1(connection) => connection,
            Held::Http2(stream) => {
                let upstream = &self.upstream;
                return stream.send(request, guarded, progress, |source| upstream.answer(source)).await;
            }
        };
        match guarded {
            Some(guarded) => connection.gate().hold(guarded.clone()),
            None => connection.gate().put(),
        }
        progress.through(Outlet::Connection(Arc::clone(connection.gate())));
        match connection.send(request).await {
            Ok(response) => match self.judge(response) {
                Ok(response) => Sent::Answered(response),
                Err(error) => Sent::Failed(error),
            },
            Err(mut error) => match error.take_message() {
                Some(request) => Sent::Returned(request),
                None => Sent::Failed(self.upstream.answer(error.into_error())),
            },
        }
    }

    /// An answer that can be used, and whether its connection is anybody's from now on.
    fn judge(&mut self, mut response: Response<Incoming>) -> Result<Response<Inbound>, UpstreamError> {
        let authority = || Arc::clone(&self.upstream.authority);
        one_framing(response.headers_mut())
            .map_err(|source| UpstreamError::Ambiguous { authority: authority(), source })?;
        let headers = response.headers();
        if self.whose.is_stuck(response.status(), headers) {
            return Err(UpstreamError::AuthenticatesConnection(authority()));
        }
        self.authenticated |= connection_auth::is_spoken_of(headers);
        Ok(response.map(Inbound::Http1))
    }

    /// Moves the answer's body, and what is left of the request's, as far as they go.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        // A connection with many streams moves by itself.
        if let Held::Http1(connection) = &mut self.held {
            connection.drive(cx);
        }
    }

    /// The answer has begun while the request is still coming: neither waits for the other from now on.
    pub(crate) fn move_alone(&mut self) {
        if let Held::Http1(connection) = &mut self.held {
            connection.move_alone();
        }
    }

    /// The exchange is complete: the connection may serve another one, once it is ready.
    pub(crate) fn give_back(mut self) {
        let mut connection = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => return,
            Held::Http1(connection) => connection,
            Held::Http2(stream) => return stream.complete(),
        };
        connection.gate().release();
        let place = self.whose.place().filter(|_| self.authenticated).cloned();
        if self.alone || self.authenticated && place.is_none() {
            return;
        }
        let upstream = Arc::clone(&self.upstream);
        if connection.is_ready() {
            upstream.put_back(place, connection);
            return;
        }
        // Perhaps the request did not get out, though its answer came.
        tokio::spawn(async move {
            if timeout(READY_WITHIN, connection.ready()).await == Ok(true) {
                upstream.put_back(place, connection);
            }
        });
    }

    /// The connection is no longer HTTP: it lives on in what it was upgraded to.
    pub(crate) fn hand_over(mut self) -> Option<Arc<Gate>> {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Http1(connection) => Some(connection.hand_over()),
            Held::Http2(_) | Held::Nothing => None,
        }
    }
}

impl Upstream {
    fn put_back(self: &Arc<Self>, place: Option<Place>, connection: Connection) {
        if let Some(place) = place {
            place.keep(self, connection);
            return;
        }
        let mut idle = lock(&self.idle);
        // One that the application closed meanwhile takes no place, and would lie at the front for ever.
        let oldest = idle.pop_front_if(|oldest| !oldest.is_ready());
        if idle.len() < self.limits.idle_upstream_connections {
            idle.push_back(connection);
        }
        drop(idle);
        drop(oldest);
    }
}

/// Not given back: closed, together with whatever was on its way; of a connection with many streams, the stream.
impl Drop for Lease {
    fn drop(&mut self) {
        if let Held::Http1(connection) = &self.held {
            connection.gate().reset(None);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.authority)
    }
}
