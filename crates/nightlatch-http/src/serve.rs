//! HTTP/1.1 on an accepted connection.
//!
//! Limits of what a client may send before it is anybody stand here: size of the head, and time for it.

use crate::{gateway::Gateway, road::Peer};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// The most fields of a request's head.
const HEAD_FIELDS: usize = 128;
/// How long a client may take to send a head, or to begin the next one.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
/// How long open exchanges may go on when the gateway stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

impl Gateway {
    /// Speaks HTTP on this connection until either side has had enough, or `stop` says so and what is open has finished.
    pub(crate) async fn http<I>(
        self: Arc<Self>,
        io: I,
        peer: Peer,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Arc::new(peer);
        let service = service_fn(move |request| {
            let (gateway, peer) = (Arc::clone(&self), Arc::clone(&peer));
            async move { Ok::<_, Infallible>(gateway.handle(request, &peer).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES)
            .max_header_size(HEAD_BYTES)
            .max_headers(HEAD_FIELDS)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => Some(served),
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let served = match served {
            Some(served) => served,
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(STOP_WITHIN, connection).await.unwrap_or(Ok(()))
            }
        };
        served.map_err(io::Error::other)
    }
}
