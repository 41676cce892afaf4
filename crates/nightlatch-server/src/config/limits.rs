//! `[limits]`: what clients and applications may hold, and how long they are waited for.
//!
//! Every key has a default that is meant to be kept. What is refused is a value with which the gateway could not work (a head that no
//! browser's fits into) or that would not do what it looks like (a client's head that may take longer than anybody waits).

use serde::Serialize;

use super::code::Code;
use super::duration::Millis;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::size::Bytes;

pub(super) static SECTION: Section = Section {
    path: "limits",
    header: "[limits]",
    about: "What clients and applications may hold, and how long they are waited for. None of these ends a session or makes one live longer.",
    keys: &[
        Key {
            name: "connections",
            form: Form::Integer,
            need: Need::Optional(
                "half of the file descriptors that the system grants, less 768 and what the apps keep in `idle_upstream_connections`",
            ),
            status: Status::Now,
            example: "10000",
            means: "Clients' connections that may be open at once; others wait to be accepted. More than there are descriptors for is cut down to that.",
        },
        Key {
            name: "connections_per_address",
            form: Form::Integer,
            need: Need::Optional("a quarter of `connections`"),
            status: Status::Now,
            example: "500",
            means: "Of these, how many one address may have (of IPv6: one network of 64 bits). A trusted proxy may have all; those that it names by PROXY protocol are counted.",
        },
        duration("handshake_within", "\"10s\"", "How long a TLS handshake may take."),
        Key {
            name: "head",
            form: Form::Size,
            need: Need::Default("\"64KiB\""),
            status: Status::Now,
            example: "\"64KiB\"",
            means: "The most bytes of a request's head, cookies included. From 8KiB to 1MiB.",
        },
        Key {
            name: "head_fields",
            form: Form::Integer,
            need: Need::Default("100"),
            status: Status::Now,
            example: "100",
            means: "The most fields of a request's head. From 32 to 1000.",
        },
        duration(
            "head_within",
            "\"60s\"",
            "How long a client may take to send a request's head, or to begin the next one.",
        ),
        duration(
            "body_within",
            "\"30s\"",
            "In each stretch of this long that a request's body is waited for, `body_least` of it must come, or the answer is 408. A gRPC call of a session may be silent.",
        ),
        Key {
            name: "body_least",
            form: Form::Size,
            need: Need::Default("\"8KiB\""),
            status: Status::Now,
            example: "\"8KiB\"",
            means: "See `body_within`.",
        },
        Key {
            name: "body",
            form: Form::Size,
            need: Need::Optional("no limit"),
            status: Status::Now,
            example: "\"100MiB\"",
            means: "The most bytes of a request's body; more is answered with 413.",
        },
        duration(
            "write_within",
            "\"60s\"",
            "How long a client or an app that is being written to may take nothing of it, or acknowledge nothing. Then its connection is reset.",
        ),
        duration("connect_within", "\"5s\"", "How long a connection to an app may take to be made."),
        Key {
            name: "idle_upstream_connections",
            form: Form::Integer,
            need: Need::Default("256"),
            status: Status::Now,
            example: "256",
            means: "Connections to one app that are kept for the next request, beyond those in use. 0 to 65535. Those of all apps together take a quarter of what descriptors there are for connections at most, and are cut down to that.",
        },
        duration(
            "answer_within",
            "\"5m\"",
            "How long an app may take to begin its answer once it has the whole request.",
        ),
        duration(
            "finish_within",
            "\"1m\"",
            "How long an unsafe request that the app has whole may take to finish after its session's end. The answer is withheld and its outcome recorded.",
        ),
        duration("drain_within", "\"5s\"", "How long what is open may go on when the program stops."),
        Key {
            name: "http2_streams",
            form: Form::Integer,
            need: Need::Default("100"),
            status: Status::Now,
            example: "100",
            means: "Requests that a client may have open at once on one connection of HTTP/2. 1 to 1000.",
        },
        Key {
            name: "http2_stream_window",
            form: Form::Size,
            need: Need::Default("\"256KiB\""),
            status: Status::Now,
            example: "\"256KiB\"",
            means: "How much of one body a client, or an app with `protocol = \"h2\"`, may send ahead of who reads it. From 64KiB to 16MiB.",
        },
        Key {
            name: "http2_connection_window",
            form: Form::Size,
            need: Need::Default("\"1MiB\""),
            status: Status::Now,
            example: "\"1MiB\"",
            means: "The same for all bodies on one connection together: what a connection may hold in memory. From 64KiB to 64MiB.",
        },
        Key {
            name: "http2_abandoned",
            form: Form::Integer,
            need: Need::Default("200"),
            status: Status::Now,
            example: "200",
            means: "Requests that a client may give up on one connection before they are answered, beyond as many as it let be answered. Then the connection ends (\"rapid reset\"). 10 to 100000.",
        },
        Key {
            name: "http2_control_frames",
            form: Form::Integer,
            need: Need::Default("10000"),
            status: Status::Now,
            example: "10000",
            means: "Frames other than requests and bodies that a client may send on one connection in ten seconds, beyond those that acknowledge bodies it got. Then the connection ends. 100 to 1000000.",
        },
    ],
};

const fn duration(name: &'static str, default: &'static str, means: &'static str) -> Key {
    let need = Need::Default(default);
    Key { name, form: Form::Duration, need, status: Status::Now, example: default, means }
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Limits {
    /// Clients' connections that may be open at once.
    pub(crate) connections: Option<usize>,
    /// Of these, how many one address may have.
    pub(crate) connections_per_address: Option<usize>,
    /// How long a TLS handshake may take.
    pub(crate) handshake_within: Millis,
    /// The most bytes of a request's head.
    pub(crate) head: Bytes,
    /// The most fields of a request's head.
    pub(crate) head_fields: usize,
    /// How long a head may take.
    pub(crate) head_within: Millis,
    /// A stretch of waiting for a body.
    pub(crate) body_within: Millis,
    /// What must come of a body in it.
    pub(crate) body_least: Bytes,
    /// The most bytes of a body.
    pub(crate) body: Option<Bytes>,
    /// How long a peer may take nothing of what is written to it.
    pub(crate) write_within: Millis,
    /// How long a connection to an app may take to be made.
    pub(crate) connect_within: Millis,
    /// Connections to one app that are kept.
    pub(crate) idle_upstream_connections: usize,
    /// How long an app may take to begin its answer.
    pub(crate) answer_within: Millis,
    /// How long a request that the app has whole may take after the end.
    pub(crate) finish_within: Millis,
    /// How long what is open may go on when the program stops.
    pub(crate) drain_within: Millis,
    /// What a connection of HTTP/2 may carry.
    #[serde(flatten)]
    pub(crate) http2: Http2,
}

/// The bounds of one connection of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Http2 {
    /// Requests open at once.
    #[serde(rename = "http2_streams")]
    pub(crate) streams: u32,
    /// Bytes ahead in one body.
    #[serde(rename = "http2_stream_window")]
    pub(crate) stream_window: u32,
    /// Bytes ahead in all bodies.
    #[serde(rename = "http2_connection_window")]
    pub(crate) connection_window: u32,
    /// Requests given up.
    #[serde(rename = "http2_abandoned")]
    pub(crate) abandoned: u32,
    /// Frames that carry nothing.
    #[serde(rename = "http2_control_frames")]
    pub(crate) control_frames: u32,
}

impl Limits {
    pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<Self> {
        let table = root.child(notes, &SECTION, "limits")?;
        let connections =
            table.has("connections").then(|| number(notes, &table, "connections", 16, 1_000_000));
        let per_address = table
            .has("connections_per_address")
            .then(|| number(notes, &table, "connections_per_address", 1, 1_000_000));
        let handshake_within = table.text(notes, "handshake_within", Millis::parse);
        let head = table.text(notes, "head", head);
        let head_fields = number(notes, &table, "head_fields", 32, 1_000);
        let head_within = table.text(notes, "head_within", Millis::parse);
        let body_within = table.text(notes, "body_within", Millis::parse);
        let body_least = table.text(notes, "body_least", Bytes::parse);
        let body = table.has("body").then(|| table.text(notes, "body", Bytes::parse));
        let write_within = table.text(notes, "write_within", Millis::parse);
        let connect_within = table.text(notes, "connect_within", Millis::parse);
        let idle_upstream_connections = number(notes, &table, "idle_upstream_connections", 0, 65_535);
        let answer_within = table.text(notes, "answer_within", Millis::parse);
        let finish_within = table.text(notes, "finish_within", Millis::parse);
        let drain_within = table.text(notes, "drain_within", Millis::parse);
        let http2 = Http2::read(notes, &table);
        Some(Self {
            connections: match connections {
                None => None,
                Some(connections) => Some(connections?),
            },
            connections_per_address: match per_address {
                None => None,
                Some(most) => Some(most?),
            },
            handshake_within: handshake_within?,
            head: head?,
            head_fields: head_fields?,
            head_within: head_within?,
            body_within: body_within?,
            body_least: body_least?,
            body: match body {
                None => None,
                Some(most) => Some(most?),
            },
            write_within: write_within?,
            connect_within: connect_within?,
            idle_upstream_connections: idle_upstream_connections?,
            answer_within: answer_within?,
            finish_within: finish_within?,
            drain_within: drain_within?,
            http2: http2?,
        })
    }
}

impl Http2 {
    fn read(notes: &mut Notes<'_>, table: &Table<'_>) -> Option<Self> {
        let streams = count(notes, table, "http2_streams", 1, 1_000);
        let stream_window = table.text(notes, "http2_stream_window", |text| window(text, Bytes(16 << 20)));
        let connection_window =
            table.text(notes, "http2_connection_window", |text| window(text, Bytes(64 << 20)));
        let abandoned = count(notes, table, "http2_abandoned", 10, 100_000);
        let control_frames = count(notes, table, "http2_control_frames", 100, 1_000_000);
        Some(Self {
            streams: streams?,
            stream_window: stream_window?,
            connection_window: connection_window?,
            abandoned: abandoned?,
            control_frames: control_frames?,
        })
    }
}

fn count(notes: &mut Notes<'_>, table: &Table<'_>, name: &str, least: usize, most: usize) -> Option<u32> {
    number(notes, table, name, least, most).and_then(|number| u32::try_from(number).ok())
}

/// How much may come ahead; less than every sender starts with (RFC 9113 section 6.9.2) would only be late to be known.
fn window(text: &str, most: Bytes) -> Result<u32, Mistake> {
    let bytes = Bytes::parse(text)?;
    let least = Bytes(64 << 10);
    if let Some(bytes) = u32::try_from(bytes.0).ok().filter(|_| (least..=most).contains(&bytes)) {
        return Ok(bytes);
    }
    Err(Mistake::new(Code::OutOfBounds, format!("a window of {bytes} is not from {least} to {most}")))
}

/// A whole number in bounds, both included.
fn number(notes: &mut Notes<'_>, table: &Table<'_>, name: &str, least: usize, most: usize) -> Option<usize> {
    let number = table.integer(notes, name)?;
    let fitting = usize::try_from(number).ok().filter(|number| (least..=most).contains(number));
    if fitting.is_none() {
        let message = format!("`{name}` is {number}, which is not from {least} to {most}");
        notes.blame(&table.at(name), Mistake::new(Code::OutOfBounds, message));
    }
    fitting
}

fn head(text: &str) -> Result<Bytes, Mistake> {
    let bytes = Bytes::parse(text)?;
    if (Bytes(8 << 10)..=Bytes(1 << 20)).contains(&bytes) {
        return Ok(bytes);
    }
    let message = format!("`head` is {bytes}, which is not from 8KiB to 1MiB");
    let hint = "browsers send cookies of several KiB, and every connection may take this much memory";
    Err(Mistake::new(Code::OutOfBounds, message).hint(hint))
}
