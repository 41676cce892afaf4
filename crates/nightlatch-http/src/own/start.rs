//! A session begins for somebody who has just signed in, in the browser that is asking.

use crate::{
    answer::{Answer, Obstacle, append_cookies, delete_cookie, redirect, set_cookie},
    extract::{Extracted, extract},
    gate::POINT,
    gateway::Gateway,
    road::Read,
};
use http::{HeaderMap, StatusCode};
use nightlatch_core::{Activity, Kind, ProviderSession, Subject, Time};
use nightlatch_engine::{Admission, Session, Start, StartError, Tighter};
use std::{borrow::Cow, sync::Arc};

/// Somebody who has just signed in.
pub(super) struct Who {
    pub(super) subject: Subject,
    pub(super) groups: Vec<String>,
    /// When; now, if not said.
    pub(super) authenticated: Option<Time>,
    pub(super) acr: Option<String>,
    /// The session at the provider that it begins with.
    pub(super) provider_session: Option<ProviderSession>,
    /// Why the session starts, for the record.
    pub(super) cause: &'static str,
}

impl Gateway {
    /// Starts a session, ends the one that this browser still has, and leads back. Only the same subject goes on from the session that was
    /// here, whether it had ended or ends now; anybody else inherits nothing, not even the place.
    pub(super) async fn start_for(
        &self,
        who: Who,
        headers: &HeaderMap,
        read: &Read,
        return_to: &str,
    ) -> Answer {
        let asker = &read.asker;
        let names = asker.names();
        let extraction = extract(headers, names);
        let ended = extraction.ended_ticket.and_then(|ticket| self.tickets.read(ticket));
        let before = match extraction.credential {
            Extracted::One(presented) => self.engine.check(&presented.hash, Activity::Passive, POINT),
            Extracted::None | Extracted::Malformed | Extracted::Conflict => Admission::Unknown,
        };
        let (before, over) = match before {
            Admission::Granted(permit) => (Some(Arc::clone(permit.session())), None),
            Admission::Ended(refusal) => (None, Some(refusal.session)),
            Admission::Insufficient(_) | Admission::Unknown => (None, None),
        };
        let ticketed = ended.and_then(|id| self.engine.session(id));
        let forgotten = ended.is_some() && ticketed.is_none();
        let was_here = [before.clone(), over, ticketed];
        let is_theirs = |session: &&Arc<Session>| session.facts.who.subject == who.subject;
        let continued = was_here.iter().flatten().find(is_theirs).map(|session| session.facts.id);
        let somebody_else = forgotten || !was_here.iter().flatten().all(|session| is_theirs(&session));
        let start = Start {
            subject: who.subject,
            kind: Kind::Person,
            groups: who.groups,
            app: None,
            acr: who.acr,
            authenticated: who.authenticated,
            continues: continued,
            provider_session: who.provider_session,
            parent: None,
            tighter: Tighter::default(),
            cause: who.cause,
        };
        let engine = Arc::clone(&self.engine);
        // A subject seen for the first time is written to disk.
        let starting = match tokio::task::spawn_blocking(move || engine.start(start)).await {
            Ok(Ok(starting)) => starting,
            Ok(Err(StartError::Blocked(_))) => return self.refuse(asker, &SUBJECT_BLOCKED),
            Ok(Err(StartError::GroupsTooLarge(_))) => return self.refuse(asker, &GROUPS_TOO_LARGE),
            Ok(Err(StartError::AuthenticationTooOld)) => return self.refuse(asker, &TOO_OLD),
            Ok(Err(error)) => {
                tracing::error!(%error, "a session could not be started");
                return self.refuse(asker, &CANNOT_START);
            }
            Err(_) => return self.refuse(asker, &CANNOT_START),
        };
        let (session, token) = starting.known(&self.engine).await;
        self.note_device(&session, headers, &read.client).await;
        if let Some(session) = before {
            self.end_by_user(&session, Some("signed in again")).await;
        }
        let mut answer = redirect(if somebody_else { "/" } else { return_to });
        append_cookies(
            &mut answer,
            [
                set_cookie(names.session, token.reveal(), asker.secure),
                delete_cookie(names.ended, asker.secure),
            ],
        );
        answer
    }
}

const SUBJECT_BLOCKED: Obstacle = Obstacle {
    status: StatusCode::FORBIDDEN,
    code: "subject-blocked",
    title: Cow::Borrowed("Your account cannot sign in."),
    detail: Cow::Borrowed("Your firm has blocked it. Call the help desk."),
};

const GROUPS_TOO_LARGE: Obstacle = Obstacle {
    status: StatusCode::FORBIDDEN,
    code: "groups-too-large",
    title: Cow::Borrowed("You are in more groups than can be put on record."),
    detail: Cow::Borrowed("Your firm's limits depend on them, so nobody was signed in. Call the help desk."),
};

pub(super) const CANNOT_START: Obstacle = Obstacle {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "not-recording",
    title: Cow::Borrowed("Nobody can sign in right now."),
    detail: Cow::Borrowed("No session starts while its record cannot be written. Try again in a moment."),
};

const TOO_OLD: Obstacle = Obstacle {
    status: StatusCode::FORBIDDEN,
    code: "authentication-too-old",
    title: Cow::Borrowed("Your sign-in is older than a session may last."),
    detail: Cow::Borrowed("Sign out at your sign-in provider, then sign in again."),
};
