//! Whether the `Host` of a request can be meant for this listener.
//!
//! A page on the internet can make a browser inside the firm call the admin listener: it lets its own name point to a loopback address
//! ("DNS rebinding"), and the browser takes the two for one origin. What it cannot do is change the name it has. So a name is taken only
//! if it always means this machine (`localhost`), and an address only if it is a loopback one or the one that the connection came
//! in on. A check by address cannot be rebound, and needs no setting.

use super::problem::{Code, Problem};
use axum::{
    extract::Request,
    http::{Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::{IpAddr, SocketAddr};

/// The address of ours that a connection came in on; put into each request by whoever accepted the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CameInOn(pub(crate) SocketAddr);

/// Refuses a request whose `Host` is not ours, before anything else looks at it.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let local = request.extensions().get::<CameInOn>().map(|CameInOn(local)| local.ip());
    let mut hosts = request.headers().get_all(header::HOST).iter();
    // In the form for proxies the target names a host of its own, and that one counts (RFC 9112 section 3.2.2). Here both must be ours.
    let target = request.uri().authority().is_none_or(|authority| is_ours(authority.as_str(), local));
    let ours = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(|host| is_ours(host, local)),
        // Simple probes say no host, in the version of HTTP that need not. A browser always does.
        (None, _) => request.version() == Version::HTTP_10,
        _ => false,
    };
    if ours && target {
        return next.run(request).await;
    }
    let detail = "send it to `localhost`, a loopback address or the address this listener is bound to";
    Problem::new(Code::WrongHost, detail).into_response()
}

fn is_ours(host: &str, local: Option<IpAddr>) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    // An authority may carry a user name; a `Host` may not.
    if host.contains('@') {
        return false;
    }
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let digits = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let Ok(ip) = digits.parse::<IpAddr>() else { return false };
    let ip = ip.to_canonical();
    ip.is_loopback() || local.is_some_and(|local| local.to_canonical() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_mean_this_machine_are_taken() {
        let local = Some(IpAddr::from([10, 0, 0, 7]));
        let rows = [
            ("localhost", true),
            ("LocalHost:8081", true),
            ("127.0.0.1:8081", true),
            ("127.9.9.9", true),
            ("[::1]:8081", true),
            ("[::ffff:127.0.0.1]", true),
            ("10.0.0.7:8081", true),
            ("10.0.0.8:8081", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evil@localhost", false),
            ("2130706433", false),
            ("", false),
            ("a b", false),
        ];
        for (host, ours) in rows {
            assert_eq!(is_ours(host, local), ours, "{host}");
        }
        assert!(!is_ours("10.0.0.7", None));
    }
}
