//! `nightlatch config check`: everything that is wrong with a file, at once; and then what it points at, as `serve` reads it.

use super::out::{Done, Out, Stop};
use crate::{
    config::{self, Config},
    serve,
};
use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
};

/// Checks the file and says what was found; unless `file_only`, also whether its secrets and certificates can be used here.
pub(super) fn run(out: Out, file: &Path, file_only: bool) -> Done {
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Stop::Refused(format!("`{}` is not text in UTF-8", file.display())),
        _ => Stop::Unreachable(format!("`{}` cannot be read: {error}", file.display())),
    })?;
    let mut reading = config::read(&text, file);
    if !file_only {
        reading.findings.list.extend(reading.config.iter().flat_map(Config::open_secrets));
    }
    let findings = &reading.findings;
    if out.json {
        out.value(findings)?;
    } else {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out.text(&findings.render(colour))?;
    }
    let config = reading.config.ok_or(Stop::No)?;
    if !file_only {
        serve::files_beside(&config)?;
    }
    match (out.json, file_only) {
        (true, _) => Ok(()),
        (false, false) => out.line(format_args!("{}: can be used", file.display())),
        (false, true) => out
            .line(format_args!("{}: has no mistake; secrets and certificates were not read", file.display())),
    }
}
