//! Sockets to listen on: those that whoever started us holds for us, and else our own.
//!
//! A socket that outlives the program is how a restart refuses nobody: systemd (or whoever else passes `LISTEN_FDS`) keeps it open, the
//! kernel queues whoever connects meanwhile, and the next program takes up the queue. `SO_REUSEPORT` would not do: what waits in the
//! queue of the program that goes is reset with it. A socket is known by its address, so the configuration says the same either way.
//!
//! They are taken before anything else is opened. `LISTEN_FDS` is a count, and if it says more than was passed, the numbers after the last
//! are those of whatever this program opened first: it would take its own sockets for somebody's, and close them.
//!
//! A socket file that is left over is replaced, but only if nobody listens on it.

use crate::site::SiteError;
use listenfd::ListenFd;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, listen, socket_with,
};
use socket2::SockRef;
use std::{
    env, fs, io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{self, UnixStream},
    },
    path::Path,
};
use tokio::net::{TcpListener, UnixListener};

/// Who may connect to a socket file: its owner and its group.
const MODE: u32 = 0o660;
/// How many connections to it wait to be accepted, as on the other listeners.
const BACKLOG: i32 = 1024;

/// More sockets than this are not passed to one program.
const PASSED_MOST: usize = 64;

/// Sockets that whoever started us holds for us.
#[derive(Default)]
pub(crate) struct Held {
    tcp: Vec<std::net::TcpListener>,
    unix: Vec<net::UnixListener>,
}

impl Held {
    /// Those of the environment (`LISTEN_FDS`, `LISTEN_PID`), each to be taken once. To be asked for before this program has opened
    /// anything of its own.
    pub(crate) fn of_environment() -> Held {
        let count = env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<usize>().ok());
        if let Some(count) = count.filter(|count| *count > PASSED_MOST) {
            tracing::warn!(
                count,
                most = PASSED_MOST,
                "`LISTEN_FDS` says that many sockets were passed: none is taken"
            );
            return Held::default();
        }
        let mut passed = ListenFd::from_env();
        let mut held = Held::default();
        for nth in 0..passed.len() {
            if let Ok(Some(listener)) = passed.take_tcp_listener(nth)
                && listens(&listener)
            {
                held.tcp.push(listener);
            } else if let Ok(Some(listener)) = passed.take_unix_listener(nth)
                && listens(&listener)
            {
                held.unix.push(listener);
            } else {
                tracing::warn!(nth, "a socket was passed that is none to listen on");
            }
        }
        held
    }

    /// Listens on an address.
    pub(crate) async fn tcp(&mut self, address: SocketAddr) -> Result<TcpListener, SiteError> {
        let ours = |held: &std::net::TcpListener| held.local_addr().is_ok_and(|is| is == address);
        let listener = match self.tcp.iter().position(ours) {
            Some(nth) => {
                let held = self.tcp.swap_remove(nth);
                held.set_nonblocking(true).and_then(|()| TcpListener::from_std(held))
            }
            None => TcpListener::bind(address).await,
        };
        listener.map_err(|source| SiteError::Listen { address: address.to_string(), source })
    }

    /// Listens on a socket file.
    pub(crate) fn unix(&mut self, path: &Path) -> Result<UnixListener, SiteError> {
        let ours = |held: &net::UnixListener| {
            held.local_addr().is_ok_and(|is| is.as_pathname().is_some_and(|is| is == path))
        };
        let listener = match self.unix.iter().position(ours) {
            Some(nth) => Ok(self.unix.swap_remove(nth)),
            None => bind(path),
        };
        let listener = listener.and_then(|listener| {
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener)
        });
        listener.map_err(|source| SiteError::Listen { address: path.display().to_string(), source })
    }

    /// Says which were passed and belong to nothing in the configuration. They are closed.
    pub(crate) fn report_others(self) {
        let tcp = self.tcp.iter().filter_map(|held| held.local_addr().ok()).map(|is| is.to_string());
        let unix = self.unix.iter().filter_map(|held| held.local_addr().ok()).map(|is| format!("{is:?}"));
        for address in tcp.chain(unix) {
            tracing::warn!(address, "a socket was passed that `[listen]` has no use for: closed");
        }
    }
}

/// Whether clients can connect to it: a socket that is bound, or connected, is none to accept from.
fn listens(socket: &impl AsFd) -> bool {
    SockRef::from(socket).is_listener().unwrap_or(false)
}

fn bind(path: &Path) -> io::Result<net::UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else has this name"));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        // Left over by a program that is gone.
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    let bound = bound(path)?;
    listen(&bound, BACKLOG)?;
    Ok(net::UnixListener::from(bound))
}

/// A socket that has its name and its mode, and takes no connection yet: whoever tries is refused, so nobody comes in by the mode that the
/// process's mask leaves a new file.
fn bound(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind_to(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_let_in_before_the_file_has_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.sock");
        let _bound = bound(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_socket_file_is_replaced_only_if_nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.sock");
        let first = bind(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let _second = bind(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        let file = folder.path().join("notes");
        fs::write(&file, "mine").unwrap();
        assert_eq!(bind(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
