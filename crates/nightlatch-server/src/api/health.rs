//! Whether to send traffic here, and the numbers for those who watch.
//!
//! The three questions are apart, because their answers differ when it matters. With a disk that refuses, the program lives and goes on
//! enforcing, since every end that follows from the numbers needs no disk; what it cannot do is start a session. A balancer that
//! took it out for that would end the enforcement of all sessions it has. What turns `enforcing` red is decided in the engine (`health`).
//!
//! All of it is open to whoever reaches the listener: probes have no keys, and nobody is named.

use super::ApiState;
use crate::{metrics, words::instant};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use nightlatch_engine::{Fault, Stops};
use serde::Serialize;
use utoipa::ToSchema;

/// How the program is.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// The answer; the status says the same.
    ok: bool,
    /// What is wrong, and what it means. None if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    /// Everything that is wrong, whether or not it is what was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<FaultView>,
}

/// One thing that is wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct FaultView {
    /// With what; the same word as in metrics and log.
    #[schema(example = "ledger")]
    part: &'static str,
    /// In words.
    means: &'static str,
    /// Since when, by the gateway's clock.
    since: String,
    /// What it stops: `nothing`, `new_sessions` or `enforcing`.
    stops: &'static str,
    /// The page of `docs/runbooks/` that says what to do.
    runbook: &'static str,
}

impl FaultView {
    fn of(fault: &Fault) -> FaultView {
        FaultView {
            part: fault.part.code(),
            means: fault.part.means(),
            since: instant(fault.since),
            stops: match fault.part.stops() {
                Stops::Nothing => "nothing",
                Stops::NewSessions => "new_sessions",
                Stops::Enforcing => "enforcing",
            },
            runbook: fault.part.runbook(),
        }
    }
}

/// Whether the program runs.
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "live", description = "Needs no key.",
    responses((status = 200, description = "It runs.", body = HealthView))
)]
pub(crate) async fn live() -> Response {
    answer(None, &[])
}

/// Whether new sessions can start.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "ready", description = "Needs no key.",
    responses(
        (status = 200, description = "New sessions can start.", body = HealthView),
        (status = 503, description = "They cannot; running ones are enforced all the same.", body = HealthView),
    )
)]
pub(crate) async fn ready(State(state): State<ApiState>) -> Response {
    let health = state.engine().health();
    let wrong = if state.draining() {
        Some("stopping: no new sessions here")
    } else if !health.enforcing {
        Some("blind: no session starts, and what is open may be cut late; see `faults`")
    } else if !health.recording {
        Some(
            "no session starts; running sessions are enforced; see `faults`, and the disk of the data directory",
        )
    } else {
        None
    };
    answer(wrong, &health.faults)
}

/// Whether running sessions are enforced: keep sending traffic.
#[utoipa::path(
    get, path = "/readyz/enforcing", tag = "health", operation_id = "enforcing", description = "Needs no key.",
    responses(
        (status = 200, description = "Keep sending traffic. A disk that refuses does not change that.", body = HealthView),
        (status = 503, description = "The program is about to stop, or it is blind: what is open may be cut late.", body = HealthView),
    )
)]
pub(crate) async fn enforcing(State(state): State<ApiState>) -> Response {
    let health = state.engine().health();
    let wrong = if *state.stopping().borrow() {
        Some("stopping: send traffic elsewhere")
    } else if !health.enforcing {
        Some("blind: what is open may be cut late; send traffic elsewhere and see `faults`")
    } else {
        None
    };
    answer(wrong, &health.faults)
}

fn answer(wrong: Option<&'static str>, faults: &[Fault]) -> Response {
    let status = if wrong.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let faults = faults.iter().map(FaultView::of).collect();
    (status, Json(HealthView { ok: wrong.is_none(), detail: wrong, faults })).into_response()
}

/// The numbers.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    description = "Needs no key. OpenMetrics text; see `docs/reference/metrics.md`.",
    responses((status = 200, description = "The numbers.", content_type = "application/openmetrics-text", body = String))
)]
pub(crate) async fn metrics(State(state): State<ApiState>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(state.engine(), state.gateway()))
        .into_response()
}
