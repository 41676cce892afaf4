//! `[[uncovered]]`: what the firm knows is not behind Nightlatch.
//!
//! It changes nothing that is enforced. It is there because firms were fined for the one channel that nobody had in
//! view: what is declared is printed first in every report, with an owner and a date, until somebody deals with it.
//! So every part of it is required.

use std::fmt;

use serde::{Serialize, Serializer};

use super::key::{Form, Key, Need, Section, Status};
use super::mistake::not_empty;
use super::notes::Notes;
use super::reader::Table;

pub(super) static SECTION: Section = Section {
    path: "uncovered",
    header: "[[uncovered]]",
    about: "What the firm knows is not behind Nightlatch. Nothing is enforced there; it is printed in every report.",
    keys: &[
        required("name", Form::Text, "\"legacy statements portal\"", "What it is; each once."),
        required("owner", Form::Text, "\"Retail Operations\"", "Who answers for it."),
        required(
            "reason",
            Form::Text,
            "\"vendor product without a reverse proxy\"",
            "Why it is not behind Nightlatch.",
        ),
        required(
            "review_by",
            Form::Date,
            "2027-01-31",
            "When this is looked at again at the latest; the day ends in `timezone`.",
        ),
    ],
};

const fn required(name: &'static str, form: Form, example: &'static str, means: &'static str) -> Key {
    Key { name, form, need: Need::Required, status: Status::Now, example, means }
}

/// Something that is not behind Nightlatch, by declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Uncovered {
    /// What it is.
    pub(crate) name: String,
    /// Who answers for it.
    pub(crate) owner: String,
    /// Why it is not behind Nightlatch.
    pub(crate) reason: String,
    /// When this is looked at again at the latest.
    pub(crate) review_by: Date,
}

/// A day of the calendar that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Date {
    /// Year of the common era.
    pub(crate) year: u16,
    /// Month, 1 to 12.
    pub(crate) month: u8,
    /// Day of the month, from 1.
    pub(crate) day: u8,
}

/// Reads every `[[uncovered]]`.
pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Vec<Uncovered> {
    let mut list = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for table in root.children(notes, &SECTION, "uncovered", false) {
        let text = |notes: &mut Notes<'_>, name: &str| {
            table.text(notes, name, |text| not_empty(text).map(str::to_owned))
        };
        let name = text(notes, "name");
        if let Some(name) = &name {
            table.only_one(notes, name, &mut names);
        }
        let (owner, reason) = (text(notes, "owner"), text(notes, "reason"));
        let review_by = table.date(notes, "review_by").map(|date| Date {
            year: date.year,
            month: date.month,
            day: date.day,
        });
        if let (Some(name), Some(owner), Some(reason), Some(review_by)) = (name, owner, reason, review_by) {
            list.push(Uncovered { name, owner, reason, review_by });
        }
    }
    list
}

// === impl Date ===

/// `2027-01-31`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
