//! `[[api_key]]`: who may use the API, and for what.
//!
//! Secrets are never in this file, because this file is reviewed, mailed and kept in version control. A key names a
//! file or an environment variable, exactly one of them, and the check opens neither: it must be possible to check a
//! file where its secrets are not. `secrets` loads them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::code::Code;
use super::key::{Form, Key, Need, Section, Status, Words};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;

pub(super) static SECTION: Section = Section {
    path: "api_key",
    header: "[[api_key]]",
    about: "Who may use the API. The secret is at least 32 characters and stands in a file or an environment variable; give exactly one of `key_file` and `key_env`.",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            need: Need::Required,
            status: Status::Now,
            example: "\"trading-backend\"",
            means: "How the key is called in the ledger; each once.",
        },
        Key {
            name: "role",
            form: Form::Choice(Words { now: &["issuer", "checker", "operator", "auditor"], later: &[] }),
            need: Need::Required,
            status: Status::Now,
            example: "\"issuer\"",
            means: "What it may do. `issuer`: start sessions; `checker`: ask; `operator`: end and block; `auditor`: read.",
        },
        Key {
            name: "key_file",
            form: Form::File,
            need: Need::Optional("`key_env` is used"),
            status: Status::Now,
            example: "\"secrets/trading-backend\"",
            means: "The file that holds the secret and nothing else; a newline at its end is ignored.",
        },
        Key {
            name: "key_env",
            form: Form::Variable,
            need: Need::Optional("`key_file` is used"),
            status: Status::Now,
            example: "\"TRADING_BACKEND_KEY\"",
            means: "The environment variable that holds the secret.",
        },
        Key {
            name: "key",
            form: Form::Any,
            need: Need::Optional(""),
            status: Status::Never(
                "put it into a file and write `key_file = \"secrets/..\"`; then make a new secret, as this one has been read",
            ),
            example: "",
            means: "Always refused: secrets are not written into the configuration.",
        },
    ],
};

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ApiKey {
    /// How it is called in the ledger.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: Role,
    /// Where the secret is.
    pub(crate) secret: SecretSource,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Start sessions.
    Issuer,
    /// Ask about sessions.
    Checker,
    /// End sessions, block subjects.
    Operator,
    /// Read the record.
    Auditor,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecretSource {
    /// The whole content of a file.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
}

impl SecretSource {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            SecretSource::File(path) => Some(path),
            SecretSource::Env(_) => None,
        }
    }
}

/// Reads every `[[api_key]]`.
pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Vec<ApiKey> {
    let mut list = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for table in root.children(notes, &SECTION, "api_key", false) {
        let name = table.name(notes, &mut names);
        let role = table.choice(notes, "role", Role::of);
        let secret = source(notes, &table);
        if let (Some(name), Some(role), Some(secret)) = (name, role, secret) {
            list.push(ApiKey { name, role, secret });
        }
    }
    list
}

fn source(notes: &mut Notes<'_>, table: &Table<'_>) -> Option<SecretSource> {
    let file = table.file(notes, "key_file");
    let env = table.text(notes, "key_env", variable);
    let hint = "give one of `key_file = \"secrets/..\"` and `key_env = \"..\"`";
    match (table.has("key_file"), table.has("key_env"), table.has("key")) {
        (true, true, _) => {
            let mistake =
                Mistake::new(Code::SecretSource, "both `key_file` and `key_env` say where the secret is");
            notes.blame(&table.at("key_env"), mistake.hint(hint));
            None
        }
        (false, false, false) => {
            let mistake = Mistake::new(Code::SecretSource, "nothing says where the secret is");
            notes.blame(&table.at("key_file"), mistake.hint(hint));
            None
        }
        _ => file.map(SecretSource::File).or(env.map(SecretSource::Env)),
    }
}

/// Does not repeat what it refuses: it may be the secret itself, written in the wrong place.
pub(super) fn variable(text: &str) -> Result<String, Mistake> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && text.len() <= 100 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(Code::BadName, "this is not the name of an environment variable"))
}

// === impl Role ===

impl Role {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "issuer" => Self::Issuer,
            "checker" => Self::Checker,
            "operator" => Self::Operator,
            "auditor" => Self::Auditor,
            _ => return None,
        })
    }
}
