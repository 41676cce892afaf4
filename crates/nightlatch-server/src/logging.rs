//! The program's log: what operators read when something is wrong. Not the record; that is the ledger.
//!
//! One line of JSON per event on standard error, for whatever collects it, or plain text if a terminal is listening. `NIGHTLATCH_LOG`
//! sets the level (if not set: `info`, and `warn` in the demo), in the form of `tracing`'s filters: `debug`, `warn,nightlatch_http=debug`. No credential, no
//! secret and no subject's name is ever logged: their types do not show them, and sessions are named by their public ids.

use std::io::{self, IsTerminal as _, Write as _};
use tracing_subscriber::{EnvFilter, fmt};

/// The environment variable with the level.
const VARIABLE: &str = "NIGHTLATCH_LOG";

/// Begins to log, at `usual` if nothing else is asked for. Later calls change nothing.
pub(crate) fn start_at(usual: &str) {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    let asked = if asked.trim().is_empty() { usual } else { asked.trim() };
    let filter = EnvFilter::try_new(asked);
    let unusable = filter.is_err();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    // The level of each line and who wrote it are enough for people; programs get every field.
    let terminal = io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = if terminal {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if set.is_ok() && unusable {
        tracing::warn!(
            "{VARIABLE} is not a filter such as `info` or `warn,nightlatch_http=debug`; logging at `info`"
        );
    } else if set.is_err() {
        let _ = writeln!(io::stderr(), "nightlatch: the log was begun twice");
    }
}
