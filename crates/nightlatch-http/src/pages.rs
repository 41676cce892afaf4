//! **The pages that the gateway itself serves.** People meet them at a bad moment: they have just lost access, or cannot
//! get on. So each says what happened, why, what it means for their session and what to do, in that order and in two
//! sentences, and nothing on it moves, loads or runs.
//!
//! A page that stands in front of every application must not be a way into one. Hence:
//!
//! - **No script, and nothing from elsewhere.** The style is inline and named in the policy by its hash, the logo is
//!   inline, the icon is a `data:` address. See [`csp`].
//! - **Whatever comes from outside is escaped** by the templates: names, notes, `return_to`, references.
//! - **The words are one function**, [`words`], that the 401 for scripts uses too, so that a page and an application's own banner
//!   cannot tell two stories about one end.
//!
//! What never lives here: a decision. Whether a `return_to` may be followed is asked where the form arrives, not where it
//! was written, and who may read the reason of an end is settled before a [`Notice`] is made.

mod moment;
mod problem;
mod provider;
mod sessions;
mod sign_in;
mod words;

pub use moment::Moment;
pub use problem::{Problem, Sent, problem, trouble};
pub use provider::{Choice, SignInFailed, choose_provider, login_link, sign_in_failed};
pub use sessions::{Done, Others, Sessions, SignedIn, sessions};
pub use sign_in::{DemoUser, SignIn, sign_in, sign_in_elsewhere};
pub use words::{Notice, Reference, Words, humane, words};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::sync::LazyLock;

/// The one style, as it stands in every page.
const STYLE: &str = include_str!("../templates/page.css");

/// A page ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The whole document.
    pub html: String,
    /// The `Content-Security-Policy` that it needs, the same for every page: [`csp`].
    pub csp: &'static str,
}

impl Page {
    /// The headers that every page goes out with, whatever its status.
    ///
    /// `Referrer-Policy` is `same-origin` and never `no-referrer`: under the latter a browser sends `Origin: null` with a
    /// form, and the sign-in, which needs an exact `Origin`, would refuse its own page.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &'static str); 5] {
        [
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", self.csp),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ]
    }

    #[expect(clippy::expect_used, reason = "text and numbers written into a String: neither can fail")]
    fn of(template: &impl askama::Template) -> Page {
        Page { html: template.render().expect("a template of plain text renders"), csp: csp() }
    }
}

/// The policy that allows these pages what they need and nothing else: their own style, their icon, and their form.
///
/// Chromium holds the *redirects* after a form post to `form-action` too. `'self'` is right all the same, since after signing in
/// the gateway redirects to a path of its own origin only. To a provider lead links, which it does not hold back.
#[must_use]
pub fn csp() -> &'static str {
    static CSP: LazyLock<String> = LazyLock::new(|| {
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        )
    });
    &CSP
}

#[cfg(test)]
mod tests;
