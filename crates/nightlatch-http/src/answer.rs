//! What is answered when a request does not go on: to people a page, to programs a problem (RFC 9457).
//!
//! There is one function for each thing that can be in the way, and each answers both kinds. The reason of an end is told only to
//! who holds or held the credential; whoever brings a credential we do not know is told the same as whoever brings none.

use crate::{
    cookies::CookieNames,
    download::DownloadError,
    gateway::Gateway,
    grpc::{self, Status},
    inbound::Inbound,
    pages,
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPECT, HeaderName, LOCATION, SET_COOKIE, WWW_AUTHENTICATE,
    },
};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use nightlatch_engine::{Demand, End, Session};
use serde_json::{Value, json};
use std::{borrow::Cow, time::Duration};
use tokio::time::timeout;

/// The body of a response to a client.
pub(crate) type ClientBody = UnsyncBoxBody<Bytes, DownloadError>;
/// A response to a client.
pub(crate) type Answer = Response<ClientBody>;

/// How much of an unread body is read off so that the client gets to see its answer, and for how long.
const DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// What RFC 9470 calls it.
const INSUFFICIENT: &str = "insufficient_user_authentication";
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// On an answer: over HTTP/2 the client is asked to come again over HTTP/1.1 instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeedsHttp1;

/// Who is to be answered, as far as the answer depends on it.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// A person looks at the answer.
    pub(crate) navigation: bool,
    /// Asking again changes nothing.
    pub(crate) safe: bool,
    /// Its connection is TLS.
    pub(crate) secure: bool,
    /// It is a call of gRPC: the answer is trailers.
    pub(crate) call: bool,
    /// Its credential came as a cookie, or it brought none.
    pub(crate) by_cookie: bool,
    /// Where a person wants to come back to: a path of this origin.
    pub(crate) return_to: Cow<'static, str>,
}

impl Asker {
    pub(crate) fn names(&self) -> CookieNames {
        Gateway::cookie_names(self.secure)
    }

    fn login_url(&self) -> String {
        pages::login_link(None, None, &self.return_to)
    }
}

/// Something that is in the way of a request and is not the session.
#[derive(Clone, Debug)]
pub(crate) struct Obstacle {
    pub(crate) status: StatusCode,
    /// Stable, for programs.
    pub(crate) code: &'static str,
    pub(crate) title: Cow<'static, str>,
    pub(crate) detail: Cow<'static, str>,
}

impl Gateway {
    /// Nobody is signed in, as far as this request shows.
    pub(crate) fn not_signed_in(&self, asker: &Asker) -> Answer {
        if asker.call {
            return trailers_only(Status::Unauthenticated, "not signed in", Outcome::NotForwarded);
        }
        if asker.navigation {
            return self.to_login(asker, Vec::new());
        }
        let body = json!({
            "type": "urn:nightlatch:problem:not-signed-in",
            "title": "You are not signed in.",
            "status": 401,
            "login_url": asker.login_url(),
        });
        unauthorized(&body)
    }

    /// The session this request belongs to is over. While its end is not on record, nothing is said of it.
    pub(crate) fn signed_out(&self, asker: &Asker, session: &Session, end: End, outcome: Outcome) -> Answer {
        if !end.told {
            return self.not_signed_in(asker);
        }
        if asker.call {
            return trailers_only(Status::Unauthenticated, end.reason.code(), outcome);
        }
        if asker.navigation {
            // Only here: what a script is answered may reach the browser after somebody has signed in again, and would delete the new cookie
            // by its name.
            let cookies = if asker.by_cookie { self.ended_cookies(asker, session) } else { Vec::new() };
            let mut answer = self.to_login(asker, cookies);
            answer.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
            return answer;
        }
        let words = pages::words(end.reason, session.idle().span(), session.absolute());
        let mut body = json!({
            "type": "urn:nightlatch:problem:session-ended",
            "title": words.title,
            "detail": words.sentence,
            "status": 401,
            "reason": end.reason.code(),
            "ended_at": rfc3339(end.at.as_millis()),
            "login_url": asker.login_url(),
            "submission_kept": false,
        });
        if outcome == Outcome::Unknown {
            body["outcome"] = json!("unknown");
        }
        unauthorized(&body)
    }

    /// The session lives, and what was asked needs a fresher authentication: the challenge of RFC 9470 section 3 to a program; a person signs
    /// in again. Nothing of the session is told or taken.
    pub(crate) fn authenticate_again(&self, asker: &Asker, demand: &Demand) -> Answer {
        if asker.call {
            return trailers_only(Status::Unauthenticated, INSUFFICIENT, Outcome::NotForwarded);
        }
        let login_url = pages::login_link(None, demand.acr.as_deref(), &asker.return_to);
        if asker.navigation {
            return redirect(&login_url);
        }
        let max_age = demand.age.as_millis() / 1_000;
        let mut body = json!({
            "type": "urn:nightlatch:problem:insufficient-user-authentication",
            "title": "This needs a fresh sign-in.",
            "status": 401,
            "max_age": max_age,
            "login_url": login_url,
        });
        let mut challenge = format!("Bearer error=\"{INSUFFICIENT}\", max_age=\"{max_age}\"");
        if let Some(acr) = &demand.acr {
            body["acr_values"] = json!(acr);
            challenge.push_str(&format!(", acr_values=\"{acr}\""));
        }
        let mut answer = unauthorized(&body);
        // What the configuration takes for an `acr` can stand between quotes; if it could not, the plain challenge is left.
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    /// Something else is in the way.
    pub(crate) fn refuse(&self, asker: &Asker, obstacle: &Obstacle) -> Answer {
        let Obstacle { status, code, title, detail } = obstacle;
        if asker.call {
            return trailers_only(Status::of(*status), &format!("{code}: {detail}"), Outcome::NotForwarded);
        }
        if asker.navigation {
            return page(
                *status,
                &pages::problem(&pages::Problem {
                    status: status.as_u16(),
                    title,
                    sentence: detail,
                    reference: Some(code),
                    retry: asker.safe && status.is_server_error(),
                }),
            );
        }
        let body = json!({
            "type": format!("urn:nightlatch:problem:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        json_answer(*status, "application/problem+json", &body)
    }

    fn to_login(&self, asker: &Asker, cookies: Vec<HeaderValue>) -> Answer {
        let mut answer = redirect(&asker.login_url());
        append_cookies(&mut answer, cookies);
        answer
    }

    /// The session cookie goes, the ended ticket comes, the applications' cookies go.
    fn ended_cookies(&self, asker: &Asker, session: &Session) -> Vec<HeaderValue> {
        let names = asker.names();
        let ticket = self.tickets.issue(session.facts.id);
        let mut cookies = vec![delete_cookie(names.session, asker.secure)];
        cookies.push(set_cookie(names.ended, &ticket, asker.secure));
        cookies.extend(self.app_cookie_deletions(asker.secure));
        cookies
    }

    /// The lines that delete every cookie of the applications that is bound to a session.
    pub(crate) fn app_cookie_deletions(&self, secure: bool) -> impl Iterator<Item = HeaderValue> {
        self.apps().iter().flat_map(move |app| app.cookies.deletions(secure).cloned())
    }
}

/// What is known of what the request was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did not reach the application.
    NotForwarded,
    /// It had reached the application whole, and the answer is withheld.
    Unknown,
}

/// The answer to a call of gRPC.
pub(crate) fn trailers_only(status: Status, message: &str, outcome: Outcome) -> Answer {
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().extend(grpc::trailers_only(status, message, outcome == Outcome::Unknown));
    answer
}

/// 303 to a path of this origin.
pub(crate) fn redirect(location: &str) -> Answer {
    let mut answer = empty(StatusCode::SEE_OTHER);
    // A location made of what was percent-encoded here is a field value.
    let location = HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// A page of our own.
pub(crate) fn page(status: StatusCode, page: &pages::Page) -> Answer {
    let mut answer = full(status, "text/html; charset=utf-8", page.html.clone());
    for (name, value) in page.headers() {
        answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

/// JSON of our own.
pub(crate) fn json_answer(status: StatusCode, content_type: &'static str, body: &Value) -> Answer {
    full(status, content_type, body.to_string())
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn full(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = empty(status).map(|_| Full::from(text).map_err(|never| match never {}).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn unauthorized(body: &Value) -> Answer {
    let mut answer = json_answer(StatusCode::UNAUTHORIZED, "application/problem+json", body);
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

pub(crate) fn append_cookies(answer: &mut Answer, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// A cookie for as long as the browser runs; the server, not the browser, decides how long it opens anything.
pub(crate) fn set_cookie(name: &str, value: &str, secure: bool) -> HeaderValue {
    cookie(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"), secure)
}

/// A cookie for something that is over soon.
pub(crate) fn set_passing_cookie(name: &str, value: &str, secs: u64, secure: bool) -> HeaderValue {
    cookie(&format!("{name}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite=Lax"), secure)
}

/// Deletes a cookie.
pub(crate) fn delete_cookie(name: &str, secure: bool) -> HeaderValue {
    cookie(&format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"), secure)
}

fn cookie(line: &str, secure: bool) -> HeaderValue {
    let line = if secure { format!("{line}; Secure") } else { line.to_owned() };
    // Made of our names and of base64url and hexadecimal digits: always a field value.
    HeaderValue::try_from(line).unwrap_or(HeaderValue::from_static(""))
}

/// Text as the value of a query parameter: everything but unreserved characters and `/` percent-encoded.
pub(crate) fn query_value(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

fn rfc3339(millis: u64) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX));
    timestamp.map(|timestamp| timestamp.to_string()).unwrap_or_default()
}

/// The answer to a request whose body nobody will read: read off to a bound, so that the client gets to see the answer.
pub(crate) async fn read_off_request(request: Request<Inbound>, mut answer: Answer) -> Answer {
    // A client that waits for a 100 sends nothing until it gets one, and it gets none.
    let waits = request.headers().contains_key(EXPECT);
    let body = request.into_body();
    if waits {
        close_after(&mut answer);
    } else if !body.is_end_stream() {
        read_off(body, &mut answer).await;
    }
    answer
}

/// Reads an unread body off, to a bound; beyond it the connection closes after the answer. A stream need not be read to its end: it
/// is reset after the answer, which says that all is well (RFC 9113 section 8.1).
pub(crate) async fn read_off(rest: Inbound, answer: &mut Answer) {
    if matches!(rest, Inbound::Http2(_)) {
        return;
    }
    let reading = timeout(DRAIN_WITHIN, Limited::new(rest, DRAIN_BYTES).collect());
    if !matches!(reading.await, Ok(Ok(_))) {
        close_after(answer);
    }
}

/// The connection closes after this answer.
pub(crate) fn close_after(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
