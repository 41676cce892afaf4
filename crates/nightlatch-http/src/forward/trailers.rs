//! Fields that come after a body.
//!
//! Trailers reach an upstream after the decision about the request, and some servers merge them into its header. So
//! what a header may not carry, a trailer may not either, and nothing that decides about framing, routing,
//! authentication or the content belongs into one at all (RFC 9110 section 6.5.1). What remains passes: gRPC tells its
//! outcome in trailers.

use http::header::{HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::hop_by_hop::list_members;
use super::spelling::{begins_like, is_client_claim, is_ours, is_override, reads_like, remove_where};

/// Names that may not be trailers.
const REFUSED: [&str; 25] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];
/// Beginnings of names that may not be trailers.
const REFUSED_BEGINNINGS: [&str; 5] = ["content-", "if-", "proxy", "sec-", "access-control-"];

/// Whether a field of this name may follow a body.
#[must_use]
pub fn may_follow(name: &HeaderName) -> bool {
    let refused = REFUSED.iter().any(|other| reads_like(name, other))
        || REFUSED_BEGINNINGS.iter().any(|beginning| begins_like(name, beginning));
    !refused && !is_ours(name) && !is_override(name) && !is_client_claim(name)
}

/// Removes the trailers that may not pass, in either direction.
pub fn strip(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| !may_follow(name));
}

/// A frame of a body without the trailers that may not pass.
pub(crate) fn passing<D>(frame: Frame<D>) -> Frame<D> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            strip(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// Leaves in `Trailer` (RFC 9110 section 6.6.2) the names of trailers that will pass.
pub(crate) fn filter_announcement(headers: &mut HeaderMap) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let names = list_members(headers, &TRAILER).filter_map(|name| HeaderName::from_bytes(name).ok());
    let passing: Vec<HeaderName> = names.filter(may_follow).collect();
    headers.remove(TRAILER);
    for name in passing {
        headers.append(TRAILER, HeaderValue::from(name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{headers, show};
    use super::*;

    #[test]
    fn what_passes() {
        let mut trailers = headers(
            "grpc-status: 0\ngrpc-message: ok\nserver-timing: x\nx-nightlatch-subject: admin\nx_nightlatch_groups: a\n\
             x-forwarded-for: 1\nx-http-method: PUT\nauthorization: x\ncookie: x\nset-cookie: x\ncontent-length: 1\n\
             transfer-encoding: chunked\nhost: x\nif-match: x\nproxy-x: 1\nsec-fetch-user: ?1",
        );
        strip(&mut trailers);
        assert_eq!(show(&trailers), "grpc-message: ok\ngrpc-status: 0\nserver-timing: x");
    }

    #[test]
    fn the_announcement_names_what_passes() {
        for (before, after) in [
            ("trailer: Grpc-Status, X-Nightlatch-Subject", "trailer: grpc-status"),
            ("trailer: a\ntrailer: host, b,, \u{e9}", "trailer: a\ntrailer: b"),
            ("trailer: content-length\naccept: a", "accept: a"),
            ("accept: a", "accept: a"),
        ] {
            let mut map = headers(before);
            filter_announcement(&mut map);
            assert_eq!(show(&map), after);
        }
    }
}
