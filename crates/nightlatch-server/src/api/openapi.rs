//! The description of the API, made from the handlers themselves.

use super::{
    check, events, health, ledger, policy, problem, record, session_end, session_list, session_show,
    session_start, session_step_up, subject_block, view,
};
use axum::{http::header, response::IntoResponse};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// Everything there is to say about the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nightlatch",
        description = "The API on the admin listener. Send `Authorization: Bearer` and the secret of an API key; the key's role decides \
            which routes it may use. Health, metrics and this description need no key. Instants are RFC 3339 in UTC; lengths of \
            time are milliseconds and end in `_ms`. Unknown fields and parameters are refused. Every refusal is \
            `application/problem+json`. Requests must be addressed to `localhost`, a loopback address or the address of the listener.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "http://127.0.0.1:8081", description = "The default of `listen.admin`.")),
    paths(
        session_start::start,
        session_list::list,
        session_end::end_many,
        session_show::show,
        session_end::end_one,
        session_step_up::step_up,
        subject_block::block,
        subject_block::show,
        subject_block::unblock,
        subject_block::list,
        check::check,
        events::events,
        policy::policy,
        ledger::entries,
        ledger::entry,
        ledger::checkpoint,
        ledger::key,
        ledger::inclusion,
        ledger::consistency,
        health::live,
        health::ready,
        health::enforcing,
        health::metrics,
        openapi,
    ),
    components(schemas(
        session_start::StartBody, session_start::StartedView, session_list::SessionPage, session_end::EndBody,
        session_step_up::StepUpBody, session_step_up::SteppedUpView, session_end::EndedView, session_end::EndedSession, view::SessionView, view::LimitsView, view::AuthenticationView, view::DeadlineView,
        view::EndView, subject_block::BlockBody, subject_block::BlockView, subject_block::BlockedView,
        subject_block::LiftedView, subject_block::BlockPage, check::CheckBody, check::CheckView, policy::PolicyView, ledger::EntryPage, record::EntryView,
        ledger::InclusionView, ledger::ConsistencyView, health::HealthView, health::FaultView, problem::ProblemBody,
    )),
    tags(
        (name = "sessions", description = "Start, look at and end sessions."),
        (name = "subjects", description = "Block subjects, and lift that."),
        (name = "check", description = "Ask whether a credential may go on."),
        (name = "policy", description = "What is in force."),
        (name = "ledger", description = "The record, and what is needed to check it."),
        (name = "health", description = "Whether to send traffic here."),
    ),
    modifiers(&ApiKeyScheme)
)]
struct Description;

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("api_key", scheme);
    }
}

/// The description as JSON, with a line feed at its end.
pub(crate) fn document() -> String {
    // Made of texts and numbers alone: it can be written as JSON.
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Describes the API.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", operation_id = "openapi", description = "Needs no key.",
    responses((status = 200, description = "This description.", content_type = "application/json", body = Object))
)]
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}
