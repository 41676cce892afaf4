//! What is wrong with a value, and how it is said.
//!
//! The sentences that every table needs stand here, so that the same mistake is told in the same words everywhere.
//! What is special to one form of value is said where that form is read.

use super::code::Code;
use super::key::{self, Form, Section, Status, Words};
use super::source::quoted;

/// What is wrong with a value, before it is known where the value stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) code: Code,
    pub(super) message: String,
    /// Without one, the example of the key is the hint.
    pub(super) hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Refuses the empty text.
pub(super) fn not_empty(text: &str) -> Result<&str, Mistake> {
    if text.trim().is_empty() {
        Err(Mistake::new(Code::EmptyValue, "this must not be empty"))
    } else {
        Ok(text)
    }
}

/// What to say about a part of the format that this version does not enforce; `what` is a key or a key and its value.
pub(super) fn not_yet(what: &str) -> Mistake {
    let message = format!("{what} is part of the configuration format, but this version does not enforce it");
    Mistake::new(Code::NotYet, message).hint("remove it; it will be taken by the version that enforces it")
}

/// The word for which `of` has a meaning, or what to say about another; `path` is the key without indexes.
pub(super) fn choose<T>(path: &str, text: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, Mistake> {
    let words = match key::find(path).map(|(_, key)| key.form) {
        Some(Form::Choice(words)) => words,
        _ => Words { now: &[], later: &[] },
    };
    if words.later.contains(&text) {
        let takes = words.now.join("`, `");
        return Err(not_yet(&format!("`{text}` for `{path}`")).hint(format!("this version takes `{takes}`")));
    }
    of(text).ok_or_else(|| {
        let mistake = Mistake::new(Code::BadChoice, format!("`{path}` does not take `{}`", quoted(text)));
        match key::nearest(text, words.now.iter(), |word| word) {
            Some(word) => mistake.hint(format!("did you mean `{word}`?")),
            None => mistake.hint(format!("it takes `{}`", words.now.join("`, `"))),
        }
    })
}

/// What to say about a key that is not in the table.
pub(super) fn unknown(section: &Section, name: &str) -> Mistake {
    let shown = quoted(name);
    let message = if section.path.is_empty() {
        format!("`{shown}` is neither a key nor a table at the top of the file")
    } else {
        format!("`{shown}` is not a key of `{}`", section.called())
    };
    let mistake = Mistake::new(Code::UnknownKey, message);
    if let Some(key) = section.nearest(name) {
        return mistake.hint(format!("did you mean `{}`?", key.name));
    }
    if let Some(other) = key::elsewhere(name, section.path) {
        let place = if other.path.is_empty() {
            "the top of the file, before the first table".to_owned()
        } else {
            format!("`{}`", other.called())
        };
        return mistake.hint(format!("`{name}` belongs to {place}"));
    }
    let known: Vec<&str> =
        section.keys.iter().filter(|key| key.status == Status::Now).map(|key| key.name).collect();
    mistake.hint(format!("known here: `{}`", known.join("`, `")))
}
