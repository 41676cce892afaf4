//! Fields that belong to one connection (RFC 9110 section 7.6.1).
//!
//! They are removed in both directions: the ones that are always such, and the ones that the sender names in
//! `Connection`. The framing of the next connection is made by the HTTP library from the body it is given, never
//! copied, so two servers cannot be made to disagree about where a message ends.
//!
//! Nomination is itself an attack ("hop-by-hop header abuse"): a client names a field that a proxy added, and the
//! proxy removes it. Here nothing has been added yet when the nominations are honoured, and `Host` and
//! `Content-Length` cannot be nominated: they are about the message, whatever the sender says.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use super::spelling::{begins_like, reads_like, remove_where};
use crate::cookies::trim;

/// Always for one connection, besides everything that begins with `proxy`. (`Proxy` alone is no field of HTTP at all,
/// but becomes `HTTP_PROXY` in CGI: CVE-2016-5385.)
const FIXED: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
];

/// The members of a comma-separated list over all fields of a name, trimmed, none of them empty.
pub(crate) fn list_members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let fields = headers.get_all(name).into_iter();
    fields
        .flat_map(|field| field.as_bytes().split(|&byte| byte == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Whether a comma-separated list has this member, in any case.
pub(crate) fn list_has(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    list_members(headers, name).any(|found| found.eq_ignore_ascii_case(member.as_bytes()))
}

/// Removes what belongs to the connection the message came on. `Trailer` stays: it belongs to the message (RFC 9110
/// section 6.6.2) and is dealt with together with the trailers.
pub fn strip(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = list_members(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    // A length beside a transfer coding is not to be believed, nor passed on (RFC 9112 section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in &nominated {
        headers.remove(name);
    }
    // In every spelling: to a server that takes `Transfer_Encoding` for a transfer coding the body would end elsewhere.
    remove_where(headers, |name| {
        FIXED.iter().any(|fixed| reads_like(name, fixed.as_str()))
            || (*name != CONTENT_LENGTH && reads_like(name, CONTENT_LENGTH.as_str()))
            || name == "proxy"
            || begins_like(name, "proxy-")
    });
}

/// Says on the next connection that it is to close after this message (RFC 9112 section 9.6).
pub(crate) fn announce_close(headers: &mut HeaderMap) {
    headers.append(CONNECTION, HeaderValue::from_static("close"));
}

/// Says on the next connection that trailers are understood (RFC 9110 section 10.1.4).
pub(crate) fn announce_te_trailers(headers: &mut HeaderMap) {
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.append(CONNECTION, HeaderValue::from_static("TE"));
}

/// Asks for, or confirms, another protocol on the next connection.
pub(crate) fn announce_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{headers, show};
    use super::*;

    #[test]
    fn rows() {
        for (before, after) in [
            ("accept: a", "accept: a"),
            ("connection: close\naccept: a", "accept: a"),
            ("connection: Keep-Alive, X-Foo\nkeep-alive: timeout=5\nx-foo: 1\nx-bar: 2", "x-bar: 2"),
            ("connection: x-a ,, x-b,\nconnection: x-c\nx-a: 1\nx-b: 1\nx-b: 2\nx-c: 1", ""),
            ("connection: host, content-length\nhost: h\ncontent-length: 3", "content-length: 3\nhost: h"),
            ("connection: \u{e9}, a b\naccept: a", "accept: a"),
            ("transfer-encoding: chunked\ncontent-length: 3", ""),
            (
                "transfer_encoding: chunked\ncontent-length: 3\ncontent.length: 4\nkeep_alive: 5",
                "content-length: 3",
            ),
            ("te: trailers, deflate\ntrailer: x\nupgrade: h2c\nhttp2-settings: AAA", "trailer: x"),
            (
                "proxy-connection: close\nproxy-authorization: x\nproxy_foo: x\nproxy: x\nproxying: y",
                "proxying: y",
            ),
        ] {
            let mut map = headers(before);
            strip(&mut map);
            assert_eq!(show(&map), after, "{before}");
        }
    }
}
