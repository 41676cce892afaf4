//! The applications: do they answer, in the protocol that is configured, and can they be reached only through us?
//!
//! Whether somebody else reaches an application is for the network to say, and cannot be tried from here. What can be seen is where an
//! application on this machine listens: on loopback only this machine reaches it, on anything else whoever reaches the machine, past every
//! session. An application on another machine is said to be not looked at.
//!
//! What is sent to try one is about the server and no resource of it: `OPTIONS *` (RFC 9110, section 9.3.7), or the preface of HTTP/2
//! (RFC 9113, section 3.4) and nothing more.

use super::{
    report::Report,
    sockets::{self, Listening},
};
use crate::config::{
    Config,
    app::{App, Protocol},
    url::Upstream,
};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    time::Duration,
};

/// How long an application may take to say what it speaks.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The client's preface and an empty SETTINGS frame.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// What an answer needs to be told by.
const FIRST_BYTES: usize = 9;

/// Looks at each application.
pub(super) fn look(report: &mut Report, config: &Config) {
    let all = sockets::listening();
    let connect_within = Duration::from_millis(config.limits.connect_within.0);
    for app in &config.apps {
        match &app.upstream {
            Upstream::Tcp { host, port } => tcp(report, app, host, *port, connect_within, all.as_deref()),
            Upstream::Unix(path) => unix(report, app, path),
        }
    }
}

fn tcp(
    report: &mut Report,
    app: &App,
    host: &str,
    port: u16,
    within: Duration,
    all: Result<&[Listening], &io::Error>,
) {
    let what = format!("application `{}` at {host}:{port}", app.name);
    let bare = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match (bare, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return report.wrong(
                "upstream.reached",
                what,
                format_args!("its name leads nowhere: {error}"),
                "name a host that this machine can look up",
            );
        }
    };
    match connect(&addresses, within) {
        Ok(stream) => speaks(report, app, &what, stream),
        Err(error) => unreachable(report, &what, &error),
    }
    match all {
        Ok(all) => alone(report, &what, &addresses, all),
        Err(error) => report.not_looked_at("upstream.alone", format_args!("who else reaches {what}"), error),
    }
}

/// A connection to the first of the addresses that takes one.
fn connect(addresses: &[SocketAddr], within: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(address, within) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_WAIT))?;
                stream.set_write_timeout(Some(ANSWER_WAIT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unreachable(report: &mut Report, what: &str, error: &io::Error) {
    let seen = format!("takes no connection: {error}");
    report.wrong("upstream.reached", what, seen, "start it, or correct `upstream`. Runbook: upstream-down");
}

/// Whether others than we may connect to the addresses.
fn alone(report: &mut Report, what: &str, addresses: &[SocketAddr], all: &[Listening]) {
    let check = "upstream.alone";
    let reach = format!("reach of {what}");
    let here: BTreeSet<SocketAddr> = all
        .iter()
        .filter(|each| addresses.iter().any(|address| each.takes(*address)))
        .map(|each| each.at)
        .collect();
    let open: Vec<String> =
        here.iter().filter(|at| !at.ip().is_loopback()).map(ToString::to_string).collect();
    let loopback = addresses.iter().all(|address| address.ip().is_loopback());
    if !loopback && here.iter().all(|at| at.ip().is_unspecified()) {
        let why = "it is on another machine or another address; only its network can keep others away, and that cannot be seen from here";
        report.not_looked_at(check, reach, why);
    } else if !open.is_empty() {
        let seen = format!(
            "it listens on {}: whoever reaches this machine reaches it without a session, unless a firewall stops them",
            open.join(", ")
        );
        report.warning(check, reach, seen, "let it listen on 127.0.0.1 or on a socket file");
    } else if here.is_empty() {
        report.not_looked_at(check, reach, "nothing on this machine listens there that this program can see");
    } else {
        report.good(check, reach, "it listens on loopback only: no other machine reaches it");
    }
}

fn unix(report: &mut Report, app: &App, path: &Path) {
    let what = format!("application `{}` at `{}`", app.name, path.display());
    let connected = UnixStream::connect(path).and_then(|stream| {
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        Ok(stream)
    });
    match connected {
        Ok(stream) => speaks(report, app, &what, stream),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let seen = format!("this user may not connect to it: {error}");
            return report.wrong(
                "upstream.reached",
                what,
                seen,
                "run this as the server's user; that one needs write access to the socket file",
            );
        }
        Err(error) => return unreachable(report, &what, &error),
    }
    // To connect one must be able to write the file and to get to it.
    let open = |path: &Path, bit: u32| fs::metadata(path).map(|found| found.mode() & bit != 0);
    let reach = format!("reach of {what}");
    let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    let everybody =
        above.map(|above| open(above, 0o001)).chain([open(path, 0o002)]).collect::<io::Result<Vec<_>>>();
    match everybody {
        Ok(all) if all.iter().all(|open| *open) => {
            report.warning(
                "upstream.alone",
                reach,
                "every user of this machine may connect to it",
                "`chmod o-rwx` it, or put it in a directory that only the two users may enter",
            );
        }
        Ok(_) => report.good(
            "upstream.alone",
            reach,
            "not every user of this machine may connect to it, and no other machine can",
        ),
        Err(error) => report.not_looked_at("upstream.alone", reach, error),
    }
}

/// What an application turned out to speak.
#[derive(Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
    Other,
}

fn speaks(report: &mut Report, app: &App, what: &str, mut stream: impl Read + Write) {
    let asked = match app.protocol {
        Protocol::Http1 => (
            Spoken::Http1,
            "HTTP/1.1",
            &b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"[..],
        ),
        Protocol::Http2 => (Spoken::Http2, "HTTP/2", HTTP2_PREFACE),
    };
    let (wanted, name, hello) = asked;
    let mut first = [0; FIRST_BYTES];
    let heard = stream.write_all(hello).and_then(|()| stream.read_exact(&mut first));
    let check = "upstream.speaks";
    let remedy = "set `protocol` of the app to what it speaks, or `upstream` to where it is";
    match heard.map(|()| spoken(&first)) {
        Ok(spoken) if spoken == wanted => {
            report.good(check, what, format_args!("takes connections and speaks {name}"))
        }
        Ok(Spoken::Http1) => {
            report.wrong(check, what, format_args!("answers in HTTP/1, and is to speak {name}"), remedy)
        }
        Ok(Spoken::Http2) => {
            report.wrong(check, what, format_args!("answers in HTTP/2, and is to speak {name}"), remedy)
        }
        Ok(Spoken::Other) => {
            report.wrong(check, what, format_args!("answers in something that is not {name}"), remedy)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            report.wrong(
                check,
                what,
                format_args!("takes connections, and said nothing to {name} within 5 s"),
                "see whether it hangs. Runbook: upstream-down",
            );
        }
        Err(error) => report.wrong(
            check,
            what,
            format_args!("takes connections, and ends them at {name}: {error}"),
            remedy,
        ),
    }
}

/// The protocol of a first answer: a status line (RFC 9112, section 4), or the SETTINGS frame with which a server of HTTP/2 has
/// to begin (RFC 9113, section 3.4).
fn spoken(first: &[u8; FIRST_BYTES]) -> Spoken {
    if first.starts_with(b"HTTP/1.") && first[7].is_ascii_digit() && first[8] == b' ' {
        return Spoken::Http1;
    }
    let (kind, flags, stream) = (first[3], first[4], &first[5..]);
    if kind == 4 && flags == 0 && stream == [0; 4] { Spoken::Http2 } else { Spoken::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_known_by_its_first_bytes() {
        let rows: [(&[u8; 9], Spoken); 6] = [
            (b"HTTP/1.1 ", Spoken::Http1),
            (b"HTTP/1.0 ", Spoken::Http1),
            (b"HTTP/2 40", Spoken::Other),
            (b"\0\0\x12\x04\0\0\0\0\0", Spoken::Http2),
            (b"\0\0\x08\x07\0\0\0\0\0", Spoken::Other),
            (b"SSH-2.0-O", Spoken::Other),
        ];
        for (first, expected) in rows {
            assert_eq!(spoken(first), expected, "{first:?}");
        }
    }
}
