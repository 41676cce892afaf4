//! Who it is, for the upstream: `X-Nightlatch-Subject`, `-Provider`, `-Session`, `-Groups`; and `-Assertion`, which says the same signed, where it was made.
//!
//! Names of people and groups come from an identity provider and may hold anything, field values may not. Refusing a
//! person for an umlaut is no answer, and dropping characters makes two people one. So everything outside visible
//! ASCII is percent-encoded as UTF-8, and so is `%` itself, which makes the encoding exact: two names never share a
//! form, and any URL decoder gets the name back. The usual names, `alice` and `alice@example.com`, are their own
//! encoding. Groups are joined by commas, and a comma within a group is encoded.
//!
//! The same name from two providers is two subjects, so the provider is always told beside the name.

use http::{HeaderMap, HeaderName, HeaderValue};
use nightlatch_core::{SessionId, Subject};

use crate::{assertion::ASSERTION, path::push_percent};

/// The provider's name for the subject.
pub const SUBJECT: HeaderName = HeaderName::from_static("x-nightlatch-subject");
/// Who vouches for the name.
pub const PROVIDER: HeaderName = HeaderName::from_static("x-nightlatch-provider");
/// The public id of the session.
pub const SESSION: HeaderName = HeaderName::from_static("x-nightlatch-session");
/// The subject's groups, separated by commas.
pub const GROUPS: HeaderName = HeaderName::from_static("x-nightlatch-groups");

/// The most bytes these fields may take together, encoded. Common servers read 8 KiB of fields in all, and the request
/// needs its share.
pub const IDENTITY_BYTES_MAX: usize = 6 * 1024;

/// Who a request is forwarded for.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Whose session it is.
    pub subject: &'a Subject,
    /// Which session it is.
    pub session: SessionId,
    /// The groups of the subject.
    pub groups: &'a [String],
    /// The same signed, if the application asks for it.
    pub assertion: Option<&'a HeaderValue>,
}

/// The identity does not fit into the fields of a request. Leaving some groups out would change what the upstream
/// allows or forbids, so the request is refused: 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subject and its groups take {bytes} bytes as fields, more than {IDENTITY_BYTES_MAX}")]
pub struct IdentityTooLarge {
    /// The bytes it would take.
    pub bytes: usize,
}

impl Identity<'_> {
    /// Writes the fields; what a client sent under these names must be gone already.
    ///
    /// # Errors
    ///
    /// [`IdentityTooLarge`], and then nothing is written.
    pub fn write(&self, headers: &mut HeaderMap) -> Result<(), IdentityTooLarge> {
        let mut groups = String::new();
        for group in self.groups {
            if !groups.is_empty() {
                groups.push(',');
            }
            encode(&mut groups, group);
        }
        let encoded = |text: &str| {
            let mut out = String::with_capacity(text.len());
            encode(&mut out, text);
            out
        };
        let fields = [
            (SUBJECT, encoded(&self.subject.name)),
            (PROVIDER, encoded(&self.subject.provider)),
            (SESSION, self.session.to_string()),
            (GROUPS, groups),
        ];
        let signed = self.assertion.map_or(0, HeaderValue::len);
        let bytes = signed + fields.iter().map(|(_, text)| text.len()).sum::<usize>();
        if bytes > IDENTITY_BYTES_MAX {
            return Err(IdentityTooLarge { bytes });
        }
        for (name, text) in fields {
            // Visible ASCII is always a field value.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        if let Some(assertion) = self.assertion {
            headers.insert(ASSERTION, assertion.clone());
        }
        Ok(())
    }
}

/// Visible ASCII stays, but for the two characters that mean something here.
fn encode(out: &mut String, text: &str) {
    let stays = |byte: u8| byte.is_ascii_graphic() && byte != b'%' && byte != b',';
    if text.bytes().all(stays) {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            push_percent(out, byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::show;
    use super::*;

    fn written(name: &str, groups: &[&str]) -> Result<String, IdentityTooLarge> {
        let subject = Subject { provider: "https://idp.example.com".to_owned(), name: name.to_owned() };
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        let mut map = HeaderMap::new();
        let session = SessionId([0xab; 16]);
        Identity { subject: &subject, session, groups: &groups, assertion: None }.write(&mut map)?;
        Ok(show(&map))
    }

    #[test]
    fn all_four() {
        assert_eq!(
            written("alice@example.com", &["traders", "admins"]).unwrap(),
            "x-nightlatch-groups: traders,admins\n\
             x-nightlatch-provider: https://idp.example.com\n\
             x-nightlatch-session: ses_abababababababababababababababab\n\
             x-nightlatch-subject: alice@example.com"
        );
    }

    #[test]
    fn names_that_fields_cannot_hold() {
        for (name, expected) in [
            ("J\u{fc}rgen M\u{fc}ller", "J%C3%BCrgen%20M%C3%BCller"),
            ("100%,2", "100%25%2C2"),
            ("a\r\nX-Nightlatch-Groups: admins", "a%0D%0AX-Nightlatch-Groups:%20admins"),
            ("\u{0}\u{7f}", "%00%7F"),
            ("", ""),
        ] {
            let lines = written(name, &[]).unwrap();
            assert_eq!(lines.lines().last().unwrap().trim_start_matches("x-nightlatch-subject: "), expected);
        }
        assert!(written("a", &["x,y", "z z"]).unwrap().starts_with("x-nightlatch-groups: x%2Cy,z%20z\n"));
    }

    #[test]
    fn too_large_is_refused_whole() {
        let group = "\u{fc}".repeat(IDENTITY_BYTES_MAX / 6);
        assert!(
            matches!(written("a", &[&group]), Err(IdentityTooLarge { bytes }) if bytes > IDENTITY_BYTES_MAX)
        );
    }
}
