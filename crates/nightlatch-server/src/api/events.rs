//! `GET /v1/events`: the ledger as it grows, as server-sent events.
//!
//! An event is an entry that is on disk, and its id is the entry's name; so the stream needs no memory of its own. Whoever comes back
//! with the id of the last event they have goes on behind it, after any time, and misses nothing. Entries are read when the client
//! takes them: a slow client is behind, costs a few entries of memory, and holds up nobody.

use super::{
    ApiState,
    body::{Asked, Parameters},
    key::{Auditor, By},
    problem::{Code, Problem, ProblemBody},
    record::{self, Head},
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use nightlatch_ledger::{Entries, Entry};
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// A silent stream says that it lives this often, so that nobody on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Entries read from disk at once.
const READ_AT_ONCE: usize = 128;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What may be asked for.
pub(crate) struct EventsQuery;

impl Parameters for EventsQuery {
    const NAMES: &'static [&'static str] = &["after", "from", "what", "session"];
}

/// Follows the ledger.
#[utoipa::path(
    get, path = "/v1/events", tag = "ledger", operation_id = "events",
    description = "Role `auditor`. Server-sent events: `id` is the entry's name (`node:index`), `event` what it is, `data` the entry. \
        Without a place to begin, only what is new.",
    security(("api_key" = [])),
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "Go on behind this event; goes before `after`."),
        ("after" = Option<String>, Query, description = "Go on behind this event."),
        ("from" = Option<u64>, Query, description = "Begin with the entry of this index."),
        ("what" = Option<String>, Query, description = "Only entries of this kind: `session_ended`, `cut`, ..."),
        ("session" = Option<String>, Query, description = "Only entries about this session."),
    ),
    responses(
        (status = 200, description = "The stream.", content_type = "text/event-stream", body = String),
        (status = "4XX", description = "See problems.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many streams are open.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn events(
    State(state): State<ApiState>,
    _: By<Auditor>,
    query: Asked<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let from = begin(&state, &query, &headers)?;
    let what = query.what()?;
    let slot = Arc::clone(state.streams()).try_acquire_owned();
    let slot =
        slot.map_err(|_| Problem::new(Code::TooManyStreams, "close one, or read the entries in pages"))?;
    let follower = Follower {
        node: state.engine().node().to_owned(),
        what,
        session: query.text("session").map(str::to_owned),
        entries: Some(state.engine().ledger().iter_from(from)),
        ready: VecDeque::new(),
        durable: state.engine().ledger().watch(),
        stopping: state.stopping(),
        _slot: slot,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("nothing new");
    Ok(Sse::new(follow(follower)).keep_alive(keep_alive).into_response())
}

/// The index to begin with.
fn begin(state: &ApiState, query: &Asked<EventsQuery>, headers: &HeaderMap) -> Result<u64, Problem> {
    let size = state.engine().ledger().durable();
    let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
    if let Some(name) = header.or(query.text("after")) {
        let index = record::index_of(state.engine().node(), name).filter(|index| *index < size);
        return index.map(|index| index + 1).ok_or_else(|| {
            let detail =
                format!("it is `{}:` and the index of an entry that is on disk", state.engine().node());
            Problem::new(Code::BadLastEventId, detail)
        });
    }
    Ok(query.number("from")?.unwrap_or(size))
}

/// A stream that is open.
struct Follower {
    node: String,
    what: Option<String>,
    session: Option<String>,
    /// None once the ledger could not be read: the stream ends, and the client comes back.
    entries: Option<Entries>,
    ready: VecDeque<Event>,
    durable: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
}

fn follow(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async {
        loop {
            if let Some(event) = follower.ready.pop_front() {
                return Some((Ok(event), follower));
            }
            if *follower.stopping.borrow() {
                return None;
            }
            // Looked at before reading: what becomes durable while we read is not slept over.
            follower.durable.borrow_and_update();
            if !follower.read_more().await? {
                let Follower { durable, stopping, .. } = &mut follower;
                tokio::select! {
                    grown = durable.changed() => grown.ok()?,
                    _ = stopping.wait_for(|stopping| *stopping) => return None,
                }
            }
        }
    })
}

impl Follower {
    /// Reads some entries, on a thread that may wait for the disk. False if there are none; `None` if they cannot be read.
    async fn read_more(&mut self) -> Option<bool> {
        let mut entries = self.entries.take()?;
        let read = tokio::task::spawn_blocking(move || {
            let read: Result<Vec<Entry>, _> = entries.by_ref().take(READ_AT_ONCE).collect();
            read.map(|read| (entries, read))
        });
        match read.await.ok()? {
            Ok((entries, read)) => {
                self.entries = Some(entries);
                let any = !read.is_empty();
                let events: Vec<Event> = read.iter().filter_map(|entry| self.event(entry)).collect();
                self.ready.extend(events);
                Some(any)
            }
            Err(error) => {
                tracing::error!(%error, "an event stream ends: the ledger cannot be read");
                None
            }
        }
    }

    fn event(&self, entry: &Entry) -> Option<Event> {
        let head = Head::of(&entry.payload);
        let wanted = self.what.as_ref().is_none_or(|what| head.what == *what)
            && self
                .session
                .as_ref()
                .is_none_or(|wanted| head.session.as_ref().is_some_and(|is| is == wanted));
        if !wanted {
            return None;
        }
        // A line feed would begin another field of the event, and `data` would be torn.
        let what: String = head.what.chars().filter(|c| !c.is_control()).collect();
        let data = String::from_utf8_lossy(&entry.payload).replace(['\r', '\n', '\0'], " ");
        Some(Event::default().id(record::name(&self.node, entry.index)).event(what).data(data))
    }
}
