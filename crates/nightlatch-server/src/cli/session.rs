//! `nightlatch session list|show|end`, by way of a running server.

use super::{
    client::{Client, escaped},
    out::{Done, Out, Stop},
    table::{Align, Table},
};
use http::Method;
use nightlatch_core::Span;
use serde::Serialize;
use serde_json::Value;

/// Which sessions to list.
pub(super) struct Filter {
    pub(super) subject: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) state: Option<&'static str>,
    pub(super) limit: usize,
}

/// Which sessions to end, and why; as the API takes it.
#[derive(Serialize)]
pub(super) struct EndOrder {
    pub(super) subject: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) ids: Option<Vec<String>>,
    pub(super) cause: Option<String>,
    pub(super) ticket: Option<String>,
    pub(super) dry_run: bool,
}

/// Lists sessions, from as many pages as it takes.
pub(super) fn list(out: Out, client: &Client, filter: &Filter) -> Done {
    let mut sessions: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let left = filter.limit.saturating_sub(sessions.len());
        if left == 0 {
            break;
        }
        let mut path = format!("/v1/sessions?limit={}", left.min(1_000));
        let parameters = [
            ("subject", filter.subject.as_deref()),
            ("provider", filter.provider.as_deref()),
            ("state", filter.state),
            ("after", after.as_deref()),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        let mut page = client.ask(Method::GET, &path, None)?;
        if let Some(Value::Array(found)) = page.get_mut("sessions").map(Value::take) {
            sessions.extend(found);
        }
        after = text(&page, "next").map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let more = after.is_some();
    if out.json {
        return out.value(&serde_json::json!({ "sessions": sessions, "more": more }));
    }
    let mut table = Table::new(&[
        ("SESSION", Align::Left),
        ("SUBJECT", Align::Left),
        ("PROVIDER", Align::Left),
        ("STATE", Align::Left),
        ("LEFT", Align::Right),
        ("OPEN", Align::Right),
        ("LAST ACTIVITY", Align::Left),
    ]);
    for session in &sessions {
        let ended = session.get("end").and_then(|end| text(end, "reason"));
        table.row([
            or_dash(text(session, "id")),
            or_dash(text(session, "subject")),
            or_dash(text(session, "provider")),
            ended.or(text(session, "state")).unwrap_or("-").to_owned(),
            session
                .get("deadline")
                .and_then(|deadline| number(deadline, "left_ms"))
                .map_or_else(|| "-".to_owned(), whole),
            number(session, "open").map_or_else(|| "-".to_owned(), |open| open.to_string()),
            or_dash(text(session, "last_activity")),
        ]);
    }
    table.print(out)?;
    if more {
        out.line(format_args!("There are more than {}; see them with --limit.", sessions.len()))?;
    }
    Ok(())
}

/// Shows one session.
pub(super) fn show(out: Out, client: &Client, id: &str) -> Done {
    let session = client.ask(Method::GET, &format!("/v1/sessions/{}", escaped(id)), None)?;
    if out.json { out.value(&session) } else { print(out, &session) }
}

fn print(out: Out, session: &Value) -> Done {
    let mut table = Table::pairs();
    let mut pair = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row([name.to_owned(), value]);
        }
    };
    let part = |name: &str| text(session, name).map(str::to_owned);
    let inner = |of: &str, name: &str| session.get(of).and_then(|of| text(of, name)).map(str::to_owned);
    let limits = session.get("limits");
    let limit = |name: &str, rule: &str| {
        let span = whole(number(limits?, name)?);
        Some(match text(limits?, rule) {
            Some(rule) => format!("{span}, set by rule `{rule}`"),
            None => span,
        })
    };
    pair("session", part("id"));
    pair("state", part("state"));
    pair("subject", part("subject").or_else(|| Some("erased, or never known here".to_owned())));
    pair("provider", part("provider"));
    pair("pseudonym", part("pseudonym"));
    pair("kind", part("kind"));
    let groups = session.get("groups").and_then(Value::as_array).filter(|groups| !groups.is_empty());
    pair(
        "groups",
        groups.map(|groups| groups.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
    );
    for name in ["app", "acr", "continues", "parent", "started"] {
        pair(name, part(name));
    }
    pair("idle limit", limit("idle_ms", "idle_rule"));
    pair("absolute limit", limit("absolute_ms", "hard_end_rule"));
    pair("warning", limit("warning_ms", ""));
    pair("last activity", part("last_activity"));
    pair("last seen", part("last_seen"));
    for name in ["open", "passive", "refused"] {
        pair(name, number(session, name).map(|count| count.to_string()));
    }
    let deadline = session.get("deadline").and_then(|deadline| {
        let left = whole(number(deadline, "left_ms")?);
        Some(format!("{}, in {left}, by {}", text(deadline, "at")?, text(deadline, "reason")?))
    });
    pair("deadline", deadline);
    pair("ended", inner("end", "at"));
    pair("reason", inner("end", "reason"));
    pair("ended by", inner("end", "by"));
    pair("cause", inner("end", "cause"));
    table.print(out)
}

/// Ends sessions. The answer is no if there was none to end.
pub(super) fn end(out: Out, client: &Client, order: &EndOrder) -> Done {
    let body = serde_json::to_value(order).map_err(|error| Stop::Usage(error.to_string()))?;
    let answer = client.ask(Method::POST, "/v1/sessions/end", Some(&body))?;
    let list = |name: &str| answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (ended, already, unknown) = (list("ended"), list("already_ended"), list("unknown"));
    if out.json {
        out.value(&answer)?;
    } else {
        let mut table = Table::new(&[
            ("SESSION", Align::Left),
            ("SUBJECT", Align::Left),
            ("OUTCOME", Align::Left),
            ("AT", Align::Left),
        ]);
        let outcome = if order.dry_run { "would end" } else { "ended" };
        let rows = ended.iter().map(|session| (session, outcome));
        for (session, outcome) in rows.chain(already.iter().map(|session| (session, "was over"))) {
            let end = session.get("end");
            let reason = end.and_then(|end| text(end, "reason"));
            table.row([
                or_dash(text(session, "id")),
                or_dash(text(session, "subject")),
                reason.map_or_else(|| outcome.to_owned(), |reason| format!("{outcome}: {reason}")),
                or_dash(end.and_then(|end| text(end, "at"))),
            ]);
        }
        for id in unknown.iter().filter_map(Value::as_str) {
            table.row([id.to_owned(), "-".to_owned(), "not known".to_owned(), "-".to_owned()]);
        }
        if ended.is_empty() && already.is_empty() && unknown.is_empty() {
            out.line("No session of this subject is known.")?;
        } else {
            table.print(out)?;
        }
    }
    let nothing_over = ended.is_empty() && already.is_empty();
    if unknown.is_empty() && !nothing_over { Ok(()) } else { Err(Stop::No) }
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// As people say it, in whole seconds where there are any.
fn whole(millis: u64) -> String {
    let millis = if millis >= 1_000 { millis / 1_000 * 1_000 } else { millis };
    Span::from_millis(millis).to_string()
}
