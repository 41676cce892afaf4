//! One directory, one process.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::*;

#[test]
fn a_new_directory_is_private_with_its_parents() {
    let temp = crate::temp::dir();
    let dir = DataDir::open(temp.path().join("var/nightlatch")).unwrap();
    for made in [dir.path(), dir.path().parent().unwrap()] {
        assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_second_handle_is_refused_until_the_first_is_dropped() {
    let temp = crate::temp::dir();
    let first = DataDir::open(temp.path()).unwrap();
    let refused = DataDir::open(temp.path()).unwrap_err();
    assert!(matches!(refused, OpenDataDirError::InUse { .. }));
    let message = refused.to_string();
    assert!(message.contains(temp.path().to_str().unwrap()), "{message}");
    assert!(message.contains("stop that one first"), "{message}");
    drop(first);
    DataDir::open(temp.path()).unwrap();
}

/// Names the directory for the process that is to hold it.
const HOLD: &str = "NIGHTLATCH_TEST_HOLD";
const HELD: &str = "the directory is held";

/// Not a test by itself: the other process of the next test, which holds the directory until it is killed.
#[test]
fn holder() {
    let Some(path) = std::env::var_os(HOLD) else { return };
    let _held = DataDir::open(path).unwrap();
    println!("\n{HELD}");
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_second_process_is_refused_until_the_first_is_killed() {
    let temp = crate::temp::dir();
    let mut first = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dir::tests::holder", "--nocapture"])
        .env(HOLD, temp.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(first.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == HELD));

    assert!(matches!(DataDir::open(temp.path()), Err(OpenDataDirError::InUse { .. })));
    first.kill().unwrap();
    first.wait().unwrap();
    DataDir::open(temp.path()).unwrap();
}

#[test]
fn a_directory_that_every_user_may_write_to_is_refused() {
    let temp = crate::temp::dir();
    fs::set_permissions(temp.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(DataDir::open(temp.path()), Err(OpenDataDirError::OpenToAll { mode: 0o777, .. })));
    fs::set_permissions(temp.path(), Permissions::from_mode(0o750)).unwrap();
    DataDir::open(temp.path()).unwrap();
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let temp = crate::temp::dir();
    let path = temp.path().join("data");
    fs::write(&path, "not a directory").unwrap();
    let error = DataDir::open(&path).unwrap_err().to_string();
    assert!(error.starts_with("cannot create `") && error.contains("data`"), "{error}");
}
