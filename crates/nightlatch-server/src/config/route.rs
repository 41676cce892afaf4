//! Route patterns, checked for their form.
//!
//! A pattern that can never match is worse than a wrong one: a poll that was meant to be passive counts as activity,
//! and nobody sees it until a session does not end. So everything that would make a pattern silently match nothing is
//! refused here: a path that is not canonical (requests are matched on the canonical path), a method that does not
//! exist, a `*` inside a segment. Matching itself is not done here; this module only knows what may be written.

use std::fmt;

use serde::{Serialize, Serializer};

use super::code::Code;
use super::key;
use super::mistake::Mistake;
use super::source::quoted;

/// `WS` stands for a WebSocket handshake and the frames after it.
const METHODS: [&str; 20] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "QUERY",
    "WS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "PURGE",
];

/// A pattern of an app's list: an optional method and a path with wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoutePattern {
    /// The method, or any if there is none.
    pub(crate) method: Option<String>,
    /// The path; `*` stands for one whole segment, `**` for any number of them.
    pub(crate) path: String,
}

impl RoutePattern {
    /// Reads `METHOD /path` or `/path`.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path),
            None => (None, text),
        };
        if let Some(method) = method.filter(|method| !METHODS.contains(method)) {
            let mistake = Mistake::new(Code::BadPattern, format!("`{}` is not a method", quoted(method)));
            let upper = method.to_uppercase();
            let near = key::nearest(&upper, METHODS.iter(), |method| method);
            return Err(if METHODS.contains(&upper.as_str()) {
                mistake.hint(format!("methods are in capitals: `{upper}`"))
            } else if let Some(near) = near {
                mistake.hint(format!("did you mean `{near}`?"))
            } else {
                mistake.hint("write a method, one space and a path: `GET /assets/**`")
            });
        }
        segments(path)
            .and_then(|segments| segments.iter().try_for_each(|segment| wildcard(segment)))
            .map_err(|what| {
                Mistake::new(Code::BadPattern, format!("the path `{}` {what}", quoted(path))).hint(
                    "a path begins with `/`; `*` is one whole segment, `**` any number: `GET /assets/**`",
                )
            })?;
        Ok(Self { method: method.map(str::to_owned), path: path.to_owned() })
    }

    /// Whether it matches every request, whatever its method, to an app at `prefix`.
    pub(super) fn is_everything(&self, prefix: &str) -> bool {
        let front = self.path.strip_suffix("/**");
        self.method.is_none()
            && front.is_some_and(|front| prefix == front || prefix.starts_with(&format!("{front}/")))
    }

    /// Whether some request to an app at `prefix` could match it.
    pub(super) fn can_match_under(&self, prefix: &str) -> bool {
        let mut pattern = self.path.split('/').skip(1);
        for segment in prefix.split('/').skip(1).filter(|segment| !segment.is_empty()) {
            match pattern.next() {
                Some("**") => return true,
                Some(ours) if ours == "*" || ours == segment => {}
                _ => return false,
            }
        }
        true
    }
}

/// Reads the path of an app: canonical, without wildcards; a slash at its end means nothing and goes.
pub(super) fn prefix(text: &str) -> Result<String, Mistake> {
    let bad = |what: &str| Mistake::new(Code::BadPath, format!("the path `{}` {what}", quoted(text)));
    let segments = segments(text).map_err(bad)?;
    if segments.iter().any(|segment| segment.contains('*')) {
        return Err(bad("has a wildcard").hint("an app answers for everything under its path: `/blotter`"));
    }
    if segments.first() == Some(&"_nightlatch") {
        return Err(bad("is Nightlatch's own")
            .hint("choose another path; `/_nightlatch/` is answered by the gateway"));
    }
    let trimmed = text.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

/// The segments of a canonical path; the error says what is not canonical about it.
fn segments(path: &str) -> Result<Vec<&str>, &'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err("does not begin with `/`");
    };
    if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a space or a control character in it");
    }
    if path.contains(['?', '#']) {
        return Err("has a query or a fragment; only paths are matched");
    }
    if path.contains(['%', '\\', ';']) {
        return Err("has `%`, `\\` or `;` in it; it is matched after decoding, in canonical form");
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let inner = segments.len().saturating_sub(1);
    if segments.iter().take(inner).any(|segment| segment.is_empty()) {
        return Err("has an empty segment");
    }
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err("has a dot segment");
    }
    Ok(segments)
}

fn wildcard(segment: &str) -> Result<(), &'static str> {
    if segment.contains('*') && !matches!(segment, "*" | "**") {
        Err("has a `*` that is not a whole segment")
    } else {
        Ok(())
    }
}

// === impl RoutePattern ===

/// As in the file.
impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        f.write_str(&self.path)
    }
}

impl Serialize for RoutePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<RoutePattern, String> {
        RoutePattern::parse(text).map_err(|mistake| mistake.message)
    }

    #[test]
    fn what_is_a_pattern() {
        for text in [
            "/",
            "/**",
            "GET /healthz",
            "POST /api/poll/**",
            "/a/*/b",
            "WS /ws/orders",
            "/a/**/b",
            "/dir/",
            "/büro",
        ] {
            assert_eq!(parsed(text).map(|pattern| pattern.to_string()), Ok(text.to_owned()));
        }
        for (text, expected) in [
            ("", "the path `` does not begin with `/`"),
            ("healthz", "the path `healthz` does not begin with `/`"),
            ("GET healthz", "the path `healthz` does not begin with `/`"),
            ("GET  /healthz", "the path ` /healthz` does not begin with `/`"),
            (" /healthz", "`` is not a method"),
            ("get /healthz", "`get` is not a method"),
            ("GTE /healthz", "`GTE` is not a method"),
            ("/a b", "`/a` is not a method"),
            ("GET /a b", "the path `/a b` has a space or a control character in it"),
            ("GET /a*", "the path `/a*` has a `*` that is not a whole segment"),
            ("GET /a/***", "the path `/a/***` has a `*` that is not a whole segment"),
            ("GET /a//b", "the path `/a//b` has an empty segment"),
            ("GET /a/../b", "the path `/a/../b` has a dot segment"),
            ("GET /a?b", "the path `/a?b` has a query or a fragment; only paths are matched"),
            (
                "GET /a%20b",
                "the path `/a%20b` has `%`, `\\` or `;` in it; it is matched after decoding, in canonical form",
            ),
        ] {
            assert_eq!(parsed(text).map(|pattern| pattern.to_string()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn hints_for_methods() {
        let hint = |text: &str| RoutePattern::parse(text).unwrap_err().hint.unwrap();
        assert_eq!(hint("get /x"), "methods are in capitals: `GET`");
        assert_eq!(hint("PSOT /x"), "did you mean `POST`?");
        assert_eq!(hint("FETCHING /x"), "write a method, one space and a path: `GET /assets/**`");
    }

    #[test]
    fn what_swallows_everything() {
        for (text, prefix, expected) in [
            ("/**", "/", true),
            ("/**", "/blotter", true),
            ("/blotter/**", "/blotter", true),
            ("/blotter/**", "/blotter/desk", true),
            ("/blotter/**", "/blotters", false),
            ("/blotter/**", "/", false),
            ("GET /**", "/", false),
            ("/*", "/", false),
        ] {
            assert_eq!(parsed(text).unwrap().is_everything(prefix), expected, "{text} under {prefix}");
        }
    }

    #[test]
    fn what_can_match_under_a_prefix() {
        for (text, prefix, expected) in [
            ("/x", "/", true),
            ("/blotter/x", "/blotter", true),
            ("/blotter", "/blotter", true),
            ("/*/x", "/blotter", true),
            ("/**", "/blotter/desk", true),
            ("/x", "/blotter", false),
            ("/blotters/x", "/blotter", false),
            ("/blotter", "/blotter/desk", false),
        ] {
            assert_eq!(parsed(text).unwrap().can_match_under(prefix), expected, "{text} under {prefix}");
        }
    }

    #[test]
    fn the_path_of_an_app() {
        let read = |text: &str| prefix(text).map_err(|mistake| mistake.message);
        assert_eq!(read("/"), Ok("/".to_owned()));
        assert_eq!(read("/blotter/"), Ok("/blotter".to_owned()));
        assert_eq!(read("//"), Err("the path `//` has an empty segment".to_owned()));
        assert_eq!(read("blotter"), Err("the path `blotter` does not begin with `/`".to_owned()));
        assert_eq!(read("/blotter/**"), Err("the path `/blotter/**` has a wildcard".to_owned()));
        assert_eq!(read("/_nightlatch/x"), Err("the path `/_nightlatch/x` is Nightlatch's own".to_owned()));
    }
}
