//! `GET /v1/ledger/*`: the record, with what is needed to check it.
//!
//! Reading is for auditors. Everything handed out here can be verified elsewhere, with the ledger's public key and hashing alone; the
//! answer's own word is not needed. `?session=` and `?what=` go through the index, which finds entries but is not where they are read.

use super::{
    ApiState,
    body::{Asked, Named, Parameters},
    key::{Auditor, By},
    problem::{Code, Problem, ProblemBody},
    record::EntryView,
};
use crate::index::Wanted;
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use nightlatch_ledger::{Entry, Hash, Ledger, ProveError, ReadError};
use serde::Serialize;
use utoipa::ToSchema;

/// A page of entries.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryPage {
    /// The name of the node whose ledger it is.
    node: String,
    /// How many entries the ledger has on disk.
    size: u64,
    /// The entries, in order.
    entries: Vec<EntryView>,
    /// Send this as `from` for the next page. None if there is nothing more for now.
    next: Option<u64>,
}

/// A proof: hashes in standard base64, from the leaf up, as RFC 6962 orders them.
#[derive(Serialize, ToSchema)]
pub(crate) struct InclusionView {
    /// The entry's index.
    index: u64,
    /// The number of entries in the tree.
    size: u64,
    /// SHA-256 of a zero byte and the entry.
    leaf: String,
    /// Neighbouring subtrees.
    path: Vec<String>,
}

/// A proof that one tree is the beginning of another.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsistencyView {
    /// Entries in the smaller tree.
    from: u64,
    /// Entries in the larger tree.
    to: u64,
    /// Subtrees that give both roots.
    path: Vec<String>,
}

/// What may be asked for.
pub(crate) struct EntriesQuery;

impl Parameters for EntriesQuery {
    const NAMES: &'static [&'static str] = &["from", "limit", "session", "what"];
}

/// Reads entries.
#[utoipa::path(
    get, path = "/v1/ledger/entries", tag = "ledger", operation_id = "listEntries",
    description = "Role `auditor`.", security(("api_key" = [])),
    params(
        ("from" = Option<u64>, Query, description = "The first index, 0 if not said."),
        ("limit" = Option<u64>, Query, description = "How many at most: 1 to 1000, 100 if not said."),
        ("session" = Option<String>, Query, description = "Only entries about this session."),
        ("what" = Option<String>, Query, description = "Only entries of this kind: `session_started`, `cut`, ..."),
    ),
    responses(
        (status = 200, description = "A page.", body = EntryPage),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The ledger or its index cannot be read.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn entries(
    State(state): State<ApiState>,
    _: By<Auditor>,
    query: Asked<EntriesQuery>,
) -> Result<Json<EntryPage>, Problem> {
    let limit = query.limit(100, 1_000)?;
    let from = query.number("from")?.unwrap_or(0);
    let owned = |name| query.text(name).map(str::to_owned);
    let wanted = Wanted { session: owned("session"), what: query.what()? };
    state.on_disk(move |state| page(state, from, limit, &wanted)).await?.map(Json)
}

fn page(state: &ApiState, from: u64, limit: usize, wanted: &Wanted) -> Result<EntryPage, Problem> {
    let engine = state.engine();
    let size = engine.ledger().durable();
    let mut entries = Vec::new();
    if wanted.is_everything() {
        for entry in engine.ledger().iter_from(from).take(limit) {
            entries.push(EntryView::of(engine.node(), entry.map_err(|error| unreadable(&error))?)?);
        }
    } else {
        let unavailable =
            |_| Problem::new(Code::IndexUnavailable, "ask again; the index is made anew from the ledger");
        for index in state.index().find(engine.ledger(), wanted, from, limit).map_err(unavailable)? {
            entries.push(EntryView::of(engine.node(), read_entry(state, index)?)?);
        }
    }
    let full = entries.len() == limit;
    let next = entries.last().filter(|_| full).map(|entry| entry.index() + 1).filter(|next| *next < size);
    Ok(EntryPage { node: engine.node().to_owned(), size, entries, next })
}

/// Reads one entry.
#[utoipa::path(
    get, path = "/v1/ledger/entries/{index}", tag = "ledger", operation_id = "showEntry",
    description = "Role `auditor`.", security(("api_key" = [])),
    params(("index" = u64, Path, description = "Its place in the ledger.")),
    responses(
        (status = 200, description = "The very bytes that are hashed.", content_type = "application/json", body = Object),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn entry(
    State(state): State<ApiState>,
    _: By<Auditor>,
    Named(index): Named,
) -> Result<Response, Problem> {
    let index: u64 = index.parse().map_err(|_| no_such_entry())?;
    let entry = state.on_disk(move |state| read_entry(state, index)).await??;
    Ok(([(header::CONTENT_TYPE, "application/json")], entry.payload).into_response())
}

/// The newest signed checkpoint.
#[utoipa::path(
    get, path = "/v1/ledger/checkpoint", tag = "ledger", operation_id = "checkpoint",
    description = "Role `auditor`. A C2SP signed note; keep one out of the operator's reach, and no rewriting goes unseen.",
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The signed note.", content_type = "text/plain", body = String),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn checkpoint(State(state): State<ApiState>, _: By<Auditor>) -> Result<Response, Problem> {
    let newest = state.on_disk(|state| state.engine().ledger().last_checkpoint()).await?;
    let newest = newest.ok_or_else(|| Problem::new(Code::NotFound, "no checkpoint has been signed yet"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], newest.note()).into_response())
}

/// The ledger's public key.
#[utoipa::path(
    get, path = "/v1/ledger/key", tag = "ledger", operation_id = "ledgerKey",
    description = "Role `auditor`. The C2SP verifier key that checkpoints are checked with.",
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The verifier key.", content_type = "text/plain", body = String),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn key(State(state): State<ApiState>, _: By<Auditor>) -> Result<Response, Problem> {
    let path = state.engine().data().keys().join("ledger.vkey");
    let read = state.on_disk(move |_| std::fs::read_to_string(path)).await?;
    let key = read.map_err(|_| Problem::new(Code::LedgerUnreadable, "the key file cannot be read"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], key).into_response())
}

/// What an inclusion proof is asked with.
pub(crate) struct InclusionQuery;

impl Parameters for InclusionQuery {
    const NAMES: &'static [&'static str] = &["index", "size"];
}

/// Proves that an entry is in the tree.
#[utoipa::path(
    get, path = "/v1/ledger/proof/inclusion", tag = "ledger", operation_id = "proveInclusion",
    description = "Role `auditor`.", security(("api_key" = [])),
    params(
        ("index" = u64, Query, description = "The entry."),
        ("size" = Option<u64>, Query, description = "The size of the tree; that of the newest checkpoint, if not said."),
    ),
    responses(
        (status = 200, description = "The proof.", body = InclusionView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn inclusion(
    State(state): State<ApiState>,
    _: By<Auditor>,
    query: Asked<InclusionQuery>,
) -> Result<Json<InclusionView>, Problem> {
    let index = required(query.number("index")?, "index")?;
    let size = query.number("size")?;
    let prove = move |state: &ApiState| {
        let ledger = state.engine().ledger();
        let least = index.checked_add(1).ok_or_else(no_such_entry)?;
        let size = size.map_or_else(|| covering(ledger, least, "size"), Ok)?;
        if index >= size {
            let detail =
                format!("entry {index} is not among the first {size}: `size` must be more than `index`");
            return Err(Problem::new(Code::NothingToProve, detail));
        }
        let proof = ledger.prove_inclusion(index, size).map_err(|error| no_proof(&error))?;
        let leaf = Hash::of_leaf(&read_entry(state, index)?.payload).to_string();
        Ok(InclusionView { index: proof.index, size: proof.size, leaf, path: texts(&proof.path) })
    };
    state.on_disk(prove).await?.map(Json)
}

/// What a consistency proof is asked with.
pub(crate) struct ConsistencyQuery;

impl Parameters for ConsistencyQuery {
    const NAMES: &'static [&'static str] = &["from", "to"];
}

/// Proves that one tree is the beginning of another.
#[utoipa::path(
    get, path = "/v1/ledger/proof/consistency", tag = "ledger", operation_id = "proveConsistency",
    description = "Role `auditor`.", security(("api_key" = [])),
    params(
        ("from" = u64, Query, description = "Entries in the smaller tree."),
        ("to" = Option<u64>, Query, description = "Entries in the larger tree; those of the newest checkpoint, if not said."),
    ),
    responses(
        (status = 200, description = "The proof.", body = ConsistencyView),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn consistency(
    State(state): State<ApiState>,
    _: By<Auditor>,
    query: Asked<ConsistencyQuery>,
) -> Result<Json<ConsistencyView>, Problem> {
    let from = required(query.number("from")?, "from")?;
    let to = query.number("to")?;
    let prove = move |state: &ApiState| {
        let ledger = state.engine().ledger();
        let to = to.map_or_else(|| covering(ledger, from, "to"), Ok)?;
        let proof = ledger.prove_consistency(from, to).map_err(|error| no_proof(&error))?;
        Ok(ConsistencyView { from: proof.old_size, to: proof.new_size, path: texts(&proof.path) })
    };
    state.on_disk(prove).await?.map(Json)
}

/// How many entries the newest checkpoint covers, if that is as many as are asked for. `name` is the parameter that would name another tree.
fn covering(ledger: &Ledger, least: u64, name: &str) -> Result<u64, Problem> {
    let newest = ledger.last_checkpoint().map_or(0, |newest| newest.checkpoint().size);
    if newest >= least {
        return Ok(newest);
    }
    if ledger.durable() < least {
        return Err(no_such_entry());
    }
    let detail = format!(
        "the newest checkpoint covers the first {newest} entries; the next is signed within a second or so: ask again, or say `{name}`"
    );
    Err(Problem::new(Code::NotSignedYet, detail))
}

fn no_such_entry() -> Problem {
    Problem::new(Code::NotFound, "the ledger has no entry of this index")
}

/// Reads one entry from the ledger.
pub(crate) fn read_entry(state: &ApiState, index: u64) -> Result<Entry, Problem> {
    state.engine().ledger().read(index).map_err(|error| unreadable(&error))
}

fn unreadable(error: &ReadError) -> Problem {
    match error {
        ReadError::NotThere { .. } => no_such_entry(),
        ReadError::Damaged { .. } | ReadError::Io(_) => {
            tracing::error!(%error, "the ledger cannot be read");
            Problem::new(Code::LedgerUnreadable, "run `nightlatch ledger verify` on the data directory")
        }
    }
}

fn no_proof(error: &ProveError) -> Problem {
    match error {
        ProveError::Order | ProveError::Size { .. } => Problem::new(Code::NothingToProve, error.to_string()),
        ProveError::Read(error) => unreadable(error),
    }
}

fn required(number: Option<u64>, name: &str) -> Result<u64, Problem> {
    number.ok_or_else(|| Problem::new(Code::BadQuery, format!("`{name}` is missing")))
}

fn texts(path: &[Hash]) -> Vec<String> {
    path.iter().map(Hash::to_string).collect()
}
