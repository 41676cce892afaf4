//! What is noted of a session is that session's only, and gone when it is wiped.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

const ADA: [u8; 16] = [0xAD; 16];
const BOB: [u8; 16] = [0xB0; 16];

fn temp() -> (tempfile::TempDir, PathBuf) {
    let temp = crate::temp::dir();
    let path = temp.path().join("devices");
    (temp, path)
}

fn device(address: &str, words: &str) -> Device {
    Device { address: address.parse().ok(), words: words.to_owned() }
}

#[test]
fn what_was_noted_is_read_after_a_restart() {
    let (_temp, path) = temp();
    let rows = [
        (0, device("203.0.113.7", "Firefox on Windows")),
        (1, device("2001:db8::17", "Samsung Internet on Android")),
        (2, device("", "")),
        (70_000, device("::1", "Safari on iPhone")),
    ];
    let devices = Devices::open(&path).unwrap();
    for (index, device) in &rows {
        devices.write(*index, &ADA, device).unwrap();
    }
    let devices = Devices::open(&path).unwrap();
    for (index, device) in &rows {
        assert_eq!(devices.read(*index, &ADA).unwrap().as_ref(), Some(device), "{}", device.words);
    }
    assert_eq!(devices.read(3, &ADA).unwrap(), None, "between two");
    assert_eq!(devices.read(70_001, &ADA).unwrap(), None, "behind the last");
}

#[test]
fn the_next_tenant_inherits_nothing() {
    let (_temp, path) = temp();
    let devices = Devices::open(path).unwrap();
    devices.write(5, &ADA, &device("203.0.113.7", "Firefox on Windows")).unwrap();
    assert_eq!(devices.read(5, &BOB).unwrap(), None);
    devices.wipe(5, &BOB).unwrap();
    assert!(devices.read(5, &ADA).unwrap().is_some(), "what is another's stays");
}

#[test]
fn what_was_wiped_is_not_in_the_file() {
    let (_temp, path) = temp();
    let devices = Devices::open(&path).unwrap();
    devices.write(1, &ADA, &device("203.0.113.7", "Firefox on Windows")).unwrap();
    devices.wipe(1, &ADA).unwrap();
    devices.wipe(1, &ADA).unwrap();
    devices.wipe(900, &ADA).unwrap();
    assert!(fs::read(path).unwrap().iter().all(|&byte| byte == 0));
}

#[test]
fn a_record_that_is_damaged_or_in_the_wrong_place_is_none() {
    let (_temp, path) = temp();
    let devices = Devices::open(&path).unwrap();
    devices.write(1, &ADA, &device("203.0.113.7", "Firefox on Windows")).unwrap();
    let good = fs::read(&path).unwrap();
    for byte in RECORD_BYTES..2 * RECORD_BYTES {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        fs::write(&path, bad).unwrap();
        assert_eq!(devices.read(1, &ADA).unwrap(), None, "byte {byte}");
    }
    let mut moved = good.clone();
    moved.copy_within(RECORD_BYTES.., 0);
    fs::write(&path, moved).unwrap();
    assert_eq!(devices.read(0, &ADA).unwrap(), None);
}

#[test]
fn long_words_are_cut_off_between_characters() {
    let (_temp, path) = temp();
    let devices = Devices::open(path).unwrap();
    devices.write(0, &ADA, &device("", &"\u{fc}".repeat(40))).unwrap();
    assert_eq!(devices.read(0, &ADA).unwrap().unwrap().words, "\u{fc}".repeat(13));
}

#[test]
fn the_file_is_private_and_one_that_is_not_is_refused() {
    let (_temp, path) = temp();
    Devices::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Devices::open(&path), Err(OpenDevicesError::OpenToOthers(_))));
}

#[test]
fn debug_output_tells_nothing() {
    assert_eq!(format!("{:?}", device("203.0.113.7", "Firefox")), "Device(..)");
}
