//! An entry of the ledger on its way out: its name, and its bytes exactly as they stand.
//!
//! Whoever wants to verify an entry needs the very bytes that were hashed, so they are passed on and not written anew. What is
//! needed to sort entries (what it is, which session) is read beside them, from any entry, also one that only a later version can
//! understand.

use super::problem::{Code, Problem};
use nightlatch_ledger as ledger;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;

/// What every entry says of itself.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    /// What it is: `session_started`, `cut`, ...
    #[serde(borrow)]
    pub(crate) what: Cow<'a, str>,
    /// The session it is about, if it is about one.
    #[serde(borrow, default)]
    pub(crate) session: Option<Cow<'a, str>>,
}

impl Head<'_> {
    /// Reads the head of an entry; nothing that is asked for if it has none.
    pub(crate) fn of(payload: &[u8]) -> Head<'_> {
        serde_json::from_slice(payload).unwrap_or(Head { what: Cow::Borrowed("unknown"), session: None })
    }
}

/// One entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryView {
    /// Its name: `node:index`.
    #[schema(example = "n4f2a1c07:918204")]
    id: String,
    /// Its place in the ledger, counted from 0.
    index: u64,
    /// The entry: the very bytes that are hashed.
    #[schema(value_type = Object)]
    entry: Box<RawValue>,
}

impl EntryView {
    /// An entry of this node's ledger.
    pub(crate) fn of(node: &str, entry: ledger::Entry) -> Result<EntryView, Problem> {
        let ledger::Entry { index, payload } = entry;
        let unreadable = || Problem::new(Code::LedgerUnreadable, format!("entry {index} is not JSON"));
        let text = String::from_utf8(payload).map_err(|_| unreadable())?;
        let raw = RawValue::from_string(text).map_err(|_| unreadable())?;
        Ok(EntryView { id: name(node, index), index, entry: raw })
    }

    /// Its place in the ledger.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }
}

/// How an entry is called.
pub(crate) fn name(node: &str, index: u64) -> String {
    format!("{node}:{index}")
}

/// The index that a name of an entry of this node carries. None if it is not one.
pub(crate) fn index_of(node: &str, name: &str) -> Option<u64> {
    let (of, index) = name.rsplit_once(':')?;
    let number: u64 = index.parse().ok()?;
    // One index has one spelling.
    (of == node && number.to_string() == index).then_some(number)
}
