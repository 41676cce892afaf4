//! `nightlatch ledger tail`: the record of a running server, as it grows.

use super::{
    client::{Client, escaped},
    out::{Done, Out, Stop},
};
use crate::words::instant_ms;
use axum::body::Body;
use futures_util::StreamExt as _;
use nightlatch_core::Span;
use serde_json::{Value, json};

/// What to follow.
pub(super) struct Wanted {
    pub(super) after: Option<String>,
    pub(super) from: Option<u64>,
    pub(super) what: Option<String>,
    pub(super) session: Option<String>,
    pub(super) count: Option<u64>,
}

/// An event of the stream that is not whole yet, and what was taken of the bytes after it.
#[derive(Default)]
struct Reading {
    buffer: Vec<u8>,
    id: String,
    data: String,
}

/// No line of the stream is longer: an entry is far shorter.
const LINE_BYTES_MOST: usize = 1024 * 1024;

/// Follows the record until it is stopped.
pub(super) fn run(out: Out, client: &Client, wanted: &Wanted) -> Done {
    let parameters = [
        ("after", wanted.after.clone()),
        ("from", wanted.from.map(|from| from.to_string())),
        ("what", wanted.what.clone()),
        ("session", wanted.session.clone()),
    ];
    let query: Vec<String> = parameters
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))))
        .collect();
    client.run(follow(out, client, &format!("/v1/events?{}", query.join("&")), wanted.count))
}

async fn follow(out: Out, client: &Client, path: &str, count: Option<u64>) -> Done {
    let mut stream = Body::into_data_stream(client.open(path).await?.into_body());
    let mut reading = Reading::default();
    let mut last = String::new();
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(Ok(bytes)) = stream.next().await else {
            let again = if last.is_empty() { String::new() } else { format!("; go on with --after {last}") };
            return Err(Stop::Unreachable(format!("the server ended the stream{again}")));
        };
        reading.buffer.extend_from_slice(&bytes);
        while left > 0
            && let Some((id, data)) = reading.next_event()
        {
            let entry: Value = serde_json::from_str(&data).unwrap_or_default();
            if out.json {
                out.value(&json!({ "id": id, "entry": entry }))?;
            } else {
                out.line(line(&id, &entry))?;
            }
            last = id;
            left -= 1;
        }
        if reading.buffer.len() > LINE_BYTES_MOST {
            return Err(Stop::Unreachable(
                "the server sends something that is not a stream of events".to_owned(),
            ));
        }
    }
    Ok(())
}

impl Reading {
    /// The next whole event with data in it.
    fn next_event(&mut self) -> Option<(String, String)> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                self.data.push_str(data);
            } else if line.is_empty() && !self.data.is_empty() {
                return Some((std::mem::take(&mut self.id), std::mem::take(&mut self.data)));
            }
        }
    }
}

/// An entry on one line: when, its name, what, and the parts that people look for.
fn line(id: &str, entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let number = |name: &str| entry.get(name).and_then(Value::as_u64);
    let at = number("at").map_or_else(|| "-".to_owned(), instant_ms);
    let mut parts = Vec::new();
    parts.extend(
        ["session", "reason", "channel", "route", "direction", "cause"]
            .iter()
            .filter_map(|name| text(name))
            .map(str::to_owned),
    );
    parts.extend(text("by").map(|by| format!("by {by}")));
    parts.extend(number("lateness_us").map(|us| format!("{} late", lateness(us))));
    parts.extend(number("by_ms").map(|ms| format!("by {}", Span::from_millis(ms))));
    format!("{at}  {id}  {:<16}  {}", text("what").unwrap_or("unknown"), parts.join(", "))
}

fn lateness(us: u64) -> String {
    if us < 1_000_000 {
        format!("{}.{:03} ms", us / 1_000, us % 1_000)
    } else {
        Span::from_millis(us / 1_000).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_however_the_bytes_come() {
        let stream =
            b": nothing new\n\nid: n1:7\nevent: cut\ndata: {\"what\":\"cut\"}\n\nid: n1:8\ndata: {}\n\n";
        for size in 1..stream.len() {
            let mut reading = Reading::default();
            let mut events = Vec::new();
            for piece in stream.chunks(size) {
                reading.buffer.extend_from_slice(piece);
                events.extend(std::iter::from_fn(|| reading.next_event()));
            }
            let expected = [("n1:7", "{\"what\":\"cut\"}"), ("n1:8", "{}")];
            assert_eq!(events, expected.map(|(id, data)| (id.to_owned(), data.to_owned())), "{size}");
        }
    }

    #[test]
    fn an_entry_reads_on_one_line() {
        let entry = json!({ "what": "cut", "at": 1_763_762_759_123_u64, "session": "ses_1", "reason": "idle_timeout",
            "channel": "websocket", "route": "/ws", "lateness_us": 312 });
        assert_eq!(
            line("n1:7", &entry),
            "2025-11-21T22:05:59.123Z  n1:7  cut               ses_1, idle_timeout, websocket, /ws, 0.312 ms late"
        );
    }
}
