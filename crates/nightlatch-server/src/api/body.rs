//! Reading what was sent, strictly.
//!
//! A field that is misspelt and ignored is a limit that is not there, so a body or a query with anything unknown in it is refused and
//! the nearest known name is given. Each form lists its fields once, with what each may hold; reading, refusing and the words of the refusal
//! follow from that list. Nothing that was sent is repeated in an answer but the names of fields.

use super::{
    ApiState,
    problem::{Code, Problem},
};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use nightlatch_engine::Entry;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeMap, marker::PhantomData, time::Duration};
use tokio::time::timeout;

/// No request body is longer.
pub(crate) const BODY_BYTES_MOST: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// No single text is longer, in bytes, unless its field says so.
const TEXT_BYTES_MOST: usize = 256;
/// No list has more items.
const ITEMS_MOST: usize = 1_000;

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    /// A text of 1 to 256 bytes without control characters.
    Text,
    /// A text of 1 to 1000 bytes without control characters.
    LongText,
    /// A list of at most 1000 such texts.
    Texts,
    /// `true` or `false`.
    Flag,
}

/// A JSON body with a closed list of fields.
pub(crate) trait Form: DeserializeOwned {
    /// Every field, and what it may hold. `null` is the same as absent.
    const FIELDS: &'static [(&'static str, Holds)];
}

/// A body that was sent in its form.
pub(crate) struct Sent<F>(pub(crate) F);

impl<F: Form> FromRequest<ApiState> for Sent<F> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Sent<F>, Problem> {
        if !is_json(&request) {
            return Err(Problem::new(Code::NotJson, "set `Content-Type: application/json`"));
        }
        let bytes = timeout(BODY_WAIT, Bytes::from_request(request, state)).await;
        let bytes =
            bytes.map_err(|_| Problem::new(Code::TooSlow, "send it at once"))?.map_err(|rejection| {
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    Problem::new(Code::TooLarge, "send less")
                } else {
                    Problem::new(Code::BadJson, "the body did not arrive whole")
                }
            })?;
        read(&bytes).map(Sent)
    }
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads a body in its form, or says what is wrong with it.
fn read<F: Form>(bytes: &[u8]) -> Result<F, Problem> {
    let place = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::BadJson, format!("not JSON at {}", place(&error))))?;
    let Value::Object(fields) = value else {
        return Err(Problem::new(Code::BadJson, "send one JSON object"));
    };
    for (name, value) in &fields {
        let Some((_, holds)) = F::FIELDS.iter().find(|(known, _)| known == name) else {
            let names: Vec<&str> = F::FIELDS.iter().map(|(known, _)| *known).collect();
            return Err(Problem::new(Code::UnknownField, unknown("a field", name, &names)));
        };
        if let Some(wanted) = holds.refuses(value) {
            return Err(Problem::new(Code::BadField, format!("`{name}` must be {wanted}")));
        }
    }
    // From the bytes again and not from the value: that one forgot fields that were given twice.
    serde_json::from_slice(bytes).map_err(|error| {
        let said = error.to_string();
        let lacks = |name: &str| {
            said.contains(&format!("missing field `{name}`")) || fields.get(name) == Some(&Value::Null)
        };
        match F::FIELDS.iter().find(|(name, _)| !said.contains("duplicate field") && lacks(name)) {
            Some((name, _)) => Problem::new(Code::BadField, format!("`{name}` is missing")),
            None => Problem::new(Code::BadJson, format!("a field stands there twice, at {}", place(&error))),
        }
    })
}

impl Holds {
    /// What it should have been, if this is not that.
    fn refuses(self, value: &Value) -> Option<&'static str> {
        let fits = match (self, value) {
            (_, Value::Null) => true,
            (Holds::Text, Value::String(text)) => is_text(text, TEXT_BYTES_MOST),
            (Holds::LongText, Value::String(text)) => is_text(text, 1_000),
            (Holds::Texts, Value::Array(items)) => {
                let text = |item: &Value| item.as_str().is_some_and(|text| is_text(text, TEXT_BYTES_MOST));
                items.len() <= ITEMS_MOST && items.iter().all(text)
            }
            (Holds::Flag, Value::Bool(_)) => true,
            _ => false,
        };
        (!fits).then_some(match self {
            Holds::Text => "a text of 1 to 256 bytes without control characters",
            Holds::LongText => "a text of 1 to 1000 bytes without control characters",
            Holds::Texts => "a list of at most 1000 texts, each of 1 to 256 bytes without control characters",
            Holds::Flag => "`true` or `false`",
        })
    }
}

fn is_text(text: &str, bytes_most: usize) -> bool {
    !text.trim().is_empty() && text.len() <= bytes_most && !text.chars().any(char::is_control)
}

/// Says that a name is not known, and which one may have been meant. The name is repeated only as far as it looks like one.
fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let shown: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(40).collect();
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_ascii_lowercase(), known), known))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("`{shown}` is not {what} here; did you mean `{near}`?"),
        None if known.is_empty() => format!("`{shown}` is not {what} here; there are none"),
        None => format!("`{shown}` is not {what} here; known are `{}`", known.join("`, `")),
    }
}

/// The one part of the path that names something. One that is no text names nothing.
pub(crate) struct Named(pub(crate) String);

impl FromRequestParts<ApiState> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Named, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Named(name)).map_err(|_| Problem::new(Code::NotFound, "nothing has this name"))
    }
}

/// The parameters that a query may have.
pub(crate) trait Parameters: Send + Sync {
    /// Every name.
    const NAMES: &'static [&'static str];
}

/// A query with known parameters, each at most once.
pub(crate) struct Asked<P> {
    values: BTreeMap<String, String>,
    parameters: PhantomData<P>,
}

impl<P: Parameters> FromRequestParts<ApiState> for Asked<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Asked<P>, Problem> {
        let refuse = |detail: String| Problem::new(Code::BadQuery, detail);
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| refuse("the query is not of the form `name=value&name=value`".to_owned()))?;
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if !P::NAMES.contains(&name.as_str()) {
                return Err(refuse(unknown("a parameter", &name, P::NAMES)));
            }
            if !is_text(&value, 1_000) {
                return Err(refuse(format!("`{name}` is empty, too long or has control characters in it")));
            }
            if values.insert(name.clone(), value).is_some() {
                return Err(refuse(format!("`{name}` is given twice")));
            }
        }
        Ok(Asked { values, parameters: PhantomData })
    }
}

impl<P: Parameters> Asked<P> {
    /// The value of a parameter, if it is there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of a parameter as a number, if it is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let read = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number.ok_or_else(|| Problem::new(Code::BadQuery, format!("`{name}` is not a whole number")))
        };
        self.text(name).map(read).transpose()
    }

    /// A kind of entry, if one is asked for: a word that no entry has would be waited for without end.
    pub(crate) fn what(&self) -> Result<Option<String>, Problem> {
        let Some(what) = self.text("what") else { return Ok(None) };
        if Entry::WORDS.contains(&what) {
            return Ok(Some(what.to_owned()));
        }
        let known = Entry::WORDS.join("`, `");
        Err(Problem::new(Code::BadQuery, format!("no entry is called that; `what` is one of `{known}`")))
    }

    /// How many items to answer with: `limit`, from 1 to `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(limit) = self.number("limit")? else { return Ok(default) };
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Problem::new(Code::BadQuery, format!("`limit` is a number from 1 to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Example {
        subject: String,
        groups: Option<Vec<String>>,
        dry_run: Option<bool>,
    }

    impl Form for Example {
        const FIELDS: &'static [(&'static str, Holds)] =
            &[("subject", Holds::Text), ("groups", Holds::Texts), ("dry_run", Holds::Flag)];
    }

    #[test]
    fn what_is_wrong_is_said_by_its_place() {
        let long = format!(r#"{{"subject":"{}"}}"#, "x".repeat(300));
        let rows = [
            (r#"{"subject":"ada","groups":[],"dry_run":null}"#, Ok(())),
            ("", Err("not JSON at line 1, column 0")),
            ("{", Err("not JSON at line 1, column 1")),
            ("[]", Err("send one JSON object")),
            ("{}", Err("`subject` is missing")),
            (r#"{"subject":null}"#, Err("`subject` is missing")),
            (r#"{"subjct":"ada"}"#, Err("`subjct` is not a field here; did you mean `subject`?")),
            (
                r#"{"subject":"ada","zzz":1}"#,
                Err("`zzz` is not a field here; known are `subject`, `groups`, `dry_run`"),
            ),
            (
                r#"{"subject":7}"#,
                Err("`subject` must be a text of 1 to 256 bytes without control characters"),
            ),
            (&long, Err("`subject` must be a text of 1 to 256 bytes without control characters")),
            (
                r#"{"subject":"a\nb"}"#,
                Err("`subject` must be a text of 1 to 256 bytes without control characters"),
            ),
            (
                r#"{"subject":"ada","groups":["a",1]}"#,
                Err(
                    "`groups` must be a list of at most 1000 texts, each of 1 to 256 bytes without control characters",
                ),
            ),
            (r#"{"subject":"ada","dry_run":"yes"}"#, Err("`dry_run` must be `true` or `false`")),
            (r#"{"subject":"ada","subject":"bob"}"#, Err("a field stands there twice, at line 1, column 26")),
        ];
        for (body, expected) in rows {
            let got = read::<Example>(body.as_bytes()).map(drop);
            let code = got.as_ref().err().map(|problem| format!("{problem:?}")).unwrap_or_default();
            match expected {
                Ok(()) => assert!(got.is_ok(), "{body}: {code}"),
                Err(detail) => assert!(code.contains(&format!("detail: {detail:?}")), "{body}: {code}"),
            }
        }
    }

    #[test]
    fn a_name_that_is_repeated_is_a_name() {
        let shown = unknown("a field", "<script>\u{1b}[2J", &["app"]);
        assert_eq!(shown, "`script2J` is not a field here; known are `app`");
    }
}
