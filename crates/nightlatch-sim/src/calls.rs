//! The calls of the C library that change files, taken over for the files that are simulated.
//!
//! A definition in the program itself is found before the one of the C library, so whatever the standard library does for engine,
//! store and ledger comes by here. There is no seam in the product for it, and none is needed: what is tested is what ships.
//! A thread that simulates says by [`with`] when its calls are the engine's. A thread that the engine starts is known by the files it
//! touches. For every other file each of these does what the C library does.
//!
//! Space that is taken in advance is not seen: `fallocate` is called without the C library. The simulated disk of the ledger takes
//! none; that of the slots is zeros, and as good as not there.
#![allow(unsafe_code, reason = "taking the place of functions of the C library")]

use crate::platter::{Platter, Verdict};
use libc::{c_char, c_int, c_uint, c_void, mode_t, off64_t, size_t, ssize_t};
use std::{
    cell::{Cell, RefCell},
    ffi::CStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    slice,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// The directories that are simulated.
static ROOTS: Mutex<Vec<(PathBuf, Weak<Mutex<Platter>>)>> = Mutex::new(Vec::new());

thread_local! {
    static PLATTER: RefCell<Option<Arc<Mutex<Platter>>>> = const { RefCell::new(None) };
    /// Whether this thread simulates; what it does outside of `with` is done to the engine, and not by it.
    static SIMULATES: Cell<bool> = const { Cell::new(false) };
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Does something whose calls go to this platter.
pub(crate) fn with<T>(platter: &Arc<Mutex<Platter>>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<Mutex<Platter>>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PLATTER.set(self.0.take());
        }
    }
    let _restore = Restore(PLATTER.replace(Some(Arc::clone(platter))));
    work()
}

/// From now on what happens below `root` happens on this platter, and the present thread is one that simulates.
pub(crate) fn simulate(root: &Path, platter: &Arc<Mutex<Platter>>) {
    SIMULATES.set(true);
    let mut roots = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    roots.retain(|(_, platter)| platter.strong_count() > 0);
    roots.push((root.to_owned(), Arc::downgrade(platter)));
}

/// Asks the platter that has this path, if one has.
fn ask<T>(path: impl FnOnce() -> PathBuf, question: impl FnOnce(&mut Platter) -> T) -> Option<T> {
    if ASIDE.try_with(|aside| aside.replace(true)).unwrap_or(true) {
        return None;
    }
    let mine = PLATTER.try_with(|platter| platter.borrow().clone()).ok().flatten();
    let simulates = SIMULATES.try_with(Cell::get).unwrap_or(true);
    let platter = mine.or_else(|| if simulates { None } else { platter_of(&path()) });
    let answer = platter.map(|platter| question(&mut platter.lock().unwrap_or_else(PoisonError::into_inner)));
    ASIDE.set(false);
    answer
}

fn platter_of(path: &Path) -> Option<Arc<Mutex<Platter>>> {
    let roots = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    roots.iter().find(|(root, _)| path.starts_with(root)).and_then(|(_, platter)| platter.upgrade())
}

fn fail(full: bool) -> c_int {
    // SAFETY: the address of this thread's own error number.
    unsafe { *libc::__errno_location() = if full { libc::ENOSPC } else { libc::EIO } };
    -1
}

/// Goes by the verdict, with what the C library would do.
fn go(verdict: Option<Verdict>, real: impl FnOnce() -> c_int) -> c_int {
    match verdict.unwrap_or(Verdict::Do) {
        Verdict::Do => real(),
        Verdict::DoAndFail => {
            real();
            fail(false)
        }
        Verdict::Partly(_) => fail(false),
        Verdict::Fail { full } => fail(full),
        Verdict::Pretend => 0,
    }
}

/// What a descriptor is: the number of the file, its length, whether it is a directory.
fn about(fd: c_int) -> Option<(u64, u64, bool)> {
    // SAFETY: `stat64` is plain numbers, for which zeros are good, and `fstat64` fills what it is given.
    unsafe {
        let mut stat: libc::stat64 = std::mem::zeroed();
        if libc::fstat64(fd, &raw mut stat) != 0 {
            return None;
        }
        Some((stat.st_ino, stat.st_size as u64, stat.st_mode & libc::S_IFMT == libc::S_IFDIR))
    }
}

/// # Safety
/// A path as the C library wants it.
unsafe fn path(text: *const c_char) -> PathBuf {
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    PathBuf::from(std::ffi::OsStr::from_bytes(text.to_bytes()))
}

fn path_of(fd: c_int) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default()
}

/// # Safety
/// As for the function of the C library of this name, and of all below.
#[unsafe(no_mangle)]
unsafe extern "C" fn open64(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    let real = || unsafe {
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name, flags | libc::O_LARGEFILE, mode as c_uint)
            as c_int
    };
    // SAFETY: a path, as the caller promises.
    let asked = unsafe { path(name) };
    let (creates, empties) = (flags & libc::O_CREAT != 0, flags & libc::O_TRUNC != 0);
    let fd = go(ask(|| asked.clone(), |platter| platter.opening(&asked, creates, empties)), real);
    if fd >= 0
        && let Some((file, _, is_folder)) = about(fd)
    {
        ask(|| asked.clone(), |platter| platter.opened(&asked, file, is_folder, empties));
    }
    fd
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: asks where the descriptor stands; for one that cannot stand anywhere it says so.
    let at = unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) };
    let appends = at >= 0 && unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_APPEND != 0;
    let at = if appends { None } else { u64::try_from(at).ok() };
    // SAFETY: the arguments are the caller's, handed on.
    let real = |count: size_t| unsafe { libc::syscall(libc::SYS_write, fd, bytes, count) as ssize_t };
    // SAFETY: so many bytes, as the caller promises.
    write_at(fd, at, unsafe { slice::from_raw_parts(bytes.cast(), count) }, real)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, count: size_t, offset: off64_t) -> ssize_t {
    // SAFETY: the arguments are the caller's, handed on.
    let real =
        |count: size_t| unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, count, offset) as ssize_t };
    // SAFETY: so many bytes, as the caller promises.
    write_at(fd, u64::try_from(offset).ok(), unsafe { slice::from_raw_parts(bytes.cast(), count) }, real)
}

/// `at` is where; none for the end of the file.
fn write_at(fd: c_int, at: Option<u64>, bytes: &[u8], real: impl Fn(size_t) -> ssize_t) -> ssize_t {
    let verdict = ask(
        || path_of(fd),
        |platter| match about(fd) {
            Some((file, length, _)) => platter.writing(file, at.unwrap_or(length), bytes, length),
            None => Verdict::Do,
        },
    );
    match verdict.unwrap_or(Verdict::Do) {
        Verdict::Do | Verdict::Pretend => real(bytes.len()),
        Verdict::DoAndFail => {
            real(bytes.len());
            fail(false) as ssize_t
        }
        Verdict::Partly(count) => {
            real(count);
            fail(false) as ssize_t
        }
        Verdict::Fail { full } => fail(full) as ssize_t,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: off64_t) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    let real = || unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) as c_int };
    let verdict = ask(
        || path_of(fd),
        |platter| match about(fd) {
            Some((file, before, _)) => platter.cutting(file, length as u64, before),
            None => Verdict::Do,
        },
    );
    go(verdict, real)
}

/// Nothing is handed to a real disk: no history needs to survive that.
fn sync(fd: c_int, real: impl FnOnce() -> c_int) -> c_int {
    let verdict = ask(
        || path_of(fd),
        |platter| match about(fd) {
            Some((_, _, true)) => platter.syncing_folder(&path_of(fd)),
            Some((file, ..)) => platter.syncing(file),
            None => Verdict::Do,
        },
    );
    if verdict.is_some() { go(verdict, || 0) } else { real() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    sync(fd, || unsafe { libc::syscall(libc::SYS_fsync, fd) as c_int })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    sync(fd, || unsafe { libc::syscall(libc::SYS_fdatasync, fd) as c_int })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    let real = || unsafe {
        libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) as c_int
    };
    // SAFETY: two paths, as the caller promises.
    let (from, to) = unsafe { (path(from), path(to)) };
    go(ask(|| from.clone(), |platter| platter.renaming(&from, &to)), real)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(name: *const c_char) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    let real = || unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, name, 0) as c_int };
    // SAFETY: a path, as the caller promises.
    let asked = unsafe { path(name) };
    go(ask(|| asked.clone(), |platter| platter.removing(&asked)), real)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(name: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the arguments are the caller's, handed on.
    let real = || unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, name, mode as c_uint) as c_int };
    // SAFETY: a path, as the caller promises.
    let asked = unsafe { path(name) };
    go(ask(|| asked.clone(), |platter| platter.making_folder(&asked)), real)
}
