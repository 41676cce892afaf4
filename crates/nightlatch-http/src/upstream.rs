//! Connections to applications: pooled, gated, and never used without asking again.
//!
//! A connection is checked out, the permit is asked once more, and only then does the request go in; and what goes in
//! passes the connection's [`Gate`], so that not a byte of it reaches the application after the deadline. A connection goes back to
//! the pool only after an exchange that both sides finished. Anything else (an error, a cut, a client that left) closes it:
//! a connection in an unknown state would mix up two people's answers.

use crate::{
    forward::hop_by_hop::list_has,
    gate::{Gate, GatedIo},
    inbound::{Inbound, InboundError},
    limits::Limits,
};
use bytes::Bytes;
use http::{Request, Response, header::CONNECTION};
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};

/// The body of a request on its way to an application.
pub(crate) type UpBody = BoxBody<Bytes, UpBodyError>;

/// Why a request's body did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpBodyError {
    /// The client did not send all of it.
    #[error("the client did not send the whole body: {0}")]
    Client(#[source] InboundError),
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
    /// `host:port`.
    authority: Arc<str>,
    limits: Limits,
    idle: Mutex<Vec<Connection>>,
}

/// A connection to an application.
struct Connection {
    sender: SendRequest<UpBody>,
    gate: Arc<Gate>,
    task: AbortHandle,
}

/// A connection in use. Dropping it closes the connection; [`Lease::give_back`] does not.
pub(crate) struct Lease {
    upstream: Arc<Upstream>,
    connection: Option<Connection>,
    /// It was used before, so the application may have closed it meanwhile.
    pub(crate) reused: bool,
    /// The application was told that it closes after this exchange.
    alone: bool,
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
    /// An application at `host:port`.
    pub(crate) fn new(authority: &str, limits: Limits) -> Upstream {
        Upstream { authority: authority.into(), limits, idle: Mutex::default() }
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// A connection, from the pool or (`fresh`, or none idle) a new one.
    pub(crate) async fn check_out(self: &Arc<Self>, fresh: bool) -> Result<Lease, UpstreamError> {
        if !fresh {
            while let Some(connection) = self.take_idle() {
                if connection.sender.is_ready() {
                    return Ok(self.lease(connection, true));
                }
            }
        }
        let connection = self.connect().await?;
        Ok(self.lease(connection, false))
    }

    fn lease(self: &Arc<Self>, connection: Connection, reused: bool) -> Lease {
        Lease { upstream: Arc::clone(self), connection: Some(connection), reused, alone: false }
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        let connecting = timeout(self.limits.connect_within, TcpStream::connect(&*self.authority)).await;
        let tcp = match connecting {
            Err(_) => return Err(UpstreamError::ConnectTimeout(Arc::clone(&self.authority))),
            Ok(Err(source)) => {
                return Err(UpstreamError::Connect { authority: Arc::clone(&self.authority), source });
            }
            Ok(Ok(tcp)) => tcp,
        };
        let (io, gate) = GatedIo::towards_application(tcp);
        let (sender, driver) =
            http1::Builder::new().handshake(TokioIo::new(io)).await.map_err(|source| self.answer(source))?;
        let task = tokio::spawn(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "a connection to an application ended");
            }
        });
        Ok(Connection { sender, gate, task: task.abort_handle() })
    }

    fn answer(&self, source: impl Into<InboundError>) -> UpstreamError {
        UpstreamError::Answer { authority: Arc::clone(&self.authority), source: source.into() }
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The gate of this connection.
    pub(crate) fn gate(&self) -> Option<&Arc<Gate>> {
        self.connection.as_ref().map(|connection| &connection.gate)
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&mut self, request: Request<UpBody>) -> Sent {
        let Some(connection) = &mut self.connection else { return Sent::Returned(request) };
        self.alone = list_has(request.headers(), &CONNECTION, "close");
        match connection.sender.try_send_request(request).await {
            Ok(response) => Sent::Answered(response.map(Inbound::Http1)),
            Err(mut error) => match error.take_message() {
                Some(request) => Sent::Returned(request),
                None => Sent::Failed(self.upstream.answer(error.into_error())),
            },
        }
    }

    /// The exchange is complete: the connection may serve another one, once it is ready.
    pub(crate) fn give_back(mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let upstream = Arc::clone(&self.upstream);
        connection.gate.release();
        if self.alone {
            return;
        }
        if connection.sender.is_ready() {
            upstream.put_back(connection);
            return;
        }
        tokio::spawn(async move {
            match timeout(READY_WITHIN, connection.sender.ready()).await {
                Ok(Ok(())) => upstream.put_back(connection),
                Ok(Err(_)) => {}
                // The request did not get out, though its answer came.
                Err(_) => connection.task.abort(),
            }
        });
    }

    /// The connection is no longer HTTP: it lives on in what it was upgraded to.
    pub(crate) fn hand_over(mut self) -> Option<Arc<Gate>> {
        self.connection.take().map(|connection| connection.gate)
    }
}

impl Upstream {
    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() >= self.limits.idle_upstream_connections {
            // Those that the application closed meanwhile take no place.
            idle.retain(|connection| connection.sender.is_ready());
        }
        if idle.len() < self.limits.idle_upstream_connections {
            idle.push(connection);
        }
    }
}

/// Not given back: closed, together with whatever was on its way.
impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.gate.reset(None);
            connection.task.abort();
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.authority)
    }
}
