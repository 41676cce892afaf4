//! `GET /v1/sessions`: the sessions that are known, live and lately ended, in the order of their ids.
//!
//! A page is cut by how many sessions it shows and by how many it looked at, so that one request cannot hold the table for long
//! however few match. So a page may be short, or even empty, and have more after it: go on for as long as `next` is there.

use super::{
    ApiState,
    body::{Asked, Parameters},
    key::{By, Watcher},
    problem::{Code, Problem, ProblemBody},
    view::SessionView,
};
use axum::{Json, extract::State};
use nightlatch_core::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

/// A request looks at no more sessions than this.
const LOOKED_AT_MOST: usize = 10_000;

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionPage {
    /// The sessions.
    sessions: Vec<SessionView>,
    /// Send this as `after` for the next page. None if there is nothing more.
    next: Option<String>,
}

/// What may be asked for.
pub(crate) struct ListQuery;

impl Parameters for ListQuery {
    const NAMES: &'static [&'static str] = &["subject", "provider", "state", "after", "limit"];
}

/// Lists sessions.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions", operation_id = "listSessions",
    description = "Roles `operator` and `auditor`. A page may be short and still have a `next`.",
    security(("api_key" = [])),
    params(
        ("subject" = Option<String>, Query, description = "Only sessions of subjects of this name."),
        ("provider" = Option<String>, Query, description = "Only sessions of subjects of this provider."),
        ("state" = Option<String>, Query, description = "`live` or `ended`; both, if not said."),
        ("after" = Option<String>, Query, description = "The `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "How many at most: 1 to 1000, 100 if not said."),
    ),
    responses(
        (status = 200, description = "A page.", body = SessionPage),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: By<Watcher>,
    query: Asked<ListQuery>,
) -> Result<Json<SessionPage>, Problem> {
    let limit = query.limit(100, 1_000)?;
    let wanted = match query.text("state") {
        None => None,
        Some("live") => Some("live"),
        Some("ended") => Some("ended"),
        Some(_) => return Err(Problem::new(Code::BadQuery, "`state` is `live` or `ended`")),
    };
    let after = query.text("after").map(str::parse::<SessionId>).transpose();
    let mut after =
        after.map_err(|_| Problem::new(Code::BadQuery, "`after` is the `next` of the page before"))?;

    let mut sessions = Vec::new();
    for _ in 0..LOOKED_AT_MOST / 1_000 {
        let page = state.engine().sessions(after, 1_000);
        let full = page.len() == 1_000;
        for session in page {
            after = Some(session.facts.id);
            let subject = &session.facts.who.subject;
            let named = query.text("subject").is_none_or(|name| subject.name == name)
                && query.text("provider").is_none_or(|provider| subject.provider == provider);
            if !named {
                continue;
            }
            let view = SessionView::of(state.engine(), &session);
            if wanted.is_none_or(|wanted| view.state == wanted) {
                sessions.push(view);
            }
            if sessions.len() == limit {
                return Ok(Json(SessionPage { sessions, next: after.map(|id| id.to_string()) }));
            }
        }
        if !full {
            return Ok(Json(SessionPage { sessions, next: None }));
        }
    }
    Ok(Json(SessionPage { sessions, next: after.map(|id| id.to_string()) }))
}
