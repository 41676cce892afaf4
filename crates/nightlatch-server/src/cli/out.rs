//! How a command speaks and how it ends.
//!
//! Output may be piped into something that stops reading (`| head`); that is an end, not an error, so nothing here panics on it. Errors go
//! to standard error, as a sentence that says what, where and what to do; with `--json` as an object. What comes from elsewhere is shown
//! without control characters, so that no file and no server can drive the terminal.

use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// What became of a command.
pub(crate) type Done = Result<(), Stop>;

/// Why a command stopped short, which is also its exit code.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The answer is no, and was printed.
    No,
    /// The answer is no, for this reason.
    Refused(String),
    /// The command was used wrongly.
    Usage(String),
    /// Something could not be reached or read.
    Unreachable(String),
    /// Nobody reads our output any more.
    NobodyListens,
}

impl Stop {
    /// Says why, where that was not said yet, and gives the exit code.
    pub(super) fn say(&self, out: Out) -> ExitCode {
        let (code, message) = match self {
            Stop::No => return ExitCode::from(1),
            Stop::NobodyListens => return ExitCode::SUCCESS,
            Stop::Refused(message) => (1, message),
            Stop::Usage(message) => (2, message),
            Stop::Unreachable(message) => (3, message),
        };
        let line = if out.json {
            serde_json::json!({ "error": message, "exit_code": code }).to_string()
        } else {
            format!("nightlatch: {}", plain(message))
        };
        let _ = writeln!(io::stderr(), "{line}");
        ExitCode::from(code)
    }
}

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    /// For programs.
    pub(super) json: bool,
}

impl Out {
    /// Prints text as it stands.
    pub(super) fn text(self, text: &str) -> Done {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::NobodyListens,
            _ => Stop::Unreachable(format!("standard output cannot be written: {error}")),
        })
    }

    /// Prints a line, without what could drive a terminal.
    pub(super) fn line(self, line: impl Display) -> Done {
        self.text(&format!("{}\n", plain(&line.to_string())))
    }

    /// Prints a value for programs, on one line.
    pub(super) fn value(self, value: &impl Serialize) -> Done {
        let json = serde_json::to_string(value)
            .map_err(|error| Stop::Unreachable(format!("the answer cannot be written as JSON: {error}")))?;
        self.text(&format!("{json}\n"))
    }
}

/// The text without control characters, line feeds excepted, and without marks that turn the direction of writing.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    };
    text.chars().map(shown).collect()
}
