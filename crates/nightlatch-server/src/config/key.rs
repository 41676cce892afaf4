//! What a key is, and the list of all of them.
//!
//! Each table of the format has one file here, in which its keys, their help, their parsing and their tests stand
//! together. The list below strings these files together, and every other view is made from it: what the reader
//! knows and refuses, the default of an absent key, the nearest key for a slip, the example in a hint, and the
//! reference page. A key that is not listed cannot be read, and a key that is listed cannot be undocumented.

use std::fmt;

use super::{
    api_key, app, app_match, app_sensitive, identity, ledger, limits, listen, oidc, policy, root, uncovered,
};

/// Every table of the format, in the order of the reference page.
pub(super) static SECTIONS: &[&Section] = &[
    &root::SECTION,
    &listen::SECTION,
    &listen::TLS,
    &limits::SECTION,
    &root::DATA,
    &ledger::SECTION,
    &ledger::WITNESS,
    &policy::SECTION,
    &app::SECTION,
    &app_match::SECTION,
    &app_sensitive::SECTION,
    &identity::SECTION,
    &oidc::SECTION,
    &identity::DEMO,
    &identity::USERS,
    &api_key::SECTION,
    &uncovered::SECTION,
];

/// One table of the format.
pub(super) struct Section {
    /// Its path without indexes: `app.match`. Empty for the top of the file.
    pub(super) path: &'static str,
    /// How the table is written: `[[app]]`.
    pub(super) header: &'static str,
    /// What the table is for, as a sentence or two.
    pub(super) about: &'static str,
    /// Its keys, in the order of the reference page.
    pub(super) keys: &'static [Key],
}

/// One key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) need: Need,
    pub(super) status: Status,
    /// A value as it stands in a file.
    pub(super) example: &'static str,
    /// What it means, for somebody who has to choose the value.
    pub(super) means: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Flag,
    Text,
    Name,
    Date,
    Duration,
    Size,
    SocketAddress,
    SocketFile,
    Networks,
    Origin,
    WitnessUrl,
    Issuer,
    WitnessKey,
    Upstream,
    Host,
    PathPrefix,
    File,
    Variable,
    TimeZone,
    Pattern,
    Patterns,
    CookieNames,
    Texts,
    Choice(Words),
    Upgrades,
    Table,
    Tables,
    TableOrTables,
    Any,
}

/// The words a key takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    /// Those that are enforced.
    pub(super) now: &'static [&'static str],
    /// Those that are part of the format but refused by this version.
    pub(super) later: &'static [&'static str],
}

/// What happens when the key is absent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It is a mistake.
    Required,
    /// This value is read instead, as if it stood in the file.
    Default(&'static str),
    /// Nothing is read; the text says what that means.
    Optional(&'static str),
}

/// Whether this version does what the key says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It does.
    Now,
    /// It does not, so it refuses the key: what is not enforced must not look as if it were.
    NotYet,
    /// It never will; the text is the hint.
    Never(&'static str),
}

// === impl Section ===

impl Section {
    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// How the table is called in a sentence.
    pub(super) fn called(&self) -> &'static str {
        if self.header.starts_with('[') { self.header } else { self.path }
    }

    /// The known key that `name` was probably meant to be.
    pub(super) fn nearest(&self, name: &str) -> Option<&'static Key> {
        nearest(name, self.keys.iter().filter(|key| key.status == Status::Now), |key| key.name)
    }

    /// The path of a key of this table.
    pub(super) fn path_of(&self, name: &str) -> String {
        join(self.path, name)
    }
}

/// The key of this path (without indexes) and its table.
pub(super) fn find(path: &str) -> Option<(&'static Section, &'static Key)> {
    let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
    let section = SECTIONS.iter().find(|section| section.path == table)?;
    section.key(name).map(|key| (*section, key))
}

/// A table other than `path` that has a key of this name, for a key that stands in the wrong place.
pub(super) fn elsewhere(name: &str, path: &str) -> Option<&'static Section> {
    let has = |section: &&&Section| {
        section.path != path && section.key(name).is_some_and(|key| key.status == Status::Now)
    };
    SECTIONS.iter().find(has).copied()
}

/// The candidate whose name is nearest to what was typed, if any is near enough to be a slip.
pub(super) fn nearest<T>(typed: &str, of: impl Iterator<Item = T>, name: impl Fn(&T) -> &str) -> Option<T> {
    // The distance costs time in the square of the length, and no key is long.
    if typed.len() > 40 {
        return None;
    }
    let allowed = if typed.len() < 3 { 0 } else { 1 + typed.len() / 4 };
    let typed = typed.to_lowercase();
    let slips = |candidate: &T| strsim::damerau_levenshtein(&typed, &name(candidate).to_lowercase());
    let near = of.map(|candidate| (slips(&candidate), candidate)).filter(|(slips, _)| *slips <= allowed);
    near.min_by_key(|(slips, _)| *slips).map(|(_, candidate)| candidate)
}

/// `table.name`, or `name` at the top.
pub(super) fn join(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

// === impl Key ===

impl Key {
    /// Whether it is a table under a header of its own; the header is its example then.
    pub(super) fn is_header(&self) -> bool {
        let example = self.example.trim_matches(['[', ']']);
        let header = self.example.starts_with('[') && !example.contains(['{', '"']);
        header && matches!(self.form, Form::Table | Form::Tables)
    }

    /// A key of the format that this version refuses.
    pub(super) const fn later(
        name: &'static str,
        form: Form,
        example: &'static str,
        means: &'static str,
    ) -> Self {
        Self { name, form, need: Need::Optional(""), status: Status::NotYet, example, means }
    }
}

// === impl Form ===

/// What the value must be, to follow "must be".
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "a whole number",
            Self::Flag => "true or false",
            Self::Text => "text",
            Self::Name => "a name of a-z, 0-9 and hyphens",
            Self::Date => "a date without quotes",
            Self::Duration => "a duration in quotes",
            Self::Size => "a number of bytes with its unit, in quotes",
            Self::SocketAddress => "an IP address and port in quotes",
            Self::SocketFile => "`unix:` and a path, in quotes",
            Self::Networks => "a list of networks or addresses",
            Self::Origin => "a URL of scheme and host",
            Self::WitnessUrl => "a URL of scheme and host, with or without a path",
            Self::Issuer => "an issuer identifier, a URL of scheme and host, with or without a path",
            Self::WitnessKey => "a C2SP verifier key, `name+id+base64`",
            Self::Upstream => "a URL of scheme, host and port, or `unix:` and a path",
            Self::Host => "a host name, with or without port, or `*`",
            Self::PathPrefix => "a path",
            Self::File => "a path, relative to this file",
            Self::Variable => "the name of an environment variable",
            Self::TimeZone => "a time zone name",
            Self::Pattern => "a route pattern",
            Self::Patterns => "a list of route patterns",
            Self::CookieNames => "a list of cookie names",
            Self::Texts => "a list of texts",
            Self::Choice(words) => return words.write(f, "one of "),
            Self::Upgrades => "a list of protocols",
            Self::Table => "a table",
            Self::Tables => "a list of tables",
            Self::TableOrTables => "a table or a list of tables",
            Self::Any => "absent",
        })
    }
}

impl Words {
    fn write(&self, f: &mut fmt::Formatter<'_>, front: &str) -> fmt::Result {
        f.write_str(front)?;
        for (n, word) in self.now.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}`\"{word}\"`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_and_key_is_listed_once() {
        let mut paths: Vec<String> = SECTIONS
            .iter()
            .flat_map(|section| section.keys.iter().map(|key| section.path_of(key.name)))
            .collect();
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }

    #[test]
    fn every_table_is_a_key_of_the_table_above_it() {
        for section in SECTIONS.iter().filter(|section| !section.path.is_empty()) {
            let (_, key) = find(section.path).unwrap();
            assert!(matches!(key.form, Form::Table | Form::Tables | Form::TableOrTables), "{}", section.path);
        }
    }

    #[test]
    fn every_example_is_toml() {
        let keys = SECTIONS.iter().flat_map(|section| section.keys);
        for key in keys.filter(|key| !key.example.is_empty() && !key.is_header()) {
            assert!(toml::de::DeValue::parse(key.example).is_ok(), "{}", key.example);
            assert!(!key.means.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn a_slip_finds_its_key() {
        for (typed, expected) in [
            ("idel", Some("idle")),
            ("Idle", Some("idle")),
            ("absolut", Some("absolute")),
            ("zzz", None),
            ("x", None),
        ] {
            assert_eq!(policy::SECTION.nearest(typed).map(|key| key.name), expected, "{typed}");
        }
        assert!(policy::SECTION.nearest(&"i".repeat(100_000)).is_none());
        assert_eq!(elsewhere("idle", "listen").map(|section| section.path), Some("policy"));
    }
}
