//! Writing and reading `application/x-www-form-urlencoded` text: queries, forms, and the two halves of a `Basic` field.

use std::fmt::Write as _;

/// Text with everything but unreserved characters percent-encoded (RFC 3986 section 2.3).
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => _ = write!(out, "%{byte:02X}"),
        }
        out
    })
}

/// Fields as a query or a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

/// An address with these fields behind what query it has already.
pub(crate) fn with_query(address: &str, fields: &[(&str, &str)]) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    format!("{address}{joint}{}", form(fields))
}

/// The value of a field that stands there at most once; a second one makes the text say two things.
///
/// # Errors
/// If it stands there twice, or is not percent-encoded UTF-8.
pub(crate) fn field(text: &str, name: &str) -> Result<Option<String>, Ambiguous> {
    let mut values = text.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let value = values.next();
    if values.next().is_some() {
        return Err(Ambiguous);
    }
    value.map(decode).transpose()
}

/// A field that cannot be read in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

fn decode(value: &str) -> Result<String, Ambiguous> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit().ok_or(Ambiguous)?, digit().ok_or(Ambiguous)?);
                u8::try_from(high << 4 | low).map_err(|_| Ambiguous)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_once_or_not_at_all() {
        for (text, expected) in [
            ("code=a&state=b", Ok(Some("a"))),
            ("code=a%20b+c", Ok(Some("a b c"))),
            ("state=b", Ok(None)),
            ("", Ok(None)),
            ("code", Ok(Some(""))),
            ("code=a&code=b", Err(Ambiguous)),
            ("code=a&code=a", Err(Ambiguous)),
            ("code=%4", Err(Ambiguous)),
            ("code=%ff", Err(Ambiguous)),
        ] {
            assert_eq!(field(text, "code"), expected.map(|value| value.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for value in ["", "a b&c=d", "https://x.example/?a=b#c", "\u{e9}%", "~-._"] {
            let text = form(&[("x", "1"), ("v", value)]);
            assert_eq!(field(&text, "v"), Ok(Some(value.to_owned())), "{text}");
        }
        assert_eq!(with_query("https://a/x?y=1", &[("z", "/")]), "https://a/x?y=1&z=%2F");
        assert_eq!(with_query("https://a/x", &[("z", "2")]), "https://a/x?z=2");
    }
}
