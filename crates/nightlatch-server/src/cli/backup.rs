//! `nightlatch backup` and `nightlatch restore`.

use super::out::{Done, Out, Stop};
use crate::{
    backup::{
        self, BackupError,
        restore::{RestoreError, restore},
    },
    words::instant_ms,
};
use nightlatch_engine::{OsTime, TimeSource as _, reasons};
use nightlatch_store::OpenDataDirError;
use serde_json::json;
use std::path::Path;

/// Takes a backup, also beside a running server.
pub(super) fn take(out: Out, data: &Path, to: &Path) -> Done {
    let taken_at = OsTime.wall_nanos() / 1_000_000;
    let manifest = backup::take(data, to, taken_at).map_err(|error| stop(&error))?;
    if out.json {
        return out.value(&manifest);
    }
    out.line(format_args!(
        "backup of ledger `{}` in `{}`, taken {}",
        manifest.ledger,
        to.display(),
        instant_ms(taken_at)
    ))?;
    out.line(format_args!("{} entries, verified; root {}", manifest.entries, manifest.root))?;
    out.line("It holds the key that signs the record, and names of people: keep it as you keep those.")
}

/// Puts a backup in place and ends every session in it.
pub(super) fn put_back(out: Out, from: &Path, data: &Path, replace: bool) -> Done {
    let restored = restore(from, data, replace).map_err(|error| refused(&error))?;
    let manifest = &restored.manifest;
    if out.json {
        return out.value(&json!({
            "data": data.display().to_string(),
            "ledger": manifest.ledger,
            "taken_at": instant_ms(manifest.taken_at),
            "entries": manifest.entries,
            "ended": restored.ended,
            "ended_while_down": restored.due,
            "blocks": restored.blocks,
            "clock_fault": restored.clock_fault.map(|fault| fault.cause()),
            "replaced": restored.replaced.as_ref().map(|path| path.display().to_string()),
        }));
    }
    out.line(format_args!(
        "restored ledger `{}` to `{}`: {} entries, taken {}",
        manifest.ledger,
        data.display(),
        manifest.entries,
        instant_ms(manifest.taken_at)
    ))?;
    out.line(format_args!(
        "{} sessions ended as `restored`, {} were due by their own limits; everybody signs in again",
        restored.ended, restored.due
    ))?;
    out.line(format_args!(
        "{} subjects are blocked; blocks since the backup are not in it, and must be set again",
        restored.blocks
    ))?;
    if let Some(fault) = restored.clock_fault {
        out.line(format_args!("clock: {}; see docs/runbooks/clock-fault.md", fault.cause()))?;
    }
    match &restored.replaced {
        Some(kept) => out.line(format_args!(
            "what stood there is in `{}`: its ledger may have entries that this one has not; keep it",
            kept.display()
        )),
        None => Ok(()),
    }
}

fn stop(error: &BackupError) -> Stop {
    let said = reasons(error);
    match error {
        BackupError::NoData(_)
        | BackupError::NotEmpty(_)
        | BackupError::OpenToOthers(_)
        | BackupError::Inside(_) => Stop::Usage(said),
        BackupError::Inconsistent(_) => Stop::Refused(said),
        BackupError::Ledger(_) | BackupError::Verify(_) | BackupError::File(_) => Stop::Unreachable(said),
    }
}

fn refused(error: &RestoreError) -> Stop {
    let said = reasons(error);
    match error {
        RestoreError::Backup(error) => stop(error),
        RestoreError::InPlace(_) => Stop::Usage(said),
        RestoreError::NotWhole { .. } => Stop::Refused(said),
        RestoreError::Data(OpenDataDirError::InUse { .. }) => {
            Stop::Unreachable(format!("{said}. A restore never replaces what a server runs on"))
        }
        _ => Stop::Unreachable(said),
    }
}
