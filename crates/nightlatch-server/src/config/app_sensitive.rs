//! `sensitive` of an app: which routes need a fresh authentication.
//!
//! It asks for more than a session, so a doubt falls on the strict side: it wins over `public`, what all that match ask for is needed, and a
//! pattern that matches nothing is refused like any other. How old is counted from the authentication and never from the last request.

use serde::Serialize;

use super::app_match::Match;
use super::app_routes;
use super::code::Code;
use super::duration::Millis;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::route::RoutePattern;
use super::source::quoted;
use super::upgrade::Upgrade;

/// A challenge says it in whole seconds (RFC 9470).
const AGE_LEAST: Millis = Millis(1_000);
const ACR_BYTES_MOST: usize = 256;

pub(super) static SECTION: Section = Section {
    path: "app.sensitive",
    header: "sensitive = [{ route = \"..\", authentication_age = \"..\" }]",
    about: "Routes that need a fresh authentication, and so a session, whatever `public` says. Where several match, all of them must be met.",
    keys: &[
        Key {
            name: "route",
            form: Form::Pattern,
            need: Need::Required,
            status: Status::Now,
            example: "\"POST /orders/**\"",
            means: "Which requests.",
        },
        Key {
            name: "authentication_age",
            form: Form::Duration,
            need: Need::Required,
            status: Status::Now,
            example: "\"5m\"",
            means: "How long ago the subject may have authenticated, at least a second. One that is older is answered with a challenge (RFC 9470), or with the way to sign in again; the session goes on.",
        },
        Key {
            name: "acr",
            form: Form::Text,
            need: Need::Optional("any authentication will do"),
            status: Status::Now,
            example: "\"phr\"",
            means: "How the subject must have authenticated then, in the words of whoever vouches for it.",
        },
    ],
};

/// A route that needs a fresh authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sensitive {
    /// Which requests.
    pub(crate) route: RoutePattern,
    /// How long ago one may be.
    pub(crate) authentication_age: Millis,
    /// Of which kind it must be.
    pub(crate) acr: Option<String>,
}

/// Reads every route of the list.
pub(super) fn read(
    notes: &mut Notes<'_>,
    app: &Table<'_>,
    matches: Option<&Match>,
    upgrades: &[Upgrade],
) -> Vec<Sensitive> {
    let tables = app.children(notes, &SECTION, "sensitive", false);
    tables.iter().filter_map(|table| read_one(notes, table, matches, upgrades)).collect()
}

fn read_one(
    notes: &mut Notes<'_>,
    table: &Table<'_>,
    matches: Option<&Match>,
    upgrades: &[Upgrade],
) -> Option<Sensitive> {
    let route = table.text(notes, "route", RoutePattern::parse);
    let never = route.as_ref().and_then(|route| app_routes::never_matches(route, matches, upgrades));
    if let Some(mistake) = never {
        notes.blame(&table.at("route"), mistake);
    }
    let authentication_age = table.text(notes, "authentication_age", age);
    let acr = table.text(notes, "acr", acr);
    Some(Sensitive { route: route?, authentication_age: authentication_age?, acr })
}

fn age(text: &str) -> Result<Millis, Mistake> {
    let age = Millis::parse(text)?;
    if age < AGE_LEAST {
        let mistake =
            Mistake::new(Code::OutOfBounds, format!("`{}` is over before anybody comes back", quoted(text)));
        return Err(mistake.hint("give people the time to come back from signing in: `5m`"));
    }
    Ok(age)
}

/// It stands between quotes in a challenge, as one of a list that blanks divide.
fn acr(text: &str) -> Result<String, Mistake> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.is_empty() || text.len() > ACR_BYTES_MOST || !text.bytes().all(fits) {
        let message = format!("`{}` is not one value of `acr`", quoted(text));
        let hint =
            "write one as the provider does, without blanks and quotes: `urn:mace:incommon:iap:silver`";
        return Err(Mistake::new(Code::BadChoice, message).hint(hint));
    }
    Ok(text.to_owned())
}
