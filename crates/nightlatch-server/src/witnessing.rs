//! Showing the record to witnesses: people outside of the operator's reach, whose cosignature says what was there at which time.
//!
//! 1. `show`: the newest checkpoint and the proof that it continues what the witness has. By the command `ledger anchor`, from the files;
//!    by the running server, from its open ledger; both are the same steps.
//! 2. `ask`: the question over the network, and the answer, which is believed for nothing but the signature in it.
//! 3. `regular`: the running server does it by itself, on a thread that nothing waits for.
//! 4. `standing`: what each witness said last, for the metrics.
//!
//! A witness that has seen another history than the one that lies here is the one thing all of this is for, so that is kept apart from
//! every other way in which it may fail.

mod ask;
mod regular;
mod show;
mod standing;

pub(crate) use regular::Regular;
pub(crate) use show::{Refusal, Seen, Shown, show};
pub(crate) use standing::{Failure, Standing, standings};
