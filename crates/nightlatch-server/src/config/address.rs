//! Listeners and networks: addresses as numbers.
//!
//! A check that resolved names would give another answer on the desk where the file is written than on the machine
//! where it runs. So addresses are numbers here, and whatever two programs could read differently (a network with
//! host bits, an IPv4 address dressed as IPv6) is refused with the spelling that everybody reads the same.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::code::Code;
use super::mistake::Mistake;
use super::source::quoted;
use super::url;

/// A listener: an IP address and a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Mistake> {
    text.parse().map_err(|_| {
        let mistake =
            Mistake::new(Code::BadAddress, format!("`{}` is not an IP address and port", quoted(text)));
        if let Ok(address) = text.parse::<IpAddr>() {
            return mistake.hint(format!("add the port: `{}`", SocketAddr::new(address, 8443)));
        }
        match text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
            Some(("", Ok(port))) => {
                mistake.hint(format!("for every address of this machine write `0.0.0.0:{port}`"))
            }
            Some(("localhost", Ok(port))) => mistake.hint(format!("write the number: `127.0.0.1:{port}`")),
            Some((host, Ok(_))) if url::is_name(host) => {
                mistake.hint("write the number of the address; names are not looked up here")
            }
            _ => mistake,
        }
    })
}

/// A socket file: `unix:` and its path.
pub(super) fn socket_file(text: &str) -> Result<PathBuf, Mistake> {
    match text.strip_prefix("unix:") {
        Some(path) => unix_path(path),
        None => {
            Err(Mistake::new(Code::BadAddress, format!("`{}` does not begin with `unix:`", quoted(text))))
        }
    }
}

/// The path of a socket file, from the root on: two programs have to mean the same file, whatever folder each of them runs in.
pub(super) fn unix_path(path: &str) -> Result<PathBuf, Mistake> {
    /// What a socket's address has room for on Linux, without the zero at its end.
    const LONGEST: usize = 107;
    let bad = |what: &str| Mistake::new(Code::BadPath, format!("`{}` {what}", quoted(path)));
    if !path.starts_with('/') || path.ends_with('/') {
        let hint = format!("write it from the root on: `unix:/{}`", quoted(path.trim_matches('/')));
        return Err(bad("is not the path of a socket file").hint(hint));
    }
    if path.len() > LONGEST || path.contains('\0') {
        return Err(bad("cannot be the address of a socket: at most 107 bytes").hint("choose a shorter path"));
    }
    Ok(PathBuf::from(path))
}

/// A network or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, Mistake> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = parsed.map_err(|_| {
        Mistake::new(Code::BadNetwork, format!("`{}` is not a network or an address", quoted(text)))
    })?;
    if net.prefix_len() == 0 {
        return Err(Mistake::new(
            Code::TrustsEveryone,
            format!("`{net}` is every address, so any client could say that it is another"),
        )
        .hint("list the addresses of your own proxies, such as `10.0.1.0/24`"));
    }
    if net.trunc() != net {
        return Err(Mistake::new(
            Code::BadNetwork,
            format!("`{net}` is an address inside a network, and could mean either"),
        )
        .hint(format!("write the network, `{}`, or the address, `{}`", net.trunc(), net.addr())));
    }
    if let IpAddr::V6(address) = net.addr()
        && let Some(v4) = address.to_ipv4_mapped()
    {
        return Err(Mistake::new(Code::BadNetwork, format!("`{net}` is an IPv4 address written as IPv6"))
            .hint(format!("write it as IPv4: `{v4}`")));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use super::*;

    fn said<T: Display>(result: Result<T, Mistake>) -> String {
        match result {
            Ok(value) => value.to_string(),
            Err(mistake) => format!("{}: {}", mistake.code, mistake.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn listeners_are_numbers() {
        for (text, expected) in [
            ("0.0.0.0:8443", "0.0.0.0:8443"),
            ("[::1]:80", "[::1]:80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            (":8443", "bad-address: for every address of this machine write `0.0.0.0:8443`"),
            ("localhost:8443", "bad-address: write the number: `127.0.0.1:8443`"),
            (
                "desk.example.com:1",
                "bad-address: write the number of the address; names are not looked up here",
            ),
            ("127.0.0.1", "bad-address: add the port: `127.0.0.1:8443`"),
            ("::1", "bad-address: add the port: `[::1]:8443`"),
            ("127.0.0.1:99999", "bad-address: "),
            ("", "bad-address: "),
        ] {
            assert_eq!(said(socket_address(text)), expected, "{text}");
        }
    }

    #[test]
    fn networks_are_written_as_everybody_reads_them() {
        for (text, expected) in [
            ("10.0.1.0/24", "10.0.1.0/24"),
            ("10.0.1.7", "10.0.1.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("10.0.1.7/24", "bad-network: write the network, `10.0.1.0/24`, or the address, `10.0.1.7`"),
            ("0.0.0.0/0", "trusts-everyone: list the addresses of your own proxies, such as `10.0.1.0/24`"),
            ("::/0", "trusts-everyone: list the addresses of your own proxies, such as `10.0.1.0/24`"),
            ("::ffff:10.0.0.1", "bad-network: write it as IPv4: `10.0.0.1`"),
            ("10.0.1.0/33", "bad-network: "),
            ("proxy.example.com", "bad-network: "),
        ] {
            assert_eq!(said(network(text)), expected, "{text}");
        }
    }
}
