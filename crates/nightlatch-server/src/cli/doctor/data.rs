//! The data directory: whose it is, who may read it, what it lies on, whether there is room, and how long a write takes to be safe.

use super::{clock::said, configuration::count, process::Holder, report::Report};
use crate::{config::Config, words::bytes};
use nightlatch_engine::{OsTime, TimeSource as _};
use nightlatch_ledger::Options;
use nightlatch_store::BACKUP_MARK;
use rustix::{
    fs::{Access, Mode, OFlags, access, fdatasync, open, statvfs},
    io::{Errno, write},
    process::geteuid,
};
use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a write is made safe to see how long that takes.
const SYNCS: usize = 16;
/// A write that takes longer to be safe holds up whoever waits for the record.
const SLOW: Duration = Duration::from_millis(100);
/// With less room for new segments than this there is time to do something.
const SEGMENTS_SOON: u64 = 16;

/// Looks at the data directory, or at the place where the first start will make it.
pub(super) fn look(report: &mut Report, config: &Config, holder: &Holder) {
    let dir = config.data_dir.as_path();
    let what = format!("data directory `{}`", dir.display());
    let place = match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            return report.wrong(
                "data.directory",
                what,
                "is not a directory",
                "name a directory in `[data] dir`",
            );
        }
        Ok(found) => {
            directory(report, &what, dir, &found, holder);
            dir.to_owned()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let Some(place) = place_for(report, &what, dir) else { return };
            place
        }
        Err(error) => {
            let why = format!("{error}; run this as the server's user");
            return report.not_looked_at("data.directory", what, why);
        }
    };
    let lasting = filesystem(report, &place);
    space(report, &place, !dir.join("ledger").is_dir());
    sync(report, &place, lasting);
}

/// The nearest directory above one that is not there yet, if the first start can make it.
fn place_for(report: &mut Report, what: &str, dir: &Path) -> Option<PathBuf> {
    let place = dir
        .ancestors()
        .skip(1)
        .map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    let place = place.into_iter().find(|above| above.exists())?;
    if let Err(error) = access(place, Access::WRITE_OK | Access::EXEC_OK) {
        let seen = format!("is not there, and `{}` cannot be written: {error}", place.display());
        report.wrong(
            "data.directory",
            what,
            seen,
            "make it for the server's user with mode 0700, or run this as that user",
        );
        return None;
    }
    let seen = format!("is not there yet; the first start can make it in `{}`", place.display());
    report.good("data.directory", what, seen);
    Some(place.to_owned())
}

fn directory(report: &mut Report, what: &str, dir: &Path, found: &Metadata, holder: &Holder) {
    let (owner, us) = (found.uid(), geteuid().as_raw());
    let mode = found.mode() & 0o777;
    if dir.join(BACKUP_MARK).exists() {
        report.wrong(
            "data.directory",
            what,
            "is a backup, and no server starts on it",
            "`nightlatch restore` makes a data directory of it",
        );
    } else if mode & 0o002 != 0 {
        report.wrong(
            "data.directory",
            what,
            format_args!("every user may write to it (mode {mode:03o}), and no server starts on it"),
            "`chmod 700` it",
        );
    } else if mode & 0o077 != 0 {
        report.warning(
            "data.directory",
            what,
            format_args!("others may look into it (mode {mode:03o})"),
            "`chmod 700` it: names of people and keys are in it",
        );
    } else {
        report.good("data.directory", what, format_args!("belongs to user {owner} alone (mode {mode:03o})"));
    }
    match holder {
        Holder::Process(pid) => report.good(
            "data.holder",
            "lock of the data directory",
            format_args!("held by {}", super::process::named(*pid)),
        ),
        Holder::Nobody => {}
        Holder::Unknown(why) => report.not_looked_at("data.holder", "lock of the data directory", why),
    }
    if us == owner {
        match access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => {}
            Err(error) => report.wrong(
                "data.writable",
                what,
                format_args!("cannot be written: {error}"),
                "mount its file system for writing, and give its user the rights",
            ),
        }
        keys(report, dir);
    } else {
        let why = format!(
            "this runs as user {us}, and the directory is user {owner}'s: run it as that user (`sudo -u '#{owner}' nightlatch doctor ..`)"
        );
        report.not_looked_at("data.writable", "what the server's user may do", why);
    }
}

/// Keys that others may read stop a start.
fn keys(report: &mut Report, dir: &Path) {
    let dir = dir.join("keys");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return report.not_looked_at("data.keys", "keys in the data directory", error),
    };
    let secret = |entry: &fs::DirEntry| entry.path().extension().is_none_or(|suffix| suffix != "vkey");
    let (mut private, mut open) = (0, 0);
    for entry in entries.flatten().filter(secret) {
        let file = entry.path();
        let mode = match entry.metadata() {
            Ok(found) => found.mode() & 0o777,
            Err(error) => {
                report.not_looked_at("data.keys", format_args!("key `{}`", file.display()), error);
                continue;
            }
        };
        if mode & 0o077 == 0 {
            private += 1;
            continue;
        }
        open += 1;
        let seen = format!("others may read it (mode {mode:03o}), and no server starts with it");
        let remedy =
            "`chmod 600` it; if others may have read it, what it signed or sealed since is theirs too";
        report.wrong("data.keys", format_args!("key `{}`", file.display()), seen, remedy);
    }
    if private > 0 && open == 0 {
        let seen = format!("nobody else may read {}", count(private, "key"));
        report.good("data.keys", "keys in the data directory", seen);
    }
}

/// Says what the directory lies on, and whether what is written there lasts.
fn filesystem(report: &mut Report, dir: &Path) -> bool {
    let (check, what) = ("data.filesystem", "file system of the data directory");
    let mount = dir.canonicalize().ok().and_then(|dir| {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        mount_of(&mounts, &dir)
    });
    let Some((kind, options)) = mount else {
        report.not_looked_at(check, what, "`/proc/self/mountinfo` does not say on which it lies");
        return true;
    };
    let local = "put it on a local disk (ext4, xfs, btrfs, zfs)";
    let unsafe_option = options.split(',').find(|option| matches!(*option, "nobarrier" | "barrier=0"));
    match (kind.as_str(), unsafe_option) {
        ("tmpfs" | "ramfs", _) => {
            report.warning(
                check,
                what,
                format_args!("`{kind}` is memory: sessions and record are gone at a reboot"),
                local,
            );
            return false;
        }
        ("overlay" | "aufs", _) => report.warning(
            check,
            what,
            format_args!("`{kind}` goes away with its container, and the record with it"),
            "mount a volume there",
        ),
        ("nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "afs" | "lustre" | "virtiofs", _) => report
            .warning(
                check,
                what,
                format_args!("`{kind}` is another machine's: locks and syncs are as good as that one's"),
                local,
            ),
        (fuse, _) if fuse.starts_with("fuse") => report.warning(
            check,
            what,
            format_args!("`{kind}` keeps what it is given as well as the program behind it does"),
            local,
        ),
        (_, Some(option)) => report.warning(
            check,
            what,
            format_args!("`{kind}` is mounted with `{option}`: what is synced can be lost with the power"),
            format_args!("mount it without `{option}`"),
        ),
        ("ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs" | "bcachefs", None) => {
            report.good(check, what, format_args!("`{kind}`, which keeps what is synced if its disk does"))
        }
        _ => report.warning(
            check,
            what,
            format_args!("`{kind}` is none that this program has been tried on"),
            local,
        ),
    }
    true
}

/// Kind and options of the mount that a path lies on, from the text of proc_pid_mountinfo(5).
fn mount_of(mounts: &str, path: &Path) -> Option<(String, String)> {
    let mut best: Option<(usize, (String, String))> = None;
    for line in mounts.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let Some(point) = front.split(' ').nth(4) else { continue };
        let point = point.replace("\\040", " ");
        let mut back = back.split(' ');
        let (Some(kind), Some(_), Some(options)) = (back.next(), back.next(), back.next()) else { continue };
        // Of two mounts on one point the later one is seen.
        if path.starts_with(&point) && best.as_ref().is_none_or(|(length, _)| *length <= point.len()) {
            best = Some((point.len(), (kind.to_owned(), options.to_owned())));
        }
    }
    best.map(|(_, mount)| mount)
}

/// Whether there is room for the segments that the record takes from the disk in advance.
fn space(report: &mut Report, dir: &Path, new: bool) {
    let (check, what) = ("data.space", "free space for the record");
    let found = match statvfs(dir) {
        Ok(found) => found,
        Err(error) => return report.not_looked_at(check, what, error),
    };
    let segment = Options::default().segment_bytes;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // A new ledger takes one to write to and one in reserve.
    let needed = if new { 2 * segment } else { segment };
    let left = bytes(free);
    let remedy = "free some, or give it a larger disk. Runbook: disk-full";
    if free < needed {
        let seen =
            format!("{left}, and the next segments take {}: without them no session starts", bytes(needed));
        report.wrong(check, what, seen, remedy);
    } else if free < SEGMENTS_SOON * segment {
        report.warning(
            check,
            what,
            format_args!("{left}, which is {} segments of {}", free / segment, bytes(segment)),
            remedy,
        );
    } else {
        report.good(
            check,
            what,
            format_args!("{left}, which is {} segments of {}", free / segment, bytes(segment)),
        );
    }
    if found.f_files > 0 && found.f_favail < 64 {
        report.wrong("data.inodes", "free inodes", format_args!("{}", found.f_favail), remedy);
    }
}

/// Measures how long a write takes to be safe, in a file that never has a name and is gone with this process.
fn sync(report: &mut Report, dir: &Path, lasting: bool) {
    let (check, what) = ("data.sync", "a write to the data directory");
    if !lasting {
        return report.not_looked_at(check, what, "a sync to memory says nothing");
    }
    match measure(dir) {
        Ok(mut took) => {
            took.sort_unstable();
            let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
            let seen = format!("safe after {} (median of {SYNCS}; longest {})", said(median), said(worst));
            if median > SLOW {
                report.warning(
                    check,
                    what,
                    seen,
                    "starts and ends wait for it: use a faster disk, or find out what else writes to it",
                );
            } else {
                report.good(check, what, seen);
            }
        }
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            report.not_looked_at(
                check,
                what,
                "its file system has no files without a name, and this leaves none with one",
            );
        }
        Err(Errno::ACCESS | Errno::PERM) => {
            report.not_looked_at(check, what, "this user may not write to it")
        }
        Err(error) => report.wrong(
            check,
            what,
            format_args!("is refused: {error}"),
            "free space or mend the disk. Runbook: disk-full",
        ),
    }
}

fn measure(dir: &Path) -> Result<Vec<Duration>, Errno> {
    let file = open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
    let block = [0_u8; 4096];
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let before = OsTime.boot_nanos();
        write(&file, &block)?;
        fdatasync(&file)?;
        took.push(Duration::from_nanos(OsTime.boot_nanos().saturating_sub(before)));
    }
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_on_the_longest_mount_and_of_two_on_the_later() {
        let mounts = "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,barrier=0\n\
                      30 22 0:26 / /var/lib rw - overlay overlay rw\n\
                      31 22 0:27 / /var/lib rw master:3 - tmpfs tmpfs rw,size=64k\n\
                      32 22 0:28 / /var/li rw - nfs4 h:/x rw\n\
                      33 22 0:29 / /with\\040space rw - xfs /dev/sdb rw\n";
        let rows = [
            ("/home/x", "ext4", "rw,barrier=0"),
            ("/var/lib/nightlatch", "tmpfs", "rw,size=64k"),
            ("/var/library", "ext4", "rw,barrier=0"),
            ("/with space/data", "xfs", "rw"),
        ];
        for (path, kind, options) in rows {
            let found = mount_of(mounts, Path::new(path));
            assert_eq!(found, Some((kind.to_owned(), options.to_owned())), "{path}");
        }
        assert_eq!(mount_of("", Path::new("/")), None);
    }
}
