//! A disk that fails on demand, and takes no space in advance.

use nightlatch_ledger::{Disk, OsDisk};
use std::{
    fs::File,
    io,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

/// Writes and syncs as the operating system does, which is the `platter` here.
#[derive(Default)]
pub(crate) struct SimDisk {
    pub(crate) fails: AtomicBool,
}

impl Disk for SimDisk {
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fails.load(SeqCst) {
            // What a failing disk leaves behind is anybody's guess: half of it is there.
            OsDisk.write(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("the simulated disk fails"));
        }
        OsDisk.write(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        OsDisk.sync(file)
    }

    fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
        if file.metadata()?.len() < length { file.set_len(length) } else { Ok(()) }
    }
}
