//! Directories for tests, in memory where the machine has such a place.
//!
//! The tests tear thousands of files, and each is synced when it is opened; on a disk that would take minutes, and would
//! show nothing more: a test cannot cut the power.

use tempfile::TempDir;

/// A new empty directory, removed when dropped.
pub(crate) fn dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
