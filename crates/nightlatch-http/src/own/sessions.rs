//! My sessions: where somebody is signed in, and the end of one or of all others.
//!
//! Whoever asks sees the sessions of their own subject (provider and name) and no others, by public names that open nothing. Looking counts
//! as activity where a person came here by a click or a key, as on any page (the `human` rule); a page that reloads itself does not keep
//! anybody signed in. Ending is a form of this page, with an exact `Origin` like every unsafe route of ours, and is answered when it is on
//! record.
//!
//! A lease may neither look nor end: it was handed to a worker or a program to act with, and not to decide who else may.

use crate::{
    answer::{Answer, Asker, Obstacle, json_answer, page, redirect},
    device::device,
    form::{parameter, read_form},
    forward::client::ClientView,
    gateway::{Gateway, OWN_PREFIX},
    inbound::Inbound,
    pages::{self, Done, Moment, Others, Reference, SignedIn},
    road::Read,
    trigger::trigger,
};
use http::{HeaderMap, Method, Request, StatusCode};
use nightlatch_core::{Activity, ActivityMode, EndReason, RouteSays, SessionId, Span, Subject, Time};
use nightlatch_engine::{Demand, Device, EndOrder, Session};
use serde_json::{Value, json};
use std::{borrow::Cow, cmp::Reverse, collections::HashMap, sync::Arc};
use tokio::task::spawn_blocking;

/// The path of this page.
pub(crate) const HERE: &str = "/_nightlatch/sessions";
/// What the form says instead of a session's name.
const OTHERS: &str = "others";
/// The most sessions that are shown. The others are counted, and end with "everywhere else" like all.
const SHOWN_MOST: usize = 50;
/// How old an authentication may be for ending all others, so that whoever finds a session open cannot lock its user out of the rest.
const FRESH_FOR: Span = Span::from_secs(300);

/// The sessions of one subject.
struct Mine {
    /// The one of whoever asks first, then by last activity; not more than are shown.
    shown: Vec<Arc<Session>>,
    /// How many more there are.
    more: usize,
    devices: HashMap<SessionId, Device>,
    now: Time,
}

impl Gateway {
    /// Shows where the subject of this session is signed in.
    pub(super) async fn my_sessions(&self, method: &Method, headers: &HeaderMap, read: Read) -> Answer {
        let standing = match self.permitted(headers, &read.asker, counts(method, headers)) {
            Ok(standing) => standing,
            Err(refused) => return refused.answer(self, read.asker).await,
        };
        let own = standing.permit.session();
        if own.parent_id().is_some() {
            return self.refuse(&read.asker, &LEASE);
        }
        let ended = read.query.as_deref().and_then(|query| parameter(query, "ended"));
        let ended_one =
            ended.as_deref().and_then(|named| self.ended_by_its_user(&own.facts.who.subject, named));
        let mine = self.mine(own, ended_one.as_ref()).await;
        // Reading the devices may have taken its time.
        if let Err(end) = standing.permit.ask() {
            return standing.over(end).answer(self, read.asker).await;
        }
        if !read.asker.navigation {
            return json_answer(StatusCode::OK, "application/json", &mine.listed(own));
        }
        // Only what is so is said, whoever made the link.
        let done = match (ended_one, ended.as_deref()) {
            (Some(one), _) => Some(Done::One(mine.device(&one).map(|device| device.words.clone()))),
            (None, Some(OTHERS)) if mine.shown.len() == 1 => Some(Done::Others),
            (None, _) => None,
        };
        page(StatusCode::OK, &mine.page(own, done))
    }

    /// Ends one session of the same subject, or all but the one of whoever asks.
    pub(super) async fn end_mine(&self, request: Request<Inbound>, read: Read) -> Answer {
        let (head, body) = request.into_parts();
        let form = read_form(body).await;
        let standing = match self.permitted(&head.headers, &read.asker, counts(&head.method, &head.headers)) {
            Ok(standing) => standing,
            Err(refused) => return refused.answer(self, read.asker).await,
        };
        let own = standing.permit.session();
        if own.parent_id().is_some() {
            return self.refuse(&read.asker, &LEASE);
        }
        let Some(named) = form.and_then(|form| parameter(&form, "session")) else {
            return self.refuse(&read.asker, &NOTHING_NAMED);
        };
        let cause = format!("by the user from session {}", own.facts.id);
        let ended = if named == OTHERS {
            if is_stale(own, self.engine.clock().now()) {
                return self.sign_in_first(&read.asker);
            }
            let order = EndOrder { reason: EndReason::Logout, by: "user", cause: Some(&cause) };
            self.engine.end_all_but(own, order).await
        } else if named == own.facts.id.to_string() {
            return self.sign_out(&head.headers, &read).await;
        } else {
            let subject = &own.facts.who.subject;
            let live = self.engine.signed_in(subject).into_iter();
            let Some(session) = live.into_iter().find(|session| session.facts.id.to_string() == named) else {
                // Asked for twice is as good as once.
                return match self.ended_by_its_user(subject, &named) {
                    Some(_) => done(&read.asker, &named, &[]),
                    None => self.refuse(&read.asker, &NO_SUCH_SESSION),
                };
            };
            let ended = self.end_by_user(&session, Some(&cause)).await;
            ended.then_some(session.facts.id).into_iter().collect()
        };
        done(&read.asker, &named, &ended)
    }

    /// Notes from where a session was signed in to, for this page.
    pub(super) async fn note_device(&self, session: &Arc<Session>, headers: &HeaderMap, client: &ClientView) {
        let noted = Device { address: Some(client.address), words: device(headers) };
        let (engine, session) = (Arc::clone(&self.engine), Arc::clone(session));
        // It says by itself what goes wrong, and nothing hangs on it.
        let _ = spawn_blocking(move || engine.note_device(&session, &noted)).await;
    }

    /// The sessions of a subject that lives in this one, and from where they and perhaps one more were signed in to.
    async fn mine(&self, own: &Arc<Session>, one_more: Option<&Arc<Session>>) -> Mine {
        let mut shown = self.engine.signed_in(&own.facts.who.subject);
        shown.sort_by_key(|session| (session.facts.id != own.facts.id, Reverse(session.last_activity())));
        let more = shown.len().saturating_sub(SHOWN_MOST);
        shown.truncate(SHOWN_MOST);
        let engine = Arc::clone(&self.engine);
        let looked_up: Vec<_> = shown.iter().chain(one_more).map(Arc::clone).collect();
        let known = move || {
            let device = |session: Arc<Session>| Some((session.facts.id, engine.device(&session)?));
            looked_up.into_iter().filter_map(device).collect()
        };
        let devices = spawn_blocking(known).await.unwrap_or_default();
        Mine { shown, more, devices, now: self.engine.clock().now() }
    }

    /// A session of this subject that its user has ended, by its public name.
    fn ended_by_its_user(&self, subject: &Subject, named: &str) -> Option<Arc<Session>> {
        let session = self.engine.session_named(named)?;
        let ended = session.end().is_some_and(|end| end.reason == EndReason::Logout);
        (ended && session.facts.who.subject == *subject).then_some(session)
    }

    fn sign_in_first(&self, asker: &Asker) -> Answer {
        if asker.navigation {
            // The page says what is needed, and has the link.
            return redirect(HERE);
        }
        self.authenticate_again(asker, &Demand { age: FRESH_FOR, acr: None })
    }
}

impl Mine {
    fn device(&self, session: &Session) -> Option<&Device> {
        self.devices.get(&session.facts.id)
    }

    fn page(&self, own: &Session, done: Option<Done>) -> pages::Page {
        pages::sessions(&pages::Sessions {
            subject: &own.facts.who.subject.name,
            as_of: Moment::past(self.now, self.now),
            sessions: self.shown.iter().map(|session| self.signed_in(own, session)).collect(),
            more: self.more,
            done,
            others: self.others(own),
            here: HERE,
            logout: &format!("{OWN_PREFIX}logout"),
            login: &format!("{OWN_PREFIX}login?return_to={HERE}"),
        })
    }

    fn others(&self, own: &Session) -> Others {
        let was = authenticated(own);
        match () {
            () if self.shown.len() < 2 => Others::None,
            () if is_stale(own, self.now) => {
                Others::SignInFirst { at_most: FRESH_FOR, was: Moment::past(was, self.now) }
            }
            () => Others::May,
        }
    }

    fn signed_in(&self, own: &Session, session: &Session) -> SignedIn {
        let (device, deadline) = (self.device(session), session.deadline());
        SignedIn {
            id: session.facts.id.to_string(),
            reference: Reference::from(session.facts.id),
            here: session.facts.id == own.facts.id,
            device: device.map(|device| device.words.clone()).filter(|words| !words.is_empty()),
            address: device.and_then(|device| device.address).map(|address| address.to_string()),
            started: Moment::past(session.facts.started, self.now),
            last_activity: Moment::past(session.last_activity(), self.now),
            ends: Moment::ahead(deadline.at, self.now),
            reason: deadline.reason,
            absolute: session.absolute(),
        }
    }

    /// The same for programs: lengths of time and no instants, as in `session`.
    fn listed(&self, own: &Session) -> Value {
        let one = |session: &Arc<Session>| {
            let shown = self.signed_in(own, session);
            json!({
                "id": shown.id,
                "here": shown.here,
                "device": shown.device,
                "address": shown.address,
                "signed_in_ago_ms": self.now.since(session.facts.started).as_millis(),
                "last_activity_ago_ms": self.now.since(session.last_activity()).as_millis(),
                "ends_in_ms": session.deadline().at.since(self.now).as_millis(),
                "deadline_reason": session.deadline().reason.end().code(),
            })
        };
        json!({ "sessions": self.shown.iter().map(one).collect::<Vec<_>>(), "more": self.more })
    }
}

/// When the subject of this session last proved who it is.
fn authenticated(session: &Session) -> Time {
    session.authenticated(None).unwrap_or(session.facts.started)
}

/// Whether that is too long ago for ending all others.
fn is_stale(session: &Session, now: Time) -> bool {
    now >= authenticated(session).plus(FRESH_FOR)
}

fn counts(method: &Method, headers: &HeaderMap) -> Activity {
    Activity::of(ActivityMode::Human, RouteSays::Nothing, trigger(method, headers))
}

/// To a person the page again, which says what was done; to a program what was ended.
fn done(asker: &Asker, named: &str, ended: &[SessionId]) -> Answer {
    if asker.navigation {
        // Made of the name of a session, or of the word for all others.
        return redirect(&format!("{HERE}?ended={named}"));
    }
    let ended: Vec<String> = ended.iter().map(ToString::to_string).collect();
    json_answer(StatusCode::OK, "application/json", &json!({ "ended": ended }))
}

const LEASE: Obstacle = Obstacle {
    status: StatusCode::FORBIDDEN,
    code: "not-a-sign-in",
    title: Cow::Borrowed("Nobody signed in to this session."),
    detail: Cow::Borrowed("It belongs to another one. Ask with the session that was signed in to."),
};

const NOTHING_NAMED: Obstacle = Obstacle {
    status: StatusCode::BAD_REQUEST,
    code: "no-session-named",
    title: Cow::Borrowed("It was not said which session to end."),
    detail: Cow::Borrowed("Send a form with `session`: the name of one, or `others`."),
};

const NO_SUCH_SESSION: Obstacle = Obstacle {
    status: StatusCode::NOT_FOUND,
    code: "no-such-session",
    title: Cow::Borrowed("You are not signed in with that session."),
    detail: Cow::Borrowed("It may be over already. Look again at where you are signed in."),
};
