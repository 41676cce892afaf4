//! The entries of a block: that it began, and that it was lifted. Snapshots keep the first as a text of its own.

use super::EntryError;
use crate::block::Block;
use nightlatch_core::Time;
use serde::{Deserialize, Serialize};

/// A block began, or was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Whose, by pseudonym.
    pub subject: String,
    /// When.
    pub at: u64,
    /// Who ordered it: an API key's name.
    pub by: String,
    /// What is behind it, where somebody said (a ticket, an operator's words).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl BlockRecord {
    /// The record as a text of its own, for a snapshot.
    pub(crate) fn to_text(&self) -> String {
        // Strings and a number: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`to_text`](BlockRecord::to_text) made.
    pub(crate) fn from_text(text: &str) -> Result<BlockRecord, EntryError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The block that the entry with this index tells of.
    pub(crate) fn block(&self, entry: u64) -> Block {
        Block {
            pseudonym: self.subject.clone(),
            at: Time::from_millis(self.at),
            by: self.by.clone(),
            cause: self.cause.clone(),
            entry,
        }
    }

    pub(crate) fn of(block: &Block) -> BlockRecord {
        BlockRecord {
            subject: block.pseudonym.clone(),
            at: block.at.as_millis(),
            by: block.by.clone(),
            cause: block.cause.clone(),
        }
    }
}
