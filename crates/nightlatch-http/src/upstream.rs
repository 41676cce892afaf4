//! Connections to applications: pooled, gated, and never used without asking again.
//!
//! A connection is checked out, the permit is asked once more, and only then does the request go in; and what goes in
//! passes the connection's [`Gate`], so that not a byte of it reaches the application after the deadline. A connection goes back to
//! the pool only after an exchange that both sides finished. Anything else (an error, a cut, a client that left) closes it:
//! a connection in an unknown state would mix up two people's answers. One that the application has authenticated never does
//! either: it is [`pinned`].

mod http1;
mod http2;
mod lease;
pub(crate) mod pinned;
pub(crate) mod room;

use crate::{
    failures::Failures,
    forward::framing::FramingFault,
    gate::{Gate, GatedIo},
    inbound::InboundError,
    limits::Limits,
    socket::Socket,
    upload::Fault,
};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http1::Connection;
use lease::Held;
pub(crate) use lease::{Lease, Sent};
use nightlatch_core::SessionId;
use pinned::{Place, Whose};
use room::Room;
use std::{
    collections::VecDeque,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    /// As many connections to applications as there may be are in use.
    #[error("`{0}` was not asked: too many requests are open")]
    NoRoom(Arc<str>),
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

/// One application's address and the idle connections to it.
pub(crate) struct Upstream {
    /// `host:port`, or `unix:` and a path.
    authority: Arc<str>,
    limits: Limits,
    room: Arc<Room>,
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

impl Upstream {
    /// An application at `host:port`, or at `unix:` and the path of its socket.
    pub(crate) fn new(authority: &str, speaks: Protocol, limits: Limits, room: Arc<Room>) -> Upstream {
        Upstream {
            authority: authority.into(),
            limits,
            room,
            speaks,
            idle: Mutex::default(),
            shared: Arc::new(http2::Pool::new(limits.idle_upstream_connections)),
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
    /// for it, or one from the pool, or (`fresh`, or none to be had there) a new one. `address`: whose share of them it is taken from.
    pub(crate) async fn check_out(
        self: &Arc<Self>,
        owner: Option<SessionId>,
        whose: Whose,
        address: Option<IpAddr>,
        fresh: bool,
    ) -> Result<Lease, UpstreamError> {
        match self.speaks {
            Protocol::Http1 => self.check_out_whole(whose, address, fresh).await,
            Protocol::Http2 => self.check_out_stream(owner, whose, address, fresh).await,
        }
    }

    /// A connection for this exchange alone.
    async fn check_out_whole(
        self: &Arc<Self>,
        whose: Whose,
        address: Option<IpAddr>,
        fresh: bool,
    ) -> Result<Lease, UpstreamError> {
        let place = self.room.place(address).await.ok_or_else(|| self.no_room())?;
        let own = whose.place().filter(|_| !fresh).and_then(|place| place.take(self));
        let authenticated = own.is_some();
        let pooled = own.or_else(|| (!fresh).then(|| self.take_idle()).flatten());
        let reused = pooled.is_some();
        let connection = match pooled {
            Some(connection) => connection,
            None => Connection::begin(self.reach().await?).await.map_err(|source| self.answer(source))?,
        };
        let mut lease = self.lease(Held::Http1(connection), reused, whose);
        (lease.authenticated, lease.place) = (authenticated, Some(place));
        Ok(lease)
    }

    /// A stream on a connection of this session's. What several requests have in common cannot be kept for one of them; whoever had
    /// it opened has it in its share.
    async fn check_out_stream(
        self: &Arc<Self>,
        owner: Option<SessionId>,
        whose: Whose,
        address: Option<IpAddr>,
        fresh: bool,
    ) -> Result<Lease, UpstreamError> {
        let whose = if let Whose::Client(_) = whose { Whose::OneOfMany } else { whose };
        if let Some(stream) = self.shared.join(owner).filter(|_| !fresh) {
            return Ok(self.lease(Held::Http2(stream), true, whose));
        }
        let place = self.room.place(address).await.ok_or_else(|| self.no_room())?;
        let place = match fresh {
            true => place,
            false => match self.shared.take_over(owner, place) {
                Ok(stream) => return Ok(self.lease(Held::Http2(stream), true, whose)),
                Err(place) => place,
            },
        };
        let begun = self.shared.begin(self.reach().await?, owner, place, &self.limits);
        let stream = begun.await.map_err(|source| self.answer(source))?;
        Ok(self.lease(Held::Http2(stream), false, whose))
    }

    fn lease(self: &Arc<Self>, held: Held, reused: bool, whose: Whose) -> Lease {
        let upstream = Arc::clone(self);
        Lease { upstream, held, reused, alone: false, whose, authenticated: false, place: None }
    }

    fn no_room(&self) -> UpstreamError {
        UpstreamError::NoRoom(Arc::clone(&self.authority))
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.authority)
    }
}
