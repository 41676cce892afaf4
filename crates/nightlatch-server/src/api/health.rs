//! Whether to send traffic here, and the numbers for those who watch.
//!
//! The three questions are apart, because their answers differ when it matters. With a disk that refuses, the program lives and goes on
//! enforcing, since every end that follows from the numbers needs no disk; what it cannot do is start a session. A balancer that
//! took it out for that would end the enforcement of all sessions it has.
//!
//! All of it is open to whoever reaches the listener: probes have no keys, and nobody is named.

use super::ApiState;
use crate::metrics;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
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
}

/// Whether the program runs.
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "live", description = "Needs no key.",
    responses((status = 200, description = "It runs.", body = HealthView))
)]
pub(crate) async fn live() -> Response {
    answer(None)
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
    answer(if *state.stopping().borrow() {
        Some("stopping: no new sessions here")
    } else if !state.engine().health().recording {
        Some(
            "the ledger cannot be written: no session starts; running sessions are enforced; see the disk of the data directory",
        )
    } else {
        None
    })
}

/// Whether running sessions are enforced: keep sending traffic.
#[utoipa::path(
    get, path = "/readyz/enforcing", tag = "health", operation_id = "enforcing", description = "Needs no key.",
    responses(
        (status = 200, description = "Keep sending traffic.", body = HealthView),
        (status = 503, description = "The program is about to stop.", body = HealthView),
    )
)]
pub(crate) async fn enforcing(State(state): State<ApiState>) -> Response {
    answer(state.stopping().borrow().then_some("stopping: send traffic elsewhere"))
}

fn answer(wrong: Option<&'static str>) -> Response {
    let status = if wrong.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthView { ok: wrong.is_none(), detail: wrong })).into_response()
}

/// The numbers.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    description = "Needs no key. OpenMetrics text; see `docs/reference/metrics.md`.",
    responses((status = 200, description = "The numbers.", content_type = "application/openmetrics-text", body = String))
)]
pub(crate) async fn metrics(State(state): State<ApiState>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(state.engine())).into_response()
}
