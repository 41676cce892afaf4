//! Origins, upstreams and hosts, checked for their form.
//!
//! Names are not looked up. A URL that says more than the key can honour (a path, a query, a user) is refused rather
//! than cut to size, and so is a host that programs read differently (`127.1`, a name with a dot at its end): what is
//! compared with an `Origin` header later has to be exact.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::address::unix_path;
use super::code::Code;
use super::mistake::{Mistake, not_yet};
use super::source::quoted;

/// How browsers reach the gateway: what an `Origin` header must say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// Whether it is `https`.
    pub(crate) https: bool,
    /// Host name in lower case, or address; an IPv6 address in brackets.
    pub(crate) host: String,
    /// The port, unless it is the one of the scheme.
    pub(crate) port: Option<u16>,
}

impl Origin {
    /// Whether only this machine can mean this origin.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Where an app listens for plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Upstream {
    /// On a host and port.
    Tcp {
        /// Host name in lower case, or address; an IPv6 address in brackets.
        host: String,
        /// The port, 80 where none was written.
        port: u16,
    },
    /// On a socket file of this machine.
    Unix(PathBuf),
}

impl Upstream {
    /// Whether connecting to it would reach the listener at `address` of this machine.
    pub(super) fn reaches(&self, address: SocketAddr) -> bool {
        let Self::Tcp { host, port } = self else { return false };
        let here = is_loopback(host) && (address.ip().is_loopback() || address.ip().is_unspecified());
        let same = host.trim_matches(['[', ']']).parse() == Ok(address.ip());
        *port == address.port() && (here || same)
    }
}

/// Scheme, host and port, and nothing else.
pub(super) fn origin(text: &str) -> Result<Origin, Mistake> {
    let bad = |what: &str| Mistake::new(Code::BadUrl, format!("`{}` {what}", quoted(text)));
    let (https, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(bad("does not begin with `https://` or `http://`")),
    };
    if let Some(end) = rest.find(['/', '?', '#']) {
        let scheme = if https { "https" } else { "http" };
        let host = quoted(rest.get(..end).unwrap_or_default());
        return Err(bad("has more than scheme, host and port").hint(format!("write `{scheme}://{host}`")));
    }
    let (host, port) = host_and_port(rest).ok_or_else(|| bad("does not name a host"))?;
    Ok(Origin { https, host, port: port.filter(|port| *port != if https { 443 } else { 80 }) })
}

/// An app's address.
pub(super) fn upstream(text: &str) -> Result<Upstream, Mistake> {
    let bad = |what: &str| Mistake::new(Code::BadUrl, format!("`{}` {what}", quoted(text)));
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(Upstream::Unix);
    }
    let rest = match text.split_once("://") {
        Some(("http", rest)) => rest,
        Some(("https", _)) => {
            return Err(not_yet("an `https` upstream")
                .hint("use `http://` over loopback or a network that you trust"));
        }
        _ => return Err(bad("does not begin with `http://` or `unix:`")),
    };
    if let Some(end) = rest.find(['/', '?', '#']) {
        let host = quoted(rest.get(..end).unwrap_or_default());
        return Err(bad("has more than host and port; paths go to the app unchanged")
            .hint(format!("write `http://{host}`")));
    }
    let (host, port) = host_and_port(rest).ok_or_else(|| bad("does not name a host"))?;
    Ok(Upstream::Tcp { host, port: port.unwrap_or(80) })
}

/// `host`, `host:port`, `address:port` or `[address]:port`; the host comes back in lower case.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
    };
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some((format!("[{}]", address.parse::<Ipv6Addr>().ok()?), port));
    }
    is_name(host).then(|| (host.to_ascii_lowercase(), port))
}

/// Whether the text has the form of a host name or an IPv4 address.
pub(super) fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits makes it an address for some programs (`127.1`), so it must be one for all.
    let digits = |label: &str| label.bytes().all(|b| b.is_ascii_digit()) || label.starts_with("0x");
    let numeric = host.rsplit('.').next().is_some_and(digits);
    host.len() <= 253 && host.split('.').all(label) && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

// === impl Origin ===

/// As a browser writes it in `Origin`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Upstream ===

/// As in the file.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for Upstream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: fmt::Display>(result: Result<T, Mistake>) -> String {
        match result {
            Ok(value) => value.to_string(),
            Err(mistake) => format!("{}: {}", mistake.code, mistake.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn origins_come_back_as_browsers_write_them() {
        for (text, expected) in [
            ("https://Desk.Example.com", "https://desk.example.com"),
            ("https://desk.example.com:443", "https://desk.example.com"),
            ("https://desk.example.com:8443", "https://desk.example.com:8443"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://desk.example.com/", "bad-url: write `https://desk.example.com`"),
            ("https://desk.example.com/app?x", "bad-url: write `https://desk.example.com`"),
            ("desk.example.com", "bad-url: "),
            ("ftp://desk.example.com", "bad-url: "),
            ("https://", "bad-url: "),
            ("https://user@desk.example.com", "bad-url: "),
            ("https://desk.example.com.", "bad-url: "),
            ("https://127.1", "bad-url: "),
            ("https://0x7f000001", "bad-url: "),
            ("https://desk.example.com:0", "bad-url: "),
            ("https://desk.example.com:+1", "bad-url: "),
            ("https://büro.example", "bad-url: "),
        ] {
            assert_eq!(said(origin(text)), expected, "{text}");
        }
    }

    #[test]
    fn upstreams_have_a_port_and_no_path() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://Blotter", "http://blotter:80"),
            ("http://[fd00::1]:3000", "http://[fd00::1]:3000"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:run/app.sock", "bad-path: write it from the root on: `unix:/run/app.sock`"),
            ("https://127.0.0.1:3000", "not-yet: use `http://` over loopback or a network that you trust"),
            ("http://127.0.0.1:3000/api", "bad-url: write `http://127.0.0.1:3000`"),
            ("127.0.0.1:3000", "bad-url: "),
            ("http://:3000", "bad-url: "),
        ] {
            assert_eq!(said(upstream(text)), expected, "{text}");
        }
    }

    #[test]
    fn an_upstream_that_is_our_own_listener_is_recognised() {
        let reaches = |url: &str, address: &str| upstream(url).unwrap().reaches(address.parse().unwrap());
        assert!(reaches("http://127.0.0.1:8443", "127.0.0.1:8443"));
        assert!(reaches("http://localhost:8443", "0.0.0.0:8443"));
        assert!(reaches("http://[::1]:8443", "[::]:8443"));
        assert!(reaches("http://10.0.0.1:8443", "10.0.0.1:8443"));
        assert!(!reaches("http://127.0.0.1:3000", "127.0.0.1:8443"));
        assert!(!reaches("http://10.0.0.2:8443", "10.0.0.1:8443"));
        assert!(!reaches("http://localhost:8443", "10.0.0.1:8443"));
    }
}
