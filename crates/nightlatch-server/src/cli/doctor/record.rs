//! The record: does its end, or all of it, fit together, is it signed with the key that is here, and how old is it?

use super::{clock::said, report::Report};
use crate::{api::Head, config::Config};
use nightlatch_engine::{OsTime, TimeSource as _};
use nightlatch_ledger::{
    Entry, KeyError, Signer, VerifierKey,
    verify::{Tail, Trust, VerifyError, tail, verify},
};
use serde::Deserialize;
use std::{fs, io::ErrorKind, path::Path, time::Duration};

const REMEDY: &str =
    "`nightlatch ledger verify` says more; do not delete anything; take the backup out. Runbook: restore";
const AS_THE_SERVER: &str = "run this as the server's user";

/// Looks at the record and its key.
pub(super) fn look(report: &mut Report, config: &Config, whole: bool) {
    let dir = config.data_dir.join("ledger");
    let what = format!("record `{}`", dir.display());
    match fs::read_dir(&dir) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return report.not_looked_at("record", what, "there is none before the first start");
        }
        Err(error) => return report.not_looked_at("record", what, format_args!("{error}; {AS_THE_SERVER}")),
    }
    let Some(public) = key(report, &config.data_dir) else { return };
    match tail(&dir, &public) {
        Ok(found) => {
            end(report, &what, &found);
            age(report, found.newest.as_ref());
        }
        Err(VerifyError::NoLedger) => return report.not_looked_at("record", what, "it has no entry yet"),
        Err(VerifyError::Io(error)) => {
            return report.not_looked_at("record", what, format_args!("{error}; {AS_THE_SERVER}"));
        }
    }
    if whole {
        all(report, &what, &dir, public);
    }
}

/// The public key of the record, if it belongs to the secret one.
fn key(report: &mut Report, data: &Path) -> Option<VerifierKey> {
    let (check, what) = ("record.key", "key that signs the record");
    let file = data.join("keys/ledger.vkey");
    let public =
        fs::read_to_string(&file).map_err(|error| format!("`{}` cannot be read: {error}", file.display()));
    let public = public.and_then(|text| {
        text.trim_end().parse::<VerifierKey>().map_err(|error| format!("`{}`: {error}", file.display()))
    });
    let public = match public {
        Ok(public) => public,
        Err(seen) => {
            report.wrong(
                check,
                what,
                seen,
                "put it back: who checks the record needs it. Its text is in backups",
            );
            return None;
        }
    };
    match Signer::load(&data.join("keys/ledger.key"), public.name()) {
        Ok(signer) if *signer.verifier() == public => {
            report.good(check, what, format_args!("fits the public one, of `{}`", public.name()));
        }
        Ok(_) => report.wrong(
            check,
            what,
            "is not the one that `keys/ledger.vkey` is of",
            "put the right one back: the start is refused with another",
        ),
        Err(KeyError::Read { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            report.not_looked_at(check, what, format_args!("{source}; {AS_THE_SERVER}"));
        }
        Err(error) => report.wrong(
            check,
            what,
            error,
            "put it back from a backup, with mode 600: the start is refused without it",
        ),
    }
    Some(public)
}

fn end(report: &mut Report, what: &str, found: &Tail) {
    for finding in &found.findings {
        report.wrong("record.end", what, finding, REMEDY);
    }
    if !found.findings.is_empty() {
        return;
    }
    let read =
        format!("entries {} to {} are as they were written", found.from, found.entries.saturating_sub(1));
    let unread = if found.from == 0 { "" } else { "; those before were not read (--whole reads them)" };
    match found.signed_entries {
        Some(signed) => {
            report.good(
                "record.end",
                what,
                format_args!(
                    "{read}, and the newest checkpoint, of {signed}, is signed with this key{unread}"
                ),
            );
        }
        None => report.warning(
            "record.end",
            what,
            format_args!("{read}, and no checkpoint is there"),
            "a running server signs one within a second; if it does not, see its log",
        ),
    }
}

fn age(report: &mut Report, newest: Option<&Entry>) {
    /// When an entry says it was written.
    #[derive(Deserialize)]
    struct When {
        at: u64,
    }
    let (check, what) = ("record.age", "newest entry of the record");
    let Some(entry) = newest else { return };
    let kind = Head::of(&entry.payload).what.into_owned();
    let Ok(When { at }) = serde_json::from_slice(&entry.payload) else {
        let why = format!("entry {} (`{kind}`) does not say when it was written", entry.index);
        return report.not_looked_at(check, what, why);
    };
    let now = OsTime.wall_nanos() / 1_000_000;
    let ahead = Duration::from_millis(at.saturating_sub(now));
    if ahead > Duration::from_secs(1) {
        let seen =
            format!("entry {} (`{kind}`) is {} ahead of the clock of this machine", entry.index, said(ahead));
        return report.warning(
            check,
            what,
            seen,
            "find out which of the two is wrong before you start. Runbook: clock-fault",
        );
    }
    let old = said(Duration::from_millis(now.saturating_sub(at)));
    report.good(check, what, format_args!("entry {} (`{kind}`), {old} old", entry.index));
}

fn all(report: &mut Report, what: &str, dir: &Path, log: VerifierKey) {
    let check = "record.whole";
    match verify(dir, &Trust { log, witnesses: Vec::new() }, &[]) {
        Ok(found) if found.is_consistent() => {
            let seen = format!(
                "all {} entries fit together, and {} checkpoints agree",
                found.entries, found.checkpoints_agreed
            );
            report.good(check, what, seen);
        }
        Ok(found) => {
            for finding in &found.findings {
                report.wrong(check, what, finding, REMEDY);
            }
        }
        Err(error) => report.not_looked_at(check, what, error),
    }
}
