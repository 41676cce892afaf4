//! `[[app]]`: what stands behind the gateway, and which of its requests count.
//!
//! An app answers for a host and a path (`app_match`) and sorts its routes into public, passive and active ones
//! (`app_routes`). What an app may switch on is a short list of words, and the words for what is not built yet are
//! known, so that `mode = "observe"` is answered with "not yet" and not taken for a slip.

use serde::Serialize;

use super::app_match::Match;
use super::app_routes;
use super::app_sensitive::{self, Sensitive};
use super::code::Code;
use super::key::{Form, Key, Need, Section, Status, Words};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::route::RoutePattern;
use super::source::quoted;
use super::upgrade::Upgrade;
use super::url::{self, Upstream};

pub(super) static SECTION: Section = Section {
    path: "app",
    header: "[[app]]",
    about: "An app behind the gateway. There is at least one. A request that no app matches is answered with 421.",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            need: Need::Required,
            status: Status::Now,
            example: "\"blotter\"",
            means: "How the app is called in the ledger, the API and the metrics; each once.",
        },
        Key {
            name: "mode",
            form: Form::Choice(Words { now: &["enforce"], later: &["observe"] }),
            need: Need::Default("\"enforce\""),
            status: Status::Now,
            example: "\"enforce\"",
            means: "`enforce` ends sessions.",
        },
        Key {
            name: "match",
            form: Form::Table,
            need: Need::Required,
            status: Status::Now,
            example: "{ host = \"desk.example.com\", path = \"/\" }",
            means: "Which requests are for this app.",
        },
        Key {
            name: "upstream",
            form: Form::Upstream,
            need: Need::Required,
            status: Status::Now,
            example: "\"http://127.0.0.1:3000\"",
            means: "Where the app listens; port 80 unless another is written. Only `http` in this version. Or a socket file of this machine: `unix:/run/app.sock`.",
        },
        Key {
            name: "protocol",
            form: Form::Choice(Words { now: &["http/1.1", "h2"], later: &[] }),
            need: Need::Default("\"http/1.1\""),
            status: Status::Now,
            example: "\"h2\"",
            means: "What the app speaks. `h2` is HTTP/2 without TLS, as gRPC servers do; nothing can be upgraded then.",
        },
        Key {
            name: "public",
            form: Form::Patterns,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[\"GET /healthz\", \"GET /assets/**\"]",
            means: "Routes that need no session.",
        },
        Key {
            name: "activity",
            form: Form::Choice(Words { now: &["human", "requests"], later: &["guard"] }),
            need: Need::Default("\"human\""),
            status: Status::Now,
            example: "\"human\"",
            means: "What counts as activity. `human`: what a person started; `requests`: every request that is not passive.",
        },
        Key {
            name: "passive",
            form: Form::Patterns,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[\"POST /api/poll/**\"]",
            means: "Routes that are never activity.",
        },
        Key {
            name: "active",
            form: Form::Patterns,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[\"GET /api/search/**\", \"WS /ws/orders\"]",
            means: "Routes that are activity although a script asked, or although it is a frame. `passive` wins over it.",
        },
        Key {
            name: "upgrades",
            form: Form::Upgrades,
            need: Need::Default("[\"websocket\"]"),
            status: Status::Now,
            example: "[\"websocket\", \"SPDY/3.1\"]",
            means: "Protocols that a request may switch to, by the tokens of `Upgrade`. `websocket` is followed frame by frame; any other is relayed as bytes and cut by a reset. `h2c`, `http`, `tls` and `connect` are refused. `[]` allows none.",
        },
        Key {
            name: "app_cookies",
            form: Form::CookieNames,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[\"JSESSIONID\"]",
            means: "Cookies of the app that belong to the session: deleted with it, and not passed on for another subject.",
        },
        Key {
            name: "assertion",
            form: Form::Flag,
            need: Need::Default("false"),
            status: Status::Now,
            example: "true",
            means: "Tells the app who it is in a form that it can check by itself: `X-Nightlatch-Assertion`, a signed JWT whose `aud` is the app's name. The keys are at `/_nightlatch/jwks.json`.",
        },
        Key {
            name: "sensitive",
            form: Form::Tables,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[{ route = \"POST /orders/**\", authentication_age = \"5m\" }]",
            means: "Routes that need a fresh authentication.",
        },
        Key::later("guard", Form::Any, "true", "Puts the guard script into HTML pages."),
        Key::later("saved_work", Form::Any, "false", "Keeps drafts and submissions."),
        Key::later("own_session", Form::Any, "true", "Limits of its own, inside those of the session."),
    ],
};

/// An app behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct App {
    /// How it is called in the ledger, the API and the metrics.
    pub(crate) name: String,
    /// What happens at a deadline.
    pub(crate) mode: Mode,
    /// Which requests are for it.
    #[serde(rename = "match")]
    pub(crate) matches: Match,
    /// Where it listens.
    pub(crate) upstream: Upstream,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// What needs no session.
    pub(crate) public: Vec<RoutePattern>,
    /// What counts as activity.
    pub(crate) activity: Activity,
    /// What is never activity.
    pub(crate) passive: Vec<RoutePattern>,
    /// What is activity although it would not be.
    pub(crate) active: Vec<RoutePattern>,
    /// What needs a fresh authentication.
    pub(crate) sensitive: Vec<Sensitive>,
    /// What a request may switch to.
    pub(crate) upgrades: Vec<Upgrade>,
    /// Cookies that are bound to the session.
    pub(crate) app_cookies: Vec<String>,
    /// Whether it is told who it is signed.
    pub(crate) assertion: bool,
}

/// What happens at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The session ends.
    Enforce,
}

/// What an app speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum Protocol {
    /// RFC 9112.
    #[serde(rename = "http/1.1")]
    Http1,
    /// RFC 9113, with prior knowledge.
    #[serde(rename = "h2")]
    Http2,
}

/// What counts as activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Activity {
    /// What a person started.
    Human,
    /// Every request that is not passive.
    Requests,
}

/// Reads every `[[app]]`, each with its path for [`Notes::blame`].
pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Vec<(String, App)> {
    let tables = root.children(notes, &SECTION, "app", false);
    if tables.is_empty() && (!root.has("app") || root.is_empty_list("app")) {
        let mistake = Mistake::new(Code::NoApp, "there is no `[[app]]`, so there is nothing to guard");
        notes.blame("app", mistake.hint("add one: `[[app]]` with `name`, `match` and `upstream`"));
    }
    let mut list = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut taken: Vec<Match> = Vec::new();
    for table in &tables {
        list.extend(read_one(notes, table, &mut names, &mut taken).map(|app| (table.path().to_owned(), app)));
    }
    list
}

fn read_one(
    notes: &mut Notes<'_>,
    table: &Table<'_>,
    names: &mut Vec<String>,
    taken: &mut Vec<Match>,
) -> Option<App> {
    let name = table.name(notes, names);
    let mode = table.choice(notes, "mode", |word| (word == "enforce").then_some(Mode::Enforce));
    let matches = Match::read(notes, table);
    if let Some(matches) = &matches {
        if taken.contains(matches) {
            let mistake =
                Mistake::new(Code::DuplicateMatch, "another app answers for the same host and path");
            notes.blame(&table.at("match"), mistake.hint("give each app a host or a path of its own"));
        }
        taken.push(matches.clone());
    }
    let upstream = table.text(notes, "upstream", url::upstream);
    let activity = table.choice(notes, "activity", Activity::of);
    let protocol = table.choice(notes, "protocol", Protocol::of);
    let upgrades = upgrades(notes, table, protocol);
    let app_cookies = table.texts(notes, "app_cookies", cookie);
    let assertion = table.flag(notes, "assertion");
    let [public, passive, active] = ["public", "passive", "active"]
        .map(|list| app_routes::read(notes, table, list, matches.as_ref(), &upgrades));
    for (path, pattern) in
        active.iter().filter(|(_, pattern)| passive.iter().any(|(_, other)| other == pattern))
    {
        let message = format!("`{pattern}` is in `active` and in `passive`; passive wins");
        let hint = "remove it from one of them";
        notes.blame(path, Mistake::new(Code::ActiveAndPassive, message).hint(hint));
    }
    let [public, passive, active] =
        [public, passive, active].map(|list| list.into_iter().map(|(_, pattern)| pattern).collect());
    let sensitive = app_sensitive::read(notes, table, matches.as_ref(), &upgrades);
    Some(App {
        name: name?,
        mode: mode?,
        matches: matches?,
        upstream: upstream?,
        protocol: protocol?,
        public,
        activity: activity?,
        passive,
        active,
        sensitive,
        upgrades,
        app_cookies,
        assertion: assertion?,
    })
}

/// What a request may switch to; on a stream of HTTP/2, nothing.
fn upgrades(notes: &mut Notes<'_>, table: &Table<'_>, protocol: Option<Protocol>) -> Vec<Upgrade> {
    let upgrades = table.texts(notes, "upgrades", Upgrade::parse);
    if protocol != Some(Protocol::Http2) {
        return upgrades;
    }
    if table.has("upgrades") && !upgrades.is_empty() {
        let mistake = Mistake::new(Code::BadChoice, "an app with `protocol = \"h2\"` can upgrade nothing");
        let hint = "remove `upgrades`; give what speaks WebSocket an app of its own, with a path of its own";
        notes.blame(&table.at("upgrades"), mistake.hint(hint));
    }
    Vec::new()
}

fn cookie(text: &str) -> Result<String, Mistake> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(token) {
        let mistake =
            Mistake::new(Code::BadCookie, format!("`{}` is not the name of a cookie", quoted(text)));
        return Err(mistake.hint("letters, digits and !#$%&'*+-.^_`|~, no wildcards: `JSESSIONID`"));
    }
    let lower = text.to_ascii_lowercase();
    let bare = ["__host-", "__secure-"].iter().find_map(|front| lower.strip_prefix(front)).unwrap_or(&lower);
    if bare.starts_with("nightlatch") {
        let mistake = Mistake::new(
            Code::OwnCookie,
            format!("`{}` is a cookie of Nightlatch's own and never reaches an app", quoted(text)),
        );
        return Err(mistake.hint("name the cookies that the app itself sets"));
    }
    Ok(text.to_owned())
}

// === impl Protocol ===

impl Protocol {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "http/1.1" => Self::Http1,
            "h2" => Self::Http2,
            _ => return None,
        })
    }
}

// === impl Activity ===

impl Activity {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "human" => Self::Human,
            "requests" => Self::Requests,
            _ => return None,
        })
    }
}
