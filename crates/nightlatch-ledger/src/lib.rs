//! **Record**: an append-only log that is durable, and that can be checked by people who do not trust whoever keeps it.
//!
//! Nightlatch promises that no session starts or ends but by a ledger entry. That is worth something only if "on the
//! record" and "durable" are one thing, and if the record cannot be rewritten in silence. So there is one log and not
//! two: the write-ahead log from which the session table is recovered after a crash *is* the record the auditor reads.
//!
//! The way of an entry:
//!
//! 1. [`Ledger::append`] gives it an index, in memory. (`pending`)
//! 2. [`Ledger::commit`] writes all that waits as one block, syncs it, and only then publishes it. (`block`, `writer`)
//! 3. [`Ledger::watch`] tells; [`Ledger::read`] and [`Ledger::iter_from`] give it back. (`read`)
//! 4. [`Ledger::checkpoint`] signs the root of the Merkle tree over everything so far. (`tree`, `checkpoint`, `history`)
//! 5. [`Ledger::prove_inclusion`] and [`Ledger::prove_consistency`] show what is in it to somebody far away. (`proof`)
//!    A checkpoint that a [`witness`] has cosigned is kept in [`Cosigned`].
//! 6. After a crash [`Ledger::open`] finds all of it again, and tells a torn tail from damage. (`scan`, `recover`)
//! 7. [`verify::verify`] checks it offline, with files and keys only; [`export::export`] writes it in the public form, [`copy::copy`] as it is.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use nightlatch_ledger::{Ledger, Options, Signer};
//! # let folder = tempfile::tempdir()?;
//! # let (key, dir) = (folder.path().join("ledger.key"), folder.path().join("ledger"));
//!
//! let signer = Signer::create(&key, "node-a.example/ledger")?;
//! let (ledger, found) = Ledger::open(&dir, Options::default(), signer)?;
//! let index = ledger.append(b"a session started")?;
//! assert_eq!(ledger.commit()?, index + 1);
//! assert_eq!(ledger.read(index)?.payload, b"a session started");
//! assert_eq!((found.entries, found.torn_bytes), (0, 0));
//! # Ok(())
//! # }
//! ```
//!
//! The forms that leave the house are public ones: RFC 6962 hashing, C2SP signed notes, checkpoints and tiles. The form
//! of the segment files is our own, see `block`.
//!
//! What is not here: clocks, threads, networks, and any idea of what a payload means.

pub mod verify;
pub mod witness;

mod block;
mod checkpoint;
pub mod copy;
mod cosigned;
mod disk;
pub mod export;
mod files;
mod frontier;
#[doc(hidden)]
pub mod fuzzing;
mod hash;
mod history;
mod keys;
mod ledger;
mod note;
mod pending;
mod position;
mod proof;
mod prove;
mod read;
mod recover;
mod scan;
mod tile;
mod tree;
mod writer;

pub use block::PAYLOAD_BYTES_MAX;
pub use checkpoint::{Checkpoint, CheckpointFormError, SignedCheckpoint, SignedCheckpointError};
pub use cosigned::{Cosigned, CosignedError};
pub use disk::{Disk, OsDisk};
pub use frontier::Frontier;
pub use hash::{HASH_BYTES, Hash};
pub use keys::{KeyError, Signer};
pub use ledger::{AppendError, CheckpointError, Ledger, Options};
pub use note::{KeyKind, Note, NoteError, Signed, VerifierKey, VerifierKeyError};
pub use proof::{ConsistencyProof, InclusionProof};
pub use prove::{ProveError, prove_consistency_of_files};
pub use read::{Entries, Entry, ReadError};
pub use recover::{OpenError, Recovered};
pub use scan::{Damage, DamageKind};
pub use tile::{TILE_WIDTH, Tile};
pub use writer::CommitError;
