//! Which process of this machine is the running server: the one that holds the lock of the data directory.
//!
//! The kernel is asked who has the lock (`/proc/locks`, proc_locks(5)). Trying the lock would be simpler, and a server that starts in
//! that instant would find its directory in use.

use rustix::fs::{major, minor};
use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// Who holds the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// No process that can be seen.
    Nobody,
    /// This one.
    Process(u32),
    /// That cannot be told, and why.
    Unknown(String),
}

impl Holder {
    /// The process, if it is known.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Holder::Process(pid) => Some(*pid),
            Holder::Nobody | Holder::Unknown(_) => None,
        }
    }
}

/// Asks the kernel who holds the lock of a data directory.
pub(super) fn holder_of(data: &Path) -> Holder {
    let lock = data.join("lock");
    let found = match fs::metadata(&lock) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
        Err(error) => return Holder::Unknown(format!("`{}` cannot be looked at: {error}", lock.display())),
    };
    match fs::read_to_string("/proc/locks") {
        Ok(locks) => {
            let file = format!("{:02x}:{:02x}:{}", major(found.dev()), minor(found.dev()), found.ino());
            locks.lines().find_map(|line| pid_of(line, &file)).map_or(Holder::Nobody, Holder::Process)
        }
        Err(error) => Holder::Unknown(format!("`/proc/locks` cannot be read: {error}")),
    }
}

/// The process of a line such as `3: FLOCK  ADVISORY  WRITE 1409 08:02:2490382 0 EOF`, if it holds this file. One that only
/// waits has an arrow before its kind.
fn pid_of(line: &str, file: &str) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    let (kind, pid) = (fields.next()?, fields.nth(2)?);
    if kind != "FLOCK" || fields.next()? != file {
        return None;
    }
    // A process of another namespace has no number here.
    pid.parse().ok().filter(|pid| *pid > 0)
}

/// What a process is called; a number alone if it cannot be asked.
pub(super) fn named(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} (`{}`)", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_lock_is_its_holders() {
        let rows = [
            ("3: FLOCK  ADVISORY  WRITE 1409 08:02:77 0 EOF", Some(1409)),
            ("3: FLOCK  ADVISORY  WRITE 1409 08:02:78 0 EOF", None),
            ("3: POSIX  ADVISORY  WRITE 1409 08:02:77 0 EOF", None),
            ("3: -> FLOCK  ADVISORY  WRITE 1409 08:02:77 0 EOF", None),
            ("3: FLOCK  ADVISORY  WRITE -1 08:02:77 0 EOF", None),
            ("3: FLOCK", None),
            ("", None),
        ];
        for (line, pid) in rows {
            assert_eq!(pid_of(line, "08:02:77"), pid, "{line}");
        }
    }

    #[test]
    fn the_kernel_says_who_holds_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder_of(folder.path()), Holder::Nobody);
        let lock = File::create(folder.path().join("lock")).unwrap();
        assert_eq!(holder_of(folder.path()), Holder::Nobody);
        lock.lock().unwrap();
        assert_eq!(holder_of(folder.path()), Holder::Process(std::process::id()));
    }
}
