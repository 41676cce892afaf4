//! From where each session was signed in to: the device in a few words, and the address.
//!
//! People want to know where they are signed in, and an address is personal data: it may stand nowhere that cannot forget. So it is
//! neither in the ledger, nor in a snapshot, nor in a backup. It stands in a flat file of its own, at the place that the session has
//! among the [`Slots`](crate::Slots), and is wiped when the session is forgotten. Nothing of it is kept in memory: it is read when
//! somebody looks.
//!
//! A record is 64 bytes at `64 * index`, so it never crosses a disk sector:
//!
//! ```text
//! session[16] address[16] length:u8 words[27] check[4]
//! ```
//!
//! The address is IPv6, with IPv4 mapped into it and `::` for one that is not known. The record names its session, so that whoever has
//! the place next never inherits it. The check is the first four bytes of SHA-256 over a label, the index and all before it, against
//! blocks that a disk put in the wrong place; the label carries the version of the form.
//!
//! **If we crash here:** nothing is decided by what stands here, so nothing waits for the disk. After a power cut a device may not be
//! known, or one that was wiped may stand there again until its place has the next tenant.

use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use crate::file::{FileError, OpenToOthers, failed, open_or_create, refuse_if_open_to_others};

const RECORD_BYTES: usize = 64;
const CHECKED_BYTES: usize = RECORD_BYTES - 4;
const LABEL: &[u8] = b"nightlatch device, form 1";

/// The most bytes of [`Device::words`] that are kept.
pub const DEVICE_WORDS_BYTES: usize = 27;

/// From where somebody signed in. Shows nothing of it in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// The client's address, if it is known.
    pub address: Option<IpAddr>,
    /// The device in a person's words, `Firefox on Windows`; empty if it is not known. Cut off after [`DEVICE_WORDS_BYTES`].
    pub words: String,
}

/// The file of devices. To be shared between threads.
///
/// Only one of these may be open on a file; [`DataDir`](crate::DataDir) sees to that.
#[derive(Debug)]
pub struct Devices {
    path: PathBuf,
    file: File,
}

/// Why the file of devices was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDevicesError {
    /// Other users of the machine may have read the addresses.
    #[error(transparent)]
    OpenToOthers(#[from] OpenToOthers),
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Devices {
    /// Opens the file at `path`, and creates it (empty, mode 0600) if it is not there.
    pub fn open(path: impl AsRef<Path>) -> Result<Devices, OpenDevicesError> {
        let path = path.as_ref().to_owned();
        let file = open_or_create(&path)?;
        refuse_if_open_to_others::<OpenDevicesError>(&file, &path)?;
        Ok(Devices { path, file })
    }

    /// Notes the device of the session that has this place. Not made durable: see the module. Idempotent.
    pub fn write(&self, index: u32, session: &[u8; 16], device: &Device) -> Result<(), FileError> {
        let record = encode(index, session, device);
        self.file.write_all_at(&record, at(index)).map_err(failed("write", &self.path))
    }

    /// The device of the session that has this place; none if it was not noted, or what is there is another's or damaged.
    pub fn read(&self, index: u32, session: &[u8; 16]) -> Result<Option<Device>, FileError> {
        let mut record = [0; RECORD_BYTES];
        match self.file.read_exact_at(&mut record, at(index)) {
            Ok(()) => Ok(decode(index, session, &record)),
            // The file ends before this place: nothing was noted here, nor behind it.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failed("read", &self.path)(error)),
        }
    }

    /// Wipes what was noted for the session that has this place; what is another's stays. Idempotent.
    pub fn wipe(&self, index: u32, session: &[u8; 16]) -> Result<(), FileError> {
        if self.read(index, session)?.is_none() {
            return Ok(());
        }
        self.file.write_all_at(&[0; RECORD_BYTES], at(index)).map_err(failed("write", &self.path))
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(..)")
    }
}

fn at(index: u32) -> u64 {
    u64::from(index) * RECORD_BYTES as u64
}

fn encode(index: u32, session: &[u8; 16], device: &Device) -> [u8; RECORD_BYTES] {
    let address = match device.address {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
        Some(IpAddr::V6(address)) => address,
        None => Ipv6Addr::UNSPECIFIED,
    };
    let words = &device.words[..device.words.floor_char_boundary(DEVICE_WORDS_BYTES)];
    let mut record = [0; RECORD_BYTES];
    record[..16].copy_from_slice(session);
    record[16..32].copy_from_slice(&address.octets());
    record[32] = words.len() as u8;
    record[33..33 + words.len()].copy_from_slice(words.as_bytes());
    let check = check(index, &record[..CHECKED_BYTES]);
    record[CHECKED_BYTES..].copy_from_slice(&check);
    record
}

fn decode(index: u32, session: &[u8; 16], record: &[u8; RECORD_BYTES]) -> Option<Device> {
    let (checked, given) = record.split_at(CHECKED_BYTES);
    if checked[..16] != *session || given != check(index, checked) {
        return None;
    }
    let octets: [u8; 16] = checked[16..32].try_into().ok()?;
    let words = checked.get(33..33 + usize::from(checked[32]))?;
    let address = Ipv6Addr::from(octets);
    Some(Device {
        address: (!address.is_unspecified()).then(|| IpAddr::V6(address).to_canonical()),
        words: str::from_utf8(words).ok()?.to_owned(),
    })
}

fn check(index: u32, bytes: &[u8]) -> [u8; 4] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(LABEL);
    hash.update(&index.to_le_bytes());
    hash.update(bytes);
    let mut first = [0; 4];
    first.copy_from_slice(&hash.finish().as_ref()[..4]);
    first
}

#[cfg(test)]
mod tests;
