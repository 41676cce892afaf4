//! `match` of an app: which requests are for it.
//!
//! One exact host, or every host. Patterns of hosts are left out on purpose: who reads the file should see which app
//! answers without working out which of two patterns is the narrower one.

use serde::Serialize;

use super::code::Code;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::route;
use super::source::quoted;
use super::url;

pub(super) static SECTION: Section = Section {
    path: "app.match",
    header: "match = { host = \"..\", path = \"..\" }",
    about: "Which requests are for the app. Where several match, the named host wins over `*`, then the longer path.",
    keys: &[
        Key {
            name: "host",
            form: Form::Host,
            need: Need::Required,
            status: Status::Now,
            example: "\"desk.example.com\"",
            means: "One host name, with a port if only that port is meant, or `*` for every host.",
        },
        Key {
            name: "path",
            form: Form::PathPrefix,
            need: Need::Default("\"/\""),
            status: Status::Now,
            example: "\"/blotter\"",
            means: "The app answers for this path and everything under it, by whole segments: `/blotter` is not `/blotters`.",
        },
    ],
};

/// Which requests are for an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Match {
    /// For which host; none means every host.
    pub(crate) host: Option<HostMatch>,
    /// The path, canonical and without a slash at its end; everything under it is meant too. `/` is all.
    pub(crate) path: String,
}

/// A host as requests name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct HostMatch {
    /// Name in lower case, or address; an IPv6 address in brackets.
    pub(crate) name: String,
    /// If this is given, only this port is meant.
    pub(crate) port: Option<u16>,
}

impl Match {
    pub(super) fn read(notes: &mut Notes<'_>, app: &Table<'_>) -> Option<Self> {
        if !app.has("match") {
            let mistake = Mistake::new(Code::MissingKey, "`app.match` is missing");
            notes.blame(&app.at("match"), mistake.hint("say which requests are for this app: `match = { host = \"desk.example.com\", path = \"/\" }`"));
            return None;
        }
        let table = app.child(notes, &SECTION, "match")?;
        let host = table.text(notes, "host", host);
        let path = table.text(notes, "path", route::prefix);
        Some(Self { host: host?, path: path? })
    }
}

fn host(text: &str) -> Result<Option<HostMatch>, Mistake> {
    if text == "*" {
        return Ok(None);
    }
    if let Some((name, port)) = url::host_and_port(text) {
        return Ok(Some(HostMatch { name, port }));
    }
    let mistake = Mistake::new(Code::BadHost, format!("`{}` is not a host", quoted(text)));
    Err(if text.contains('*') {
        mistake.hint("write each host in an `[[app]]` of its own, or `*` for every host")
    } else if text.contains('/') {
        mistake.hint("write the host alone, without scheme and path: `desk.example.com`")
    } else {
        mistake
    })
}
