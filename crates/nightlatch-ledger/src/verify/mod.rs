//! Checking a ledger offline, with files and keys only, for people who do not trust whoever keeps it.
//!
//! What can be shown, and what cannot. Every entry is hashed again, and the tree they give is held against every signed
//! checkpoint there is: those in the directory and those that the caller brings. If one entry below a checkpoint was
//! changed, removed, inserted or moved, its root does not come out. But whoever holds the ledger's key can write another
//! history and sign that. Against this helps only a checkpoint that was out of their reach: cosigned by a witness, or
//! kept by somebody else and brought along now. So the report says which entries such a checkpoint anchors, and says
//! "not independently anchored" if there is none.
//!
//! Accepted is a ledger's own directory, also while it is in use, a copy of one, or an export in the tlog-tiles layout.
//! Nothing is written. The clock is not asked; times in a report are those a witness wrote.

mod claims;
mod report;
mod segments;
mod tail;
mod tiles;

use std::{io, path::Path};

pub use report::{Anchor, AnchoredBy, CheckpointSource, Finding, Form, Report};
pub use tail::{Tail, tail};

use crate::{
    files::{self, CHECKPOINT},
    note::VerifierKey,
};
use claims::Claims;

/// Whose signatures mean something to the caller.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The ledger's key; its name is the origin the checkpoints must have.
    pub log: VerifierKey,
    /// Keys of witnesses, of kind [`KeyKind::Witness`](crate::KeyKind::Witness).
    pub witnesses: Vec<VerifierKey>,
}

/// Checks a directory against its own checkpoints and those the caller kept; each of `supplied` is a signed note.
///
/// What is wrong with the ledger is in the report, not in the error.
///
/// # Errors
///
/// [`VerifyError`] only if there was nothing to check or it could not be read.
pub fn verify(dir: &Path, trust: &Trust, supplied: &[String]) -> Result<Report, VerifyError> {
    let form = form_of(dir)?;
    let claims = Claims::collect(dir, form, trust, supplied)?;
    Ok(match form {
        Form::Segments => segments::check(dir, claims)?,
        Form::Tiles => tiles::check(dir, claims)?,
    })
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The directory has neither segments nor tiles nor a checkpoint.
    #[error("there is no ledger here")]
    NoLedger,
    /// The operating system would not read.
    #[error("could not read the ledger")]
    Io(#[from] io::Error),
}

fn form_of(dir: &Path) -> Result<Form, VerifyError> {
    if !files::segments(dir)?.is_empty() {
        Ok(Form::Segments)
    } else if dir.join("tile").try_exists()? || dir.join(CHECKPOINT).try_exists()? {
        Ok(Form::Tiles)
    } else {
        Err(VerifyError::NoLedger)
    }
}
