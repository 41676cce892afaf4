//! The newest checkpoint shown to one witness, and its cosignature kept.
//!
//! What the witness has is known from what was kept of it; if it goes on from another size, it says so and is shown the way from there,
//! once more. Nothing that it says is believed before its signature was verified, and nothing is kept that does not verify.

use super::{
    ask::{self, Answer, AskError},
    standing::Failure,
};
use crate::config::ledger::Witness;
use nightlatch_identity::outbound::OutboundError;
use nightlatch_ledger::{
    ConsistencyProof, Cosigned, Ledger, ProveError, SignedCheckpoint, witness::add_checkpoint,
};

/// A ledger that is shown: one that is open here, or one whose files lie here.
pub(crate) trait Shown {
    /// Its newest checkpoint, or why that cannot be had.
    fn newest(&self) -> Result<SignedCheckpoint, String>;
    /// The proof that a tree of this size is the beginning of one of that size.
    fn prove(&self, old: u64, new: u64) -> Result<ConsistencyProof, ProveError>;
    /// What witnesses have cosigned of it.
    fn cosigned(&self) -> Cosigned;
}

impl Shown for Ledger {
    fn newest(&self) -> Result<SignedCheckpoint, String> {
        self.last_checkpoint().ok_or_else(|| "there is no checkpoint yet".to_owned())
    }

    fn prove(&self, old: u64, new: u64) -> Result<ConsistencyProof, ProveError> {
        self.prove_consistency(old, new)
    }

    fn cosigned(&self) -> Cosigned {
        Ledger::cosigned(self)
    }
}

/// What a witness has cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// So many entries.
    pub(crate) entries: u64,
    /// When, by its own word, in seconds since 1970-01-01 UTC.
    pub(crate) unix_seconds: u64,
}

/// Why a witness has not cosigned.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It has seen another history than the one here; in words that follow its name.
    Contradicted(String),
    /// Anything else, which is no evidence of anything; in words that follow its name.
    Failed(Failure, String),
}

/// Shows a witness the newest checkpoint, and keeps its cosignature. Where the witness goes on from another size than we thought, it is
/// shown what is newest then, once more: somebody else may have been there with this ledger meanwhile.
///
/// Reads and writes files; takes 10 seconds at most beside that.
pub(crate) async fn show(ledger: &impl Shown, witness: &Witness) -> Result<Seen, Refusal> {
    let cosigned = ledger.cosigned();
    let kept = cosigned.newest_by(&witness.key).map_err(|error| own(&error))?;
    let mut signed = ledger.newest().map_err(|error| own(&error))?;
    let mut old = 0;
    if let Some((kept, _)) = &kept {
        // Whether or not the witness remembers it: what it cosigned lies here.
        continues(ledger, kept, &signed)?;
        old = kept.checkpoint().size;
    }
    for attempt in 0..2 {
        let size = signed.checkpoint().size;
        let proof = ledger.prove(old, size).map_err(|error| unreadable(&error))?;
        let answer = ask::add_checkpoint(witness, add_checkpoint(&proof, &signed)).await;
        match answer.map_err(|error| not_had(&error))? {
            Answer::Cosigned(lines) => {
                let (signed, unix_seconds) = signed.cosigned(&lines, &witness.key).map_err(|error| {
                    let what = "answered with a cosignature that does not hold";
                    Refusal::Failed(Failure::Answer, format!("{what}: {error}; is `key` its key?"))
                })?;
                cosigned.keep(&signed).map_err(|error| own(&error))?;
                return Ok(Seen { entries: size, unix_seconds });
            }
            Answer::From(seen) => {
                signed = ledger.newest().map_err(|error| own(&error))?;
                let size = signed.checkpoint().size;
                if seen > size {
                    return Err(Refusal::Contradicted(format!(
                        "has cosigned {seen} entries; the ledger here has {size}"
                    )));
                }
                if attempt == 1 && seen == old {
                    return Err(Refusal::Contradicted(format!(
                        "has cosigned other entries than the {seen} that are here"
                    )));
                }
                old = seen;
            }
            Answer::NotContinued => {
                return Err(Refusal::Contradicted(format!(
                    "has cosigned {old} entries that the {size} here do not begin with"
                )));
            }
            Answer::UnknownLog => return Err(stranger("does not know this ledger")),
            Answer::UnknownKey => return Err(stranger("knows this ledger's name with another key")),
        }
    }
    let what = "goes on from another size each time; somebody else is showing it this ledger";
    Err(Refusal::Failed(Failure::Answer, what.to_owned()))
}

/// Whether the ledger still begins with what a witness cosigned.
fn continues(ledger: &impl Shown, kept: &SignedCheckpoint, newest: &SignedCheckpoint) -> Result<(), Refusal> {
    let (old, new) = (kept.checkpoint(), newest.checkpoint());
    let (was, is) = (old.size, new.size);
    if was > is {
        let what = format!("has cosigned {was} entries; the ledger here has {is}");
        return Err(Refusal::Contradicted(what));
    }
    let proof = ledger.prove(was, is).map_err(|error| unreadable(&error))?;
    if proof.verifies(&old.root, &new.root) {
        return Ok(());
    }
    Err(Refusal::Contradicted(format!("has cosigned {was} entries that the {is} here do not begin with")))
}

fn unreadable(error: &ProveError) -> Refusal {
    own(&format_args!("the ledger cannot be read: {error}; `nightlatch ledger verify` says more"))
}

/// The fault is on our side.
fn own(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::Failed(Failure::Ledger, format!("could not be shown anything: {error}"))
}

fn not_had(error: &AskError) -> Refusal {
    let failure = match error {
        AskError::Outbound(OutboundError::Long(_)) | AskError::Status(_) | AskError::Form(_) => {
            Failure::Answer
        }
        AskError::Outbound(_) | AskError::Authorities(_) | AskError::Url(_) => Failure::Unreachable,
    };
    Refusal::Failed(failure, error.to_string())
}

fn stranger(what: &str) -> Refusal {
    let key = "`keys/ledger.vkey` of the data directory";
    Refusal::Failed(Failure::Stranger, format!("{what}; whoever runs it has to be given {key}"))
}
