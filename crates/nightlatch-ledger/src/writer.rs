//! Putting blocks into segments, so that any step may fail and be done again.
//!
//! A segment's space is taken from the disk when the segment is begun, and at least one spare for the one after it at once, so
//! that a disk that fills up does not stop the ledger on the spot. Whoever keeps the ledger says how much it owes, in
//! entries that will have to be written whatever happens; there are always as many spares as that takes, or the disk is full.
//! Spares that are not needed any more are given back, one at a time and not the last.
//!
//! Order matters when a segment is full: it is cut to its last block, and that is on the disk, before the next file
//! gets its name. So a second file proves that everything in the first had been finished.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    block::HEADER_BYTES,
    disk::Disk,
    files,
    scan::{Block, Tail},
};

/// The one that writes entries; there is one in a ledger, behind a lock.
pub(crate) struct Writer {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    /// First index in the name of the segment that is written.
    segment: u64,
    file: File,
    /// Where the next block goes.
    offset: u64,
    /// Bytes of the segment that have a place on the disk.
    capacity: u64,
    /// Spares, numbered from 0: files of which every byte has a place on the disk.
    spares: u32,
}

/// Why a block is not on the disk.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The block could not be written.
    #[error("could not write to the ledger")]
    Write(#[source] io::Error),
    /// The block was written and could not be made durable.
    #[error("could not sync the ledger")]
    Sync(#[source] io::Error),
    /// The segment is full and the next one could not be begun.
    #[error("could not begin the next segment of the ledger")]
    Segment(#[source] io::Error),
}

impl Writer {
    /// Takes over where a scan ended: cuts off a torn tail, and makes what the scan read durable.
    ///
    /// A process that died between write and sync, or after a failed sync, leaves its last block in the page cache
    /// only, where the scan found it. So the last block is written again and synced before anybody relies on it.
    pub(crate) fn resume(
        dir: &Path,
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        tail: Tail,
        last: Option<&Block>,
    ) -> io::Result<Self> {
        let segment = tail.segment.unwrap_or(0);
        let file = files::open_or_create(&files::segment_path(dir, segment))?;
        if tail.torn_bytes > 0 {
            file.set_len(tail.offset)?;
        }
        let capacity = segment_bytes.max(tail.offset);
        disk.allocate(&file, capacity)?;
        if let Some(block) = last.filter(|block| block.segment == segment) {
            disk.write(&file, &block.header.encode(), block.offset)?;
            disk.write(&file, &block.body, block.offset + HEADER_BYTES as u64)?;
        }
        file.sync_all()?;
        files::sync_dir(dir)?;
        let mut writer = Self {
            dir: dir.to_owned(),
            disk,
            segment_bytes,
            segment,
            file,
            offset: tail.offset,
            capacity,
            spares: 0,
        };
        // What a run before had in hand is taken over: what is owed is not known yet. One that has not all its place, as in a copy
        // made by hand, is none if the disk is full.
        let left = files::spares(dir)?;
        while writer.spares < left.max(1) && writer.make_spare().is_ok() {}
        for number in writer.spares..left {
            let _ = fs::remove_file(files::spare_path(dir, number));
        }
        Ok(writer)
    }

    /// Writes a block that begins with entry `first` and makes it durable; gives its segment and offset.
    ///
    /// After an error the same block is asked for again, and goes to the same place.
    pub(crate) fn write(&mut self, first: u64, block: &[u8]) -> Result<(u64, u64), CommitError> {
        let length = block.len() as u64;
        if self.offset + length > self.capacity {
            self.begin_segment(first, length).map_err(CommitError::Segment)?;
        }
        self.disk.write(&self.file, block, self.offset).map_err(CommitError::Write)?;
        self.disk.sync(&self.file).map_err(CommitError::Sync)?;
        let place = (self.segment, self.offset);
        self.offset += length;
        Ok(place)
    }

    /// Tries to have a segment to spare beyond `owed` bytes; gives the bytes that can be written without asking the disk for more.
    pub(crate) fn reserve(&mut self, owed: u64) -> u64 {
        let here = self.capacity - self.offset;
        let wanted = 1 + owed.saturating_sub(here).div_ceil(self.segment_bytes);
        while u64::from(self.spares) < wanted && self.make_spare().is_ok() {}
        // One more than is wanted is kept, so that a number of sessions that goes up and down does not make and remove files.
        if u64::from(self.spares) > wanted + 1 {
            // One that cannot be removed stays in hand.
            let last = files::spare_path(&self.dir, self.spares - 1);
            self.spares -= u32::from(fs::remove_file(last).is_ok());
        }
        self.room()
    }

    /// Bytes that can be written without asking the disk for more.
    pub(crate) fn room(&self) -> u64 {
        self.capacity - self.offset + self.segment_bytes * u64::from(self.spares)
    }

    fn make_spare(&mut self) -> io::Result<()> {
        let path = files::spare_path(&self.dir, self.spares);
        let file = files::open_or_create(&path)?;
        let made = self.disk.allocate(&file, self.segment_bytes).and_then(|()| self.disk.sync(&file));
        match made {
            Ok(()) => self.spares += 1,
            // What there was of it is of use to others.
            Err(_) => fs::remove_file(path)?,
        }
        made
    }

    /// Gives the last spare the name of a segment.
    fn use_spare(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(files::spare_path(&self.dir, self.spares - 1), path)?;
        self.spares -= 1;
        Ok(())
    }

    /// Goes over to a segment that has `length` bytes for the block that begins with entry `first`.
    fn begin_segment(&mut self, first: u64, length: u64) -> io::Result<()> {
        let capacity = self.segment_bytes.max(length);
        if self.offset > 0 {
            self.file.set_len(self.offset)?;
            self.capacity = self.offset;
            self.file.sync_all()?;

            let path = files::segment_path(&self.dir, first);
            if self.spares > 0 && !path.try_exists()? {
                self.use_spare(&path)?;
            }
            let file = files::open_or_create(&path)?;
            self.disk.allocate(&file, capacity)?;
            self.disk.sync(&file)?;
            files::sync_dir(&self.dir)?;
            (self.segment, self.file, self.offset) = (first, file, 0);
        } else {
            // A block longer than a segment gets a segment of its own length.
            self.disk.allocate(&self.file, capacity)?;
        }
        self.capacity = capacity;
        Ok(())
    }
}
