//! The three things a commit asks of the disk, so that a test can have a disk that fails.
//!
//! A commit is a promise about what survives a power cut, and most of its code is for the case that the disk says no.
//! That case cannot be had on demand from a real disk, so the three calls that can say no go through [`Disk`].
//! Reading, and the small files beside the segments, do not.

use std::{fs::File, io, os::unix::fs::FileExt};

/// What a [`Ledger`](crate::Ledger) writes its entries with.
///
/// An error from any of these means "not known to have happened": the ledger publishes nothing and later asks for the
/// same bytes at the same place again. So every call must be harmless to repeat.
pub trait Disk: Send + Sync {
    /// Writes all bytes at the offset, in bytes. May have written any part of them when it fails.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns only when the file's bytes, and its length, survive a power cut.
    ///
    /// # Errors
    ///
    /// The operating system's. After an error nothing may be taken to be on the disk until it was *written* again: the
    /// kernel may have dropped what it could not write.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Makes the file at least `length` bytes long and sees to it that those bytes have a place on the disk.
    ///
    /// # Errors
    ///
    /// The operating system's, most often that the disk is full.
    fn allocate(&self, file: &File, length: u64) -> io::Result<()>;
}

/// The operating system's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
            // Not every file system can promise space. The file then grows as it is written, and a full disk is met at
            // a commit instead of here.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                if file.metadata()?.len() < length { file.set_len(length) } else { Ok(()) }
            }
            done => done.map_err(io::Error::from),
        }
    }
}
