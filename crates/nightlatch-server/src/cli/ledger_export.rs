//! `nightlatch ledger export`: the record in the public form.

use super::{
    out::{Done, Out, Stop},
    vault::Vault,
};
use nightlatch_ledger::{
    SignedCheckpoint,
    export::{ExportError, export},
};
use serde_json::json;
use std::path::Path;

/// Exports what the newest checkpoint covers.
pub(super) fn run(out: Out, vault: &Vault, to: &Path) -> Done {
    let signed = write(vault, to)?;
    let checkpoint = signed.checkpoint();
    if out.json {
        return out.value(&json!({
            "to": to.display().to_string(),
            "ledger": checkpoint.origin,
            "entries": checkpoint.size,
            "root": checkpoint.root.to_string(),
        }));
    }
    out.line(format_args!(
        "exported {} entries of ledger `{}` to `{}`",
        checkpoint.size,
        checkpoint.origin,
        to.display()
    ))?;
    out.line(format_args!("root {}", checkpoint.root))?;
    out.line(vault.about_key())?;
    out.line("Check it anywhere with `nightlatch ledger verify --dir DIR --key FILE`, the key taken from elsewhere.")
}

/// Exports, and says what went wrong in the words of this program.
pub(super) fn write(vault: &Vault, to: &Path) -> Result<SignedCheckpoint, Stop> {
    export(&vault.dir, to, &vault.key).map_err(|error| {
        let (from, to) = (vault.dir.display(), to.display());
        match error {
            ExportError::Damaged(_) | ExportError::Contradicted { .. } | ExportError::Checkpoint(_) => {
                Stop::Refused(format!("`{from}` was not exported: {error}; run `nightlatch ledger verify`"))
            }
            ExportError::NotEmpty => {
                Stop::Usage(format!("`{to}` is not empty; name a folder that is, or is not there"))
            }
            ExportError::NoCheckpoint => {
                Stop::Refused(format!("`{from}` has no checkpoint yet; a server signs one within a second"))
            }
            ExportError::Io(source) => {
                Stop::Unreachable(format!("`{from}` could not be exported to `{to}`: {source}"))
            }
        }
    })
}
