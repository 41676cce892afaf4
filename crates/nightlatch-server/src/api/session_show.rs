//! `GET /v1/sessions/{id}`: one session, from the engine while it is known there, and after that from its entries.
//!
//! An id that is no id is answered like one that nobody has: an answer does not tell the two apart.

use super::{
    ApiState,
    body::Named,
    key::{By, Watcher},
    ledger::read_entry,
    problem::{Code, Problem, ProblemBody},
    view::{EndView, SessionView},
};
use axum::{Json, extract::State};
use nightlatch_core::SessionId;
use nightlatch_engine::{Entry, SessionEnded, SessionStarted};

/// Shows one session.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", tag = "sessions", operation_id = "showSession",
    description = "Roles `operator` and `auditor`. A session that ended long ago is shown from the ledger.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "Its public name.")),
    responses(
        (status = 200, description = "The session.", body = SessionView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The index cannot be asked right now.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(state): State<ApiState>,
    _: By<Watcher>,
    Named(name): Named,
) -> Result<Json<SessionView>, Problem> {
    let id: SessionId = name.parse().map_err(|_| Problem::no_such_session())?;
    state
        .on_disk(move |state| from_engine(state, id).map_or_else(|| from_entries(state, id), Ok))
        .await?
        .map(Json)
}

fn from_engine(state: &ApiState, id: SessionId) -> Option<SessionView> {
    let session = state.engine().session(id)?;
    let mut view = SessionView::of(state.engine(), &session);
    // Who ended it and what for is on the record only. If the index cannot say it, the rest is true without.
    if view.end.is_some()
        && let Ok(Told { end: Some(end), .. }) = told(state, id)
    {
        view.end = Some(EndView::of_entry(&end));
    }
    Some(view)
}

fn from_entries(state: &ApiState, id: SessionId) -> Result<SessionView, Problem> {
    let told = told(state, id)?;
    let start = told.start.ok_or_else(Problem::no_such_session)?;
    Ok(SessionView::of_entries(state.engine(), &start, told.end.as_ref()))
}

/// What the ledger tells of a session.
#[derive(Default)]
struct Told {
    start: Option<SessionStarted>,
    end: Option<SessionEnded>,
}

fn told(state: &ApiState, id: SessionId) -> Result<Told, Problem> {
    let unavailable =
        |_| Problem::new(Code::IndexUnavailable, "ask again; the index is made anew from the ledger");
    let indexes =
        state.index().start_and_end_of(state.engine().ledger(), &id.to_string()).map_err(unavailable)?;
    let mut told = Told::default();
    for index in indexes {
        match Entry::from_bytes(&read_entry(state, index)?.payload) {
            Ok(Entry::SessionStarted(start)) => told.start = Some(*start),
            Ok(Entry::SessionEnded(end)) => told.end = Some(end),
            _ => {}
        }
    }
    Ok(told)
}
