//! Listening: a seat, TCP, perhaps TLS; what comes out is a connection that HTTP may be spoken on.
//!
//! A client that has said nothing yet costs a seat and a descriptor, and no longer than a handshake may take ([`crate::Limits`]).

use crate::{
    gate::GatedIo,
    gateway::Gateway,
    outlet::Outlet,
    road::Peer,
    seat::{Seat, Share},
    socket::Socket,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// How long what was told to close at the last moment may take for it.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

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
        self.drain.begin();
        self.emptied().await;
        // Whoever is left had its time.
        connections.shutdown().await;
    }

    /// Waits until nothing is open any more: no connection, no WebSocket, no request that is left to finish; in bounded time.
    async fn emptied(&self) {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let within = self.limits.drain_within + CLOSE_WITHIN;
        if timeout(within, self.seats.acquire_many(all)).await.is_err() {
            let open = self.limits.connections - self.seats.available_permits();
            tracing::warn!(open, "some connections were cut: the program stops");
        }
    }

    async fn connection(
        self: Arc<Self>,
        (seat, tcp, peer): (OwnedSemaphorePermit, TcpStream, SocketAddr),
        tls: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
    ) {
        let Ok(share) = self.share(peer.ip()) else {
            tracing::debug!(address = %peer.ip(), "a client has all the connections it may have");
            return;
        };
        let seat = Seat::new(seat, share);
        let (io, gate) = GatedIo::new(Socket::tcp(tcp, self.limits.write_within));
        let outlet = Outlet::Connection(gate);
        let pins = Some(Arc::default());
        let peer = Peer { address: peer.ip(), secure: tls.is_some(), outlet, pins, seat: Arc::new(seat) };
        let served = match tls {
            None => self.http(io, peer, stop).await,
            Some(tls) => match timeout(self.limits.handshake_within, tls.accept(io)).await {
                Ok(Ok(io)) => match io.get_ref().1.alpn_protocol() {
                    Some(b"h2") => self.http2(io, peer, stop).await,
                    _ => self.http(io, peer, stop).await,
                },
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a client's connection ended");
        }
    }
}

impl Gateway {
    /// A share for one more connection of this address; a proxy's belong to others.
    fn share(&self, address: IpAddr) -> Result<Option<Share>, TooMany> {
        if self.trusted.contains(address) {
            return Ok(None);
        }
        self.shares.take(address).map(Some).ok_or(TooMany)
    }
}

/// The address has all the connections it may have.
struct TooMany;

/// A connection, once there is room for it.
async fn seated(
    seats: &Arc<Semaphore>,
    listener: &TcpListener,
) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let (tcp, peer) = listener.accept().await?;
    Ok((seat, tcp, peer))
}
