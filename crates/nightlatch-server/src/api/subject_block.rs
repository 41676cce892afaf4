//! Blocking subjects: `PUT`, `GET` and `DELETE /v1/subjects/{subject}/block`, and `GET /v1/blocks`.
//!
//! A block takes effect at once on every channel, and is answered when it and every end that it brought are on disk. It stands until
//! somebody lifts it. A name alone is enough where one provider has a subject of this name; whoever blocks somebody who has never been here
//! says whose the name is.

use super::{
    ApiState, DISK_WAIT,
    body::{Asked, Form, Holds, Named, Parameters, Sent},
    key::{By, Operator, Watcher},
    problem::{Code, Problem, ProblemBody},
    session_end::cause,
};
use crate::words::instant;
use axum::{Json, extract::State};
use nightlatch_core::{EndReason, Subject};
use nightlatch_engine::{Block, BlockOrder, Engine};
use nightlatch_store::Pseudonym;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a subject is blocked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockBody {
    /// Whose subject it is; needed where no provider, or more than one, has a subject of this name.
    #[schema(example = "key:trading-backend")]
    provider: Option<String>,
    /// What is behind it, for the record. No names of people: the record is kept for years.
    #[schema(example = "credentials seen in a phishing kit")]
    cause: Option<String>,
    /// The ticket that asks for it, for the record.
    #[schema(example = "INC-5512")]
    ticket: Option<String>,
}

impl Form for BlockBody {
    const FIELDS: &'static [(&'static str, Holds)] =
        &[("provider", Holds::Text), ("cause", Holds::LongText), ("ticket", Holds::Text)];
}

/// What may be asked along with `DELETE`.
pub(crate) struct LiftQuery;

impl Parameters for LiftQuery {
    const NAMES: &'static [&'static str] = &["provider", "cause", "ticket"];
}

/// What may be asked along with `GET`.
pub(crate) struct ShowQuery;

impl Parameters for ShowQuery {
    const NAMES: &'static [&'static str] = &["provider"];
}

/// A page of a list.
pub(crate) struct PageQuery;

impl Parameters for PageQuery {
    const NAMES: &'static [&'static str] = &["after", "limit"];
}

/// A block that stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct BlockView {
    /// The subject's name. None if it was erased.
    subject: Option<String>,
    /// Who vouches for the name.
    provider: Option<String>,
    /// The subject's name in the ledger.
    pseudonym: String,
    /// Since when.
    at: String,
    /// Who ordered it.
    by: String,
    /// What is behind it, where somebody said.
    cause: Option<String>,
    /// Its entry in the ledger.
    #[schema(example = "n4f2a1c07:918204")]
    entry: String,
}

/// A subject that was blocked.
#[derive(Serialize, ToSchema)]
pub(crate) struct BlockedView {
    /// The block. One that stood before stays as it was.
    #[serde(flatten)]
    block: BlockView,
    /// The sessions that it ended, as far as they are still known.
    ended: Vec<String>,
}

/// A block that was lifted.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiftedView {
    /// The subject's name.
    subject: String,
    /// Who vouches for it.
    provider: String,
    /// The entry that lifts the block.
    #[schema(example = "n4f2a1c07:918311")]
    entry: String,
}

/// A page of blocks.
#[derive(Serialize, ToSchema)]
pub(crate) struct BlockPage {
    /// The blocks, in the order of pseudonyms.
    blocks: Vec<BlockView>,
    /// Send this as `after` for the next page. None if there is nothing more.
    next: Option<String>,
}

/// Blocks a subject and ends its sessions.
#[utoipa::path(
    put, path = "/v1/subjects/{subject}/block", tag = "subjects", operation_id = "blockSubject",
    description = "Role `operator`. No new session starts, all present ones end with reason `blocked`. Answers when that is on disk.",
    request_body = BlockBody, security(("api_key" = [])),
    params(("subject" = String, Path, description = "The subject's name.")),
    responses(
        (status = 200, description = "It is blocked, its sessions are over, and that is on the record.", body = BlockedView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "It is blocked, and that is not on disk yet; or it could not be blocked.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn block(
    State(state): State<ApiState>,
    by: By<Operator>,
    Named(name): Named,
    Sent(body): Sent<BlockBody>,
) -> Result<Json<BlockedView>, Problem> {
    let subject = subject(state.engine(), &name, body.provider.as_deref())?;
    let cause = cause(body.cause.as_deref(), body.ticket.as_deref());
    let (key, of) = (by.caller.provider(), subject.clone());
    let blocking = state.on_disk(move |state| {
        let order = BlockOrder { by: &key, cause: cause.as_deref() };
        state.engine().block(&of, order)
    });
    // A disk that hangs may keep the name of somebody new for ever; the caller is not kept.
    let blocked = within(blocking).await??;
    let block = blocked.map_err(|error| {
        tracing::error!(%error, "a subject could not be blocked");
        Problem::new(
            Code::NotRecording,
            "the subject is new here and could not be remembered; it is not blocked",
        )
    })?;
    within(state.engine().blocked(&subject, &block)).await?;
    tracing::info!(subject = block.pseudonym, key = %by.caller.name, "a subject is blocked");
    let ended = state.engine().sessions_of(&subject).into_iter().filter(|session| {
        session.end().is_some_and(|end| end.reason == EndReason::Blocked && end.at >= block.at)
    });
    let ended = ended.map(|session| session.facts.id.to_string()).collect();
    Ok(Json(BlockedView { block: BlockView::of(state.engine(), &block), ended }))
}

/// Shows whether a subject is blocked.
#[utoipa::path(
    get, path = "/v1/subjects/{subject}/block", tag = "subjects", operation_id = "showBlock",
    description = "Roles `operator` and `auditor`.", security(("api_key" = [])),
    params(
        ("subject" = String, Path, description = "The subject's name."),
        ("provider" = Option<String>, Query, description = "Whose subject it is, where several providers have one of this name."),
    ),
    responses(
        (status = 200, description = "It is blocked.", body = BlockView),
        (status = "4XX", description = "404: it is not. See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(state): State<ApiState>,
    _: By<Watcher>,
    Named(name): Named,
    query: Asked<ShowQuery>,
) -> Result<Json<BlockView>, Problem> {
    let subject = subject(state.engine(), &name, query.text("provider"))?;
    let block = state.engine().block_of(&subject).ok_or_else(not_blocked)?;
    Ok(Json(BlockView::of(state.engine(), &block)))
}

/// Lifts a block.
#[utoipa::path(
    delete, path = "/v1/subjects/{subject}/block", tag = "subjects", operation_id = "unblockSubject",
    description = "Role `operator`. The subject may start sessions again; those that ended stay ended. Answers when it is on disk.",
    security(("api_key" = [])),
    params(
        ("subject" = String, Path, description = "The subject's name."),
        ("provider" = Option<String>, Query, description = "Whose subject it is, where several providers have one of this name."),
        ("cause" = Option<String>, Query, description = "What is behind it, for the record."),
        ("ticket" = Option<String>, Query, description = "The ticket that asks for it, for the record."),
    ),
    responses(
        (status = 200, description = "It is lifted, and that is on the record.", body = LiftedView),
        (status = "4XX", description = "404: it is not blocked. See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "It is lifted, and that is not on disk yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn unblock(
    State(state): State<ApiState>,
    by: By<Operator>,
    Named(name): Named,
    query: Asked<LiftQuery>,
) -> Result<Json<LiftedView>, Problem> {
    let subject = subject(state.engine(), &name, query.text("provider"))?;
    let cause = cause(query.text("cause"), query.text("ticket"));
    let order = BlockOrder { by: &by.caller.provider(), cause: cause.as_deref() };
    let index = state.engine().unblock(&subject, order).ok_or_else(not_blocked)?;
    within(state.engine().durable(index)).await?;
    tracing::info!(entry = index, key = %by.caller.name, "a block is lifted");
    let entry = super::record::name(state.engine().node(), index);
    Ok(Json(LiftedView { subject: subject.name, provider: subject.provider, entry }))
}

/// Lists the blocks that stand.
#[utoipa::path(
    get, path = "/v1/blocks", tag = "subjects", operation_id = "listBlocks",
    description = "Roles `operator` and `auditor`.", security(("api_key" = [])),
    params(
        ("after" = Option<String>, Query, description = "The `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "How many at most: 1 to 1000, 100 if not said."),
    ),
    responses(
        (status = 200, description = "A page.", body = BlockPage),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: By<Watcher>,
    query: Asked<PageQuery>,
) -> Result<Json<BlockPage>, Problem> {
    let limit = query.limit(100, 1_000)?;
    let after = query.text("after").map(str::parse::<Pseudonym>).transpose();
    let after =
        after.map_err(|_| Problem::new(Code::BadQuery, "`after` is the `next` of the page before"))?;
    let page = state.engine().blocks_after(after, limit);
    let next = page.last().filter(|_| page.len() == limit).map(|last| last.pseudonym.clone());
    let blocks = page.iter().map(|block| BlockView::of(state.engine(), block)).collect();
    Ok(Json(BlockPage { blocks, next }))
}

/// Whose name it is: the provider that is given, or the only one that has a subject of this name.
fn subject(engine: &Engine, name: &str, provider: Option<&str>) -> Result<Subject, Problem> {
    let of = |provider: &str| Subject { provider: provider.to_owned(), name: name.to_owned() };
    if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
        let detail = "the subject in the path is a text of 1 to 256 bytes without control characters";
        return Err(Problem::new(Code::BadQuery, detail));
    }
    if let Some(provider) = provider {
        return Ok(of(provider));
    }
    match engine.people().providers_of(name).as_slice() {
        [only] => Ok(of(only)),
        [] => {
            let detail = "no subject of this name was ever here; send `provider` too, such as `key:NAME`";
            Err(Problem::new(Code::NotFound, detail))
        }
        several => {
            let detail = format!("send `provider` too, one of `{}`; nothing was done", several.join("`, `"));
            Err(Problem::new(Code::AmbiguousSubject, detail))
        }
    }
}

fn not_blocked() -> Problem {
    Problem::new(Code::NotFound, "this subject is not blocked")
}

/// Waits for the disk, but not for ever.
async fn within<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(DISK_WAIT, work).await.map_err(|_| {
        let detail = "the record waits for the disk, and a crash before that could lose it; ask again later";
        Problem::new(Code::NotDurableYet, detail)
    })
}

impl BlockView {
    fn of(engine: &Engine, block: &Block) -> BlockView {
        let person = block.pseudonym.parse().ok().and_then(|name| engine.people().person(&name));
        BlockView {
            subject: person.as_ref().map(|person| person.name.to_string()),
            provider: person.as_ref().map(|person| person.provider.to_string()),
            pseudonym: block.pseudonym.clone(),
            at: instant(block.at),
            by: block.by.clone(),
            cause: block.cause.clone(),
            entry: super::record::name(engine.node(), block.entry),
        }
    }
}
