//! A disk that fails, at every step, in every way: the commit is reported as failed, and nothing is lost or doubled.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the exception for tests ends at the helpers of a test file"
)]

mod common;

use std::{
    fs::File,
    io,
    sync::{Arc, Mutex},
};

use common::{House, check_entries, payload};
use nightlatch_ledger::{Disk, Ledger, Options, OsDisk};

const ENTRIES: u64 = 45;
const OPTIONS: Options = Options { segment_bytes: 700 };

/// How a step fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// It was not done.
    Lost,
    /// So many bytes of a write were done.
    Part(usize),
    /// It was done, and reported as failed.
    Kept,
}

/// Counts the steps and fails those from `first` on, `times` of them.
struct FailingDisk {
    steps: Mutex<u32>,
    first: u32,
    times: u32,
    failure: Failure,
}

impl FailingDisk {
    fn step(&self, bytes: usize, done: impl Fn(usize) -> io::Result<()>) -> io::Result<()> {
        let mut steps = self.steps.lock().map_err(|_| io::ErrorKind::Other)?;
        *steps += 1;
        if *steps <= self.first || *steps > self.first + self.times {
            return done(bytes);
        }
        match self.failure {
            Failure::Lost => {}
            Failure::Part(part) => done(part.min(bytes))?,
            Failure::Kept => done(bytes)?,
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

impl Disk for FailingDisk {
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.step(bytes.len(), |length| OsDisk.write(file, &bytes[..length], offset))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step(0, |_| OsDisk.sync(file))
    }

    fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
        self.step(0, |_| OsDisk.allocate(file, length))
    }
}

/// Appends all entries with a commit after each three, and goes on after an error; gives the number of errors.
fn write_all(ledger: &Ledger, mut after_error: impl FnMut(&Ledger)) -> u32 {
    let mut errors = 0;
    let mut commit = || {
        let before = ledger.durable();
        match ledger.commit() {
            Ok(durable) => assert_eq!(durable, ledger.durable()),
            Err(_) => {
                errors += 1;
                assert!(ledger.durable() >= before);
                after_error(ledger);
            }
        }
    };
    for index in 0..ENTRIES {
        assert_eq!(ledger.append(&payload(index)).ok(), Some(index), "an append never waits for the disk");
        if index % 3 == 2 {
            commit();
        }
    }
    while ledger.pending() > 0 {
        commit();
    }
    errors
}

fn each_failure(mut check: impl FnMut(House, Arc<dyn Disk>, String) -> u32) {
    let mut failures = 0;
    for failure in [Failure::Lost, Failure::Part(1), Failure::Part(70), Failure::Kept] {
        for times in [1, 4] {
            for first in 3..55 {
                let disk = FailingDisk { steps: Mutex::new(0), first, times, failure };
                failures += check(
                    House::new(),
                    Arc::new(disk),
                    format!("{failure:?} from step {first}, {times} times"),
                );
            }
        }
    }
    assert!(failures > 300, "the steps that fail are not those of commits: {failures}");
}

#[test]
fn on_the_record_once_and_in_order_though_commits_failed() {
    each_failure(|house, disk, story| {
        let Ok((ledger, _)) = Ledger::open_on(disk, &house.dir(), OPTIONS, house.signer()) else { return 0 };
        let errors = write_all(&ledger, |_| ());
        check_entries(&ledger, ENTRIES);
        drop(ledger);
        let (ledger, recovered) = house.try_open(OPTIONS.segment_bytes).unwrap();
        assert_eq!(recovered.torn_bytes, 0, "{story}");
        check_entries(&ledger, ENTRIES);
        errors
    });
}

#[test]
fn on_the_record_at_a_restart_is_at_least_what_was_reported_durable() {
    each_failure(|house, disk, story| {
        let Ok((ledger, _)) = Ledger::open_on(disk, &house.dir(), OPTIONS, house.signer()) else { return 0 };
        // A copy of the files at the moment of each error is what a crash would have left.
        let mut crashes = Vec::new();
        let errors = write_all(&ledger, |ledger| {
            let name = format!("crash {}", crashes.len());
            crashes.push((house.copy(&name), ledger.durable()));
        });
        drop(ledger);
        for (copied, durable) in crashes {
            house.put_back(&copied);
            let (ledger, recovered) = house.try_open(OPTIONS.segment_bytes).unwrap();
            assert!(recovered.entries >= durable, "{story}: {} of {durable}", recovered.entries);
            check_entries(&ledger, recovered.entries);
        }
        errors
    });
}

#[test]
fn on_the_record_is_an_end_that_has_its_room_though_the_disk_is_full() {
    /// Gives no more space once it is full.
    struct FullDisk(Mutex<bool>);
    impl Disk for FullDisk {
        fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
            let within = offset + bytes.len() as u64 <= file.metadata()?.len();
            if within { OsDisk.write(file, bytes, offset) } else { Err(io::ErrorKind::StorageFull.into()) }
        }
        fn sync(&self, file: &File) -> io::Result<()> {
            OsDisk.sync(file)
        }
        fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
            let full = self.0.lock().is_ok_and(|full| *full);
            let more = file.metadata()?.len() < length;
            if full && more { Err(io::ErrorKind::StorageFull.into()) } else { OsDisk.allocate(file, length) }
        }
    }

    let house = House::new();
    let disk = Arc::new(FullDisk(Mutex::new(false)));
    let (ledger, _) = Ledger::open_on(disk.clone(), &house.dir(), OPTIONS, house.signer()).unwrap();
    *disk.0.lock().unwrap() = true;
    let mut last = ledger.reserve(0);
    assert_eq!(last, 1400);
    while last >= 64 + 10 + 40 {
        ledger.append(&[1; 40]).unwrap();
        ledger.commit().unwrap();
        assert!(ledger.reserve(0) < last);
        last = ledger.reserve(0);
    }
    let written = ledger.durable();
    assert!(written >= 11, "only {written}");
    ledger.append(&[1; 40]).unwrap();
    assert!(ledger.commit().is_err());
    assert_eq!((ledger.durable(), ledger.pending()), (written, 1));
    *disk.0.lock().unwrap() = false;
    assert_eq!(ledger.commit().unwrap(), written + 1);
}
