//! Route patterns: how the configuration names requests, and how the record does.
//!
//! A pattern is a method and a path, `POST /orders/**`. The same type is read from the configuration, matched at
//! every request and written to the record, because a record that named URLs would name people.
//!
//! Patterns are used for two opposite purposes, and a doubt has to fall on the safe side of each. `public` *grants*
//! something, so a request must be exactly what was written. `sensitive` *restricts*, so a request that some upstream
//! would take for what was written must count as that. [`Reading`] is therefore not optional:
//!
//! | The request differs from the pattern by | [`Reading::Grant`] | [`Reading::Restrict`] |
//! | --- | --- | --- |
//! | parameters: `/orders;v=1` for `/orders` | no match | match |
//! | a slash at the end: `/orders/` for `/orders` | no match | match |
//! | the method's case: `post` for `POST` | no match | match |
//! | being a WebSocket upgrade, for `GET` | no match | match |
//!
//! Beyond that there is little to know: `*` is one segment, `**` is any number of them and appears at most once
//! (which makes matching one pass with nothing to remember), HEAD is covered by `GET`, `WS` is a GET that upgrades to
//! WebSocket, and no method or `*` is any method. Literal segments are canonical, so that they compare as bytes with
//! a [`CanonicalPath`].
//!
//! What is absent: method overrides in a form body or a query (`_method=DELETE`). An application that honours them
//! has to be told about by a pattern that does not name the method.

use std::fmt;

use http::Method;

use crate::path::{CanonicalPath, segment_name};

mod parse;

pub use parse::RouteError;

/// One pattern of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoutePattern {
    method: RouteMethod,
    segments: Box<[Segment]>,
    trailing_slash: bool,
}

/// The method part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum RouteMethod {
    Any,
    WebSocket,
    Named(Method),
}

/// One segment of a pattern. `Deep` appears at most once in a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<str>),
    One,
    Deep,
}

/// Which way a doubt falls; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// A match allows something that would be refused otherwise (`public`, `active`): only what was written.
    Grant,
    /// A match forbids or limits something (`sensitive`, `passive`): all that might be taken for what was written.
    Restrict,
}

/// What of a request a pattern looks at.
#[derive(Debug, Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// Whether the request asks to be upgraded to WebSocket.
    pub websocket: bool,
    /// The path that will be forwarded.
    pub path: &'a CanonicalPath,
}

impl RoutePattern {
    /// Whether this pattern matches a request, doubts falling as `reading` says. Allocates nothing.
    #[must_use]
    pub fn matches(&self, request: RouteRequest<'_>, reading: Reading) -> bool {
        self.method_matches(request, reading) && self.path_matches(request.path, reading)
    }

    /// The literal words of the pattern, in their canonical form.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(word) => Some(&**word),
            Segment::One | Segment::Deep => None,
        })
    }

    fn method_matches(&self, request: RouteRequest<'_>, reading: Reading) -> bool {
        let named = match &self.method {
            RouteMethod::Any => return true,
            RouteMethod::WebSocket => return request.websocket,
            RouteMethod::Named(named) => named,
        };
        let same = |method: &Method| match reading {
            Reading::Grant => request.method == method,
            Reading::Restrict => request.method.as_str().eq_ignore_ascii_case(method.as_str()),
        };
        let opens_more = request.websocket && reading == Reading::Grant;
        !opens_more && (same(named) || (*named == Method::GET && same(&Method::HEAD)))
    }

    fn path_matches(&self, path: &CanonicalPath, reading: Reading) -> bool {
        let mut theirs = path.segments();
        let mut ours = self.segments.iter();
        // Forwards to the `**`, then backwards to it; what is left in between is what it stands for.
        for segment in ours.by_ref() {
            if *segment == Segment::Deep {
                let rest_matches =
                    ours.rev().all(|segment| theirs.next_back().is_some_and(|s| segment.matches(s, reading)));
                return rest_matches && self.slash_matches(path, reading);
            }
            if !theirs.next().is_some_and(|theirs| segment.matches(theirs, reading)) {
                return false;
            }
        }
        theirs.next().is_none() && self.slash_matches(path, reading)
    }

    fn slash_matches(&self, path: &CanonicalPath, reading: Reading) -> bool {
        let any =
            reading == Reading::Restrict || self.segments.last().is_none_or(|last| *last == Segment::Deep);
        any || path.ends_with_slash() == self.trailing_slash
    }

    /// Sorts the narrower pattern first: more literals, no `**`, more segments, a named method.
    fn breadth(&self) -> impl Ord + use<> {
        let literals = self.words().count();
        let deep = self.segments.contains(&Segment::Deep);
        (usize::MAX - literals, deep, usize::MAX - self.segments.len(), self.method == RouteMethod::Any)
    }
}

impl Segment {
    fn matches(&self, theirs: &str, reading: Reading) -> bool {
        match self {
            Self::One | Self::Deep => true,
            Self::Literal(ours) if **ours == *theirs => true,
            // `%3B` may be written in a pattern; the name before it is then the name in both.
            Self::Literal(ours) => reading == Reading::Restrict && segment_name(ours) == segment_name(theirs),
        }
    }
}

/// The form that is recorded: method (or `*`) and path, on one line, as it could be written in the configuration.
impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.method {
            RouteMethod::Any => "*",
            RouteMethod::WebSocket => "WS",
            RouteMethod::Named(method) => method.as_str(),
        })?;
        f.write_str(" ")?;
        for segment in &self.segments {
            match segment {
                // A star in a name would read back as a wildcard.
                Segment::Literal(word) if word.contains('*') => write!(f, "/{}", word.replace('*', "%2A"))?,
                Segment::Literal(word) => write!(f, "/{word}")?,
                Segment::One => f.write_str("/*")?,
                Segment::Deep => f.write_str("/**")?,
            }
        }
        if self.trailing_slash || self.segments.is_empty() { f.write_str("/") } else { Ok(()) }
    }
}

/// Patterns of one key of the configuration, the narrowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteSet(Box<[RoutePattern]>);

impl RouteSet {
    /// Collects patterns. Where several match one request, the narrowest names it; of equally narrow ones, the first.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = RoutePattern>) -> Self {
        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_by_cached_key(RoutePattern::breadth);
        Self(patterns.into())
    }

    /// The narrowest pattern that matches a request. Allocates nothing.
    #[must_use]
    pub fn matches(&self, request: RouteRequest<'_>, reading: Reading) -> Option<&RoutePattern> {
        self.0.iter().find(|pattern| pattern.matches(request, reading))
    }

    /// All patterns, the narrowest first.
    pub fn iter(&self) -> impl Iterator<Item = &RoutePattern> {
        self.0.iter()
    }

    /// Whether there is no pattern, so that nothing can match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
