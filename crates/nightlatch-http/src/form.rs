//! What our forms say, and where the one of the sign-in may lead: a path of this origin or nowhere.

use crate::{gateway::OWN_PREFIX, inbound::Inbound, own::MY_SESSIONS, path::CanonicalPath};
use http_body_util::{BodyExt, Limited};
use std::time::Duration;
use tokio::time::timeout;

/// How long a form may take to arrive.
const FORM_WITHIN: Duration = Duration::from_secs(10);
/// The most bytes of a form.
const FORM_BYTES: usize = 16 * 1024;

/// The text of a form; none if it is too long, comes too slowly, or breaks off.
pub(crate) async fn read_form(body: Inbound) -> Option<String> {
    let whole = timeout(FORM_WITHIN, Limited::new(body, FORM_BYTES).collect()).await;
    let bytes = whole.ok()?.ok()?.to_bytes();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The two fields of the sign-in form.
pub(crate) struct Form {
    pub(crate) user: String,
    pub(crate) return_to: String,
}

impl Form {
    pub(crate) fn read(text: &str) -> Form {
        Form { user: parameter(text, "user").unwrap_or_default(), return_to: return_to(text) }
    }
}

/// A `return_to` that is a path of this origin; anything else is ignored. Of our own routes only the page of one's sessions may be come back to.
pub(crate) fn return_to(query: &str) -> String {
    let asked = parameter(query, "return_to").unwrap_or_default();
    let (path, rest) =
        asked.split_once('?').map_or((asked.as_str(), None), |(path, rest)| (path, Some(rest)));
    let canonical = CanonicalPath::parse(path.as_bytes()).and_then(|path| path.forwarded(rest));
    match canonical {
        Ok(target) if !target.path().starts_with(OWN_PREFIX) || target.path() == MY_SESSIONS => {
            target.as_str().to_owned()
        }
        _ => "/".to_owned(),
    }
}

/// The first value of a field of `application/x-www-form-urlencoded` text.
pub(crate) fn parameter(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits =
                    [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(0)).to_digit(16));
                match digits {
                    [Some(high), Some(low)] => (high << 4 | low) as u8,
                    _ => b'?',
                }
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_to_is_a_path_of_this_origin_or_ignored() {
        let rows = [
            ("return_to=/orders", "/orders"),
            ("return_to=%2Forders%3Fid%3D7", "/orders?id=7"),
            ("x=1&return_to=/a%2520b", "/a%20b"),
            ("return_to=/a+b", "/"),
            ("return_to=//evil.example/x", "/evil.example/x"),
            ("return_to=https://evil.example", "/"),
            ("return_to=/%5Cevil.example", "/"),
            ("return_to=%2F%09%2Fevil.example", "/"),
            ("return_to=/_nightlatch/logout", "/"),
            ("return_to=/_nightlatch/sessions", "/_nightlatch/sessions"),
            ("return_to=/_nightlatch/sessions/x", "/"),
            ("return_to=/x%0d%0aSet-Cookie:a=b", "/"),
            ("return_to=", "/"),
            ("", "/"),
        ];
        for (query, expected) in rows {
            assert_eq!(return_to(query), expected, "{query}");
        }
    }
}
