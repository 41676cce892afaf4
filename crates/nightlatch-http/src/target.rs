//! The request target: which resource a request line names, and for whom.
//!
//! Of the four forms (RFC 9112 section 3.2) a gateway has a use for the origin-form, and for `*` with OPTIONS. The
//! absolute-form must be accepted (section 3.2.2) and is where two names for one host meet: the authority in the
//! target and the `Host` field. Here they are only taken apart; [`same_authority`] is the comparison with which the
//! gateway refuses a request whose two names differ. The authority-form is for CONNECT, which is refused.

use http::uri::Authority;
use http::{Method, Uri};

/// A request target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`: a resource of the host named by `Host`.
    Origin {
        /// The path as received, beginning with `/`; not canonical yet.
        path: &'a str,
        /// The query as received, without its `?`.
        query: Option<&'a str>,
    },
    /// `http://authority/path?query`: the authority must be the same as `Host`.
    Absolute {
        /// Whether the scheme is `https`.
        secure: bool,
        /// Host and perhaps port, never with user information.
        authority: &'a str,
        /// The path as received; `/` where there was none.
        path: &'a str,
        /// The query as received, without its `?`.
        query: Option<&'a str>,
    },
    /// `*`: the server itself, with OPTIONS only.
    Server,
}

/// Why a request target was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TargetRefusal {
    /// CONNECT, or a target in authority-form. The answer is 405.
    #[error("tunnels are not offered")]
    Connect,
    /// `*` with a method other than OPTIONS. The answer is 400.
    #[error("`*` goes with OPTIONS only")]
    AsteriskWithoutOptions,
    /// An absolute target of another scheme than `http` or `https`. The answer is 400.
    #[error("the scheme of the target is not http or https")]
    Scheme,
    /// An authority that is empty, malformed or holds user information (RFC 9110 section 4.2.4). The answer is 400.
    #[error("the authority of the target is malformed")]
    Authority,
    /// A fragment, which no request may carry (RFC 9110 section 7.1). The answer is 400.
    #[error("the target holds a fragment")]
    Fragment,
}

impl<'a> Target<'a> {
    /// Takes apart the text of a request target, as in a request line or in the field by which a proxy tells it.
    ///
    /// # Errors
    ///
    /// A [`TargetRefusal`]; the path itself is judged by [`CanonicalPath::parse`](crate::path::CanonicalPath::parse).
    pub fn parse(method: &Method, text: &'a str) -> Result<Self, TargetRefusal> {
        if method == Method::CONNECT {
            return Err(TargetRefusal::Connect);
        }
        if text.contains('#') {
            return Err(TargetRefusal::Fragment);
        }
        if text == "*" {
            return asterisk(method);
        }
        if text.starts_with('/') {
            let (path, query) = split_query(text);
            return Ok(Self::Origin { path, query });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(TargetRefusal::Connect);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(TargetRefusal::Authority)?;
        let (path, query) = split_query(rest);
        absolute(scheme, authority, path, query)
    }

    /// Takes apart the target of a request that was already parsed.
    ///
    /// # Errors
    ///
    /// As [`Target::parse`], except that a fragment is gone before it can be seen.
    pub fn of_uri(method: &Method, uri: &'a Uri) -> Result<Self, TargetRefusal> {
        if method == Method::CONNECT {
            return Err(TargetRefusal::Connect);
        }
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => absolute(scheme, authority.as_str(), uri.path(), uri.query()),
            (None, None) if uri.path() == "*" => asterisk(method),
            (None, None) => Ok(Self::Origin { path: uri.path(), query: uri.query() }),
            _ => Err(TargetRefusal::Connect),
        }
    }
}

/// Whether two authorities (`host` or `host:port`) name the same place under one scheme: hosts without regard to
/// case, an absent port being the scheme's own. A malformed one is the same as nothing, itself included.
#[must_use]
pub fn same_authority(a: &str, b: &str, secure: bool) -> bool {
    let default = if secure { 443 } else { 80 };
    match (host_and_port(a, default), host_and_port(b, default)) {
        (Some((host_a, port_a)), Some((host_b, port_b))) => {
            port_a == port_b && host_a.eq_ignore_ascii_case(host_b)
        }
        _ => false,
    }
}

/// Splits an authority; `None` when it is malformed or holds user information.
fn host_and_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    if !is_authority(authority) {
        return None;
    }
    // The last colon, unless it stands inside the brackets of an IPv6 address.
    match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, "")) => Some((host, default)),
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => Some((host, port.parse().ok()?)),
        Some(_) => None,
        None => Some((authority, default)),
    }
}

/// Whether this is the authority of some place: a host, perhaps with a port.
#[must_use]
pub fn is_place(authority: &str) -> bool {
    host_and_port(authority, 443).is_some()
}

fn is_authority(text: &str) -> bool {
    is_plain(text) || is_parsed(text)
}

/// A name or an IPv4 address, perhaps with a port, as nearly all are: nothing in it needs a parser that makes a copy first.
fn is_plain(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    !host.is_empty() && host.bytes().all(in_host) && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_parsed(text: &str) -> bool {
    !text.contains('@') && text.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty())
}

fn absolute<'a>(
    scheme: &str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
) -> Result<Target<'a>, TargetRefusal> {
    let secure = scheme.eq_ignore_ascii_case("https");
    if !secure && !scheme.eq_ignore_ascii_case("http") {
        return Err(TargetRefusal::Scheme);
    }
    if !is_authority(authority) {
        return Err(TargetRefusal::Authority);
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok(Target::Absolute { secure, authority, path, query })
}

fn asterisk<'a>(method: &Method) -> Result<Target<'a>, TargetRefusal> {
    if method == Method::OPTIONS { Ok(Target::Server) } else { Err(TargetRefusal::AsteriskWithoutOptions) }
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(target: Result<Target<'_>, TargetRefusal>) -> String {
        match target {
            Ok(Target::Origin { path, query }) => format!("origin {path} {}", query.unwrap_or("-")),
            Ok(Target::Absolute { secure, authority, path, query }) => {
                format!("absolute {secure} {authority} {path} {}", query.unwrap_or("-"))
            }
            Ok(Target::Server) => "server".to_owned(),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[test]
    fn rows() {
        for (line, expected) in [
            ("GET /", "origin / -"),
            ("GET /a?b?c", "origin /a b?c"),
            ("GET //evil.example/x", "origin //evil.example/x -"),
            ("OPTIONS *", "server"),
            ("GET *", "AsteriskWithoutOptions"),
            ("GET http://desk.example.com", "absolute false desk.example.com / -"),
            ("GET HTTPS://desk.example.com:8443/a?b", "absolute true desk.example.com:8443 /a b"),
            ("GET http://desk.example.com?b", "absolute false desk.example.com / b"),
            ("GET http://[::1]:80/a", "absolute false [::1]:80 /a -"),
            ("GET http://user@desk.example.com/", "Authority"),
            ("GET http:///a", "Authority"),
            ("GET ftp://desk.example.com/", "Scheme"),
            ("GET desk.example.com:443", "Connect"),
            ("CONNECT desk.example.com:443", "Connect"),
            ("CONNECT /", "Connect"),
            ("GET /a#b", "Fragment"),
        ] {
            let (method, text) = line.split_once(' ').unwrap();
            let method: Method = method.parse().unwrap();
            assert_eq!(show(Target::parse(&method, text)), expected, "{line}");
            // Where the parsed form can express the target at all, it is read the same.
            if let Ok(uri) = text.parse::<Uri>()
                && expected != "Fragment"
                && expected != "Authority"
            {
                assert_eq!(show(Target::of_uri(&method, &uri)), expected, "parsed {line}");
            }
        }
    }

    #[test]
    fn authorities() {
        for (a, b, secure, same) in [
            ("desk.example.com", "DESK.example.com", true, true),
            ("desk.example.com:443", "desk.example.com", true, true),
            ("desk.example.com:443", "desk.example.com", false, false),
            ("desk.example.com:", "desk.example.com:80", false, true),
            ("[::1]:80", "[::1]", false, true),
            ("[::1]", "[::2]", false, false),
            ("desk.example.com.", "desk.example.com", true, false),
            ("a@desk.example.com", "a@desk.example.com", true, false),
            ("", "", true, false),
            ("desk.example.com:99999", "desk.example.com:99999", true, false),
            ("desk.example.com, evil.example", "desk.example.com", true, false),
        ] {
            assert_eq!(same_authority(a, b, secure), same, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), other in any::<String>()) {
            let _ = Target::parse(&Method::GET, &text);
            let _ = same_authority(&text, &other, true);
        }

        #[test]
        fn what_needs_no_parser_is_no_less_an_authority_to_one(text in "[a-zA-Z0-9.:-]{0,12}") {
            prop_assert!(!is_plain(&text) || is_parsed(&text), "{text}");
        }
    }
}
