//! Where the client is.
//!
//! The only address nobody can lie about is the one at the other end of the connection. If that is a proxy the firm
//! has named, the proxy may say who was at *its* other end, in the last member of `X-Forwarded-For`; if that is a named
//! proxy too, the next one may speak, and so on to the left. The first address that is not a named proxy is the client.
//! What stands left of it was written by the client itself.
//!
//! That left part is not passed on. Most applications read the *first* address of the list, and would believe it; the
//! list they get begins with the address that we believe. `Forwarded` (RFC 7239) is not passed on from anyone: proxies
//! that manage `X-Forwarded-For` commonly let a client's `Forwarded` through, and frameworks prefer it.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::spelling::{is_client_claim, reads_like, remove_where};
use crate::cookies::trim;

/// The list of addresses, client first.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme the client used.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The most addresses that are believed in one list; proxies beyond are taken for the client.
pub const CHAIN_MAX: usize = 32;

/// The proxies that may say where a client is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether an address is one of them. An IPv4 address written as IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address.to_canonical()))
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        Self(nets.into_iter().collect())
    }
}

/// What is believed about the client's end of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// The client's address: the one that limits by address go by.
    pub address: IpAddr,
    /// The proxies between the client and us, the nearest first; fewer than [`CHAIN_MAX`].
    proxies: Vec<IpAddr>,
    /// Whether the client used `https`.
    pub secure: bool,
    /// The host the client asked for.
    pub host: Option<HeaderValue>,
}

impl ClientView {
    /// Works out what to believe, from the fields of a request as they came and the connection they came on: the
    /// peer's address, whether it is TLS, and the host of the request.
    #[must_use]
    pub fn of(
        headers: &HeaderMap,
        peer: IpAddr,
        secure: bool,
        host: Option<&HeaderValue>,
        trusted: &TrustedProxies,
    ) -> Self {
        let peer = peer.to_canonical();
        let mut view = Self { address: peer, proxies: Vec::new(), secure, host: host.cloned() };
        if !trusted.contains(peer) {
            return view;
        }
        let claims = headers
            .get_all(X_FORWARDED_FOR)
            .into_iter()
            .rev()
            .flat_map(|f| f.as_bytes().rsplit(|&b| b == b','));
        for claim in claims.take(CHAIN_MAX - 1) {
            let Some(address) = parse_address(trim(claim)) else { break };
            view.proxies.push(std::mem::replace(&mut view.address, address));
            if !trusted.contains(address) {
                break;
            }
        }
        match last_member(headers, &X_FORWARDED_PROTO) {
            Some(proto) if proto.eq_ignore_ascii_case(b"https") => view.secure = true,
            Some(proto) if proto.eq_ignore_ascii_case(b"http") => view.secure = false,
            _ => {}
        }
        let claimed = last_member(headers, &X_FORWARDED_HOST).filter(|host| is_host(host));
        if let Some(host) = claimed.and_then(|host| HeaderValue::from_bytes(host).ok()) {
            view.host = Some(host);
        }
        view
    }

    /// Replaces whatever a request says about its client by this view. Claims other than the three that are rewritten
    /// (`X-Forwarded-Port`, `X-Real-IP` and the like) stay if the peer may make them.
    pub(crate) fn write(&self, headers: &mut HeaderMap, peer_trusted: bool) {
        headers.remove(FORWARDED);
        let rewritten = [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST];
        remove_where(headers, |name| {
            reads_like(name, "forwarded")
                || (is_client_claim(name)
                    && (!peer_trusted || rewritten.iter().any(|r| reads_like(name, r.as_str()))))
        });
        let mut chain = self.address.to_string();
        for proxy in self.proxies.iter().rev() {
            chain.push_str(", ");
            chain.push_str(&proxy.to_string());
        }
        // Digits, dots and colons are always a field value.
        headers.extend(HeaderValue::try_from(chain).ok().map(|chain| (X_FORWARDED_FOR, chain)));
        headers
            .insert(X_FORWARDED_PROTO, HeaderValue::from_static(if self.secure { "https" } else { "http" }));
        headers.extend(self.host.clone().map(|host| (X_FORWARDED_HOST, host)));
    }
}

/// An address with or without a port, an IPv6 address with or without brackets.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
}

/// What the nearest proxy said: the last member of the last field.
fn last_member<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let field = headers.get_all(name).into_iter().next_back()?;
    field.as_bytes().rsplit(|&byte| byte == b',').next().map(trim)
}

fn is_host(text: &[u8]) -> bool {
    !text.contains(&b'@') && Authority::try_from(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::request::tests::{headers, show};
    use super::*;

    fn trusted() -> TrustedProxies {
        ["10.0.1.0/24", "fd00::/8"].into_iter().map(|net| net.parse::<IpNet>().unwrap()).collect()
    }

    fn write(peer: &str, lines: &str) -> String {
        let mut map = headers(lines);
        let peer: IpAddr = peer.parse().unwrap();
        let host = HeaderValue::from_static("desk.example.com");
        let view = ClientView::of(&map, peer, true, Some(&host), &trusted());
        view.write(&mut map, trusted().contains(peer));
        show(&map).replace("x-forwarded-", "")
    }

    #[test]
    fn addresses() {
        for (peer, claims, expected) in [
            // strangers say nothing
            ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
            ("203.0.113.9", "10.0.1.1", "203.0.113.9"),
            ("::ffff:203.0.113.9", "1.1.1.1", "203.0.113.9"),
            // a named proxy says who was there
            ("10.0.1.7", "198.51.100.4", "198.51.100.4, 10.0.1.7"),
            ("::ffff:10.0.1.7", "198.51.100.4", "198.51.100.4, 10.0.1.7"),
            ("10.0.1.7", "6.6.6.6, 198.51.100.4", "198.51.100.4, 10.0.1.7"),
            ("10.0.1.7", "6.6.6.6, 198.51.100.4, 10.0.1.8", "198.51.100.4, 10.0.1.8, 10.0.1.7"),
            ("10.0.1.7", "10.0.1.9,10.0.1.8", "10.0.1.9, 10.0.1.8, 10.0.1.7"),
            ("fd00::1", "2001:db8::1", "2001:db8::1, fd00::1"),
            // forms of an address
            ("10.0.1.7", "198.51.100.4:5000", "198.51.100.4, 10.0.1.7"),
            ("10.0.1.7", "[2001:db8::1]:5000", "2001:db8::1, 10.0.1.7"),
            ("10.0.1.7", "[2001:db8::1]", "2001:db8::1, 10.0.1.7"),
            ("10.0.1.7", "6.6.6.6\n198.51.100.4", "198.51.100.4, 10.0.1.7"),
            // what is not an address ends the list
            ("10.0.1.7", "198.51.100.4, unknown", "10.0.1.7"),
            ("10.0.1.7", "6.6.6.6, unknown, 10.0.1.8", "10.0.1.8, 10.0.1.7"),
            ("10.0.1.7", "", "10.0.1.7"),
            ("10.0.1.7", ",", "10.0.1.7"),
            ("10.0.1.7", "\u{e9}", "10.0.1.7"),
        ] {
            let lines =
                claims.lines().map(|line| format!("x-forwarded-for: {line}")).collect::<Vec<_>>().join("\n");
            let written = write(peer, &lines);
            assert!(written.starts_with(&format!("for: {expected}\n")), "{peer} {claims}: {written}");
        }
    }

    #[test]
    fn an_endless_list_is_cut() {
        let map = headers(&format!("x-forwarded-for: 6.6.6.6{}", ", 10.0.1.8".repeat(10_000)));
        let view = ClientView::of(&map, "10.0.1.7".parse().unwrap(), true, None, &trusted());
        assert_eq!((view.proxies.len() + 1, view.address.to_string()), (CHAIN_MAX, "10.0.1.8".to_owned()));
    }

    #[test]
    fn everything_else_that_is_claimed() {
        let own = "host: desk.example.com\nproto: https";
        for (peer, lines, expected) in [
            (
                "203.0.113.9",
                "x-forwarded-proto: http\nx-forwarded-host: evil\nx-forwarded-port: 1\nx-real-ip: 1",
                own,
            ),
            ("203.0.113.9", "x_forwarded_for: 1.1.1.1\nx_real_ip: 1\nforwarded: for=1.1.1.1", own),
            ("10.0.1.7", "forwarded: for=1.1.1.1\nx_forwarded_for: 1.1.1.1", own),
            ("10.0.1.7", "x-forwarded-proto: http", "host: desk.example.com\nproto: http"),
            ("10.0.1.7", "x-forwarded-proto: https, http", "host: desk.example.com\nproto: http"),
            ("10.0.1.7", "x-forwarded-proto: gopher", own),
            (
                "10.0.1.7",
                "x-forwarded-host: other.example.com:8443",
                "host: other.example.com:8443\nproto: https",
            ),
            ("10.0.1.7", "x-forwarded-host: a@b", own),
            ("10.0.1.7", "x-forwarded-host: a b", own),
            ("10.0.1.7", "x-forwarded-port: 8443", "host: desk.example.com\nport: 8443\nproto: https"),
        ] {
            let written = write(peer, lines);
            let (_, rest) = written.split_once('\n').unwrap();
            assert_eq!(rest, expected, "{peer} {lines}");
        }
    }

    proptest! {
        #[test]
        fn the_claims_of_a_stranger_change_nothing(claims in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut map = HeaderMap::new();
            map.extend(HeaderValue::from_bytes(&claims).ok().map(|claims| (X_FORWARDED_FOR, claims)));
            let stranger = "203.0.113.9".parse().unwrap();
            prop_assert_eq!(ClientView::of(&map, stranger, true, None, &trusted()).address, stranger);
            let _ = ClientView::of(&map, "10.0.1.7".parse().unwrap(), true, None, &trusted());
        }
    }
}
