//! The configuration and the secrets it points at, read as `serve` reads them.

use super::report::Report;
use crate::config::{
    self, Config,
    api_key::SecretSource,
    code::Level,
    secrets::{CLOSE_IT, open_to_all},
};
use std::{fs, path::Path};

/// What came of the configuration.
pub(super) enum Read {
    /// It can be used.
    Usable(Box<Config>),
    /// It has mistakes.
    Refused,
    /// It could not be read, and why.
    Unreadable(String),
    /// None was named.
    NotAsked,
}

/// Reads the file and says every mistake in it.
pub(super) fn look(report: &mut Report, file: Option<&Path>) -> Read {
    let Some(file) = file else { return Read::NotAsked };
    let shown = format!("configuration `{}`", file.display());
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            report.wrong(
                "configuration",
                &shown,
                format_args!("cannot be read: {error}"),
                "name the file that `serve` is started with, and run this as a user who may read it",
            );
            return Read::Unreadable(format!("`{}` cannot be read: {error}", file.display()));
        }
    };
    let reading = config::read(&text, file);
    for finding in &reading.findings.list {
        let place = format!("{}:{}:{}", file.display(), finding.place.line, finding.place.column);
        match finding.code.level() {
            Level::Error => report.wrong("configuration", place, &finding.message, &finding.hint),
            Level::Warning => report.warning("configuration", place, &finding.message, &finding.hint),
        }
    }
    let Some(config) = reading.config else { return Read::Refused };
    report.good(
        "configuration",
        shown,
        format_args!(
            "its text is accepted, with {} and {}",
            count(config.apps.len(), "application"),
            count(config.api_keys.len(), "API key")
        ),
    );
    Read::Usable(Box::new(config))
}

/// Loads the secrets of the API keys, and looks at who may read them.
pub(super) fn secrets(report: &mut Report, config: &Config) {
    if config.api_keys.is_empty() {
        return;
    }
    match config.read_secrets_here() {
        Ok(keys) => report.good(
            "secrets",
            "secrets of API keys",
            format_args!("{} read, long enough and no two alike", count(keys.len(), "secret")),
        ),
        Err(wrong) => {
            for error in wrong {
                report.wrong(
                    "secrets",
                    "secrets of API keys",
                    error,
                    "`serve` does not start without it; `openssl rand -hex 32` makes one",
                );
            }
        }
    }
    for key in &config.api_keys {
        let SecretSource::File(path) = &key.secret else { continue };
        private(report, "secrets", &format!("secret of API key `{}`", key.name), path);
    }
}

/// Says if every user of the machine may read a file with a secret in it.
pub(super) fn private(report: &mut Report, check: &'static str, what: &str, path: &Path) {
    if let Some(seen) = open_to_all(path) {
        report.warning(check, what, seen, CLOSE_IT);
    }
}

/// `1 application`, `2 applications`.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
