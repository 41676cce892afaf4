//! How a route is read from the configuration.
//!
//! Whoever writes a route that can match nothing has made a mistake, and finds out when it is read, not when a request
//! gets past it. So what no canonical path can hold is an error here, with its place and what to write instead.

use std::str::FromStr;

use super::{RouteMethod, RoutePattern, Segment};
use crate::path::{CanonicalPath, PathRefusal};

/// What is wrong with a pattern. `at` is a byte offset into its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No path, or one that does not begin with `/`.
    #[error("a route needs a path that begins with `/`, such as `GET /orders/**`")]
    NoPath {
        /// Where the path should be.
        at: usize,
    },
    /// Not a method in capitals, `WS` or `*`.
    #[error("`{found}` is not a method; write one in capitals (`POST`), `WS` for WebSocket, or `*` for any")]
    Method {
        /// What stands where the method belongs.
        found: String,
        /// Where it stands.
        at: usize,
    },
    /// `*` inside a segment.
    #[error("`*` stands for a whole segment, `**` for any number of them; write `%2A` for a star in a name")]
    PartialWildcard {
        /// Where the segment begins.
        at: usize,
    },
    /// A second `**`.
    #[error("`**` may appear once in a route; replace the others by `*`, or write two routes")]
    SecondDeep {
        /// Where the second one begins.
        at: usize,
    },
    /// A slash after a `**` at the end.
    #[error("`**` at the end covers the slash already; leave the slash away")]
    SlashAfterDeep {
        /// Where the slash is.
        at: usize,
    },
    /// An empty or a dot segment, which no canonical path has.
    #[error("no request path holds an empty or a dot segment by the time it is matched; leave it away")]
    NotCanonical {
        /// Where the segment begins.
        at: usize,
    },
    /// A segment that no request path can hold.
    #[error("no request can match this route: {refusal}")]
    Segment {
        /// Why such a path is refused.
        refusal: PathRefusal,
        /// Where the segment begins.
        at: usize,
    },
}

impl RoutePattern {
    /// Reads a pattern: an optional method, white space, a path.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, where it is, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let indent = text.len() - text.trim_start().len();
        let (method, path, base) = match text.trim().split_once([' ', '\t']) {
            Some((method, rest)) => {
                let path = rest.trim_start();
                (parse_method(method, indent)?, path, indent + method.len() + 1 + rest.len() - path.len())
            }
            None => (RouteMethod::Any, text.trim(), indent),
        };
        let Some(mut rest) = path.strip_prefix('/') else {
            return Err(RouteError::NoPath { at: base });
        };
        let mut at = base + 1;
        let mut segments = Vec::new();
        while let Some((segment, tail)) =
            rest.split_once('/').or(Some((rest, ""))).filter(|_| !rest.is_empty())
        {
            segments.push(parse_segment(segment, at, segments.contains(&Segment::Deep))?);
            at += segment.len() + 1;
            rest = tail;
        }
        let trailing_slash = path.len() > 1 && path.ends_with('/');
        if trailing_slash && segments.last() == Some(&Segment::Deep) {
            return Err(RouteError::SlashAfterDeep { at: base + path.len() - 1 });
        }
        Ok(Self { method, segments: segments.into(), trailing_slash })
    }
}

impl FromStr for RoutePattern {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        Self::parse(text)
    }
}

fn parse_method(text: &str, at: usize) -> Result<RouteMethod, RouteError> {
    match text {
        "*" => Ok(RouteMethod::Any),
        "WS" => Ok(RouteMethod::WebSocket),
        _ if text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => text
            .parse()
            .map(RouteMethod::Named)
            .map_err(|_| RouteError::Method { found: text.to_owned(), at }),
        _ => Err(RouteError::Method { found: text.to_owned(), at }),
    }
}

fn parse_segment(text: &str, at: usize, deep_before: bool) -> Result<Segment, RouteError> {
    match text {
        "*" => return Ok(Segment::One),
        "**" if deep_before => return Err(RouteError::SecondDeep { at }),
        "**" => return Ok(Segment::Deep),
        _ if text.contains('*') => return Err(RouteError::PartialWildcard { at }),
        _ => {}
    }
    match CanonicalPath::parse(format!("/{text}").as_bytes()) {
        Ok(path) => match path.segments().next() {
            Some(word) => Ok(Segment::Literal(word.into())),
            None => Err(RouteError::NotCanonical { at }),
        },
        Err(PathRefusal::ClimbsAboveRoot) => Err(RouteError::NotCanonical { at }),
        Err(refusal) => Err(RouteError::Segment { refusal, at }),
    }
}
