//! `[identity.demo]`: a sign-in for the demo, which asks for no password.
//!
//! It is what it says, so it is tied to loopback by the check itself (`between`) and not by a warning in a page that
//! nobody reads. The sign-in for firms is `oidc`; a gateway has one or the other.

use serde::Serialize;

use super::code::Code;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::{Mistake, not_empty};
use super::notes::Notes;
use super::oidc::{self, Oidc};
use super::policy::Policy;
use super::reader::Table;
use super::source::quoted;

pub(super) static SECTION: Section = Section {
    path: "identity",
    header: "[identity]",
    about: "How people sign in.",
    keys: &[
        Key {
            name: "demo",
            form: Form::Table,
            need: Need::Optional("no demo sign-in"),
            status: Status::Now,
            example: "[identity.demo]",
            means: "Sign-in by choosing a name from a list.",
        },
        Key {
            name: "oidc",
            form: Form::TableOrTables,
            need: Need::Optional("no sign-in at a provider"),
            status: Status::Now,
            example: "{ issuer = \"https://idp.example.com\", client_id = \"nightlatch\", client_secret_file = \"secrets/oidc\" }",
            means: "Sign-in at an OpenID Connect provider; a list of tables for several.",
        },
    ],
};

pub(super) static DEMO: Section = Section {
    path: "identity.demo",
    header: "[identity.demo]",
    about: "Sign-in for the demo: it asks for no password. Refused unless every listener, and `public_url`, is loopback.",
    keys: &[Key {
        name: "users",
        form: Form::Tables,
        need: Need::Required,
        status: Status::Now,
        example: "[{ name = \"alice\", display = \"Alice Moreno\", groups = [\"traders\"] }]",
        means: "Who can be chosen.",
    }],
};

pub(super) static USERS: Section = Section {
    path: "identity.demo.users",
    header: "[[identity.demo.users]]",
    about: "One user of the demo.",
    keys: &[
        Key {
            name: "name",
            form: Form::Text,
            need: Need::Required,
            status: Status::Now,
            example: "\"alice\"",
            means: "The subject's name; each once.",
        },
        Key {
            name: "display",
            form: Form::Text,
            need: Need::Optional("the name"),
            status: Status::Now,
            example: "\"Alice Moreno\"",
            means: "What people see.",
        },
        Key {
            name: "groups",
            form: Form::Texts,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[\"traders\"]",
            means: "The groups of the subject, without commas.",
        },
    ],
};

/// `[identity]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    /// The users of the demo sign-in; none means there is no demo sign-in.
    pub(crate) demo: Vec<DemoUser>,
    /// The providers at which people sign in.
    pub(crate) oidc: Vec<Oidc>,
}

/// A user of the demo sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DemoUser {
    /// The subject's name.
    pub(crate) name: String,
    /// What people see.
    pub(crate) display: String,
    /// The subject's groups.
    pub(crate) groups: Vec<String>,
}

impl Identity {
    pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>, policy: Option<&Policy>) -> Option<Self> {
        let table = root.child(notes, &SECTION, "identity")?;
        let oidc = oidc::read(notes, &table, policy);
        if !table.has("demo") {
            return Some(Self { demo: Vec::new(), oidc });
        }
        let demo = table.child(notes, &DEMO, "demo")?;
        let users = demo.children(notes, &USERS, "users", false);
        if users.is_empty() {
            let mistake = if demo.has("users") {
                Mistake::new(Code::EmptyValue, "`identity.demo` has no users")
            } else {
                Mistake::new(Code::MissingKey, "`identity.demo.users` is missing")
            };
            notes.blame(
                &demo.at("users"),
                mistake.hint("add one: `users = [{ name = \"alice\" }]`, or remove `[identity.demo]`"),
            );
        }
        let mut list = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for table in &users {
            let name = table.text(notes, "name", |text| plain(text, &[]));
            let display = table.text(notes, "display", |text| plain(text, &[]));
            let groups = table.texts(notes, "groups", |text| plain(text, &[',']));
            let Some(name) = name else { continue };
            table.only_one(notes, &name, &mut names);
            list.push(DemoUser { display: display.unwrap_or_else(|| name.clone()), name, groups });
        }
        Some(Self { demo: list, oidc })
    }
}

/// Names travel to the apps in headers.
fn plain(text: &str, without: &[char]) -> Result<String, Mistake> {
    not_empty(text)?;
    if text.trim() != text || text.contains(|c: char| c.is_control() || without.contains(&c)) {
        let mistake = Mistake::new(Code::BadName, format!("`{}` cannot be a name", quoted(text)));
        return Err(mistake.hint("leave out commas, control characters and spaces at the ends"));
    }
    Ok(text.to_owned())
}
