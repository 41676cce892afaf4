//! Ending sessions on an operator's order: `DELETE /v1/sessions/{id}` and `POST /v1/sessions/end`.
//!
//! The end takes effect at once, on every channel; the answer comes when it is on disk, so "it is done" is never taken back by a crash.
//! Repeating an order is harmless: a session that is over stays as it ended. A dry run says what would end and ends nothing.

use super::{
    ApiState, DISK_WAIT,
    body::{Asked, Form, Holds, Named, Parameters, Sent},
    key::{By, Caller, Operator},
    problem::{Code, Problem, ProblemBody},
    view::{EndView, SessionView, end_by},
};
use axum::{Json, extract::State};
use nightlatch_core::{EndReason, SessionId};
use nightlatch_engine::{EndOrder, Refusal, Session};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};
use utoipa::ToSchema;

/// What may be asked along with `DELETE`.
pub(crate) struct EndQuery;

impl Parameters for EndQuery {
    const NAMES: &'static [&'static str] = &["cause", "ticket"];
}

/// Which sessions to end, and why. Give `subject` or `ids`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndBody {
    /// End every live session of the subject of this name.
    #[schema(example = "ada@desk.example")]
    subject: Option<String>,
    /// Whose subject it is, where several providers have one of this name.
    provider: Option<String>,
    /// End these.
    ids: Option<Vec<String>>,
    /// What is behind it, for the record. No names of people: the record is kept for years.
    #[schema(example = "credentials seen in a phishing kit")]
    cause: Option<String>,
    /// The ticket that asks for it, for the record.
    #[schema(example = "INC-5512")]
    ticket: Option<String>,
    /// Say what would end, and end nothing.
    dry_run: Option<bool>,
}

impl Form for EndBody {
    const FIELDS: &'static [(&'static str, Holds)] = &[
        ("subject", Holds::Text),
        ("provider", Holds::Text),
        ("ids", Holds::Texts),
        ("cause", Holds::LongText),
        ("ticket", Holds::Text),
        ("dry_run", Holds::Flag),
    ];
}

/// What ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedView {
    /// True if nothing was ended because only the answer was asked for.
    dry_run: bool,
    /// The sessions that ended by this order, or would have.
    ended: Vec<EndedSession>,
    /// The sessions that were over before.
    already_ended: Vec<EndedSession>,
    /// The ids that name no session that is known.
    unknown: Vec<String>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedSession {
    /// Its public name.
    id: String,
    /// The subject's name.
    subject: Option<String>,
    /// Who vouches for it.
    provider: Option<String>,
    /// How it ended. None in a dry run.
    end: Option<EndView>,
}

/// Ends one session.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "sessions", operation_id = "endSession",
    description = "Role `operator`; the reason is `revoked`. Answers when the end is on disk. Ending what is over is answered with how it ended.",
    security(("api_key" = [])),
    params(
        ("id" = String, Path, description = "Its public name."),
        ("cause" = Option<String>, Query, description = "What is behind it, for the record."),
        ("ticket" = Option<String>, Query, description = "The ticket that asks for it, for the record."),
    ),
    responses(
        (status = 200, description = "It is over and on the record.", body = SessionView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "It is over, and not on disk yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn end_one(
    State(state): State<ApiState>,
    by: By<Operator>,
    Named(name): Named,
    query: Asked<EndQuery>,
) -> Result<Json<SessionView>, Problem> {
    let session = state.engine().session_named(&name).ok_or_else(Problem::no_such_session)?;
    let cause = cause(query.text("cause"), query.text("ticket"));
    end_all(&state, &by.caller, std::slice::from_ref(&session), cause.as_deref());
    on_record(std::iter::once(&session)).await?;
    Ok(Json(SessionView::of(state.engine(), &session)))
}

/// Ends all sessions of a subject, or those that are named.
#[utoipa::path(
    post, path = "/v1/sessions/end", tag = "sessions", operation_id = "endSessions",
    description = "Role `operator`; the reason is `revoked`. Answers when every end is on disk.",
    request_body = EndBody, security(("api_key" = [])),
    responses(
        (status = 200, description = "They are over and on the record.", body = EndedView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "They are over, and not on disk yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn end_many(
    State(state): State<ApiState>,
    by: By<Operator>,
    Sent(body): Sent<EndBody>,
) -> Result<Json<EndedView>, Problem> {
    let dry_run = body.dry_run.unwrap_or(false);
    let (found, unknown) = match (&body.subject, &body.ids) {
        (Some(name), None) => (of_subject(&state, name, body.provider.as_deref())?, Vec::new()),
        (None, Some(ids)) if body.provider.is_none() => named(&state, ids),
        _ => {
            let detail = "give `subject`, with `provider` if need be, or `ids`, and not both";
            return Err(Problem::new(Code::BadField, detail));
        }
    };
    let now = state.engine().clock().now();
    let (over, live): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|session| end_by(session, now).is_some());
    if dry_run {
        let ended = live.iter().map(|session| EndedSession::of(&state, session)).collect();
        let already_ended = over.iter().map(|session| EndedSession::of(&state, session)).collect();
        return Ok(Json(EndedView { dry_run, ended, already_ended, unknown }));
    }
    let cause = cause(body.cause.as_deref(), body.ticket.as_deref());
    let orders = end_all(&state, &by.caller, &live, cause.as_deref());
    on_record(over.iter().chain(&live)).await?;
    let view = |session: &Arc<Session>| EndedSession::of(&state, session);
    let already_ended = over.iter().chain(&orders.too_late).map(view).collect();
    Ok(Json(EndedView { dry_run, ended: orders.ended.iter().map(view).collect(), already_ended, unknown }))
}

/// What became of orders to end.
#[derive(Default)]
struct Orders {
    ended: Vec<Arc<Session>>,
    /// Something else ended these in between.
    too_late: Vec<Arc<Session>>,
}

fn end_all(state: &ApiState, caller: &Caller, sessions: &[Arc<Session>], cause: Option<&str>) -> Orders {
    let mut orders = Orders::default();
    let by = caller.provider();
    for session in sessions {
        let order = EndOrder { reason: EndReason::Revoked, by: &by, cause };
        if state.engine().end(session, order).is_some() {
            tracing::info!(session = %session.facts.id, key = %caller.name, "a session was ended by the API");
            orders.ended.push(Arc::clone(session));
        } else {
            orders.too_late.push(Arc::clone(session));
        }
    }
    orders
}

/// Waits until every one of these ends is on disk.
async fn on_record(sessions: impl Iterator<Item = &Arc<Session>>) -> Result<(), Problem> {
    let waiting = async {
        for session in sessions {
            if let Some(end) = session.end() {
                Refusal { session: Arc::clone(session), end }.told().await;
            }
        }
    };
    tokio::time::timeout(DISK_WAIT, waiting).await.map_err(|_| {
        let detail =
            "the sessions are over as of now; the record waits for the disk, and a crash before that could lose it";
        Problem::new(Code::NotDurableYet, detail)
    })
}

/// What goes on the record beside the reason.
pub(super) fn cause(cause: Option<&str>, ticket: Option<&str>) -> Option<String> {
    match (cause, ticket) {
        (Some(cause), Some(ticket)) => Some(format!("{cause} (ticket {ticket})")),
        (Some(cause), None) => Some(cause.to_owned()),
        (None, Some(ticket)) => Some(format!("ticket {ticket}")),
        (None, None) => None,
    }
}

/// Every session of the one subject of this name.
fn of_subject(state: &ApiState, name: &str, provider: Option<&str>) -> Result<Vec<Arc<Session>>, Problem> {
    let mut found = Vec::new();
    let mut after: Option<SessionId> = None;
    loop {
        let page = state.engine().sessions(after, 1_000);
        let Some(last) = page.last() else { break };
        after = Some(last.facts.id);
        let wanted = |session: &Arc<Session>| {
            let subject = &session.facts.who.subject;
            subject.name == name && provider.is_none_or(|provider| subject.provider == provider)
        };
        found.extend(page.into_iter().filter(wanted));
    }
    let providers: BTreeSet<&str> =
        found.iter().map(|session| session.facts.who.subject.provider.as_str()).collect();
    if providers.len() > 1 {
        let names: Vec<&str> = providers.into_iter().collect();
        let detail = format!("send `provider` too, one of `{}`; nothing was ended", names.join("`, `"));
        return Err(Problem::new(Code::AmbiguousSubject, detail));
    }
    Ok(found)
}

/// The sessions of these names, and the names that are none.
fn named(state: &ApiState, ids: &[String]) -> (Vec<Arc<Session>>, Vec<String>) {
    let ids: BTreeSet<&String> = ids.iter().collect();
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        match state.engine().session_named(id) {
            Some(session) => found.push(session),
            None => unknown.push(id.clone()),
        }
    }
    (found, unknown)
}

impl EndedSession {
    fn of(state: &ApiState, session: &Session) -> EndedSession {
        let SessionView { id, subject, provider, end, .. } = SessionView::of(state.engine(), session);
        EndedSession { id, subject, provider, end }
    }
}
