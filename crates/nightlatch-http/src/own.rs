//! The gateway's own routes, below `/_nightlatch/`: sign-in (at a provider: `provider`), sign-out, how the session is, real input, and where else
//! somebody is signed in (`sessions`). To a provider, where it says that somebody signed out there (`backchannel`).
//!
//! Unsafe ones need an exact `Origin`, so that no foreign page can sign somebody out or keep a session alive. Asking how the session is
//! never counts as activity; the answer holds durations and no instants, because the browser's clock is not ours.

mod backchannel;
mod provider;
mod sessions;
mod start;
mod step_up;

use crate::{
    answer::{
        Answer, Asker, Obstacle, append_cookies, delete_cookie, empty, json_answer, page, read_off_request,
        redirect,
    },
    extract::{Carrier, Extracted, extract},
    form::{Form, read_form, return_to},
    gate::POINT,
    gateway::{DemoUser, Gateway, OWN_PREFIX},
    inbound::Inbound,
    pages::{self, SignIn},
    road::{CONFLICT, Read, Refused},
};
use http::{
    HeaderMap, Method, Request, StatusCode,
    header::{ALLOW, CACHE_CONTROL, HOST, HeaderValue, ORIGIN},
};
use nightlatch_core::{Activity, EndReason, Subject};
use nightlatch_engine::{Admission, End, EndOrder, Permit, Refusal, Session};
use serde_json::json;
use start::Who;
use std::{borrow::Cow, sync::Arc};

pub use backchannel::LogoutToken;
pub(crate) use backchannel::LogoutTokens;
pub(crate) use sessions::HERE as MY_SESSIONS;

/// Who vouches for the users of the demonstration sign-in.
const DEMO_PROVIDER: &str = "demo";

impl Gateway {
    /// Answers a request to one of our own routes.
    pub(crate) async fn own(&self, request: Request<Inbound>, read: Read) -> Answer {
        let route = read.path.as_str().strip_prefix(OWN_PREFIX).unwrap_or_default().to_owned();
        let method = request.method().clone();
        let answers = match route.as_str() {
            "login" if self.demo_users.is_empty() => "GET, HEAD",
            _ if self.sign_in.is_some() && is_callback(&route) => "GET",
            "backchannel-logout" if self.sign_in.is_some() => "POST",
            "login" => "GET, HEAD, POST",
            "logout" | "activity" => "POST",
            "session" => "GET, HEAD",
            "jwks.json" if self.signer.is_some() => "GET, HEAD",
            "sessions" => "GET, HEAD, POST",
            _ => return read_off_request(request, self.refuse(&read.asker, &NOT_FOUND)).await,
        };
        // Whoever only looks at a callback must not use it up.
        let looks = method == Method::HEAD && !is_callback(&route);
        let verb = if looks { "GET" } else { method.as_str() };
        if !answers.split(", ").any(|allowed| allowed == verb) {
            let mut answer = self.refuse(&read.asker, &NOT_ALLOWED);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(answers));
            return read_off_request(request, answer).await;
        }
        // A provider is no page and brings no credential: its word is signed.
        if let ("backchannel-logout", Some(at)) = (route.as_str(), &self.sign_in) {
            return self.provider_signed_out(Arc::clone(at), request.into_body()).await;
        }
        if !method.is_safe() && !self.origin_is_ours(request.headers(), &read) {
            return read_off_request(request, self.refuse(&read.asker, &FOREIGN_ORIGIN)).await;
        }
        if route != "login" || !method.is_safe() {
            // Which of two to end or to go on with is not ours to choose.
            let brought = extract(request.headers(), read.asker.names()).credential;
            if brought == Extracted::Conflict {
                return read_off_request(request, self.refuse(&read.asker, &CONFLICT)).await;
            }
        }
        match (route.as_str(), verb, &self.sign_in) {
            ("login", "GET", Some(at)) => self.begin_sign_in(&**at, request.headers(), &read).await,
            (callback, _, Some(at)) if is_callback(callback) => {
                self.finish_sign_in(&**at, callback, request.headers(), &read).await
            }
            ("login", "GET", None) => self.login_page(request.headers(), &read),
            ("login", ..) => self.demo_sign_in(request, read).await,
            ("logout", ..) => self.sign_out(request.headers(), &read).await,
            ("jwks.json", ..) => self.published_keys(),
            ("sessions", "GET", _) => self.my_sessions(&method, request.headers(), read).await,
            ("sessions", ..) => self.end_mine(request, read).await,
            // Not held back by a rate: a touch is one write to memory, and none of it reaches the disk more often than the
            // seconds do.
            ("activity", ..) => self.state(request.headers(), read, Activity::Active).await,
            _ => self.state(request.headers(), read, Activity::Passive).await,
        }
    }

    /// The keys that assertions are checked with. They may be kept for an hour: the next one is published for much longer before it signs.
    fn published_keys(&self) -> Answer {
        let keys = self.signer.as_ref().map(|signer| signer.published()).unwrap_or_default();
        let mut answer = json_answer(StatusCode::OK, "application/jwk-set+json", &keys);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        answer
    }

    /// An unsafe request comes from a page of ours, or from a program that shows a bearer (which no page can be made to send).
    fn origin_is_ours(&self, headers: &HeaderMap, read: &Read) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => {
                self.origin(&read.client, headers.get(HOST)).is_some_and(|ours| origin == ours.as_str())
            }
            (None, _) => matches!(
                extract(headers, read.asker.names()).credential,
                Extracted::One(presented) if presented.carrier == Carrier::Bearer
            ),
            _ => false,
        }
    }

    fn login_page(&self, headers: &HeaderMap, read: &Read) -> Answer {
        let notice = self.ended_notice(headers, read);
        let return_to = return_to(read.query.as_deref().unwrap_or_default());
        let users: Vec<pages::DemoUser> = self.demo_users.iter().map(shown).collect();
        let action = format!("{OWN_PREFIX}login");
        let shown = match users.is_empty() {
            true => pages::sign_in_elsewhere(notice.as_ref()),
            false => {
                pages::sign_in(&SignIn { notice, users: &users, return_to: &return_to, action: &action })
            }
        };
        page(StatusCode::OK, &shown)
    }

    /// What a sign-in page says about the session that was before, to the browser that had it.
    fn ended_notice(&self, headers: &HeaderMap, read: &Read) -> Option<pages::Notice> {
        let extraction = extract(headers, read.asker.names());
        let ticketed = || self.engine.session(self.tickets.read(extraction.ended_ticket?)?);
        let session = match extraction.credential {
            // Nobody navigated since it ended, so its cookie is still here.
            Extracted::One(presented) => match self.engine.check(&presented.hash, Activity::Passive, POINT) {
                Admission::Ended(refusal) => Some(refusal.session),
                Admission::Granted(_) | Admission::Insufficient(_) | Admission::Unknown => ticketed(),
            },
            Extracted::None | Extracted::Malformed | Extracted::Conflict => ticketed(),
        }?;
        let end = session.end().filter(|end| end.told)?;
        let (idle, absolute) = (session.idle().span(), session.absolute());
        Some(pages::Notice::new(end.reason, idle, absolute, Some(session.facts.id)))
    }

    /// The demonstration sign-in: whoever is at this machine is believed.
    async fn demo_sign_in(&self, request: Request<Inbound>, read: Read) -> Answer {
        let (head, body) = request.into_parts();
        let Some(form) = read_form(body).await else {
            return self.refuse(&read.asker, &BAD_FORM);
        };
        let form = Form::read(&form);
        let Some(user) = self.demo_users.iter().find(|user| user.name == form.user) else {
            return self.refuse(&read.asker, &BAD_FORM);
        };
        let who = Who {
            subject: Subject { provider: DEMO_PROVIDER.to_owned(), name: user.name.clone() },
            groups: user.groups.clone(),
            authenticated: None,
            acr: None,
            provider_session: None,
            cause: "demo_sign_in",
        };
        self.start_for(who, &head.headers, &read, &form.return_to).await
    }

    async fn sign_out(&self, headers: &HeaderMap, read: &Read) -> Answer {
        let names = read.asker.names();
        if let Extracted::One(presented) = extract(headers, names).credential
            && let Admission::Granted(permit) = self.engine.check(&presented.hash, Activity::Passive, POINT)
        {
            self.end_by_user(permit.session(), None).await;
        }
        let mut answer = if read.asker.navigation {
            redirect(&format!("{OWN_PREFIX}login"))
        } else {
            empty(StatusCode::NO_CONTENT)
        };
        let secure = read.asker.secure;
        append_cookies(
            &mut answer,
            [delete_cookie(names.session, secure), delete_cookie(names.ended, secure)],
        );
        append_cookies(&mut answer, self.app_cookie_deletions(secure));
        answer
    }

    /// Ends a session as its user's will, on record when this is done. False if it was over before.
    async fn end_by_user(&self, session: &Arc<Session>, cause: Option<&str>) -> bool {
        let order = EndOrder { reason: EndReason::Logout, by: "user", cause };
        let Some(index) = self.engine.end(session, order) else { return false };
        self.engine.durable(index).await;
        true
    }

    /// How the session is; with `Active`, after the guard saw real input.
    async fn state(&self, headers: &HeaderMap, read: Read, activity: Activity) -> Answer {
        let asker = Asker { navigation: false, ..read.asker };
        match self.permitted(headers, &asker, activity) {
            Ok(standing) => self.live_state(&standing.permit),
            Err(refused) => refused.answer(self, asker).await,
        }
    }

    /// Whether the session that this request brings may go on.
    fn permitted(&self, headers: &HeaderMap, asker: &Asker, activity: Activity) -> Result<Standing, Refused> {
        let extraction = extract(headers, asker.names());
        let presented = match extraction.credential {
            Extracted::One(presented) => presented,
            Extracted::Conflict => return Err(Refused::Conflict),
            Extracted::None | Extracted::Malformed => {
                let held = extraction.ended_ticket.and_then(|ticket| self.tickets.read(ticket));
                return Err(Refused::NotSignedIn(held));
            }
        };
        let by_cookie = presented.carrier == Carrier::Cookie;
        match self.engine.check(&presented.hash, activity, POINT) {
            Admission::Granted(permit) => Ok(Standing { permit, by_cookie }),
            Admission::Ended(refusal) => Err(Refused::Over { refusal, by_cookie }),
            Admission::Insufficient(insufficient) => Err(Refused::Insufficient(insufficient)),
            Admission::Unknown => Err(Refused::NotSignedIn(None)),
        }
    }

    fn live_state(&self, permit: &Permit) -> Answer {
        let session = permit.session();
        let now = self.engine.clock().now();
        let idle_end = session.last_activity().plus(session.idle().span());
        let body = json!({
            "state": "live",
            "idle_remaining_ms": idle_end.since(now).as_millis(),
            "absolute_remaining_ms": session.hard_end().time().since(now).as_millis(),
            "warning_ms": session.facts.terms.warning.as_millis(),
            "deadline_reason": session.deadline().reason.end().code(),
        });
        json_answer(StatusCode::OK, "application/json", &body)
    }
}

/// A session that may go on, and how its credential came.
struct Standing {
    permit: Permit,
    by_cookie: bool,
}

impl Standing {
    /// It was over when it was asked again.
    fn over(&self, end: End) -> Refused {
        let session = Arc::clone(self.permit.session());
        Refused::Over { refusal: Refusal { session, end }, by_cookie: self.by_cookie }
    }
}

/// Whether a provider's answer arrives on this route.
fn is_callback(route: &str) -> bool {
    route.strip_prefix(provider::CALLBACK).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn shown(user: &DemoUser) -> pages::DemoUser {
    let note = user.groups.first().cloned().unwrap_or_default();
    pages::DemoUser { name: user.name.clone(), display: user.display.clone(), note }
}

const NOT_FOUND: Obstacle = Obstacle {
    status: StatusCode::NOT_FOUND,
    code: "no-such-route",
    title: Cow::Borrowed("There is nothing here."),
    detail: Cow::Borrowed("This is not one of the gateway's own routes."),
};

const NOT_ALLOWED: Obstacle = Obstacle {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "method-not-allowed",
    title: Cow::Borrowed("This route does not answer that method."),
    detail: Cow::Borrowed("`Allow` names the methods it answers."),
};

const FOREIGN_ORIGIN: Obstacle = Obstacle {
    status: StatusCode::FORBIDDEN,
    code: "foreign-origin",
    title: Cow::Borrowed("This request does not come from a page of this site."),
    detail: Cow::Borrowed(
        "Requests that change something here need an `Origin` that is exactly this gateway's.",
    ),
};

const BAD_FORM: Obstacle = Obstacle {
    status: StatusCode::BAD_REQUEST,
    code: "unknown-user",
    title: Cow::Borrowed("Nobody of that name can sign in here."),
    detail: Cow::Borrowed("Choose one of the users on the sign-in page."),
};
