//! `nightlatch ledger verify`: does everything fit together, and what stands behind it?

use super::{
    out::{Done, Out, Stop},
    vault::Vault,
};
use crate::words::instant_ms;
use nightlatch_ledger::{
    KeyKind, VerifierKey,
    verify::{AnchoredBy, Form, Report, Trust, VerifyError, verify},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Checks a ledger and says what was checked.
pub(super) fn run(out: Out, vault: &Vault, checkpoints: &[PathBuf], witnesses: &[String]) -> Done {
    let read = |file: &PathBuf| {
        if is_inside(file, &vault.dir) {
            let detail =
                "bring one that was kept elsewhere; the ledger's own anchor nothing, and are checked anyway";
            return Err(Stop::Usage(format!(
                "the checkpoint `{}` lies in the ledger itself: {detail}",
                file.display()
            )));
        }
        std::fs::read_to_string(file).map_err(|error| {
            Stop::Unreachable(format!("the checkpoint `{}` cannot be read: {error}", file.display()))
        })
    };
    let supplied: Vec<String> = checkpoints.iter().map(read).collect::<Result<_, _>>()?;
    let witnesses = witnesses.iter().map(|text| witness(text)).collect::<Result<_, _>>()?;
    let trust = Trust { log: vault.key.clone(), witnesses };
    let report = verify(&vault.dir, &trust, &supplied).map_err(|error| {
        let what = match error {
            VerifyError::NoLedger => "there is no ledger here".to_owned(),
            VerifyError::Io(error) => error.to_string(),
        };
        Stop::Unreachable(format!("`{}` cannot be checked: {what}", vault.dir.display()))
    })?;
    if out.json {
        out.value(&as_json(vault, &report))?;
    } else {
        out.text(&super::out::plain(&report.to_string()))?;
        out.line(vault.about_key())?;
    }
    if report.is_consistent() { Ok(()) } else { Err(Stop::No) }
}

/// Whether a file lies in a directory, whatever the two are called.
fn is_inside(file: &Path, dir: &Path) -> bool {
    let (Ok(file), Ok(dir)) = (file.canonicalize(), dir.canonicalize()) else { return false };
    file.starts_with(dir)
}

fn witness(text: &str) -> Result<VerifierKey, Stop> {
    let key: VerifierKey =
        text.parse().map_err(|error| Stop::Usage(format!("--witness cannot be used: {error}")))?;
    if key.kind() != KeyKind::Witness {
        return Err(Stop::Usage(format!(
            "--witness `{}` is the key of a log; want one of a witness",
            key.name()
        )));
    }
    Ok(key)
}

fn as_json(vault: &Vault, report: &Report) -> Value {
    let anchors: Vec<Value> = report
        .anchors
        .iter()
        .map(|anchor| match &anchor.by {
            AnchoredBy::Caller => json!({ "by": "supplied_checkpoint", "entries": anchor.entries }),
            AnchoredBy::Witness { name, unix_seconds } => json!({
                "by": "witness",
                "entries": anchor.entries,
                "name": name,
                "at": instant_ms(unix_seconds.saturating_mul(1_000)),
            }),
        })
        .collect();
    let bad = report.first_bad_entry();
    json!({
        "consistent": report.is_consistent(),
        "independently_anchored": !report.anchors.is_empty(),
        "ledger": report.origin,
        "form": match report.form { Form::Segments => "segments", Form::Tiles => "tiles" },
        "entries": report.entries,
        "root": report.root.to_string(),
        "checkpoints_agreed": report.checkpoints_agreed,
        "checkpoints_not_agreed": report.checkpoints_not_agreed,
        "signed_entries": report.signed_entries,
        "unsigned_entries": report.unsigned_entries(),
        "unfinished_bytes": report.unfinished_bytes,
        "anchored_entries": report.anchored_entries(),
        "anchors": anchors,
        "first_bad_entry": bad.map(|range| json!({ "from": range.start, "to": range.end.saturating_sub(1) })),
        "findings": report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "key_file": vault.key_file.display().to_string(),
        "key_given": vault.key_given,
    })
}
