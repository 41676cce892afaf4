//! The entry of a cut: what was open, how it was ended, and how late.

use serde::{Deserialize, Serialize};

/// Something open was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The session.
    pub session: String,
    /// Whose, by pseudonym.
    pub subject: String,
    /// Why the session had ended.
    pub reason: String,
    /// What was cut: `websocket`, `sse`, `download`, ...
    pub channel: String,
    /// Which route, as a pattern.
    pub route: String,
    /// Which enforcement point cut.
    pub point: String,
    /// How, in the words of its protocol: `close 3008`, `reset`, ...
    pub how: String,
    /// The instant from which the session was over.
    pub ended_at: u64,
    /// When the cut was handed to the kernel.
    pub at: u64,
    /// The time between, in microseconds.
    pub lateness_us: u64,
}
