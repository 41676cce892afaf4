//! `nightlatch subject block|unblock|list`, by way of a running server.

use super::{
    client::{Client, escaped},
    out::{Done, Out},
    session::{or_dash, text},
    table::{Align, Table},
};
use http::Method;
use serde_json::{Value, json};

/// Whom to block or unblock, and why.
pub(super) struct Order {
    pub(super) subject: String,
    pub(super) provider: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) ticket: Option<String>,
}

impl Order {
    fn path(&self) -> String {
        format!("/v1/subjects/{}/block", escaped(&self.subject))
    }
}

/// Blocks a subject.
pub(super) fn block(out: Out, client: &Client, order: &Order) -> Done {
    let body = json!({ "provider": order.provider, "cause": order.cause, "ticket": order.ticket });
    let answer = client.ask(Method::PUT, &order.path(), Some(&body))?;
    if out.json {
        return out.value(&answer);
    }
    let ended = answer.get("ended").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    out.line(format_args!(
        "blocked `{}` of `{}` since {}: entry {}",
        or_dash(text(&answer, "subject")),
        or_dash(text(&answer, "provider")),
        or_dash(text(&answer, "at")),
        or_dash(text(&answer, "entry")),
    ))?;
    match ended.len() {
        0 => out.line("no session was live"),
        many => out.line(format_args!("{many} of its sessions ended by it")),
    }
}

/// Lifts a block.
pub(super) fn unblock(out: Out, client: &Client, order: &Order) -> Done {
    let mut path = order.path();
    let parameters = [("provider", &order.provider), ("cause", &order.cause), ("ticket", &order.ticket)];
    let mut before = '?';
    for (name, value) in parameters {
        if let Some(value) = value {
            path.push_str(&format!("{before}{name}={}", escaped(value)));
            before = '&';
        }
    }
    let answer = client.ask(Method::DELETE, &path, None)?;
    if out.json {
        return out.value(&answer);
    }
    out.line(format_args!(
        "`{}` of `{}` may start sessions again: entry {}",
        or_dash(text(&answer, "subject")),
        or_dash(text(&answer, "provider")),
        or_dash(text(&answer, "entry")),
    ))
}

/// Lists the blocks that stand.
pub(super) fn list(out: Out, client: &Client) -> Done {
    let mut blocks: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let after_that =
            after.as_deref().map(|after| format!("&after={}", escaped(after))).unwrap_or_default();
        let mut page = client.ask(Method::GET, &format!("/v1/blocks?limit=1000{after_that}"), None)?;
        if let Some(Value::Array(found)) = page.get_mut("blocks").map(Value::take) {
            blocks.extend(found);
        }
        after = text(&page, "next").map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    if out.json {
        return out.value(&json!({ "blocks": blocks }));
    }
    if blocks.is_empty() {
        return out.line("No subject is blocked.");
    }
    let columns = ["SUBJECT", "PROVIDER", "SINCE", "BY", "CAUSE"].map(|name| (name, Align::Left));
    let mut table = Table::new(&columns);
    for block in &blocks {
        // An erased subject keeps nothing but its name in the ledger.
        let name = text(block, "subject").or(text(block, "pseudonym"));
        let rest = ["provider", "at", "by", "cause"].map(|part| or_dash(text(block, part)));
        let [provider, at, by, cause] = rest;
        table.row([or_dash(name), provider, at, by, cause]);
    }
    table.print(out)
}
