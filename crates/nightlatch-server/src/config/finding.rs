//! What the check has to say about one place in the file.
//!
//! A finding carries everything a reader needs to mend the file without opening another page: where, the line itself,
//! what is wrong and what to do. The list is complete (every mistake at once), because a file that is mended one
//! mistake per attempt is mended at night, under pressure, with the gateway waiting. The same list goes to people as
//! text (see `render`) and to programs as JSON.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::code::{Code, Level};

/// One thing that is wrong, or worth a look, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The kind of mistake.
    pub(crate) code: Code,
    /// The key it is about, as the reference page writes it: `app.upstream`. Empty for mistakes in TOML itself.
    pub(crate) key: String,
    /// Where it is.
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
}

/// A place in the file, with the line that stands there.
///
/// Something that is absent altogether has no line to point at: then it is line 1, column 1 and the text is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// The line as it may be shown: secrets left out, control characters replaced.
    pub(crate) text: String,
    /// How many characters of `text` stand before the place.
    pub(crate) caret: usize,
    /// How many characters of `text` the place covers, at least 1.
    pub(crate) width: usize,
}

impl Place {
    /// Of what has no line of its own.
    pub(crate) fn nowhere() -> Place {
        Place { line: 1, column: 1, text: String::new(), caret: 0, width: 1 }
    }
}

/// All findings about one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The file, as it was named by whoever asked.
    pub(crate) file: String,
    /// The findings.
    pub(crate) list: Vec<Finding>,
}

impl Findings {
    /// How many findings refuse the file.
    pub(crate) fn errors(&self) -> usize {
        self.count(Level::Error)
    }

    /// How many findings leave the file valid.
    pub(crate) fn warnings(&self) -> usize {
        self.count(Level::Warning)
    }

    fn count(&self, level: Level) -> usize {
        self.list.iter().filter(|finding| finding.code.level() == level).count()
    }
}

// === impl Serialize: flat, so that a line of `jq` is enough ===

impl Serialize for Findings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Findings", 4)?;
        out.serialize_field("file", &self.file)?;
        out.serialize_field("errors", &self.errors())?;
        out.serialize_field("warnings", &self.warnings())?;
        out.serialize_field("findings", &self.list)?;
        out.end()
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Finding", 8)?;
        out.serialize_field("level", &self.code.level())?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("key", &self.key)?;
        out.serialize_field("line", &self.place.line)?;
        out.serialize_field("column", &self.place.column)?;
        out.serialize_field("text", &self.place.text)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("hint", &self.hint)?;
        out.end()
    }
}
