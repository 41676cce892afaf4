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
            need: Need::Optional("half of the file descriptors that the system grants, less 768"),
            status: Status::Now,
            example: "10000",
            means: "Clients' connections that may be open at once; others wait to be accepted. More than there are descriptors for is cut down to that.",
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
            need: Need::Default("128"),
            status: Status::Now,
            example: "128",
            means: "The most fields of a request's head. From 32 to 1000.",
        },
        duration(
            "head_within",
            "\"60s\"",
            "How long a client may take to send a request's head, or to begin the next one.",
        ),
        duration("connect_within", "\"5s\"", "How long a connection to an app may take to be made."),
        Key {
            name: "idle_upstream_connections",
            form: Form::Integer,
            need: Need::Default("256"),
            status: Status::Now,
            example: "256",
            means: "Connections to one app that are kept for the next request, beyond those in use. 0 to 65535.",
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
    /// How long a TLS handshake may take.
    pub(crate) handshake_within: Millis,
    /// The most bytes of a request's head.
    pub(crate) head: Bytes,
    /// The most fields of a request's head.
    pub(crate) head_fields: usize,
    /// How long a head may take.
    pub(crate) head_within: Millis,
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
}

impl Limits {
    pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<Self> {
        let table = root.child(notes, &SECTION, "limits")?;
        let connections =
            table.has("connections").then(|| number(notes, &table, "connections", 16, 1_000_000));
        let handshake_within = table.text(notes, "handshake_within", Millis::parse);
        let head = table.text(notes, "head", head);
        let head_fields = number(notes, &table, "head_fields", 32, 1_000);
        let head_within = table.text(notes, "head_within", Millis::parse);
        let connect_within = table.text(notes, "connect_within", Millis::parse);
        let idle_upstream_connections = number(notes, &table, "idle_upstream_connections", 0, 65_535);
        let answer_within = table.text(notes, "answer_within", Millis::parse);
        let finish_within = table.text(notes, "finish_within", Millis::parse);
        let drain_within = table.text(notes, "drain_within", Millis::parse);
        Some(Self {
            connections: match connections {
                None => None,
                Some(connections) => Some(connections?),
            },
            handshake_within: handshake_within?,
            head: head?,
            head_fields: head_fields?,
            head_within: head_within?,
            connect_within: connect_within?,
            idle_upstream_connections: idle_upstream_connections?,
            answer_within: answer_within?,
            finish_within: finish_within?,
            drain_within: drain_within?,
        })
    }
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
