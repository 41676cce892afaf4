//! Listening: TCP, perhaps TLS, then HTTP/1.1 on a gated socket.
//!
//! Limits of what a client may send before it is anybody stand here: size of the head, time for it, handshakes.

use crate::{gate::GatedIo, gateway::Gateway, road::Peer};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// The most fields of a request's head.
const HEAD_FIELDS: usize = 128;
/// How long a client may take to send a head, or to begin the next one.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long open exchanges may go on when the gateway stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

impl Gateway {
    /// Serves connections of this listener until `stop` says so; then takes no more and completes when those that are open
    /// have finished, in bounded time.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        loop {
            // Taken before a connection is accepted: what the kernel holds costs us no descriptor.
            let accepted = tokio::select! {
                accepted = seated(&self.seats, &listener) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((seat, tcp, peer)) => {
                    let gateway = Arc::clone(&self);
                    connections.spawn(gateway.connection((seat, tcp, peer), tls.clone(), stop.clone()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: those that are open end sooner or later.
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(
        self: Arc<Self>,
        (seat, tcp, peer): (OwnedSemaphorePermit, TcpStream, SocketAddr),
        tls: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
    ) {
        let (io, gate) = GatedIo::new(tcp);
        let peer = Peer { address: peer.ip(), secure: tls.is_some(), gate, seat: Arc::new(seat) };
        let served = match tls {
            None => self.http(io, peer, stop).await,
            Some(tls) => match timeout(HANDSHAKE_WITHIN, tls.accept(io)).await {
                Ok(Ok(io)) => self.http(io, peer, stop).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a client's connection ended");
        }
    }

    async fn http<I>(self: Arc<Self>, io: I, peer: Peer, mut stop: watch::Receiver<bool>) -> io::Result<()>
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

/// A connection, once there is room for it.
async fn seated(
    seats: &Arc<Semaphore>,
    listener: &TcpListener,
) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let (tcp, peer) = listener.accept().await?;
    Ok((seat, tcp, peer))
}
