//! Somebody with a live session has signed in at a provider once more: the session goes on, with that authentication and a new credential.
//!
//! Only the same subject in the same groups and the same session at the provider goes on: what a session started with does not change, and a
//! logout there names that. Anything else starts a new one. No limit moves here; the old credential stays good for as long as its
//! replacement may be lost, and ends the session when it is used after that.

use super::start::{CANNOT_START, Who};
use crate::{
    answer::{Answer, append_cookies, delete_cookie, redirect, set_cookie},
    extract::{Extracted, extract},
    gate::POINT,
    gateway::Gateway,
    road::Read,
};
use http::HeaderMap;
use nightlatch_core::Activity;
use nightlatch_engine::{Admission, Session, StepUp, StepUpError};
use std::sync::Arc;

impl Gateway {
    /// The session that this browser has, if it lives.
    pub(super) fn live_session(&self, headers: &HeaderMap, read: &Read) -> Option<Arc<Session>> {
        let Extracted::One(presented) = extract(headers, read.asker.names()).credential else { return None };
        match self.engine.check(&presented.hash, Activity::Passive, POINT) {
            Admission::Granted(permit) => Some(Arc::clone(permit.session())),
            Admission::Insufficient(_) | Admission::Ended(_) | Admission::Unknown => None,
        }
    }

    /// Lets the session of this browser go on if it is theirs, and starts one otherwise.
    pub(super) async fn step_up_or_start(
        &self,
        who: Who,
        headers: &HeaderMap,
        read: &Read,
        return_to: &str,
    ) -> Answer {
        let theirs = self.live_session(headers, read).filter(|session| is_theirs(session, &who));
        let Some(session) = theirs else { return self.start_for(who, headers, read, return_to).await };
        let step_up = StepUp { acr: who.acr.clone(), authenticated: who.authenticated, cause: who.cause };
        let added = match self.engine.add_authentication(&session, step_up) {
            Ok(added) => added,
            // Over meanwhile, or with all that it can hold.
            Err(StepUpError::Over(_) | StepUpError::Lease | StepUpError::TooMany) => {
                return self.start_for(who, headers, read, return_to).await;
            }
            Err(error) => {
                tracing::error!(%error, "an authentication could not be added");
                return self.refuse(&read.asker, &CANNOT_START);
            }
        };
        let token = added.known(&self.engine).await;
        let (names, secure) = (read.asker.names(), read.asker.secure);
        let mut answer = redirect(return_to);
        let cookies = [set_cookie(names.session, token.reveal(), secure), delete_cookie(names.ended, secure)];
        append_cookies(&mut answer, cookies);
        answer
    }
}

fn is_theirs(session: &Session, who: &Who) -> bool {
    let sorted = |groups: &[String]| {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        groups
    };
    session.facts.who.subject == who.subject
        && sorted(&session.facts.terms.groups) == sorted(&who.groups)
        && session.provider_session() == who.provider_session
}
