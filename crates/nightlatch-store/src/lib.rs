//! What this machine remembers beside the ledger.
//!
//! The ledger is the truth about sessions: a start or an end is its entry. Writing everything there would be wasteful
//! (last activity changes many times a second), slow (a restart would replay years), or impossible to undo (a name,
//! once in an append-only log, cannot be erased). So a few small files stand beside it, each with one job:
//!
//! | what | remembers | if it is lost |
//! | --- | --- | --- |
//! | [`DataDir`] | that one process owns these files | nothing is at risk |
//! | [`Slots`] | the last activity of each session | sessions end earlier than they had to, never later |
//! | [`snapshot`] | the session table at one size of the ledger | the start is slower: the whole ledger is replayed |
//! | [`Devices`] | from where each session was signed in to | people are not told |
//! | [`People`] | who stands behind a pseudonym | the entries stay, the names are gone |
//! | [`ReservationFile`] | how far time had gone | a clock put back could go unseen, so damage is told apart from absence |
//! | [`Keys`] | secrets made at first use | what was sealed with them cannot be opened |
//!
//! A store never decides. It does not know what a session is, when one ends, or what time it is: no function here
//! asks the OS for the time, no value is interpreted, and nothing found damaged is papered over. It is handed back as
//! damaged, and the caller chooses.
//!
//! **If we crash here:** every write is either whole or recognised as torn at the next start, and nothing that was
//! answered "done" is lost. Because a killed process leaves writes that can be read back but are not yet on the disk,
//! what is found when a file is opened is made durable before it is believed.
//!
//! Absent on purpose: threads, sockets, a cache to be kept in step, and any way to remove a lock by hand.

mod devices;
mod dir;
mod file;
mod hex;
mod keys;
mod people;
mod reservation;
mod slots;
pub mod snapshot;
#[cfg(test)]
mod temp;

pub use devices::{DEVICE_WORDS_BYTES, Device, Devices, OpenDevicesError};
pub use dir::{BACKUP_MARK, DataDir, OpenDataDirError};
pub use file::{FileError, OpenToOthers};
pub use keys::{KeyError, Keys, SecretKey};
pub use people::{NotAPseudonym, OpenPeopleError, People, Person, Pseudonym, PseudonymError};
pub use reservation::{LoadReservationError, PeekReservationError, Reservation, ReservationFile};
pub use slots::{Slots, Words};
