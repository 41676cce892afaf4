//! The ports and socket files of the configuration: free, held by the running server, or by somebody else?

use super::{
    process::{Holder, named},
    report::Report,
    sockets::{self, Listening},
};
use crate::config::Config;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::Path,
};

/// Looks at each listener.
pub(super) fn look(report: &mut Report, config: &Config, holder: &Holder) {
    let listen = &config.listen;
    let addresses = [
        ("listen.gateway", Some(listen.gateway)),
        ("listen.gateway_proxied", listen.gateway_proxied),
        ("listen.admin", Some(listen.admin)),
    ];
    match sockets::listening() {
        Ok(all) => {
            for (key, address) in addresses {
                let Some(address) = address else { continue };
                one(report, &format!("`{key}` {address}"), address, &all, holder);
            }
        }
        Err(error) => report.not_looked_at("port", "who listens on this machine", error),
    }
    if listen.admin.ip().is_loopback() {
        report.good("port.admin", "reach of the admin listener", "this machine only");
    }
    if let Some(path) = &listen.gateway_unix {
        socket_file(report, path, holder);
    }
}

fn one(report: &mut Report, what: &str, address: SocketAddr, all: &[Listening], holder: &Holder) {
    let check = "port";
    if address.port() == 0 {
        return report.not_looked_at(check, what, "the system chooses a port at each start");
    }
    let in_the_way: Vec<&Listening> = all.iter().filter(|each| each.takes(address)).collect();
    if in_the_way.is_empty() {
        return free(report, what, address, holder);
    }
    let mut holders: Vec<u32> = in_the_way.iter().flat_map(|each| each.holders()).collect();
    holders.sort_unstable();
    holders.dedup();
    match (holder.pid(), holders.as_slice()) {
        (Some(server), pids) if pids.contains(&server) => {
            report.good(check, what, format_args!("held by the running server, {}", named(server)));
        }
        (_, []) => {
            report.not_looked_at(check, what, "somebody listens there, and this user may not see who: run this as the server's user, or as root");
        }
        (_, [1]) => {
            report.warning(check, what, format_args!("held by {}", named(1)), "right if it is the socket unit that hands it to Nightlatch (`systemctl list-sockets`); else stop what has it");
        }
        (_, pids) => {
            let pids: Vec<String> = pids.iter().copied().map(named).collect();
            report.wrong(
                check,
                what,
                format_args!("held by {}", pids.join(", ")),
                "stop that, or give Nightlatch another port",
            );
        }
    }
}

/// Nobody listens there: could we?
fn free(report: &mut Report, what: &str, address: SocketAddr, holder: &Holder) {
    let check = "port";
    if let Some(server) = holder.pid() {
        let seen = format!("nobody listens, though {} runs", named(server));
        return report.wrong(
            check,
            what,
            seen,
            "restart the server if the configuration was changed since it started; else see its log",
        );
    }
    match could_listen(address) {
        Ok(()) => report.good(check, what, "free"),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "run this as the server's user; for ports below 1024 that one needs CAP_NET_BIND_SERVICE"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address (`ip address`): name one that it has"
                }
                _ => "give Nightlatch another port",
            };
            report.wrong(check, what, format_args!("cannot be taken: {error}"), remedy);
        }
    }
}

/// Takes the address for an instant without listening on it: nobody can connect meanwhile, and a server that starts in that instant
/// gets it all the same.
fn could_listen(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn socket_file(report: &mut Report, path: &Path, holder: &Holder) {
    let (check, what) = ("port", format!("`listen.gateway_unix` `{}`", path.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            report.wrong(
                check,
                what,
                "is there and is no socket",
                "name another path, or move the file away",
            );
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) if holder.pid().is_some() => {
                report.good(check, what, "somebody takes connections, and a server runs")
            }
            Ok(_) => report.wrong(
                check,
                what,
                "another program takes connections",
                "stop that, or name another path",
            ),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                report.good(check, what, "left over, nobody listens; a start replaces it");
            }
            Err(error) => report.not_looked_at(check, what, error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent().map(fs::metadata) {
            Some(Ok(above)) if above.is_dir() => report.good(check, what, "not there; a start makes it"),
            _ => report.wrong(
                check,
                what,
                "its directory is not there",
                "make the directory, for the server's user",
            ),
        },
        Err(error) => report.not_looked_at(check, what, error),
    }
}
