//! A way in: a listening socket, and what is spoken on it before HTTP.

use crate::{proxy_protocol, socket::Socket};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, UnixListener},
};
use tokio_rustls::TlsAcceptor;

/// A socket that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// On an address.
    Tcp(TcpListener),
    /// On a file of this machine. Whoever may open it has passed its mode; its address counts as 127.0.0.1, and it is trusted to say
    /// where a client is exactly if that is.
    Unix(UnixListener),
}

/// A listener and what is spoken on it.
pub struct Door {
    pub(crate) listener: Listener,
    /// None for plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Every connection begins by saying whose it is.
    pub(crate) proxied: bool,
}

impl Door {
    /// Clients come in here, over TLS if there is an acceptor.
    pub fn new(listener: Listener, tls: Option<TlsAcceptor>) -> Door {
        Door { listener, tls, proxied: false }
    }

    /// Trusted proxies come in here, and say by PROXY protocol whose connection it is.
    #[must_use]
    pub fn proxied(self, proxied: bool) -> Door {
        Door { proxied, ..self }
    }
}

impl Listener {
    /// The next connection, and the address at its other end.
    pub(crate) async fn accept(&self, write_within: Duration) -> io::Result<(Socket, IpAddr)> {
        match self {
            Listener::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                Ok((Socket::tcp(tcp, write_within), peer.ip()))
            }
            Listener::Unix(listener) => {
                let (unix, _) = listener.accept().await?;
                Ok((Socket::unix(unix, write_within), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }
}

/// Reads who is behind the proxy at the other end of this socket; what was read beyond stays to be read.
pub(crate) async fn client_of(socket: &mut Socket, proxy: IpAddr) -> io::Result<IpAddr> {
    let mut seen = Vec::with_capacity(256);
    loop {
        if socket.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let header = proxy_protocol::read(&seen);
        if let Some(header) = header.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            socket.put_back(seen.split_off(header.length));
            return Ok(header.client.unwrap_or(proxy).to_canonical());
        }
    }
}
