//! `nightlatch ledger anchor`: the newest checkpoint out of the operator's hands, to witnesses and into a file.
//!
//! Works from the files, also beside a running server, and needs no signing key. Every witness is asked, whatever became of the one before
//! it. A witness that has seen another history than the one that lies here is the one thing that all of this is for, so it is the answer
//! no; that a witness cannot be reached is not.

use super::{
    anchor_file::{self, Place},
    out::{Done, Out, Stop},
    vault::Vault,
};
use crate::{
    config::{self, ledger::Witness},
    witnessing::{Refusal, Seen, Shown, show},
    words::instant_ms,
};
use nightlatch_ledger::{
    ConsistencyProof, Cosigned, ProveError, SignedCheckpoint, prove_consistency_of_files,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What to anchor, and where.
pub(super) struct Order {
    /// The configuration that names data directory and witnesses.
    pub(super) config: Option<PathBuf>,
    /// The data directory, where there is no configuration.
    pub(super) data: Option<PathBuf>,
    /// The file to write.
    pub(super) file: Option<PathBuf>,
}

/// Anchors the newest checkpoint.
pub(super) fn run(out: Out, order: &Order) -> Done {
    let (data, witnesses) = place(order)?;
    if witnesses.is_empty() && order.file.is_none() {
        return Err(Stop::Usage(
            "nobody to show the checkpoint to: name a `[[ledger.witness]]` in the configuration and give it with --config, or a file with --file"
                .to_owned(),
        ));
    }
    let vault = Vault::of(&data, None)?;
    // Also before a witness is asked, so that one command says what is wrong with the ledger itself.
    newest(&vault)?;
    let to = order.file.as_deref().map(|file| Place::of(&vault, file));
    if let Some(Err(Stop::Usage(wrong))) = to {
        return Err(Stop::Usage(wrong));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Unreachable(format!("the operating system refused: {error}")))?;
    let (mut contradicted, mut failed) = (Vec::new(), Vec::new());
    for witness in &witnesses {
        match runtime.block_on(show(&vault, witness)) {
            Ok(seen) => say(out, witness, &seen)?,
            Err(Refusal::Contradicted(what)) => contradicted.push(about(witness, &what)),
            Err(Refusal::Failed(_, what)) => failed.push(about(witness, &what)),
        }
    }
    // A name that is still being looked up would be waited for otherwise.
    runtime.shutdown_background();
    if let Some(to) = to {
        // What a witness said is not lost behind what is wrong with the file.
        let written = to.and_then(|to| {
            anchor_file::write(&vault, &newest(&vault)?, &to).map(|written| (to.file, written))
        });
        match written {
            Ok((file, written)) => say_file(out, file, &written)?,
            Err(Stop::Refused(what)) => contradicted.push(what),
            Err(Stop::Unreachable(what)) => failed.push(what),
            Err(stop) => return Err(stop),
        }
    }
    let all = [&contradicted[..], &failed[..]].concat().join("\nnightlatch: ");
    match (contradicted.is_empty(), failed.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(Stop::Unreachable(all)),
        (false, _) => Err(Stop::Refused(all)),
    }
}

/// The data directory, and who is shown what is in it.
fn place(order: &Order) -> Result<(PathBuf, Vec<Witness>), Stop> {
    let Some(file) = &order.config else {
        let data = order.data.clone();
        return data
            .map(|data| (data, Vec::new()))
            .ok_or_else(|| Stop::Usage("give --config or --data".to_owned()));
    };
    let text = fs::read_to_string(file)
        .map_err(|error| Stop::Unreachable(format!("`{}` cannot be read: {error}", file.display())))?;
    let config = config::read(&text, file).config.ok_or_else(|| {
        Stop::Refused(format!(
            "`{0}` would be refused; `nightlatch config check {0}` says why",
            file.display()
        ))
    })?;
    Ok((config.data_dir, config.ledger.witnesses))
}

/// The newest checkpoint of the ledger, whose signature was verified.
fn newest(vault: &Vault) -> Result<SignedCheckpoint, Stop> {
    let file = vault.dir.join("checkpoint");
    let note = fs::read_to_string(&file).map_err(|error| {
        Stop::Unreachable(format!("the newest checkpoint `{}` cannot be read: {error}", file.display()))
    })?;
    SignedCheckpoint::parse(&note, &vault.key)
        .map_err(|error| Stop::Refused(format!("the newest checkpoint cannot be believed: {error}")))
}

/// The ledger whose files these are, also beside the process that writes them.
impl Shown for Vault {
    fn newest(&self) -> Result<SignedCheckpoint, String> {
        newest(self).map_err(|stop| match stop {
            Stop::Refused(what) | Stop::Unreachable(what) | Stop::Usage(what) => what,
            Stop::No | Stop::NobodyListens => "the newest checkpoint cannot be read".to_owned(),
        })
    }

    fn prove(&self, old: u64, new: u64) -> Result<ConsistencyProof, ProveError> {
        prove_consistency_of_files(&self.dir, old, new)
    }

    fn cosigned(&self) -> Cosigned {
        Cosigned::of(&self.dir, &self.key)
    }
}

fn about(witness: &Witness, what: &str) -> String {
    format!("witness `{}` at {} {what}", witness.key.name(), witness.url)
}

fn say(out: Out, witness: &Witness, seen: &Seen) -> Done {
    let at = instant_ms(seen.unix_seconds.saturating_mul(1_000));
    if out.json {
        return out.value(&json!({ "witness": witness.key.name(), "entries": seen.entries, "at": at }));
    }
    out.line(format_args!("anchored: {} entries by witness `{}` at {at}", seen.entries, witness.key.name()))
}

fn say_file(out: Out, file: &Path, written: &SignedCheckpoint) -> Done {
    let (entries, cosigners) = (written.checkpoint().size, written.cosigners().collect::<Vec<_>>());
    if out.json {
        return out.value(
            &json!({ "file": file.display().to_string(), "entries": entries, "cosigned_by": cosigners }),
        );
    }
    let by =
        if cosigners.is_empty() { String::new() } else { format!(", cosigned by {}", cosigners.join(", ")) };
    out.line(format_args!("written: `{}`, a checkpoint of {entries} entries{by}", file.display()))
}
