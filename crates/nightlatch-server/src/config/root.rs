//! The top of the file, and `[data]`.
//!
//! `version` comes first and has no default: a file says which format it is written for, so that a later format can
//! change a meaning without changing it under somebody's feet.

use std::path::PathBuf;

use super::code::Code;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::source::quoted;

/// The format that this version reads.
const VERSION: i64 = 1;

pub(super) static SECTION: Section = Section {
    path: "",
    header: "top of the file",
    about: "Stands before the first table.",
    keys: &[
        Key {
            name: "version",
            form: Form::Integer,
            need: Need::Required,
            status: Status::Now,
            example: "1",
            means: "The version of this format. This program reads version 1.",
        },
        Key {
            name: "timezone",
            form: Form::TimeZone,
            need: Need::Default("\"UTC\""),
            status: Status::Now,
            example: "\"America/New_York\"",
            means: "The IANA name of the zone in which a date ends with its day.",
        },
        table("listen", Form::Table, Need::Required, "[listen]"),
        table("limits", Form::Table, Need::Optional("the defaults of its keys"), "[limits]"),
        table("data", Form::Table, Need::Optional("the defaults of its keys"), "[data]"),
        table("ledger", Form::Table, Need::Optional("the defaults of its keys"), "[ledger]"),
        table("policy", Form::Table, Need::Required, "[policy]"),
        table("app", Form::Tables, Need::Required, "[[app]]"),
        table(
            "identity",
            Form::Table,
            Need::Optional("nobody signs in through the gateway"),
            "[identity.demo]",
        ),
        table("api_key", Form::Tables, Need::Optional("the API is closed"), "[[api_key]]"),
        table("uncovered", Form::Tables, Need::Optional("nothing is declared"), "[[uncovered]]"),
    ],
};

pub(super) static DATA: Section = Section {
    path: "data",
    header: "[data]",
    about: "What is kept on this machine.",
    keys: &[Key {
        name: "dir",
        form: Form::File,
        need: Need::Default("\"data\""),
        status: Status::Now,
        example: "\"data\"",
        means: "The folder of the ledger, the sessions and the index. Only Nightlatch should be able to read it.",
    }],
};

const fn table(name: &'static str, form: Form, need: Need, header: &'static str) -> Key {
    Key { name, form, need, status: Status::Now, example: header, means: "See its own section." }
}

/// Refuses every version but ours.
pub(super) fn version(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<()> {
    let version = root.integer(notes, "version")?;
    if version == VERSION {
        return Some(());
    }
    let message = format!(
        "this file is written for version {version} of the format, and this program reads version {VERSION}"
    );
    notes.blame(
        "version",
        Mistake::new(Code::BadVersion, message)
            .hint("use the program that reads this version, or convert the file"),
    );
    None
}

/// The name of the time zone. Whether the zone exists is for whoever owns the zone data.
pub(super) fn timezone(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<String> {
    root.text(notes, "timezone", |text| {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
        };
        let letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if letter && text.len() <= 64 && text.split('/').all(part) {
            return Ok(text.to_owned());
        }
        Err(Mistake::new(Code::BadTimezone, format!("`{}` is not the name of a time zone", quoted(text))))
    })
}

/// The folder for what is kept.
pub(super) fn data_dir(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<PathBuf> {
    root.child(notes, &DATA, "data")?.file(notes, "dir")
}
