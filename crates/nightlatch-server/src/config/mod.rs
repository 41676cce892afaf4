//! The configuration: the text of one TOML file becomes a [`Config`], or every mistake in it at once.
//!
//! A policy file is a promise to somebody: the compliance officer who reads `idle = "15m"` takes it for what happens.
//! So the file is read strictly. A key that is not known is refused, because a slip in `absolute` would otherwise be
//! a session without an end. A key that this version does not enforce yet is refused too, because accepting it would
//! say that it is enforced. And a file with a mistake is refused whole, so that what is in force is always a file that
//! somebody wrote.
//!
//! What was typed is kept apart from what it means: the reader and the tables (`reader`, `listen`, `policy`, ..) know
//! positions and spellings, and [`Config`] knows neither; only [`read`] makes one. Reading a file opens
//! no other file, asks no network and no clock, so the check says the same on every machine.
//!
//! Each table of the format has a file here, with its keys, their help, their parsing in one place; `key` lists them
//! all, and the reference page is generated from that list ([`reference_markdown`]).

mod address;
pub(crate) mod api_key;
pub(crate) mod app;
pub(crate) mod app_match;
mod app_routes;
mod app_sensitive;
mod between;
pub(crate) mod code;
pub(crate) mod duration;
pub(crate) mod finding;
mod hidden;
pub(crate) mod identity;
mod key;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod listen;
mod mistake;
mod notes;
pub(crate) mod oidc;
pub(crate) mod policy;
mod reader;
mod reference;
mod render;
mod root;
pub(crate) mod route;
pub(crate) mod secrets;
pub(crate) mod size;
mod source;
pub(crate) mod uncovered;
pub(crate) mod upgrade;
pub(crate) mod url;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::de::DeTable;

pub(crate) use self::reference::reference_markdown;

use self::api_key::ApiKey;
use self::app::App;
use self::code::Code;
use self::finding::Findings;
use self::identity::Identity;
use self::ledger::Ledger;
use self::limits::Limits;
use self::listen::Listen;
use self::mistake::Mistake;
use self::notes::Notes;
use self::policy::Policy;
use self::reader::Table;
use self::source::Source;
use self::uncovered::Uncovered;

/// A configuration without a mistake in it. It holds no secrets; as JSON it is fit to be recorded and compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Config {
    /// The IANA name of the zone in which dates end.
    pub(crate) timezone: String,
    /// Where Nightlatch can be reached.
    pub(crate) listen: Listen,
    /// What may be held, and how long is waited.
    pub(crate) limits: Limits,
    /// The folder for what is kept.
    pub(crate) data_dir: PathBuf,
    /// Who outside is shown the record.
    pub(crate) ledger: Ledger,
    /// When a session ends.
    pub(crate) policy: Policy,
    /// What stands behind the gateway; never empty, in the order of the file.
    pub(crate) apps: Vec<App>,
    /// How people sign in.
    pub(crate) identity: Identity,
    /// Who may use the API.
    pub(crate) api_keys: Vec<ApiKey>,
    /// What is not behind Nightlatch, by declaration.
    pub(crate) uncovered: Vec<Uncovered>,
}

/// What came of reading a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The configuration, unless something refuses it.
    pub(crate) config: Option<Config>,
    /// Everything there is to say. Holds an error exactly if there is no configuration.
    pub(crate) findings: Findings,
}

/// Reads the text of the file at `file`; its folder is what paths in the text are relative to.
pub(crate) fn read(text: &str, file: &Path) -> Reading {
    let (tree, broken) = DeTable::parse_recoverable(text);
    let source = Source::new(text, tree.get_ref(), !broken.is_empty());
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let mut notes = Notes::new(source, base);
    let config = if broken.is_empty() {
        read_tables(&mut notes, tree.get_ref())
    } else {
        // What was recovered from a broken file is a guess, and mistakes in a guess would only distract.
        syntax(&mut notes, &broken);
        None
    };
    let config = config.filter(|_| !notes.refused());
    Reading { config, findings: Findings { file: file.display().to_string(), list: notes.into_findings() } }
}

fn read_tables(notes: &mut Notes<'_>, tree: &DeTable<'_>) -> Option<Config> {
    let root = Table::unchecked(&root::SECTION, "", tree);
    // Another version may mean something else by the same words.
    let version = root::version(notes, &root);
    if version.is_none() && root.has("version") {
        return None;
    }
    root.refuse_others(notes);
    let timezone = root::timezone(notes, &root);
    let listen = Listen::read(notes, &root);
    let limits = Limits::read(notes, &root);
    let data_dir = root::data_dir(notes, &root);
    let ledger = Ledger::read(notes, &root);
    let policy = Policy::read(notes, &root);
    let apps = app::read(notes, &root);
    let identity = Identity::read(notes, &root, policy.as_ref());
    let api_keys = api_key::read(notes, &root);
    let uncovered = uncovered::read(notes, &root);

    if let Some(listen) = &listen {
        between::listeners(notes, listen);
        between::upstreams(notes, listen, &apps);
    }
    if let (Some(listen), Some(identity)) = (&listen, &identity) {
        between::demo(notes, listen, identity);
        between::one_sign_in(notes, identity);
    }
    if let (Some(identity), false) = (&identity, notes.refused()) {
        between::sign_in(notes, identity, &api_keys);
    }
    let apps = apps.into_iter().map(|(_, app)| app).collect();
    let (timezone, listen, data_dir) = (timezone?, listen?, data_dir?);
    Some(Config {
        timezone,
        listen,
        limits: limits?,
        data_dir,
        ledger: ledger?,
        policy: policy?,
        apps,
        identity: identity?,
        api_keys,
        uncovered,
    })
}

/// Notes the syntax errors, the first of each line: the others on it mostly follow from that one.
fn syntax(notes: &mut Notes<'_>, broken: &[toml::de::Error]) {
    let is_duplicate = |error: &toml::de::Error| error.message().contains("duplicate key");
    // After a header that is not understood the keys of two tables run together, which is no mistake of its own.
    let only_duplicates = broken.iter().all(is_duplicate);
    for error in broken.iter().filter(|error| only_duplicates || !is_duplicate(error)) {
        let hint = if is_duplicate(error) {
            "a key is written once in its table; remove one of them"
        } else {
            "TOML is `key = value`, one to a line, with text and durations in double quotes: `idle = \"15m\"`"
        };
        let mistake =
            Mistake::new(Code::BadToml, format!("this is not TOML: {}", error.message())).hint(hint);
        notes.blame_span(error.span(), "", mistake);
    }
    notes.keep_first_of_each_line();
}
