//! `POST /v1/sessions/{id}/authentications`: a program of the firm has had the subject of a session authenticate again.
//!
//! The session gets that authentication and a new credential, and nothing else of it changes: no limit moves, and it is no activity. The key
//! vouches for the subject as at a start, so only sessions that it has started itself are known to it here: a key that could add a
//! credential to somebody else's session could take it over.

use super::{
    ApiState, DISK_WAIT,
    body::{Form, Holds, Named, Sent},
    key::{By, Issuer},
    problem::{Code, Problem, ProblemBody},
    session_start::{instant_of, not_recording},
};
use axum::{Json, extract::State, http::StatusCode};
use nightlatch_engine::{StepUp, StepUpError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An authentication to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUpBody {
    /// How the subject authenticated, in the provider's words.
    acr: Option<String>,
    /// The methods of authentication (RFC 8176). Checked for form; this version keeps only `acr`.
    #[serde(rename = "amr")]
    _amr: Option<Vec<String>>,
    /// When the subject authenticated, as RFC 3339 with an offset; now, if not said. More than 5 s ahead of this clock is refused.
    #[schema(example = "2026-11-21T22:05:59Z")]
    authenticated_at: Option<String>,
}

impl Form for StepUpBody {
    const FIELDS: &'static [(&'static str, Holds)] =
        &[("acr", Holds::Text), ("amr", Holds::Texts), ("authenticated_at", Holds::Text)];
}

/// What a session got.
#[derive(Serialize, ToSchema)]
pub(crate) struct SteppedUpView {
    /// Its new credential: 256 random bits behind `nlt_`. Told this once and kept nowhere; hand it to the client in place of the one that it
    /// has. That one stays good until this is first presented, and for 30 s after that.
    token: String,
}

/// Adds an authentication to a session.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/authentications", tag = "sessions", operation_id = "addAuthentication",
    description = "Role `issuer`, for sessions that this key has started. Answers when it is on disk. Moves no limit.",
    request_body = StepUpBody, security(("api_key" = [])),
    params(("id" = String, Path, description = "The session's public name.")),
    responses(
        (status = 201, description = "It is added and on the record.", body = SteppedUpView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nothing can be recorded right now.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn step_up(
    State(state): State<ApiState>,
    by: By<Issuer>,
    Named(name): Named,
    Sent(body): Sent<StepUpBody>,
) -> Result<(StatusCode, Json<SteppedUpView>), Problem> {
    let provider = by.caller.provider();
    let session = state.engine().session_named(&name);
    let session = session.filter(|session| session.facts.who.subject.provider == provider);
    let session = session.ok_or_else(Problem::no_such_session)?;
    let authenticated =
        body.authenticated_at.map(|text| instant_of("authenticated_at", &text)).transpose()?;
    let step_up = StepUp { acr: body.acr, authenticated, cause: "api" };
    let added = state.engine().add_authentication(&session, step_up);
    let added = added.map_err(|error| refused(&state, &error))?;
    let known = tokio::time::timeout(DISK_WAIT, added.known(state.engine())).await;
    let token = known.map_err(|_| {
        Problem::new(
            Code::NotRecording,
            "the disk took too long; nobody holds the new credential, and the one before it stays good",
        )
    })?;
    tracing::info!(session = %session.facts.id, key = %by.caller.name, "an authentication was added by the API");
    Ok((StatusCode::CREATED, Json(SteppedUpView { token: token.reveal().to_owned() })))
}

fn refused(state: &ApiState, error: &StepUpError) -> Problem {
    let code = match error {
        StepUpError::AuthenticatedInTheFuture { .. } => Code::FutureAuthentication,
        StepUpError::Over(_) => Code::SessionOver,
        StepUpError::Lease => Code::Lease,
        StepUpError::TooMany => Code::TooManyAuthentications,
        StepUpError::NotRecording => return Problem::new(Code::NotRecording, not_recording(state)),
        StepUpError::Random(_) => {
            tracing::error!(%error, "no credential could be made");
            return Problem::new(Code::NotRecording, "no credential could be made; try again");
        }
    };
    Problem::new(code, error.to_string())
}
