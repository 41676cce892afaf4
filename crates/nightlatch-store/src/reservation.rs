//! How far time has gone, kept on disk a little ahead of it.
//!
//! A restart must not take the authority's clock back: a clock put back while we were away would give every session
//! time that it has already used. So an instant a little in the future is reserved on disk before the clock reaches
//! it, and a restart goes on from there or from the wall clock, whichever is later. This module keeps that record; what
//! follows from it is the engine's to decide.
//!
//! Two records take turns, each with a sequence number and a SHA-256, so that a torn write hits the older one and
//! leaves the newer alone. They lie 4096 bytes apart, not side by side: what a power cut can spoil is a whole sector,
//! and on many disks that is 4096 bytes. The file is first put in place whole, with one good record. From then on a
//! file without a good record means damage and is told apart from a file that was never there: the first must not pass
//! for a new installation, whose clock may say what it likes.
//!
//! **If we crash here:** the record before stands; it was durable when it was stored. If records could not be stored for a
//! while, the clock has gone beyond it; then the engine tells no end by the clock alone, but waits for its entry in the ledger.
//!
//! A removed file looks like a new installation here. The engine knows better: one that has a ledger with entries has had a
//! reservation.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use crate::file::{self, FileError, failed};

const RECORD_BYTES: usize = 128;
const CHECKED_BYTES: usize = 96;
/// Distance of the two records: the largest sector that disks have.
const APART_BYTES: u64 = 4096;
const MAGIC: [u8; 8] = *b"nltime 1";

/// How far time may go before the next reservation has to be on disk, and the clocks it was computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The boot of the machine during which this was written.
    pub boot_id: [u8; 16],
    /// The clock that counts from boot (suspension included), in nanoseconds, when this was written.
    pub boot_nanos: u64,
    /// The authority's clock minus the clock that counts from boot, in nanoseconds.
    pub offset_nanos: i64,
    /// The instant up to which time is reserved, in nanoseconds since the Unix epoch.
    pub reserved_until_nanos: u64,
    /// Whether this was written by an orderly stop.
    pub clean: bool,
}

/// The file of the time reservation. Only one of these may be open on a file; [`DataDir`](crate::DataDir) sees to that.
#[derive(Debug)]
pub struct ReservationFile {
    path: PathBuf,
    held: Held,
}

/// Why the reservation cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadReservationError {
    /// There is a file, so there was a reservation, and neither of its records is good.
    #[error("the time reservation in `{}` is damaged: how far time had gone cannot be told", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Why looking at the reservation did not tell it.
#[derive(Debug, thiserror::Error)]
pub enum PeekReservationError {
    /// What is there cannot be told.
    #[error(transparent)]
    Load(#[from] LoadReservationError),
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Debug)]
enum Held {
    /// There is no file: nothing was ever reserved.
    Nothing,
    /// There is a file without a good record.
    Damaged,
    Newest {
        file: File,
        record: Record,
        /// Which of the two places it is in.
        place: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    sequence: u64,
    reservation: Reservation,
}

impl ReservationFile {
    /// Reads the file at `path`, which need not be there; nothing is created.
    ///
    /// What is read is synced first. If a sync of it had failed before, it may be on no disk all the same; so it tells where time goes on, and
    /// nothing is to be promised on the strength of it before one was stored since. That one goes to the other place. This one is not written
    /// again: it may be the only good one.
    pub fn open(path: impl AsRef<Path>) -> Result<ReservationFile, FileError> {
        let path = path.as_ref().to_owned();
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(ReservationFile { path, held: Held::Nothing });
            }
            Err(error) => return Err(failed("open", &path)(error)),
        };
        // What was written just before a kill can be read although it is not yet on the disk.
        file.sync_all().map_err(failed("sync", &path))?;
        file::sync_dir(file::parent(&path))?;

        let newest = newest(&file).map_err(failed("read", &path))?;
        let held = match newest {
            Some((record, place)) => Held::Newest { file, record, place },
            None => Held::Damaged,
        };
        Ok(ReservationFile { path, held })
    }

    /// The newest reservation in the file at `path`, for whoever only looks, also while another process stores; none if
    /// there is no file. Writes and syncs nothing, so what it says need not outlive a power cut.
    pub fn peek(path: impl AsRef<Path>) -> Result<Option<Reservation>, PeekReservationError> {
        let path = path.as_ref();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", path)(error).into()),
        };
        match newest(&file).map_err(failed("read", path))? {
            Some((record, _)) => Ok(Some(record.reservation)),
            None => Err(LoadReservationError::Damaged { path: path.to_owned() }.into()),
        }
    }

    /// The newest reservation that is stored; none if there never was one.
    ///
    /// Reads nothing from the disk: it is what was found at opening, or stored since.
    pub fn load(&self) -> Result<Option<Reservation>, LoadReservationError> {
        match &self.held {
            Held::Nothing => Ok(None),
            Held::Damaged => Err(LoadReservationError::Damaged { path: self.path.clone() }),
            Held::Newest { record, .. } => Ok(Some(record.reservation)),
        }
    }

    /// Stores a reservation, durable when this returns.
    ///
    /// After an error the one before still stands here, and on the disk it is one of the two. Idempotent: store it
    /// again. A damaged file is replaced.
    pub fn store(&mut self, reservation: &Reservation) -> Result<(), FileError> {
        let reservation = *reservation;
        match &mut self.held {
            Held::Nothing | Held::Damaged => {
                let record = Record { sequence: 1, reservation };
                let file = file::replace::<FileError>(&self.path, |writer| {
                    let mut content = vec![0; APART_BYTES as usize + RECORD_BYTES];
                    content[..RECORD_BYTES].copy_from_slice(&encode(&record));
                    writer.write_all(&content).map_err(failed("write", &self.path))
                })?;
                self.held = Held::Newest { file, record, place: 0 };
            }
            Held::Newest { file, record, place } => {
                let next = Record { sequence: record.sequence + 1, reservation };
                let other = 1 - *place;
                file.write_all_at(&encode(&next), other * APART_BYTES)
                    .map_err(failed("write", &self.path))?;
                file.sync_data().map_err(failed("sync", &self.path))?;
                (*record, *place) = (next, other);
            }
        }
        Ok(())
    }
}

/// The newer of the records that are whole, and which of the two places it is in.
fn newest(file: &File) -> std::io::Result<Option<(Record, u64)>> {
    let mut newest: Option<(Record, u64)> = None;
    for place in [0, 1] {
        let Some(record) = read(file, place)? else { continue };
        if newest.is_none_or(|(other, _)| record.sequence > other.sequence) {
            newest = Some((record, place));
        }
    }
    Ok(newest)
}

/// The record in `place`, unless it is not whole.
fn read(file: &File, place: u64) -> std::io::Result<Option<Record>> {
    let mut bytes = [0; RECORD_BYTES];
    match file.read_exact_at(&mut bytes, place * APART_BYTES) {
        Ok(()) => Ok(decode(&bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn encode(record: &Record) -> [u8; RECORD_BYTES] {
    let Record { sequence, reservation } = record;
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    bytes[16..32].copy_from_slice(&reservation.boot_id);
    bytes[32..40].copy_from_slice(&reservation.boot_nanos.to_le_bytes());
    bytes[40..48].copy_from_slice(&reservation.offset_nanos.to_le_bytes());
    bytes[48..56].copy_from_slice(&reservation.reserved_until_nanos.to_le_bytes());
    bytes[56] = reservation.clean.into();
    let check = digest::digest(&digest::SHA256, &bytes[..CHECKED_BYTES]);
    bytes[CHECKED_BYTES..].copy_from_slice(check.as_ref());
    bytes
}

fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let (fields, check) = bytes.split_at(CHECKED_BYTES);
    if digest::digest(&digest::SHA256, fields).as_ref() != check {
        return None;
    }
    let (magic, fields) = fields.split_first_chunk::<8>()?;
    let (sequence, fields) = fields.split_first_chunk()?;
    let (boot_id, fields) = fields.split_first_chunk()?;
    let (boot_nanos, fields) = fields.split_first_chunk()?;
    let (offset_nanos, fields) = fields.split_first_chunk()?;
    let (reserved_until_nanos, fields) = fields.split_first_chunk()?;
    if *magic != MAGIC {
        return None;
    }
    let reservation = Reservation {
        boot_id: *boot_id,
        boot_nanos: u64::from_le_bytes(*boot_nanos),
        offset_nanos: i64::from_le_bytes(*offset_nanos),
        reserved_until_nanos: u64::from_le_bytes(*reserved_until_nanos),
        clean: fields[0] == 1,
    };
    Some(Record { sequence: u64::from_le_bytes(*sequence), reservation })
}

#[cfg(test)]
mod tests;
