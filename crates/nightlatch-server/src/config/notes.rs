//! What was found so far, and where everything stands.
//!
//! Mistakes are noted by path (`app[1].upstream`), and the notes remember where each path stands in the text. So a
//! check between two tables needs no positions in the settings themselves, and a mistake about something absent is
//! shown at the nearest thing that is there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::DeValue;

use super::code::{Code, Level};
use super::finding::{Finding, Place};
use super::key::{self, Form};
use super::mistake::Mistake;
use super::source::Source;

/// What was found so far, and where everything stands.
pub(super) struct Notes<'a> {
    source: Source<'a>,
    base: PathBuf,
    seen: BTreeMap<String, Range<usize>>,
    found: Vec<(usize, Finding)>,
}

impl<'a> Notes<'a> {
    /// `base` is the folder that paths in the file are relative to.
    pub(super) fn new(source: Source<'a>, base: PathBuf) -> Self {
        Self { source, base, seen: BTreeMap::new(), found: Vec::new() }
    }

    /// Remembers where something stands.
    pub(super) fn saw(&mut self, path: &str, span: Range<usize>) {
        self.seen.insert(path.to_owned(), span);
    }

    /// A path of the file, seen from where the program runs.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Notes a mistake at `path`; if nothing stands there, at the table it should stand in.
    pub(super) fn blame(&mut self, path: &str, mistake: Mistake) {
        let mut at = path;
        let span = loop {
            match self.seen.get(at) {
                Some(span) => break Some(span.clone()),
                None if at.is_empty() => break None,
                None => at = at.rfind(['.', '[']).and_then(|end| at.get(..end)).unwrap_or_default(),
            }
        };
        self.blame_span(span, &without_indexes(path), mistake);
    }

    /// Notes a mistake at a place of its own, such as a syntax error.
    pub(super) fn blame_span(&mut self, span: Option<Range<usize>>, key: &str, mistake: Mistake) {
        let hint = mistake.hint.unwrap_or_else(|| example_of(key));
        let place = span.as_ref().map_or_else(Place::nowhere, |span| self.source.place(span));
        let finding =
            Finding { code: mistake.code, key: key.to_owned(), place, message: mistake.message, hint };
        self.found.push((span.map_or(0, |span| span.start), finding));
    }

    /// Whether anything was noted that refuses the file.
    pub(super) fn refused(&self) -> bool {
        self.found.iter().any(|(_, finding)| finding.code.level() == Level::Error)
    }

    /// The findings, in the order of the file.
    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|(start, _)| *start);
        self.found.into_iter().map(|(_, finding)| finding).collect()
    }

    /// Drops all findings of a line but the first.
    pub(super) fn keep_first_of_each_line(&mut self) {
        self.found.sort_by_key(|(start, _)| *start);
        self.found.dedup_by_key(|(_, finding)| finding.place.line);
    }

    /// Notes a value that is not of the form that the key asks for.
    pub(super) fn wrong_type(&mut self, path: &str, value: &DeValue<'_>, form: &str) {
        let (key, what) = (without_indexes(path), type_of(value));
        let message = if path.ends_with(']') {
            format!("`{key}` has {what} in it, but must be {form}")
        } else {
            format!("`{key}` is {what}, but must be {form}")
        };
        self.blame(path, Mistake::new(Code::WrongType, message));
    }
}

fn example_of(path: &str) -> String {
    match key::find(path) {
        Some((_, key)) if matches!(key.form, Form::Tables) => {
            format!("write it as `{}`", key.example)
        }
        Some((_, key)) => format!("for example: `{} = {}`", key.name, key.example),
        None => "see the reference page of the configuration".to_owned(),
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(when) if when.date.is_some() && when.time.is_none() => "a date",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `app[1].passive[0]` is the key `app.passive`.
pub(super) fn without_indexes(path: &str) -> String {
    let mut inside = false;
    let keep = |c: &char| {
        inside = *c == '[' || (inside && *c != ']');
        !inside && *c != ']'
    };
    path.chars().filter(keep).collect()
}
