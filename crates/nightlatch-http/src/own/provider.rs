//! Signing in at a provider: the way there, and the way back.
//!
//! The way back counts only in the browser that went there: it holds a cookie that is named after the flow. There is one for each flow, so
//! that eight tabs that were opened again at once can all find their way; the oldest are given up, so that they do not pile up.

use super::start::Who;
use crate::{
    answer::{Answer, Obstacle, append_cookies, delete_cookie, page, redirect, set_passing_cookie},
    cookies::pairs,
    form::{parameter, return_to},
    gateway::{Gateway, OWN_PREFIX},
    pages::{self, Choice},
    road::Read,
    sign_in::{Asked, Begun, Finished, SignIn, SignInFailure},
};
use http::{
    HeaderMap, StatusCode,
    header::{COOKIE, HOST, HeaderValue},
};
use std::borrow::Cow;

/// Flows of one browser that may be under way; each takes a cookie of up to 3 KB.
const FLOWS_MOST: usize = 6;
/// Where the answer of the only provider arrives; of one of several, below it, under the provider's name.
pub(super) const CALLBACK: &str = "callback";
/// A longer place to return to would not fit into a cookie.
const RETURN_TO_BYTES_MOST: usize = 1_500;

impl Gateway {
    /// Leads to the provider. Straight, if there is one and nothing to be said; an end is told first.
    pub(super) async fn begin_sign_in(&self, at: &dyn SignIn, headers: &HeaderMap, read: &Read) -> Answer {
        let query = read.query.as_deref().unwrap_or_default();
        let mut return_to = return_to(query);
        if return_to.len() > RETURN_TO_BYTES_MOST {
            return_to = "/".to_owned();
        }
        let notice = self.ended_notice(headers, read);
        // Only what a route of ours asks for: a link from elsewhere must not make up a demand that nobody can meet.
        let acr = parameter(query, "acr_values").filter(|acr| self.demands_acr(acr));
        let asked = Asked { fresh: self.live_session(headers, read).is_some(), acr };
        let provider = match (parameter(query, "provider"), at.providers()) {
            (Some(chosen), _) => chosen,
            (None, [only]) if notice.is_none() => only.name.clone(),
            (None, providers) => {
                let link = |name: &str| pages::login_link(Some(name), asked.acr.as_deref(), &return_to);
                let choices = providers
                    .iter()
                    .map(|one| Choice { display: one.display.clone(), link: link(&one.name) });
                let choices: Vec<Choice> = choices.collect();
                return page(StatusCode::OK, &pages::choose_provider(notice.as_ref(), &choices));
            }
        };
        let route = match at.providers() {
            [_] => CALLBACK.to_owned(),
            _ => format!("{CALLBACK}/{provider}"),
        };
        let Some(redirect_uri) = self.own_address(&route, headers, read) else {
            return self.sign_in_failed(SignInFailure::NotThisBrowser, read, &return_to);
        };
        let now = self.engine.clock().now();
        match at.begin(&provider, &redirect_uri, &return_to, asked, now).await {
            Ok(begun) => self.to_provider(&begun, headers, read),
            Err(failure) => self.sign_in_failed(failure, read, &return_to),
        }
    }

    /// The way back, on this route. Whatever comes of it, the flow's cookie goes.
    pub(super) async fn finish_sign_in(
        &self,
        at: &dyn SignIn,
        route: &str,
        headers: &HeaderMap,
        read: &Read,
    ) -> Answer {
        let query = read.query.as_deref().unwrap_or_default();
        let name = flow_cookie(read, &parameter(query, "state").unwrap_or_default());
        let kept = flows(headers, read).find(|(found, _)| *found == name).map(|(_, kept)| kept);
        let now = || self.engine.clock().now();
        let arrived_at = self.own_address(route, headers, read).unwrap_or_default();
        let mut answer = match at.finish(query, &arrived_at, kept, &now).await {
            Ok(Finished::Identified(who)) => {
                let return_to = who.return_to;
                let who = Who {
                    subject: who.subject,
                    groups: who.groups,
                    authenticated: Some(who.authenticated),
                    acr: who.acr,
                    provider_session: who.provider_session,
                    cause: "sign_in",
                };
                self.step_up_or_start(who, headers, read, &return_to).await
            }
            Ok(Finished::Again(begun)) => self.to_provider(&begun, headers, read),
            Err(failure) => self.sign_in_failed(failure, read, "/"),
        };
        if kept.is_some() {
            append_cookies(&mut answer, [delete_cookie(&name, read.asker.secure)]);
        }
        answer
    }

    /// A route of ours as the browser has it.
    fn own_address(&self, route: &str, headers: &HeaderMap, read: &Read) -> Option<String> {
        let origin = self.origin(&read.client, headers.get(HOST))?;
        Some(format!("{origin}{OWN_PREFIX}{route}"))
    }

    fn to_provider(&self, begun: &Begun, headers: &HeaderMap, read: &Read) -> Answer {
        let mut answer = redirect(&begun.location);
        let secure = read.asker.secure;
        // Browsers send the oldest first (RFC 6265 section 5.4).
        let names: Vec<&str> = flows(headers, read).map(|(name, _)| name).collect();
        let given_up = names.len().saturating_sub(FLOWS_MOST - 1);
        append_cookies(&mut answer, names.iter().take(given_up).map(|name| delete_cookie(name, secure)));
        let name = flow_cookie(read, &begun.state);
        append_cookies(&mut answer, [set_passing_cookie(&name, &begun.kept, begun.kept_for_secs, secure)]);
        answer
    }

    fn sign_in_failed(&self, failure: SignInFailure, read: &Read, return_to: &str) -> Answer {
        let said = words(failure);
        if !read.asker.navigation {
            return self.refuse(&read.asker, &said);
        }
        let shown = pages::SignInFailed {
            status: said.status.as_u16(),
            title: &said.title,
            sentence: &said.detail,
            code: said.code,
            again: &pages::login_link(None, None, return_to),
        };
        page(said.status, &pages::sign_in_failed(&shown))
    }
}

/// The name of a flow's cookie.
fn flow_cookie(read: &Read, state: &str) -> String {
    format!("{}{state}", read.asker.names().flow)
}

/// The flows under way in this browser: names and values of their cookies.
fn flows<'h>(headers: &'h HeaderMap, read: &Read) -> impl Iterator<Item = (&'h str, &'h str)> {
    let prefix = read.asker.names().flow;
    let text = |value: &'h [u8]| std::str::from_utf8(value).ok();
    let named =
        |value: &&HeaderValue| value.as_bytes().windows(prefix.len()).any(|part| part == prefix.as_bytes());
    headers
        .get_all(COOKIE)
        .iter()
        .filter(named)
        .flat_map(pairs)
        .filter_map(move |pair| Some((text(pair.name)?, text(pair.value)?)))
        .filter(move |(name, _)| name.strip_prefix(prefix).is_some_and(is_state))
}

/// What may be in the name of a cookie of ours, and in a line that deletes it.
fn is_state(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// What a person is told.
fn words(failure: SignInFailure) -> Obstacle {
    let (status, code, title, detail) = match failure {
        SignInFailure::NoSuchProvider => (
            StatusCode::NOT_FOUND,
            "no-such-provider",
            "There is no sign-in of that name.",
            "The address may be an old one. Sign in again from here.",
        ),
        SignInFailure::Unreachable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "provider-unreachable",
            "Your firm's sign-in cannot be reached right now.",
            "Nobody can sign in until it answers; whoever is signed in stays signed in. Try again in a moment; if it stays like \
             this, call the help desk.",
        ),
        SignInFailure::NotThisBrowser => (
            StatusCode::BAD_REQUEST,
            "sign-in-not-begun-here",
            "This sign-in was not begun in this browser.",
            "It may have been begun in another one, or before this service was started anew. Nobody was signed in; sign in again \
             from here.",
        ),
        SignInFailure::Over => (
            StatusCode::BAD_REQUEST,
            "sign-in-over",
            "This sign-in took too long.",
            "It has to be finished within 10 minutes, so nobody was signed in. Sign in again.",
        ),
        SignInFailure::Used => (
            StatusCode::BAD_REQUEST,
            "sign-in-used",
            "This sign-in was finished before.",
            "An answer of your firm's sign-in counts once. If you are not signed in, sign in again.",
        ),
        SignInFailure::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "sign-in-busy",
            "Too many people are signing in right now.",
            "Nobody was signed in. Try again in a moment.",
        ),
        SignInFailure::Declined => (
            StatusCode::FORBIDDEN,
            "sign-in-declined",
            "Your firm's sign-in did not let you in.",
            "It was stopped there, by you or by your firm. Sign in again; if it stays like this, call the help desk.",
        ),
        SignInFailure::NotBelieved => (
            StatusCode::BAD_GATEWAY,
            "sign-in-not-believed",
            "Your firm's sign-in gave an answer that cannot be relied on.",
            "Nobody was signed in. Sign in again; if it stays like this, call the help desk.",
        ),
        SignInFailure::Stale => (
            StatusCode::FORBIDDEN,
            "sign-in-stale",
            "You were not asked to sign in anew.",
            "Your firm's sign-in let you pass because you had signed in before, and here each session begins with a new sign-in. Sign \
             out there, then sign in again.",
        ),
        SignInFailure::OtherAcr => (
            StatusCode::FORBIDDEN,
            "sign-in-too-weak",
            "This needs a stronger sign-in.",
            "Your firm's sign-in let you pass in another way than the page you wanted needs. What you were signed in to before goes on; \
             if you cannot sign in more strongly, call the help desk.",
        ),
        SignInFailure::NoGroups => (
            StatusCode::FORBIDDEN,
            "sign-in-without-groups",
            "It is not known which groups you are in.",
            "Your firm's limits depend on them, so nobody was signed in. Call the help desk.",
        ),
        SignInFailure::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "sign-in-failed",
            "Nobody can sign in right now.",
            "Something went wrong at this gateway. Try again in a moment; if it stays like this, call the help desk.",
        ),
    };
    Obstacle { status, code, title: Cow::Borrowed(title), detail: Cow::Borrowed(detail) }
}
