//! Where the time comes from: the operating system, or a test that tells lies.
//!
//! This module is the only place in the product that asks the operating system for the time. What is to be made of
//! its answers is the [`clock`](crate::Clock)'s business.

use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

/// Where a clock reads the time: the operating system, or a test that tells lies.
pub trait TimeSource: Send + Sync + 'static {
    /// Nanoseconds since boot, suspension included. Never goes back while the machine runs.
    fn boot_nanos(&self) -> u64;
    /// The same without the time for which the machine was suspended. What differs between the two was slept.
    fn awake_nanos(&self) -> u64 {
        self.boot_nanos()
    }
    /// Nanoseconds since the Unix epoch as the wall clock has it. May do anything.
    fn wall_nanos(&self) -> u64;
    /// Names this boot of the machine.
    fn boot_id(&self) -> [u8; 16];
}

/// The clocks of this machine.
#[derive(Debug, Default)]
pub struct OsTime;

impl TimeSource for OsTime {
    fn boot_nanos(&self) -> u64 {
        nanos(ClockId::Boottime)
    }

    /// `CLOCK_MONOTONIC`, which stands still while Linux is suspended.
    fn awake_nanos(&self) -> u64 {
        nanos(ClockId::Monotonic)
    }

    /// Through the C library, like any other program's: what is put between the two to set a clock (libfaketime) is believed.
    fn wall_nanos(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// From `/proc/sys/kernel/random/boot_id`; all zero where that cannot be read, which counts as another boot.
    fn boot_id(&self) -> [u8; 16] {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut id = [0; 16];
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        id
    }
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A time source that is set by hand: what tests and the simulator turn.
#[derive(Debug, Default)]
pub struct ManualTime {
    boot: AtomicU64,
    slept: AtomicU64,
    wall: AtomicU64,
    boot_id: AtomicU64,
}

impl ManualTime {
    /// Boot time zero and wall clock at `wall_nanos`.
    #[must_use]
    pub fn new(wall_nanos: u64) -> ManualTime {
        ManualTime { boot: 0.into(), slept: 0.into(), wall: wall_nanos.into(), boot_id: 1.into() }
    }

    /// Time passes: both clocks move by `nanos`.
    pub fn advance(&self, nanos: u64) {
        self.boot.fetch_add(nanos, Ordering::SeqCst);
        self.wall.fetch_add(nanos, Ordering::SeqCst);
    }

    /// The machine is suspended for so long: the clocks go on, and nothing runs.
    pub fn suspend(&self, nanos: u64) {
        self.advance(nanos);
        self.slept.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, nanos: u64) {
        self.wall.store(nanos, Ordering::SeqCst);
    }

    /// What the wall clock says.
    #[must_use]
    pub fn wall(&self) -> u64 {
        self.wall.load(Ordering::SeqCst)
    }

    /// The machine boots anew: boot time begins at zero under another name.
    pub fn reboot(&self) {
        self.boot.store(0, Ordering::SeqCst);
        self.slept.store(0, Ordering::SeqCst);
        self.boot_id.fetch_add(1, Ordering::SeqCst);
    }
}

impl TimeSource for std::sync::Arc<ManualTime> {
    fn boot_nanos(&self) -> u64 {
        self.boot.load(Ordering::SeqCst)
    }

    fn awake_nanos(&self) -> u64 {
        self.boot.load(Ordering::SeqCst) - self.slept.load(Ordering::SeqCst)
    }

    fn wall_nanos(&self) -> u64 {
        self.wall.load(Ordering::SeqCst)
    }

    fn boot_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.boot_id.load(Ordering::SeqCst).to_le_bytes());
        id
    }
}
