//! `nightlatch config check`: everything that is wrong with a file, at once.

use super::out::{Done, Out, Stop};
use crate::config;
use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
};

/// Checks the file and says what was found.
pub(super) fn run(out: Out, file: &Path) -> Done {
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Stop::Refused(format!("`{}` is not text in UTF-8", file.display())),
        _ => Stop::Unreachable(format!("`{}` cannot be read: {error}", file.display())),
    })?;
    let reading = config::read(&text, file);
    let findings = &reading.findings;
    if out.json {
        out.value(findings)?;
    } else {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out.text(&findings.render(colour))?;
        if reading.config.is_some() {
            out.line(format_args!("{}: can be used", file.display()))?;
        }
    }
    if reading.config.is_some() { Ok(()) } else { Err(Stop::No) }
}
