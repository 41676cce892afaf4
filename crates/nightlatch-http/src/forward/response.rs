//! A response on its way to the client, all in order.
//!
//! An upstream is not trusted with our names: a cookie of ours that it sets could sign somebody in as somebody else,
//! and `X-Nightlatch-*` in a response would be taken for our word. `Alt-Svc` (RFC 7838) is not passed on either: it
//! would tell browsers of a door to the same origin at which we do not stand.

use http::header::{ALT_SVC, CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::hop_by_hop::announce_upgrade;
use super::request::rewrite;
use super::{hop_by_hop, spelling, trailers};
use crate::app_cookie::{AppCookies, Bound};
use crate::cookies::{Filtered, SetCookie};

/// What is known about a response besides its fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct Downward<'a> {
    /// The application's listed cookies.
    pub app_cookies: Option<&'a AppCookies>,
    /// The key of the present subject, which those cookies are bound to; none when nobody is signed in.
    pub subject_key: Option<&'a [u8]>,
    /// What a 101, already found good, switches to.
    pub upgrade: Option<&'a HeaderValue>,
}

/// Turns the fields of an upstream's response into those the client gets.
///
/// Removed: what belongs to the connection, `X-Nightlatch-*`, `Alt-Svc`, and cookies under our names in any case. The
/// application's listed cookies are sealed for the present subject. Everything else is left as it is.
pub fn prepare(headers: &mut HeaderMap, downward: &Downward<'_>) {
    hop_by_hop::strip(headers);
    spelling::remove_where(headers, |name| spelling::is_ours(name) || name == ALT_SVC);
    trailers::filter_announcement(headers);
    rewrite(headers, &SET_COOKIE, |field| {
        if SetCookie::parse(field).claims_reserved_name() {
            return Filtered::Gone;
        }
        match downward.app_cookies.map(|app_cookies| app_cookies.bind(field, downward.subject_key)) {
            None | Some(Bound::Unlisted) => Filtered::Unchanged,
            Some(Bound::Sealed(field)) => Filtered::Changed(field),
            Some(Bound::Drop) => Filtered::Gone,
        }
    });
    if let Some(protocol) = downward.upgrade {
        // There is no body to be long.
        headers.remove(CONTENT_LENGTH);
        announce_upgrade(headers, protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{headers, show};
    use super::*;

    #[test]
    fn fields_in_fields_out() {
        for (before, after) in [
            ("content-type: text/html\ndate: x", "content-type: text/html\ndate: x"),
            ("connection: close, x-hop\nx-hop: 1\nkeep-alive: 5\ntransfer-encoding: chunked", ""),
            ("proxy-authenticate: Basic\nupgrade: h2c\nte: x", ""),
            ("x-nightlatch-reason: none\nx_nightlatch_x: y", ""),
            ("alt-svc: h3=\":443\"", ""),
            ("trailer: grpc-status, set-cookie", "trailer: grpc-status"),
            (
                "set-cookie: a=1\nset-cookie: __Host-nightlatch=x; Path=/; Secure\nset-cookie: b=2",
                "set-cookie: a=1\nset-cookie: b=2",
            ),
            ("set-cookie: __hOsT-nightlatch-ended=x", ""),
            ("set-cookie: nightlatch-loopback=x", ""),
            ("set-cookie: =__Host-nightlatch=x", ""),
            ("set-cookie: Nightlatch-Loopback", ""),
            ("set-cookie: a=__Host-nightlatch=x", "set-cookie: a=__Host-nightlatch=x"),
            ("www-authenticate: Negotiate", "www-authenticate: Negotiate"),
        ] {
            let mut map = headers(before);
            prepare(&mut map, &Downward::default());
            assert_eq!(show(&map), after, "{before}");
        }
    }

    #[test]
    fn an_unbound_listed_cookie_is_not_set() {
        let app_cookies = AppCookies::new(b"key", ["sid"]).unwrap();
        let mut map = headers("set-cookie: sid=1\nset-cookie: b=2");
        prepare(&mut map, &Downward { app_cookies: Some(&app_cookies), ..Downward::default() });
        assert_eq!(show(&map), "set-cookie: b=2");
    }

    #[test]
    fn switching() {
        let mut map = headers("connection: upgrade\nupgrade: WebSocket\nsec-websocket-accept: a");
        let protocol = HeaderValue::from_static("websocket");
        prepare(&mut map, &Downward { upgrade: Some(&protocol), ..Downward::default() });
        assert_eq!(show(&map), "connection: Upgrade\nsec-websocket-accept: a\nupgrade: websocket");
    }
}
