//! HTTP/1.1 on an accepted connection.
//!
//! What a client may send before it is anybody is bounded here: size of the head, and time for it ([`crate::Limits`]).

use crate::{gateway::Gateway, inbound::Inbound, road::Peer, stopping::Stopping};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
    time::{sleep, timeout},
};

impl Gateway {
    /// Speaks HTTP on this connection until either side has had enough, or `stop` says so and what is open has finished.
    pub(crate) async fn http<I>(
        self: Arc<Self>,
        io: I,
        peer: Peer,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let gate = peer.outlet.connection().cloned();
        let alarms = peer.alarms.clone();
        let peer = Arc::new(peer);
        let limits = self.limits;
        let asked = Arc::<Notify>::default();
        let asks = Arc::clone(&asked);
        let service = service_fn(move |request| {
            asks.notify_one();
            let (gateway, peer) = (Arc::clone(&self), Arc::clone(&peer));
            async move { Ok::<_, Infallible>(gateway.handle(request.map(Inbound::Http1), &peer).await) }
        });
        let connection = http1::Builder::new()
            .timer(alarms)
            .header_read_timeout(limits.head_within)
            .max_buf_size(limits.head_bytes)
            .max_header_size(limits.head_bytes)
            .max_headers(limits.head_fields)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut served = tokio::select! {
            biased;
            served = connection.as_mut() => Some(served),
            () = Stopping::of(stop) => None,
        };
        if served.is_none() {
            // Whoever was let in at the last moment is heard: a connection closed before its first request looks like a refusal.
            served = tokio::select! {
                served = connection.as_mut() => Some(served),
                () = asked.notified() => None,
                () = sleep(limits.drain_within / 4) => None,
            };
        }
        let served = match served {
            Some(served) => served,
            None => {
                connection.as_mut().graceful_shutdown();
                let served = timeout(limits.drain_within, connection.as_mut()).await;
                if let (Err(_), Some(gate)) = (&served, gate) {
                    // What it was sending must not look complete.
                    gate.reset(None);
                }
                served.unwrap_or(Ok(()))
            }
        };
        served.map_err(io::Error::other)
    }
}
