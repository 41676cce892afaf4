//! A name for a request that no pattern matches.
//!
//! The record names routes, never URLs: a path holds account numbers, names and search words, and a record is kept
//! for years. Most requests are named by the pattern they match. For the rest a name has to be made, and guessing
//! which segments are "only words" is not good enough: `smith` is a word. So the rule is the other way round. A
//! segment is written down only if somebody responsible wrote it before: it is a literal of a pattern in the
//! configuration, or one of a few words about how applications are built. Every other segment becomes `*`.
//!
//! With `POST /orders/**` configured, `GET /api/orders/17` is named `GET /api/orders/*` and `GET /smith/17` is named
//! `GET /*/*`. The number of names is bounded too, whatever clients send: known words, at most [`DEPTH_MAX`]
//! segments, known methods. Operators who want finer names write more patterns.

use std::collections::BTreeSet;

use http::Method;

use crate::path::segment_name;
use crate::route::{RoutePattern, RouteRequest};

/// Segments of a path that are named; deeper ones together become `**`.
pub const DEPTH_MAX: usize = 6;

/// Words that say how an application is built and nothing about who uses it.
const STRUCTURAL: [&str; 22] = [
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "events",
    "favicon.ico",
    "graphql",
    "health",
    "healthz",
    "login",
    "logout",
    "metrics",
    "public",
    "rest",
    "rpc",
    "static",
    "v1",
    "v2",
    "v3",
    "v4",
    "ws",
];

/// The words that may appear in the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary(BTreeSet<Box<str>>);

impl Vocabulary {
    /// The literals of these patterns, besides the words that are always known.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p RoutePattern>) -> Self {
        Self(patterns.into_iter().flat_map(RoutePattern::words).map(Into::into).collect())
    }

    /// A name of bounded length for a request, in the form of a pattern, holding known words only.
    #[must_use]
    pub fn generalise(&self, request: RouteRequest<'_>) -> String {
        let mut name = String::from(if request.websocket { "WS" } else { known_method(request.method) });
        name.push(' ');
        for (depth, segment) in request.path.segments().enumerate() {
            if depth == DEPTH_MAX {
                name.push_str("/**");
                return name;
            }
            name.push('/');
            // Parameters are data; a word is known by what stands before them.
            let word = segment_name(segment);
            name.push_str(if self.knows(word) { word } else { "*" });
        }
        if name.ends_with(' ') {
            name.push('/');
        }
        name
    }

    fn knows(&self, word: &str) -> bool {
        STRUCTURAL.contains(&word) || self.0.contains(word)
    }
}

/// The method, or `*` for one that a client may have made up.
fn known_method(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    if known.contains(method) { method.as_str() } else { "*" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::CanonicalPath;

    #[test]
    fn only_words_somebody_wrote() {
        let patterns =
            ["POST /orders/**", "GET /accounts/*/statements"].map(|text| RoutePattern::parse(text).unwrap());
        let vocabulary = Vocabulary::new(&patterns);
        for (method, path, expected) in [
            ("GET", "/", "GET /"),
            ("GET", "/api/orders/17", "GET /api/orders/*"),
            ("GET", "/api/orders/17/", "GET /api/orders/*"),
            ("GET", "/smith/17", "GET /*/*"),
            ("GET", "/users/smith", "GET /*/*"),
            ("GET", "/accounts/DE12500105/statements/2026", "GET /accounts/*/statements/*"),
            ("GET", "/orders;customer=smith/1", "GET /orders/*"),
            ("BREW", "/orders", "* /orders"),
            ("POST", "/a/b/c/d/e/f", "POST /*/*/*/*/*/*"),
            ("POST", "/a/b/c/d/e/f/g/h", "POST /*/*/*/*/*/*/**"),
        ] {
            let method: Method = method.parse().unwrap();
            let path = CanonicalPath::parse(path.as_bytes()).unwrap();
            let name = vocabulary.generalise(RouteRequest { method: &method, websocket: false, path: &path });
            assert_eq!(name, expected);
            assert!(RoutePattern::parse(&name).is_ok(), "a name has the form of a pattern: {name}");
        }
    }

    #[test]
    fn an_upgrade_is_named_so() {
        let path = CanonicalPath::parse(b"/ws/7").unwrap();
        let request = RouteRequest { method: &Method::GET, websocket: true, path: &path };
        assert_eq!(Vocabulary::default().generalise(request), "WS /ws/*");
    }
}
