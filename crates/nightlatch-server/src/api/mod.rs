//! The API on the admin listener: for the firm's own programs and people, never for browsers of users.
//!
//! Each route is a small file: what is sent, who may send it, what the engine is asked, what is answered. None of them decides anything
//! about a session; the engine does. The order a request passes through:
//!
//! 1. `host`: is it meant for this listener?
//! 2. `key`: who asks, and has the key the role that the route needs?
//! 3. `body`: is what was sent of the form asked for, to the last field?
//! 4. the handler: engine, ledger or index.
//! 5. `problem`: every refusal in one form. Every answer is marked `no-store`.
//!
//! Names of subjects are in answers to operators and auditors, and to a checker about the session it asked about. They are in no log,
//! no ledger entry and no event. Health, metrics and the description of the API need no key: they name nobody.

mod body;
mod check;
mod events;
mod health;
mod host;
mod key;
mod ledger;
mod openapi;
mod policy;
mod problem;
mod record;
mod session_end;
mod session_list;
mod session_show;
mod session_start;
mod session_step_up;
mod subject_block;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use host::CameInOn;
pub(crate) use key::ApiKeys;
pub(crate) use openapi::document as openapi_document;
pub(crate) use problem::reference_markdown as problems_markdown;
pub(crate) use record::Head;

use crate::index::Index;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post, put},
};
use nightlatch_engine::Engine;
use nightlatch_http::Gateway;
use problem::{Code, Problem};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, watch};

/// How long an answer waits for the disk before it says that it is still waiting.
const DISK_WAIT: Duration = Duration::from_secs(10);
/// How many event streams may be open at once.
const STREAMS_MOST: usize = 64;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct ApiState(Arc<Shared>);

struct Shared {
    engine: Arc<Engine>,
    gateway: Arc<Gateway>,
    keys: ApiKeys,
    index: Arc<Index>,
    draining: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
}

impl ApiState {
    /// The state of an API for this engine. `draining` turns true when the gateway takes no more, `stopping` when nothing is open
    /// on it any more and the program stops.
    pub(crate) fn new(
        engine: Arc<Engine>,
        gateway: Arc<Gateway>,
        keys: ApiKeys,
        index: Arc<Index>,
        draining: watch::Receiver<bool>,
        stopping: watch::Receiver<bool>,
    ) -> ApiState {
        let streams = Arc::new(Semaphore::new(STREAMS_MOST));
        ApiState(Arc::new(Shared { engine, gateway, keys, index, draining, stopping, streams }))
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    fn gateway(&self) -> &Arc<Gateway> {
        &self.0.gateway
    }

    fn keys(&self) -> &ApiKeys {
        &self.0.keys
    }

    fn index(&self) -> &Arc<Index> {
        &self.0.index
    }

    /// Whether the gateway takes no more.
    fn draining(&self) -> bool {
        *self.0.draining.borrow()
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.clone()
    }

    fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    /// Runs what may touch the disk where that is allowed.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ApiState) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let state = self.clone();
        tokio::task::spawn_blocking(move || work(&state)).await.map_err(|error| {
            tracing::error!(%error, "a request of the API came to no answer");
            Problem::internal()
        })
    }
}

/// Every route of the admin listener.
pub(crate) fn router(state: ApiState) -> Router {
    Router::new()
        .route("/v1/sessions", post(session_start::start).get(session_list::list))
        .route("/v1/sessions/end", post(session_end::end_many))
        .route("/v1/sessions/{id}", get(session_show::show).delete(session_end::end_one))
        .route("/v1/sessions/{id}/authentications", post(session_step_up::step_up))
        .route(
            "/v1/subjects/{subject}/block",
            put(subject_block::block).get(subject_block::show).delete(subject_block::unblock),
        )
        .route("/v1/blocks", get(subject_block::list))
        .route("/v1/check", post(check::check))
        .route("/v1/events", get(events::events))
        .route("/v1/policy", get(policy::policy))
        .route("/v1/ledger/entries", get(ledger::entries))
        .route("/v1/ledger/entries/{index}", get(ledger::entry))
        .route("/v1/ledger/checkpoint", get(ledger::checkpoint))
        .route("/v1/ledger/key", get(ledger::key))
        .route("/v1/ledger/proof/inclusion", get(ledger::inclusion))
        .route("/v1/ledger/proof/consistency", get(ledger::consistency))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/readyz/enforcing", get(health::enforcing))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MOST))
        .layer(middleware::from_fn(host::check))
        .layer(middleware::from_fn(mark))
        .with_state(state)
}

async fn no_such_path() -> Problem {
    Problem::new(Code::NotFound, "no route has this path; `/openapi.json` lists them")
}

async fn wrong_method() -> Problem {
    Problem::new(Code::WrongMethod, "`/openapi.json` lists the methods of each path")
}

/// Marks every answer: not to be kept by anybody on the way, and to be taken for nothing but what it says it is.
async fn mark(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
