//! `POST /v1/check`: may whoever holds this credential go on?
//!
//! For programs that enforce by themselves. A denial is an answer and not an error. A credential that names no session is denied
//! without a reason, so that nobody learns anything by guessing. The answer is true at the instant it was made and says nothing
//! about a later one: who keeps something open must ask again, or be cut at the deadline that the answer carries.

use super::{
    ApiState,
    body::{Form, Holds, Sent},
    key::{By, Checker},
    problem::{Code, Problem, ProblemBody},
    view::reason_code,
};
use crate::words::instant;
use axum::{Json, extract::State};
use nightlatch_core::Activity;
use nightlatch_engine::{Admission, Demand, End, Insufficient, Refusal, hash};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// An end is told when it is on disk; a denial does not wait for that longer than this.
const TOLD_WAIT: Duration = Duration::from_secs(2);

/// What RFC 9470 calls it.
const INSUFFICIENT: &str = "insufficient_user_authentication";

/// What is asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// The credential that the client presented.
    token: String,
    /// What is asked for, as a method and a path: `POST /orders/17`. With `app`, it decides whether a fresh authentication is needed.
    #[schema(example = "POST /orders/17")]
    route: Option<String>,
    /// The application it is for, by its name in the configuration.
    #[schema(example = "blotter")]
    app: Option<String>,
    /// True if this is traffic that extends nothing: a poll, a heartbeat, a push. Activity, if not said.
    passive: Option<bool>,
}

impl Form for CheckBody {
    const FIELDS: &'static [(&'static str, Holds)] = &[
        ("token", Holds::LongText),
        ("route", Holds::LongText),
        ("app", Holds::Text),
        ("passive", Holds::Flag),
    ];
}

/// The answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckView {
    /// Whether it may go on.
    allow: bool,
    /// If it may not: the end reason, or `insufficient_user_authentication` if the session lives and the route needs a fresher
    /// authentication. None for a credential that names no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// If a fresher authentication is needed: how old it may be, in seconds (RFC 9470).
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    /// If a fresher authentication is needed, and it must be of one kind: which (RFC 9470).
    #[serde(skip_serializing_if = "Option::is_none")]
    acr_values: Option<String>,
    /// If it ended: the instant from which it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// The session's public name.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The subject's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Who vouches for the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// The subject's groups at sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    /// How long until the deadline, if nothing else happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms_left: Option<u64>,
    /// The end reason that the deadline would give.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_reason: Option<&'static str>,
}

/// Asks about a credential.
#[utoipa::path(
    post, path = "/v1/check", tag = "check", operation_id = "check",
    description = "Role `checker`. Counts as activity unless `passive` is true.",
    request_body = CheckBody, security(("api_key" = [])),
    responses(
        (status = 200, description = "The decision, allowed or denied.", body = CheckView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn check(
    State(state): State<ApiState>,
    _: By<Checker>,
    Sent(body): Sent<CheckBody>,
) -> Result<Json<CheckView>, Problem> {
    let activity = if body.passive == Some(true) { Activity::Passive } else { Activity::Active };
    let credential = hash(body.token.as_bytes());
    let demands = demands(&state, &body)?;
    drop(body);
    let permit = match state.engine().check_sensitive(&credential, activity, "api", &demands) {
        Admission::Granted(permit) => permit,
        Admission::Ended(refusal) => return Ok(Json(denied(refusal).await)),
        Admission::Insufficient(insufficient) => return Ok(Json(CheckView::insufficient(&insufficient))),
        Admission::Unknown => return Ok(Json(CheckView::denied(None))),
    };
    // Asked again at the last moment before the answer: the deadline with this event counted, or an end that came in between.
    let deadline = match permit.ask() {
        Ok(deadline) => deadline,
        Err(end) => {
            let refusal = Refusal { session: permit.session().clone(), end };
            return Ok(Json(denied(refusal).await));
        }
    };
    let facts = &permit.session().facts;
    Ok(Json(CheckView {
        allow: true,
        reason: None,
        max_age: None,
        acr_values: None,
        ended_at: None,
        session: Some(facts.id.to_string()),
        subject: Some(facts.who.subject.name.clone()),
        provider: Some(facts.who.subject.provider.clone()),
        groups: Some(facts.terms.groups.clone()),
        deadline_ms_left: Some(deadline.at.since(state.engine().clock().now()).as_millis()),
        deadline_reason: Some(reason_code(deadline.reason)),
    }))
}

/// What the configuration asks for what is asked. An application with sensitive routes needs a route that can be read: whether it is one of
/// them must not be left open.
fn demands<'s>(state: &'s ApiState, body: &CheckBody) -> Result<Vec<&'s Demand>, Problem> {
    let app = body.app.as_deref().filter(|app| state.gateway().has_sensitive_routes(app));
    let Some(app) = app else { return Ok(Vec::new()) };
    let demands = body.route.as_ref().and_then(|route| state.gateway().demands(app, route));
    demands.ok_or_else(|| {
        Problem::new(
            Code::BadField,
            "`route` must be a method and a path, such as `POST /orders/17`: this app has sensitive routes",
        )
    })
}

async fn denied(refusal: Refusal) -> CheckView {
    match tokio::time::timeout(TOLD_WAIT, refusal.told()).await {
        Ok(()) => CheckView {
            session: Some(refusal.session.facts.id.to_string()),
            ..CheckView::denied(Some(refusal.end))
        },
        Err(_) => CheckView::denied(None),
    }
}

impl CheckView {
    fn insufficient(insufficient: &Insufficient) -> CheckView {
        let Insufficient { session, demand } = insufficient;
        CheckView {
            reason: Some(INSUFFICIENT),
            max_age: Some(demand.age.as_millis() / 1_000),
            acr_values: demand.acr.clone(),
            session: Some(session.facts.id.to_string()),
            ..CheckView::denied(None)
        }
    }

    fn denied(end: Option<End>) -> CheckView {
        CheckView {
            allow: false,
            reason: end.map(|end| end.reason.code()),
            max_age: None,
            acr_values: None,
            ended_at: end.map(|end| instant(end.at)),
            session: None,
            subject: None,
            provider: None,
            groups: None,
            deadline_ms_left: None,
            deadline_reason: None,
        }
    }
}
