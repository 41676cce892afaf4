//! The two sign-in pages: the demonstration's own, and the one that says that signing in is done elsewhere.

use super::{Notice, Page};
use askama::Template;

/// What the demonstration's sign-in page shows.
#[derive(Clone, Debug)]
pub struct SignIn<'a> {
    /// Why there is no session any more, if there was one.
    pub notice: Option<Notice>,
    /// Who may be signed in as.
    pub users: &'a [DemoUser],
    /// Where to go afterwards. Comes back as a form field and is to be judged then: anybody can post anything.
    pub return_to: &'a str,
    /// The path that the form is posted to.
    pub action: &'a str,
}

/// Somebody to sign in as in the demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoUser {
    /// What the form sends as `user`.
    pub name: String,
    /// What people read.
    pub display: String,
    /// What is special about them, in a word or two: `trader`. May be empty.
    pub note: String,
}

/// The demonstration's sign-in: a button for each user, which posts `user` and `return_to`.
#[must_use]
pub fn sign_in(page: &SignIn<'_>) -> Page {
    Page::of(&Demo {
        notice: page.notice.as_ref(),
        users: page.users,
        return_to: page.return_to,
        action: page.action,
    })
}

/// The page of a gateway on which no sign-in is configured: sessions are started by the firm's own service.
#[must_use]
pub fn sign_in_elsewhere(notice: Option<&Notice>) -> Page {
    Page::of(&Elsewhere { notice })
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Demo<'a> {
    notice: Option<&'a Notice>,
    users: &'a [DemoUser],
    return_to: &'a str,
    action: &'a str,
}

#[derive(Template)]
#[template(path = "sign_in_elsewhere.html")]
struct Elsewhere<'a> {
    notice: Option<&'a Notice>,
}
