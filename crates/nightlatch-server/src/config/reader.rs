//! Walks the tables of the file.
//!
//! A value that cannot be read is noted and answered with `None`, and reading goes on; whoever builds a setting from
//! several values gets all of its mistakes noted before the missing one stops it. Keys are looked up in the one list
//! (`key::SECTIONS`): opening a table refuses whatever is not in it, so an unknown key is refused even if nobody ever
//! reads that table further.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::code::Code;
use super::key::{Key, Need, Section, Status, join};
use super::mistake::{self, Mistake};
use super::notes::{Notes, without_indexes};
use super::source::quoted;

/// A table of the file, or the absence of one.
pub(super) struct Table<'a> {
    section: &'static Section,
    path: String,
    entries: Option<&'a DeTable<'a>>,
}

/// A value of the file, or the default in its place.
struct Slot<'a> {
    key: &'static Key,
    path: String,
    value: Spanned<DeValue<'a>>,
}

impl<'a> Table<'a> {
    /// Opens a table and notes every key in it that this version does not take.
    pub(super) fn open(
        notes: &mut Notes<'_>,
        section: &'static Section,
        path: &str,
        entries: &'a DeTable<'a>,
    ) -> Self {
        let table = Self::unchecked(section, path, entries);
        table.refuse_others(notes);
        table
    }

    /// Opens a table of which it is not known yet whether it is in our format at all.
    pub(super) fn unchecked(section: &'static Section, path: &str, entries: &'a DeTable<'a>) -> Self {
        Self { section, path: path.to_owned(), entries: Some(entries) }
    }

    /// Notes every key that this version does not take.
    pub(super) fn refuse_others(&self, notes: &mut Notes<'_>) {
        let section = self.section;
        for name in self.entries.into_iter().flat_map(DeTable::keys) {
            let path = section.path_of(&quoted(name.get_ref()));
            match section.key(name.get_ref()).map(|key| key.status) {
                Some(Status::Now) => continue,
                Some(Status::NotYet) => {
                    notes.blame_span(Some(name.span()), &path, mistake::not_yet(&format!("`{path}`")))
                }
                Some(Status::Never(hint)) => {
                    // The value would be a secret, so the name is pointed at.
                    let message = format!("`{path}` puts a secret into the configuration file");
                    notes.blame_span(
                        Some(name.span()),
                        &path,
                        Mistake::new(Code::InlineSecret, message).hint(hint),
                    );
                }
                None => notes.blame_span(Some(name.span()), &path, mistake::unknown(section, name.get_ref())),
            }
        }
    }

    /// Whether the key stands in the file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(name))
    }

    /// The path of this table.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the key stands in the file as a list of nothing.
    pub(super) fn is_empty_list(&self, name: &str) -> bool {
        let value = self.entries.and_then(|entries| entries.get(name));
        value.and_then(|value| value.get_ref().as_array()).is_some_and(|items| items.is_empty())
    }

    /// The path of a key of this table, for [`Notes::blame`].
    pub(super) fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// A text that `parse` understands.
    pub(super) fn text<T>(
        &self,
        notes: &mut Notes<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let slot = self.slot(notes, name)?;
        let Some(text) = slot.value.get_ref().as_str() else {
            notes.wrong_type(&slot.path, slot.value.get_ref(), &slot.key.form.to_string());
            return None;
        };
        parse(text).map_err(|mistake| notes.blame(&slot.path, mistake)).ok()
    }

    /// A list of texts that `parse` understands. A text that stands in the list twice is a mistake.
    pub(super) fn texts<T>(
        &self,
        notes: &mut Notes<'_>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Vec<T> {
        self.texts_at(notes, name, parse).into_iter().map(|(_, value)| value).collect()
    }

    /// The same, with the path of each value for [`Notes::blame`].
    pub(super) fn texts_at<T>(
        &self,
        notes: &mut Notes<'_>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Vec<(String, T)> {
        let mut list = Vec::new();
        let Some(slot) = self.slot(notes, name) else {
            return list;
        };
        let Some(items) = slot.value.get_ref().as_array() else {
            notes.wrong_type(&slot.path, slot.value.get_ref(), &slot.key.form.to_string());
            return list;
        };
        let mut texts: Vec<&str> = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let path = format!("{}[{n}]", slot.path);
            if self.has(name) {
                notes.saw(&path, item.span());
            }
            let Some(text) = item.get_ref().as_str() else {
                notes.wrong_type(&path, item.get_ref(), &slot.key.form.to_string());
                continue;
            };
            if texts.contains(&text) {
                let message = format!("`{}` stands in `{}` twice", quoted(text), without_indexes(&slot.path));
                notes.blame(&path, Mistake::new(Code::DuplicateValue, message).hint("remove one of them"));
                continue;
            }
            texts.push(text);
            match parse(text) {
                Ok(value) => list.push((path, value)),
                Err(mistake) => notes.blame(&path, mistake),
            }
        }
        list
    }

    /// One word out of those the key takes.
    pub(super) fn choice<T>(
        &self,
        notes: &mut Notes<'_>,
        name: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let path = self.section.path_of(name);
        self.text(notes, name, |text| mistake::choose(&path, text, of))
    }

    /// The name of one of several tables of a kind; `names` are those before it.
    pub(super) fn name(&self, notes: &mut Notes<'_>, names: &mut Vec<String>) -> Option<String> {
        let name = self.text(notes, "name", |text| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
                return Ok(text.to_owned());
            }
            let mistake = Mistake::new(Code::BadName, format!("`{}` cannot be a name", quoted(text)));
            Err(mistake.hint("up to 64 of a-z, 0-9 and hyphens, so that it reads the same in every record"))
        })?;
        self.only_one(notes, &name, names);
        Some(name)
    }

    /// Notes a name that a table before this one has, and adds it to `names`.
    pub(super) fn only_one(&self, notes: &mut Notes<'_>, name: &str, names: &mut Vec<String>) {
        if names.iter().any(|before| before == name) {
            let message = format!("there is another `{}` named `{}`", self.section.called(), quoted(name));
            notes.blame(
                &self.at("name"),
                Mistake::new(Code::DuplicateName, message).hint("give each a name of its own"),
            );
        }
        names.push(name.to_owned());
    }

    /// A whole number.
    pub(super) fn integer(&self, notes: &mut Notes<'_>, name: &str) -> Option<i64> {
        let slot = self.slot(notes, name)?;
        let number = slot
            .value
            .get_ref()
            .as_integer()
            .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            notes.wrong_type(&slot.path, slot.value.get_ref(), &slot.key.form.to_string());
        }
        number
    }

    /// True or false.
    pub(super) fn flag(&self, notes: &mut Notes<'_>, name: &str) -> Option<bool> {
        let slot = self.slot(notes, name)?;
        let flag = slot.value.get_ref().as_bool();
        if flag.is_none() {
            notes.wrong_type(&slot.path, slot.value.get_ref(), &slot.key.form.to_string());
        }
        flag
    }

    /// A date without a time.
    pub(super) fn date(&self, notes: &mut Notes<'_>, name: &str) -> Option<toml::value::Date> {
        let slot = self.slot(notes, name)?;
        let date =
            slot.value.get_ref().as_datetime().filter(|when| when.time.is_none()).and_then(|when| when.date);
        if date.is_none() {
            notes.wrong_type(&slot.path, slot.value.get_ref(), &slot.key.form.to_string());
        }
        date
    }

    /// A path, made absolute or relative to where the program runs.
    pub(super) fn file(&self, notes: &mut Notes<'_>, name: &str) -> Option<PathBuf> {
        let text = self.text(notes, name, |text| mistake::not_empty(text).map(str::to_owned))?;
        Some(notes.resolve(&text))
    }

    /// The table under a key. An absent one is opened too, so that its required keys are noted and its defaults hold.
    pub(super) fn child(
        &self,
        notes: &mut Notes<'_>,
        section: &'static Section,
        name: &str,
    ) -> Option<Table<'a>> {
        let path = self.at(name);
        let Some((_, value)) = self.entries.and_then(|entries| entries.get_key_value(name)) else {
            return Some(Table { section, path, entries: None });
        };
        notes.saw(&path, value.span());
        let Some(entries) = value.get_ref().as_table() else {
            notes.wrong_type(&path, value.get_ref(), &format!("a table: `{}`", section.header));
            return None;
        };
        Some(Table::open(notes, section, &path, entries))
    }

    /// The tables under a key that is a list of tables; a single table is taken for a list of one where `one` says so.
    pub(super) fn children(
        &self,
        notes: &mut Notes<'_>,
        section: &'static Section,
        name: &str,
        one: bool,
    ) -> Vec<Table<'a>> {
        let path = self.at(name);
        let Some((_, value)) = self.entries.and_then(|entries| entries.get_key_value(name)) else {
            return Vec::new();
        };
        notes.saw(&path, value.span());
        if let (true, Some(entries)) = (one, value.get_ref().as_table()) {
            return vec![Table::open(notes, section, &path, entries)];
        }
        let form = format!("a list of tables: `{}`", section.header);
        let Some(items) = value.get_ref().as_array() else {
            notes.wrong_type(&path, value.get_ref(), &form);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let path = format!("{path}[{n}]");
            notes.saw(&path, item.span());
            match item.get_ref().as_table() {
                Some(entries) => tables.push(Table::open(notes, section, &path, entries)),
                None => notes.wrong_type(&path, item.get_ref(), &form),
            }
        }
        tables
    }

    fn slot(&self, notes: &mut Notes<'_>, name: &str) -> Option<Slot<'a>> {
        let key = self.section.key(name)?;
        let path = self.at(name);
        if let Some((_, value)) = self.entries.and_then(|entries| entries.get_key_value(name)) {
            notes.saw(&path, value.span());
            return Some(Slot { key, path, value: value.clone() });
        }
        match key.need {
            Need::Optional(_) => None,
            Need::Default(text) => DeValue::parse(text).ok().map(|value| Slot { key, path, value }),
            Need::Required => {
                let full = self.section.path_of(name);
                let place = if self.section.path.is_empty() {
                    "at the top of the file".to_owned()
                } else {
                    format!("to `{}`", self.section.called())
                };
                let mistake = Mistake::new(Code::MissingKey, format!("`{full}` is missing"));
                notes.blame(&path, mistake.hint(format!("add it {place}: `{name} = {}`", key.example)));
                None
            }
        }
    }
}
