//! The pages around a sign-in at a provider: which one, and what went wrong.

use super::{Notice, Page};
use crate::{answer::query_value, gateway::OWN_PREFIX};
use askama::Template;

/// A provider to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What people read.
    pub display: String,
    /// The path that begins a sign-in there.
    pub link: String,
}

/// Where to sign in, and before that why there is no session any more, if there was one. A link and not a form: all it does is lead away.
#[must_use]
pub fn choose_provider(notice: Option<&Notice>, choices: &[Choice]) -> Page {
    Page::of(&Choose { notice, choices })
}

/// What the page of a failed sign-in says.
#[derive(Clone, Copy, Debug)]
pub struct SignInFailed<'a> {
    /// The status that the page goes out with.
    pub status: u16,
    /// What happened, in one short sentence.
    pub title: &'a str,
    /// What it means, and what to do.
    pub sentence: &'a str,
    /// What support can tell it by.
    pub code: &'a str,
    /// The path that begins anew. Not this page's own, which would repeat an answer that counts once.
    pub again: &'a str,
}

/// The page of a sign-in that failed.
#[must_use]
pub fn sign_in_failed(failed: &SignInFailed<'_>) -> Page {
    Page::of(&Failed { failed: *failed })
}

/// The path that begins a sign-in, at this provider if one is chosen, and of this `acr` if one is needed.
#[must_use]
pub fn login_link(provider: Option<&str>, acr: Option<&str>, return_to: &str) -> String {
    let chosen = provider.map(|name| format!("provider={}&", query_value(name))).unwrap_or_default();
    let asked = acr.map(|acr| format!("acr_values={}&", query_value(acr))).unwrap_or_default();
    format!("{OWN_PREFIX}login?{chosen}{asked}return_to={}", query_value(return_to))
}

#[derive(Template)]
#[template(path = "choose_provider.html")]
struct Choose<'a> {
    notice: Option<&'a Notice>,
    choices: &'a [Choice],
}

#[derive(Template)]
#[template(path = "sign_in_failed.html")]
struct Failed<'a> {
    failed: SignInFailed<'a>,
}
