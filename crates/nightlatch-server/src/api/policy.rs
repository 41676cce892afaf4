//! `GET /v1/policy`: what is in force.

use super::{
    ApiState,
    key::{Anyone, By},
    problem::ProblemBody,
};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

/// The firm's limits, as every session starts with them.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyView {
    /// Counts up with every accepted change; entries name it.
    version: u32,
    /// The idle limit.
    idle_ms: u64,
    /// The absolute limit, from authentication.
    absolute_ms: u64,
    /// How long before the deadline people are warned.
    warning_ms: u64,
}

/// Shows the policy in force.
#[utoipa::path(
    get, path = "/v1/policy", tag = "policy", operation_id = "policy",
    description = "Any role.", security(("api_key" = [])),
    responses(
        (status = 200, description = "The policy.", body = PolicyView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn policy(State(state): State<ApiState>, _: By<Anyone>) -> Json<PolicyView> {
    let policy = state.engine().policy();
    Json(PolicyView {
        version: policy.version,
        idle_ms: policy.limits.idle().as_millis(),
        absolute_ms: policy.limits.absolute().as_millis(),
        warning_ms: policy.limits.warning().as_millis(),
    })
}
