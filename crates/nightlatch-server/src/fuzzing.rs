//! A narrow way in for the fuzz targets, and no promise to anybody else.
//!
//! The parsers of this program are private, as they should be: what they return is of use here only. A target needs just enough
//! to hold one against a property, so what it gets are plain values, not the types behind them.

use crate::config;
use std::path::Path;

/// What came of reading the text of a configuration file.
pub struct Configuration {
    /// What is in force by it, as JSON; none if it is refused.
    pub in_force: Option<String>,
    /// How many mistakes refuse it.
    pub errors: usize,
    /// Line, column and width of each thing that is said about it, mistakes and warnings, counted from one.
    pub places: Vec<[usize; 3]>,
    /// Everything that is said about it, as people read it.
    pub said: String,
}

/// Reads the text of a configuration file.
#[must_use]
pub fn configuration(text: &str) -> Configuration {
    let config::Reading { config, findings } =
        config::read(text, Path::new("/etc/nightlatch/nightlatch.toml"));
    Configuration {
        in_force: config.and_then(|config| serde_json::to_string(&config).ok()),
        errors: findings.errors(),
        places: findings
            .list
            .iter()
            .map(|found| [found.place.line, found.place.column, found.place.width])
            .collect(),
        said: findings.render(false),
    }
}
