//! What a provider answers through the browser (OpenID Connect Core section 3.1.2.5, RFC 9207). Anybody can write such an address.

use crate::url::{Ambiguous, field};

/// The longest word of an error that is passed on to a log.
const WORD_BYTES_MOST: usize = 64;

/// The answer, taken apart and not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callback {
    pub(crate) state: String,
    pub(crate) iss: Option<String>,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Code(String),
    /// A word of RFC 6749 section 4.1.2.1 or OpenID Connect Core section 3.1.2.6.
    Error(String),
}

impl Callback {
    /// Reads the query. A field that stands there twice says two things, and is refused.
    pub(crate) fn read(query: &str) -> Result<Callback, Ambiguous> {
        let state = field(query, "state")?.ok_or(Ambiguous)?;
        let iss = field(query, "iss")?;
        let outcome = match (field(query, "code")?, field(query, "error")?) {
            (Some(code), None) if !code.is_empty() => Outcome::Code(code),
            (None, Some(error)) => Outcome::Error(word(&error)),
            _ => return Err(Ambiguous),
        };
        Ok(Callback { state, iss, outcome })
    }

    /// Whether it comes from the provider that was asked, as far as the answer says so. One provider must not be able to pass its code
    /// on to another in our hands.
    pub(crate) fn is_of(&self, issuer: &str, names_itself: bool) -> bool {
        match &self.iss {
            Some(iss) => iss == issuer,
            None => !names_itself,
        }
    }
}

/// As much of a word as may stand in a log.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(WORD_BYTES_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_code_or_an_error_and_says_one_thing() {
        let code = |iss: Option<&str>| Callback {
            state: "s".into(),
            iss: iss.map(str::to_owned),
            outcome: Outcome::Code("c".into()),
        };
        let error = Callback { outcome: Outcome::Error("access_denied".into()), ..code(None) };
        for (query, expected) in [
            ("code=c&state=s", Ok(code(None))),
            ("code=c&state=s&iss=https%3A%2F%2Fidp.example", Ok(code(Some("https://idp.example")))),
            ("error=access_denied&error_description=x&state=s", Ok(error)),
            ("code=c", Err(Ambiguous)),
            ("state=s", Err(Ambiguous)),
            ("code=&state=s", Err(Ambiguous)),
            ("code=c&state=s&error=x", Err(Ambiguous)),
            ("code=c&code=d&state=s", Err(Ambiguous)),
            ("code=c&state=s&state=t", Err(Ambiguous)),
            ("", Err(Ambiguous)),
        ] {
            assert_eq!(Callback::read(query), expected, "{query}");
        }
        assert_eq!(word("a\r\nlevel=ERROR <b>"), "alevelERRORb");
    }

    #[test]
    fn another_issuer_is_refused_and_so_is_silence_where_the_provider_names_itself() {
        for (iss, names_itself, expected) in [
            (None, false, true),
            (None, true, false),
            (Some("https://idp.example"), false, true),
            (Some("https://idp.example"), true, true),
            (Some("https://evil.example"), false, false),
            (Some("https://idp.example/"), true, false),
        ] {
            let query =
                iss.map_or_else(|| "code=c&state=s".to_owned(), |iss| format!("code=c&state=s&iss={iss}"));
            let callback = Callback::read(&query).unwrap();
            assert_eq!(callback.is_of("https://idp.example", names_itself), expected, "{query}");
        }
    }
}
