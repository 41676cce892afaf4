//! Cookies, read in one way by everything here that looks at them.
//!
//! What we take for our session cookie and what we take out before forwarding must be the same bytes, or a secret
//! slips through between two parsers. So there is one: a `Cookie` field is cut at every `;`, quotes or not; a pair is
//! cut at its first `=`; blanks around names and values do not count (RFC 6265 sections 4.2 and 5.2). Names are
//! compared exactly when a cookie *opens* something and without regard to case when it is *removed*, since browsers
//! match the `__Host-` prefix without regard to case.
//!
//! Nothing here allocates unless a field really changes, and everything is one pass.

use http::HeaderValue;

/// The names of our cookies on one kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieNames {
    /// Carries the credential.
    pub session: &'static str,
    /// Carries the ended ticket: write-only, opens nothing.
    pub ended: &'static str,
    /// Begins the names of the cookies that each hold a sign-in under way.
    pub flow: &'static str,
}

impl CookieNames {
    /// Over TLS. The prefix makes browsers refuse them from anywhere but this host, over TLS.
    pub const SECURE: Self = Self {
        session: "__Host-nightlatch",
        ended: "__Host-nightlatch-ended",
        flow: "__Host-nightlatch-flow-",
    };
    /// Over plain http on loopback, where no browser would keep the names above.
    pub const LOOPBACK: Self = Self {
        session: "nightlatch-loopback",
        ended: "nightlatch-loopback-ended",
        flow: "nightlatch-loopback-flow-",
    };
}

/// Whether a cookie name is reserved for us: it begins like one of ours, in any case.
#[must_use]
pub fn is_reserved_name(name: &[u8]) -> bool {
    [CookieNames::SECURE, CookieNames::LOOPBACK].into_iter().any(|names| {
        name.get(..names.session.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(names.session.as_bytes()))
    })
}

/// One pair of a `Cookie` field, without the blanks around it. A pair without `=` is a name without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// The pairs of one `Cookie` field.
pub(crate) fn pairs(field: &HeaderValue) -> impl Iterator<Item = Pair<'_>> {
    field.as_bytes().split(|&byte| byte == b';').map(pair)
}

fn pair(piece: &[u8]) -> Pair<'_> {
    let mut parts = piece.splitn(2, |&byte| byte == b'=');
    let name = trim(parts.next().unwrap_or_default());
    let value = trim(parts.next().unwrap_or_default());
    Pair { name, value }
}

/// Without the blanks (space and tab) at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// What becomes of one pair of a `Cookie` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, byte for byte.
    Keep,
    /// It stays with only this many bytes of its value.
    Shorten(usize),
    /// It goes.
    Drop,
}

/// What became of a `Cookie` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filtered {
    /// Nothing was to be done.
    Unchanged,
    /// Some pairs were shortened or are gone; the others and what separates them are as before.
    Changed(HeaderValue),
    /// No pair is left.
    Gone,
}

/// Decides for each pair of a `Cookie` field, once and in order.
pub(crate) fn filter(field: &HeaderValue, mut fate: impl FnMut(Pair<'_>) -> Fate) -> Filtered {
    let bytes = field.as_bytes();
    let mut out: Option<Vec<u8>> = None;
    let mut start = 0_usize;
    for piece in bytes.split(|&byte| byte == b';') {
        let pair = pair(piece);
        let decided = fate(pair);
        if decided != Fate::Keep && out.is_none() {
            let before = bytes.get(..start.saturating_sub(1)).unwrap_or_default();
            out = Some(before.to_vec());
        }
        let first = start == 0;
        start += piece.len() + 1;
        let Some(out) = &mut out else { continue };
        let kept = match decided {
            Fate::Keep => piece,
            Fate::Drop => continue,
            Fate::Shorten(length) => {
                let value = piece.iter().position(|&byte| byte == b'=').map_or(piece.len(), |at| at + 1);
                let blanks = piece.iter().skip(value).take_while(|byte| b" \t".contains(byte)).count();
                piece.get(..value + blanks + length).unwrap_or(piece)
            }
        };
        if first {
            out.extend_from_slice(kept);
        } else if out.is_empty() {
            out.extend_from_slice(kept.trim_ascii_start());
        } else {
            out.push(b';');
            out.extend_from_slice(kept);
        }
    }
    match out {
        None => Filtered::Unchanged,
        Some(out) if out.iter().all(|byte| b"; \t".contains(byte)) => Filtered::Gone,
        // Every byte was in a field value before, so it may be in one now.
        Some(out) => HeaderValue::try_from(out).map_or(Filtered::Gone, Filtered::Changed),
    }
}

/// Name and value of a `Set-Cookie` field, as a browser finds them (RFC 6265 section 5.2), and where the value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetCookie<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// The offset just behind the value; blanks and attributes follow.
    pub(crate) value_end: usize,
}

impl<'a> SetCookie<'a> {
    pub(crate) fn parse(field: &'a HeaderValue) -> Self {
        let first = field.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        let (name, value) = match first.iter().position(|&byte| byte == b'=') {
            Some(at) => (first.get(..at).unwrap_or_default(), first.get(at + 1..).unwrap_or_default()),
            // Unlike in a request: a browser keeps this as a value without a name.
            None => (&[][..], first),
        };
        let value_start = first.len() - value.len();
        let value_end = (first.trim_ascii_end().len()).max(value_start);
        Self { name: trim(name), value: trim(value), value_end }
    }

    /// Whether the browser would later send this under a name reserved for us. A cookie without a name is sent as its
    /// bare value, so `=__Host-nightlatch=x` would be.
    pub(crate) fn claims_reserved_name(&self) -> bool {
        is_reserved_name(if self.name.is_empty() { self.value } else { self.name })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(field: &str) -> String {
        let filtered = filter(&HeaderValue::from_bytes(field.as_bytes()).unwrap(), |pair| match pair.name {
            name if is_reserved_name(name) => Fate::Drop,
            b"short" => Fate::Shorten(2),
            _ => Fate::Keep,
        });
        match filtered {
            Filtered::Unchanged => field.to_owned(),
            Filtered::Changed(value) => String::from_utf8(value.as_bytes().to_vec()).unwrap(),
            Filtered::Gone => "(gone)".to_owned(),
        }
    }

    #[test]
    fn removing_leaves_the_rest_as_it_was() {
        for (field, expected) in [
            ("a=1; b=2", "a=1; b=2"),
            ("a=1;b=2;;  c ;d=\"x y\"", "a=1;b=2;;  c ;d=\"x y\""),
            ("__Host-nightlatch=x", "(gone)"),
            ("__Host-nightlatch=x; ", "(gone)"),
            ("__Host-nightlatch=x; b=2", "b=2"),
            ("a=1; __Host-nightlatch=x", "a=1"),
            ("a=1; __Host-nightlatch=x; b=2", "a=1; b=2"),
            ("a=1;__Host-nightlatch=x;  b=2; c=3", "a=1;  b=2; c=3"),
            ("a=1; __HOST-Nightlatch =x; b=2", "a=1; b=2"),
            ("__Host-nightlatch-ended=x; a=1; nightlatch-loopback=y", "a=1"),
            ("__Host-nightlatch; a=1", "a=1"),
            ("a=\"1; __Host-nightlatch=x; b=2\"", "a=\"1; b=2\""),
            ("\u{e9}=\u{e9}; __Host-nightlatch=x; =; ==", "\u{e9}=\u{e9}; =; =="),
            ("a=1; short=abcd; b=2", "a=1; short=ab; b=2"),
            ("short= abcd ; b=2", "short= ab; b=2"),
            (" short=abcd", " short=ab"),
        ] {
            assert_eq!(run(field), expected, "{field}");
        }
    }

    #[test]
    fn set_cookie_is_read_as_browsers_do() {
        for (field, name, value, reserved) in [
            ("a=1; Path=/", "a", "1", false),
            ("a = 1 ; Path=/", "a", "1", false),
            ("a=b=c", "a", "b=c", false),
            ("a=", "a", "", false),
            ("a= ;x", "a", "", false),
            ("bare", "", "bare", false),
            ("__Host-nightlatch=x; Path=/; Secure", "__Host-nightlatch", "x", true),
            (" __hOST-NIGHTLATCH-ended=x", "__hOST-NIGHTLATCH-ended", "x", true),
            ("nightlatch-loopback=x", "nightlatch-loopback", "x", true),
            ("=nightlatch-loopback=x", "", "nightlatch-loopback=x", true),
            ("= __Host-nightlatch=x", "", "__Host-nightlatch=x", true),
            ("__Host-nightlatch", "", "__Host-nightlatch", true),
            ("__Host-night=x", "__Host-night", "x", false),
        ] {
            let field = HeaderValue::from_str(field).unwrap();
            let cookie = SetCookie::parse(&field);
            assert_eq!((cookie.name, cookie.value), (name.as_bytes(), value.as_bytes()), "{field:?}");
            assert_eq!(cookie.claims_reserved_name(), reserved, "{field:?}");
            assert!(field.as_bytes()[..cookie.value_end].ends_with(cookie.value), "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_removed_cannot_be_found_again(field in "((a|__Host-nightlatch|NIGHTLATCH-loopback|short)?[ \t]?=?[ \tx]{0,4}[;]?){0,8}") {
            let kept = |field: &HeaderValue| {
                pairs(field).filter(|pair| !is_reserved_name(pair.name)).map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect::<Vec<_>>()
            };
            let before = HeaderValue::from_str(&field).unwrap();
            match filter(&before, |pair| if is_reserved_name(pair.name) { Fate::Drop } else { Fate::Keep }) {
                Filtered::Unchanged => prop_assert!(pairs(&before).all(|pair| !is_reserved_name(pair.name))),
                Filtered::Changed(after) => {
                    prop_assert!(pairs(&after).all(|pair| !is_reserved_name(pair.name)));
                    let blank = |pairs: Vec<(Vec<u8>, Vec<u8>)>| pairs.into_iter().filter(|(n, v)| !n.is_empty() || !v.is_empty()).collect::<Vec<_>>();
                    prop_assert_eq!(blank(kept(&after)), blank(kept(&before)));
                }
                Filtered::Gone => prop_assert!(kept(&before).iter().all(|(name, value)| name.is_empty() && value.is_empty())),
            }
        }

        #[test]
        fn never_panics(field in prop::collection::vec(any::<u8>(), 0..80), length in any::<usize>()) {
            if let Ok(field) = HeaderValue::from_bytes(&field) {
                let _ = SetCookie::parse(&field).claims_reserved_name();
                let _ = filter(&field, |pair| Fate::Shorten(length % (pair.value.len() + 1)));
            }
        }
    }
}
