//! The application's own cookies, bound to who was signed in when they were set.
//!
//! Ending our session does not end the application's. Its `JSESSIONID` stays in the browser, and the next person to
//! sign in there would arrive with it: Alice's session in the application, under Bob's name at the gateway. So the
//! cookies an application is configured with leave with a seal, `VALUE~MAC`, over the subject, the name and the value,
//! and come back in only when the seal is right for the present subject; the application sees its own value in both
//! directions. At the end of a session they are deleted as well, but nothing depends on that.
//!
//! A listed cookie without a subject (a request to a public route, nobody signed in) passes in neither direction: what
//! cannot be bound is not set, and what cannot be checked is not passed. Cookies that are not listed are none of our
//! business and stay byte for byte.
//!
//! Known limits: the seal adds 23 bytes to the 4096 that browsers keep; cookies set by scripts have no seal and are
//! dropped if listed; deletion reaches cookies of this host with `Path=/` only, since a browser does not tell us where
//! else one was set.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::cookies::{Fate, Pair, SetCookie, is_reserved_name};

/// The bytes of the MAC that are kept, of the 32 that HMAC-SHA256 gives.
const MAC_BYTES: usize = 16;
/// The bytes of the MAC as text.
const SEAL_TEXT_BYTES: usize = 22;

/// The listed cookies of one application, and the key they are sealed with.
pub struct AppCookies {
    key: hmac::Key,
    listed: Box<[Listed]>,
}

/// One listed cookie with the lines that delete it.
struct Listed {
    name: Box<str>,
    deletion: HeaderValue,
    deletion_secure: HeaderValue,
}

/// A name that cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppCookieError {
    /// Not a cookie name (RFC 6265 section 4.1.1).
    #[error("`{0}` is not a cookie name")]
    Name(String),
    /// One of our own, which never reaches an application.
    #[error("`{0}` is a cookie of Nightlatch's own and never reaches an application")]
    Reserved(String),
}

/// What becomes of a `Set-Cookie` field on its way to the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Not listed; passes as it is.
    Unlisted,
    /// Passes in this form, sealed, its attributes untouched.
    Sealed(HeaderValue),
    /// Listed, and nobody to bind it to; does not pass.
    Drop,
}

impl AppCookies {
    /// Cookies of these names (case matters, RFC 6265 section 5.3), sealed with this key. The key should be used for
    /// nothing else.
    ///
    /// # Errors
    ///
    /// [`AppCookieError`] for the first name that cannot be listed.
    pub fn new<'n>(key: &[u8], names: impl IntoIterator<Item = &'n str>) -> Result<Self, AppCookieError> {
        let listed = names.into_iter().map(Listed::new).collect::<Result<_, _>>()?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), listed })
    }

    /// Whether none is listed: then all pass as they are, whoever the subject is.
    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Seals a `Set-Cookie` field of the application for the present subject, if it is listed.
    #[must_use]
    pub fn bind(&self, field: &HeaderValue, subject_key: Option<&[u8]>) -> Bound {
        let cookie = SetCookie::parse(field);
        if !self.lists(cookie.name) {
            return Bound::Unlisted;
        }
        let Some(subject_key) = subject_key else {
            return Bound::Drop;
        };
        let (head, attributes) = field.as_bytes().split_at_checked(cookie.value_end).unwrap_or_default();
        let seal = self.seal(subject_key, cookie.name, cookie.value);
        HeaderValue::try_from([head, b"~", &seal, attributes].concat()).map_or(Bound::Drop, Bound::Sealed)
    }

    /// The lines that delete every listed cookie, one `Set-Cookie` value each. `secure` is whether the browser's
    /// connection is TLS; a cookie set with `Secure` cannot be deleted without it.
    pub fn deletions(&self, secure: bool) -> impl Iterator<Item = &HeaderValue> {
        self.listed.iter().map(move |listed| if secure { &listed.deletion_secure } else { &listed.deletion })
    }

    /// What becomes of a cookie of a request: a listed one passes without its seal if the seal is right for the present
    /// subject, else not at all.
    pub(crate) fn fate(&self, pair: Pair<'_>, subject_key: Option<&[u8]>) -> Fate {
        if !self.lists(pair.name) {
            // A careless reader may still find a listed one in it.
            let hidden = self.listed.iter().any(|listed| hides(listed.name.as_bytes(), pair));
            return if hidden { Fate::Drop } else { Fate::Keep };
        }
        let length = pair.value.len().checked_sub(SEAL_TEXT_BYTES + 1);
        let parts = length.and_then(|length| pair.value.split_at_checked(length));
        if let (Some((value, [b'~', seal @ ..])), Some(subject_key)) = (parts, subject_key)
            && constant_time::verify_slices_are_equal(&self.seal(subject_key, pair.name, value), seal).is_ok()
        {
            return Fate::Shorten(value.len());
        }
        Fate::Drop
    }

    fn lists(&self, name: &[u8]) -> bool {
        self.listed.iter().any(|listed| listed.name.as_bytes() == name)
    }

    /// The seal as text. Neither a name nor a value can hold NUL, so the three parts cannot run into one another.
    fn seal(&self, subject_key: &[u8], name: &[u8], value: &[u8]) -> [u8; SEAL_TEXT_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [subject_key, b"\0", name, b"\0", value] {
            context.update(part);
        }
        let tag = context.sign();
        let mut text = [0; SEAL_TEXT_BYTES];
        let mac = tag.as_ref().get(..MAC_BYTES).unwrap_or_default();
        // 16 bytes are 22 characters; were they ever not, the zeros left behind match no cookie a client can send.
        let _ = URL_SAFE_NO_PAD.encode_slice(mac, &mut text);
        text
    }
}

/// What some parser takes for the end of a cookie.
const SEPARATORS: &[u8] = b" \t,;\"";

/// Whether some parser may read a cookie of this name out of a pair that has another: spelled in another case, quoted, or behind a
/// blank or comma that it takes for a separator (RFC 2965 allowed commas; others split at white space).
fn hides(name: &[u8], pair: Pair<'_>) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    // Case matters (RFC 6265 section 5.3): a plain name in another case is another cookie.
    let trimmed = trim_to(pair.name, is_part);
    let in_name = trimmed.len() < pair.name.len() && trimmed.eq_ignore_ascii_case(name);
    let beside_another = || {
        let mut pieces = pair.name.split(|byte| SEPARATORS.contains(byte));
        pieces.clone().nth(1).is_some()
            && pieces.any(|piece| trim_to(piece, is_part).eq_ignore_ascii_case(name))
    };
    let in_value = || {
        let mut pieces = pair.value.split(|byte| SEPARATORS.contains(byte));
        let is_meant = |named: &[u8]| trim_to(named, is_part).eq_ignore_ascii_case(name);
        // The first piece is the pair's own value, unless a blank stood before it and it has a name of its own.
        let first = pieces.next().and_then(named);
        first.is_some_and(is_meant) || pieces.any(|piece| is_meant(named(piece).unwrap_or(piece)))
    };
    in_name || beside_another() || in_value() || pair.name.is_empty() && in_empty(name, pair.value)
}

/// What stands before the first `=`, if there is one.
fn named(piece: &[u8]) -> Option<&[u8]> {
    piece.iter().position(|&byte| byte == b'=').and_then(|end| piece.get(..end))
}

/// A pair without a name: `=NAME=value`.
fn in_empty(name: &[u8], value: &[u8]) -> bool {
    let end = value.iter().position(|&byte| byte == b'=').unwrap_or(value.len());
    value.get(..end).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Without what is not `is_part` at either end.
fn trim_to(bytes: &[u8], is_part: impl Fn(&u8) -> bool) -> &[u8] {
    let first = bytes.iter().position(&is_part).unwrap_or(bytes.len());
    let last = bytes.iter().rposition(&is_part).map_or(first, |last| last + 1);
    bytes.get(first..last).unwrap_or_default()
}

/// Shows the names only.
impl std::fmt::Debug for AppCookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.listed.iter().map(|listed| &listed.name)).finish()
    }
}

impl Listed {
    fn new(name: &str) -> Result<Self, AppCookieError> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let error = || AppCookieError::Name(name.to_owned());
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(error());
        }
        if is_reserved_name(name.as_bytes()) {
            return Err(AppCookieError::Reserved(name.to_owned()));
        }
        let line = |secure| HeaderValue::try_from(format!("{name}=; Path=/; Max-Age=0; HttpOnly{secure}"));
        Ok(Self {
            name: name.into(),
            deletion: line("").map_err(|_| error())?,
            deletion_secure: line("; Secure").map_err(|_| error())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cookies::{Filtered, filter};

    fn cookies() -> AppCookies {
        AppCookies::new(b"a key for tests", ["JSESSIONID", "app.sid"]).unwrap()
    }

    fn down(field: &str, subject: &str) -> String {
        match cookies().bind(&HeaderValue::from_str(field).unwrap(), Some(subject.as_bytes())) {
            Bound::Sealed(field) => field.to_str().unwrap().to_owned(),
            other => format!("{other:?}"),
        }
    }

    fn up(field: &str, subject: Option<&str>) -> String {
        let field = HeaderValue::from_str(field).unwrap();
        match filter(&field, |pair| cookies().fate(pair, subject.map(str::as_bytes))) {
            Filtered::Unchanged => field.to_str().unwrap().to_owned(),
            Filtered::Changed(field) => field.to_str().unwrap().to_owned(),
            Filtered::Gone => "(gone)".to_owned(),
        }
    }

    /// The value a browser would keep of a `Set-Cookie` field, as a `Cookie` pair.
    fn kept_by_browser(set_cookie: &str) -> String {
        set_cookie.split(';').next().unwrap().trim().to_owned()
    }

    #[test]
    fn passes_for_its_subject_only() {
        let kept = kept_by_browser(&down("JSESSIONID=abc; Path=/; HttpOnly", "alice"));
        assert_eq!(kept.len(), "JSESSIONID=abc".len() + 1 + SEAL_TEXT_BYTES);
        assert_eq!(up(&format!("a=1; {kept}; b=2"), Some("alice")), "a=1; JSESSIONID=abc; b=2");
        assert_eq!(up(&format!("a=1; {kept}; b=2"), Some("bob")), "a=1; b=2");
        assert_eq!(up(&kept, None), "(gone)");
        assert_eq!(up(&kept.replace("JSESSIONID", "app.sid"), Some("alice")), "(gone)");
        assert_eq!(up(&kept.replace("abc", "abd"), Some("alice")), "(gone)");
        assert_eq!(up(&kept[..kept.len() - 1], Some("alice")), "(gone)");
        assert_eq!(up(&format!("{kept}A"), Some("alice")), "(gone)");
        let other_key = AppCookies::new(b"another key", ["JSESSIONID"]).unwrap();
        let field = HeaderValue::from_str(&kept).unwrap();
        assert_eq!(filter(&field, |pair| other_key.fate(pair, Some(b"alice"))), Filtered::Gone);
    }

    #[test]
    fn the_seal_is_what_the_documentation_says() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key for tests");
        let tag = hmac::sign(&key, b"alice\0JSESSIONID\0abc");
        let seal = URL_SAFE_NO_PAD.encode(&tag.as_ref()[..MAC_BYTES]);
        assert_eq!(down("JSESSIONID=abc", "alice"), format!("JSESSIONID=abc~{seal}"));
    }

    #[test]
    fn attributes_are_untouched() {
        let seal = |field| {
            let sealed = down(field, "alice");
            let at = sealed.find('~').unwrap();
            format!("{}~..{}", &sealed[..at], &sealed[at + 1 + SEAL_TEXT_BYTES..])
        };
        for (field, expected) in [
            ("JSESSIONID=abc", "JSESSIONID=abc~.."),
            ("JSESSIONID=abc;Path=/x;  SameSite=None ;;", "JSESSIONID=abc~..;Path=/x;  SameSite=None ;;"),
            (" JSESSIONID = abc ; Secure", " JSESSIONID = abc~.. ; Secure"),
            ("JSESSIONID=; Max-Age=0", "JSESSIONID=~..; Max-Age=0"),
            ("JSESSIONID= ; Max-Age=0", "JSESSIONID=~.. ; Max-Age=0"),
            ("app.sid=\"a b\"; Path=/", "app.sid=\"a b\"~..; Path=/"),
        ] {
            assert_eq!(seal(field), expected);
        }
    }

    #[test]
    fn a_listed_cookie_is_not_passed_under_another_spelling() {
        let pair = |text: &'static [u8]| {
            let end = text.iter().position(|&byte| byte == b'=').unwrap();
            Pair { name: &text[..end], value: &text[end + 1..] }
        };
        let rows: [(&[u8], bool); 16] = [
            (b"x=1 JSESSIONID=stolen", true),
            // Found by fuzzing: the blank stands in the name.
            (b"x JSESSIONID=stolen", true),
            (b"x, jsessionid=stolen", true),
            (b"x= JSESSIONID=stolen", true),
            (b"x yjsessionid=another", false),
            (b"x=1\tJSESSIONID=stolen", true),
            (b"x=1,JSESSIONID=stolen", true),
            (b"x=1, jsessionid = stolen", true),
            (b"\"JSESSIONID\"=stolen", true),
            (b"\xa0JSESSIONID=stolen", true),
            (b"=JSESSIONID=stolen", true),
            (b"x=\"a;JSESSIONID=stolen\"", true),
            (b"jsessionid=another", false),
            (b"x=JSESSIONID", false),
            (b"MYJSESSIONID=another", false),
            (b"x=1,MYJSESSIONID=another", false),
        ];
        for (text, hidden) in rows {
            assert_eq!(hides(b"JSESSIONID", pair(text)), hidden, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn others_are_none_of_our_business() {
        for field in ["other=1; Path=/", "jsessionid=abc", "JSESSIONID", "=JSESSIONID=x", ""] {
            assert_eq!(down(field, "alice"), "Unlisted", "{field}");
        }
        assert_eq!(up("other=~; jsessionid=abc;x", Some("alice")), "other=~; jsessionid=abc;x");
        for field in ["JSESSIONID=abc", "JSESSIONID", "JSESSIONID=~", "JSESSIONID=~AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(up(field, Some("alice")), "(gone)", "{field}");
        }
        let field = HeaderValue::from_static("JSESSIONID=abc");
        assert_eq!(cookies().bind(&field, None), Bound::Drop);
    }

    #[test]
    fn deleting() {
        let lines = |secure| {
            cookies().deletions(secure).map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(true),
            [
                "JSESSIONID=; Path=/; Max-Age=0; HttpOnly; Secure",
                "app.sid=; Path=/; Max-Age=0; HttpOnly; Secure"
            ]
        );
        assert_eq!(
            lines(false),
            ["JSESSIONID=; Path=/; Max-Age=0; HttpOnly", "app.sid=; Path=/; Max-Age=0; HttpOnly"]
        );
    }

    #[test]
    fn names_that_cannot_be_listed() {
        for (name, message) in [
            ("", "`` is not a cookie name"),
            ("a b", "`a b` is not a cookie name"),
            ("a=", "`a=` is not a cookie name"),
            (
                "__host-nightlatch",
                "`__host-nightlatch` is a cookie of Nightlatch's own and never reaches an application",
            ),
        ] {
            assert_eq!(AppCookies::new(b"k", [name]).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn there_and_back(value in "[!-:<-~]{0,40}", blanks in "[ \t]{0,2}") {
            let sealed = down(&format!("JSESSIONID{blanks}={blanks}{value}{blanks}; Path=/"), "alice");
            let kept = SetCookie::parse(&HeaderValue::from_str(&sealed).unwrap()).value.to_vec();
            let request = format!("JSESSIONID={}", String::from_utf8(kept).unwrap());
            prop_assert_eq!(up(&request, Some("alice")), format!("JSESSIONID={value}"));
            prop_assert_eq!(up(&request, Some("alicf")), "(gone)");
        }

        #[test]
        fn never_panics(field in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(field) = HeaderValue::from_bytes(&[b"JSESSIONID=".as_slice(), &field].concat()) {
                let _ = cookies().bind(&field, Some(b"alice"));
                let _ = filter(&field, |pair| cookies().fate(pair, Some(b"alice")));
            }
        }
    }
}
