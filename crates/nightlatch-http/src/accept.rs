//! Listening: a seat, TCP, perhaps TLS; what comes out is a connection that HTTP may be spoken on.
//!
//! A client that has said nothing yet costs a seat and a descriptor, and no longer than a handshake may take ([`crate::Limits`]).

use crate::{
    alarm::Alarms,
    door::{Door, Listener, client_of},
    failures::CutOff,
    gate::GatedIo,
    gateway::Gateway,
    outlet::Outlet,
    road::Peer,
    seat::{Seat, Share},
    socket::Socket,
};
use std::{error::Error, io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, watch},
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
        stop: watch::Receiver<bool>,
    ) {
        self.open(Door::new(Listener::Tcp(listener), tls), stop).await;
    }

    /// The same for any way in.
    pub async fn open(self: Arc<Self>, door: Door, mut stop: watch::Receiver<bool>) {
        let Door { listener, tls, proxied } = door;
        let mut connections = JoinSet::new();
        loop {
            // Taken before a connection is accepted: what the kernel holds costs us no descriptor.
            let accepted = tokio::select! {
                accepted = self.seated(&listener) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((seat, socket, address)) => {
                    let came = Came { seat, socket, address, tls: tls.clone(), proxied };
                    connections.spawn(Arc::clone(&self).connection(came, stop.clone()));
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

    async fn connection(self: Arc<Self>, came: Came, stop: watch::Receiver<bool>) {
        let Came { seat, mut socket, mut address, tls, proxied } = came;
        if proxied {
            address = match self.introduced(&mut socket, address).await {
                Ok(client) => client,
                Err(error) => {
                    if let Some(left_out) = self.say_of_a_stranger() {
                        let why = "a connection was refused: it did not say whose it is";
                        tracing::warn!(proxy = %address, %error, left_out, "{why}");
                    }
                    return;
                }
            };
        }
        let Ok(share) = self.share(address) else {
            self.cut_offs.count(CutOff::Share);
            tracing::debug!(%address, "a client has all the connections it may have");
            return;
        };
        let seat = Seat::new(seat, share);
        let (io, gate) = GatedIo::new(socket);
        let outlet = Outlet::Connection(gate);
        let pins = Some(Arc::default());
        let alarms = Alarms::default();
        let peer = Peer { address, secure: tls.is_some(), outlet, pins, alarms, seat: Arc::new(seat) };
        let served = match tls {
            None => Arc::clone(&self).http(io, peer, stop).await,
            Some(tls) => match timeout(self.limits.handshake_within, tls.accept(io)).await {
                Ok(Ok(io)) => match io.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Arc::clone(&self).http2(io, peer, stop).await,
                    _ => Arc::clone(&self).http(io, peer, stop).await,
                },
                Ok(Err(error)) => Err(error),
                Err(_) => {
                    self.cut_offs.count(CutOff::Handshake);
                    return;
                }
            },
        };
        if let Err(error) = served {
            if let Some(limit) = limit_behind(&error) {
                self.cut_offs.count(limit);
            }
            tracing::debug!(%error, "a client's connection ended");
        }
    }
}

/// The limit that a connection ended by, if it was one of the socket's or of the way down to it.
fn limit_behind(error: &(dyn Error + 'static)) -> Option<CutOff> {
    let io = error.downcast_ref::<io::Error>().or_else(|| error.downcast_ref::<h2::Error>()?.get_io());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => return Some(CutOff::TakesNothing),
        Some(io::ErrorKind::QuotaExceeded) => return Some(CutOff::ControlFrames),
        _ => {}
    }
    // What an `io::Error` was made of is not its source.
    match io.and_then(io::Error::get_ref) {
        Some(inner) => limit_behind(inner),
        None => limit_behind(error.source()?),
    }
}

/// A connection that was accepted.
struct Came {
    seat: OwnedSemaphorePermit,
    socket: Socket,
    address: IpAddr,
    tls: Option<TlsAcceptor>,
    proxied: bool,
}

impl Gateway {
    /// A connection, once there is room for it.
    async fn seated(&self, listener: &Listener) -> io::Result<(OwnedSemaphorePermit, Socket, IpAddr)> {
        let seat = Arc::clone(&self.seats).acquire_owned().await.map_err(io::Error::other)?;
        let (socket, address) = listener.accept(self.limits.write_within).await?;
        Ok((seat, socket, address))
    }

    /// How many lines about strangers were left out, if it is time for one: whoever can make us write a line can fill a disk.
    fn say_of_a_stranger(&self) -> Option<u64> {
        let mut strangers = self.strangers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        strangers.say(self.engine.clock().now())
    }

    /// Who a trusted proxy says this connection is from, in bounded time. Nobody else is believed, and nobody may leave it out.
    async fn introduced(&self, socket: &mut Socket, proxy: IpAddr) -> io::Result<IpAddr> {
        if !self.trusted.contains(proxy) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not in `trusted_proxies`"));
        }
        let introduced = timeout(self.limits.handshake_within, client_of(socket, proxy));
        introduced.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

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
