//! `POST /v1/sessions`: a program of the firm has signed somebody in and starts a session for them.
//!
//! The key vouches for the name, so the subject lives in the key's own namespace (`key:NAME`): no key can start a session as a subject
//! of the identity provider, or of another key. Limits sent along can only be lower than the policy's. The answer comes when the
//! session's entry is on disk, and it is the only time that the credential is told.

use super::{
    ApiState, DISK_WAIT,
    body::{Form, Holds, Sent},
    key::{By, Issuer},
    problem::{Code, Problem, ProblemBody},
    view::{DeadlineView, LimitsView, SessionView},
};
use crate::words::{instant, read_instant, read_span};
use axum::{Json, extract::State, http::StatusCode};
use nightlatch_core::{Kind, SessionId, Subject, Time};
use nightlatch_engine::{Device, Start, StartError, Stops, Tighter};
use nightlatch_http::device::device_words;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};
use utoipa::ToSchema;

/// A session to be started.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartBody {
    /// The subject's name, as the calling program knows it.
    #[schema(example = "ada@desk.example", min_length = 1, max_length = 256)]
    subject: String,
    /// The subject's groups.
    groups: Option<Vec<String>>,
    /// The application it is for.
    app: Option<String>,
    /// `person` (the default), `service` or `agent`.
    #[schema(example = "person")]
    kind: Option<String>,
    /// How the subject authenticated, in the provider's words.
    acr: Option<String>,
    /// The methods of authentication (RFC 8176). Checked for form; this version keeps only `acr`.
    #[serde(rename = "amr")]
    _amr: Option<Vec<String>>,
    /// When the subject authenticated, as RFC 3339 with an offset; now, if not said. The absolute limit counts from here. More than
    /// 5 s ahead of this clock is refused.
    #[schema(example = "2026-11-21T22:05:59Z")]
    authenticated_at: Option<String>,
    /// An idle limit of its own, if lower than the policy's: `5m`, `1h30m`, `90s`.
    #[schema(example = "5m")]
    idle: Option<String>,
    /// An absolute limit of its own, from authentication, if lower than the policy's.
    #[schema(example = "8h")]
    absolute: Option<String>,
    /// The session of the same subject that this one continues after an end.
    continues: Option<String>,
    /// The address that the subject signed in from, for the page where people see where they are signed in.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// The `User-Agent` that the subject signed in with, at most 1000 bytes, for the same page. Only which browser and system it says is kept.
    user_agent: Option<String>,
}

impl Form for StartBody {
    const FIELDS: &'static [(&'static str, Holds)] = &[
        ("subject", Holds::Text),
        ("groups", Holds::Texts),
        ("app", Holds::Text),
        ("kind", Holds::Text),
        ("acr", Holds::Text),
        ("amr", Holds::Texts),
        ("authenticated_at", Holds::Text),
        ("idle", Holds::Text),
        ("absolute", Holds::Text),
        ("continues", Holds::Text),
        ("address", Holds::Text),
        ("user_agent", Holds::LongText),
    ];
}

/// A session that was started.
#[derive(Serialize, ToSchema)]
pub(crate) struct StartedView {
    /// Its public name.
    #[schema(example = "ses_30313233343536373839616263646566")]
    id: String,
    /// Its credential: 256 random bits behind `nlt_`. Told this once and kept nowhere; hand it to the client and forget it.
    token: String,
    /// Who vouches for the subject: this key.
    #[schema(example = "key:trading-backend")]
    provider: String,
    /// What limits it, and by which rule.
    limits: LimitsView,
    /// What would end it first, as things stand.
    deadline: Option<DeadlineView>,
}

/// Starts a session.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions", operation_id = "startSession",
    description = "Role `issuer`. Answers when the start is on disk.",
    request_body = StartBody, security(("api_key" = [])),
    responses(
        (status = 201, description = "It is started and on the record.", body = StartedView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nothing can be recorded right now.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn start(
    State(state): State<ApiState>,
    by: By<Issuer>,
    Sent(body): Sent<StartBody>,
) -> Result<(StatusCode, Json<StartedView>), Problem> {
    let provider = by.caller.provider();
    let device = device(&body)?;
    let order = order(&state, &provider, body)?;
    // A subject seen for the first time is written to disk, and its name must not be lost.
    let starting = state
        .on_disk(move |state| state.engine().start(order))
        .await?
        .map_err(|error| refused(&state, &error))?;
    let known = tokio::time::timeout(DISK_WAIT, starting.known(state.engine())).await;
    let (session, token) = known.map_err(|_| {
        Problem::new(
            Code::NotRecording,
            "the disk took too long; nobody holds the credential, so start the session again",
        )
    })?;
    if let Some(device) = device {
        let session = Arc::clone(&session);
        // Nothing hangs on it: the session has started, and its credential is not to be lost because of this.
        let _ = state.on_disk(move |state| state.engine().note_device(&session, &device)).await;
    }
    tracing::info!(session = %session.facts.id, key = %by.caller.name, "a session was started by the API");
    let view = SessionView::of(state.engine(), &session);
    let token = token.reveal().to_owned();
    let answer = StartedView { id: view.id, token, provider, limits: view.limits, deadline: view.deadline };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// From where the subject signed in, if that is said.
fn device(body: &StartBody) -> Result<Option<Device>, Problem> {
    let address = body.address.as_deref().map(|text| {
        let wanted = "`address` must be an IP address, such as `203.0.113.7` or `2001:db8::17`";
        text.parse::<IpAddr>().map_err(|_| Problem::new(Code::BadField, wanted))
    });
    let words = body.user_agent.as_deref().map(device_words);
    let said = address.is_some() || words.is_some();
    Ok(said.then_some(Device { address: address.transpose()?, words: words.unwrap_or_default() }))
}

fn order(state: &ApiState, provider: &str, body: StartBody) -> Result<Start, Problem> {
    let bad = |field: &str, wanted: &str| Problem::new(Code::BadField, format!("`{field}` must be {wanted}"));
    let span = |field: &str, text: Option<String>| {
        let wanted = "a length of time such as `15m`, `1h30m` or `90s`";
        text.map(|text| read_span(&text).ok_or_else(|| bad(field, wanted))).transpose()
    };
    let kind = body.kind.map(|kind| kind.parse::<Kind>()).transpose();
    let authenticated = body.authenticated_at.map(|text| instant_of("authenticated_at", &text));
    let subject = Subject { provider: provider.to_owned(), name: body.subject };
    Ok(Start {
        kind: kind.map_err(|()| bad("kind", "`person`, `service` or `agent`"))?.unwrap_or_default(),
        groups: body.groups.unwrap_or_default(),
        app: body.app,
        acr: body.acr,
        authenticated: authenticated.transpose()?,
        continues: body.continues.map(|text| continued(state, &subject, &text)).transpose()?,
        provider_session: None,
        parent: None,
        tighter: Tighter { idle: span("idle", body.idle)?, absolute: span("absolute", body.absolute)? },
        cause: "api",
        subject,
    })
}

/// What a field says that holds an instant.
pub(super) fn instant_of(field: &str, text: &str) -> Result<Time, Problem> {
    read_instant(text).ok_or_else(|| {
        let wanted = "an instant as RFC 3339 with its offset, such as `2026-11-21T22:05:59Z`";
        Problem::new(Code::BadField, format!("`{field}` must be {wanted}"))
    })
}

/// The session to be continued: one that is still known, and of the same subject. Others are told apart by nothing.
fn continued(state: &ApiState, subject: &Subject, text: &str) -> Result<SessionId, Problem> {
    let session = state.engine().session_named(text).filter(|session| session.facts.who.subject == *subject);
    session.map(|session| session.facts.id).ok_or_else(|| {
        Problem::new(Code::Continues, "give the id of a session of this subject that is still known, or none")
    })
}

fn refused(state: &ApiState, error: &StartError) -> Problem {
    let code = match error {
        StartError::AuthenticatedInTheFuture { .. } => Code::FutureAuthentication,
        StartError::AuthenticationTooOld => Code::OldAuthentication,
        StartError::ParentNotLive(_) => Code::NotFound,
        StartError::GroupsTooLarge(_) => Code::GroupsTooLarge,
        StartError::Blocked(_) => Code::SubjectBlocked,
        StartError::NotRecording => return Problem::new(Code::NotRecording, not_recording(state)),
        StartError::People(_) | StartError::Random(_) => {
            tracing::error!(%error, "a session could not be started");
            return Problem::new(
                Code::NotRecording,
                "the subject could not be remembered; no session was started",
            );
        }
    };
    Problem::new(code, error.to_string())
}

/// What is wrong, and since when.
pub(super) fn not_recording(state: &ApiState) -> String {
    let faults = state.engine().health().faults;
    let stops = faults.iter().find(|fault| fault.part.stops() != Stops::Nothing);
    stops.map_or_else(
        || StartError::NotRecording.to_string(),
        |fault| {
            format!("{}, since {}; running sessions are enforced", fault.part.means(), instant(fault.since))
        },
    )
}
