//! Whatever happens to a write, the reservation before it still stands.

use std::fs;

use proptest::prelude::*;

use super::*;

fn reservation(seconds: u64) -> Reservation {
    Reservation {
        boot_id: [seconds as u8; 16],
        boot_nanos: seconds,
        offset_nanos: -5 - seconds as i64,
        reserved_until_nanos: seconds * 1_000_000_000,
        clean: seconds.is_multiple_of(2),
    }
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let temp = crate::temp::dir();
    let path = temp.path().join("time");
    (temp, path)
}

fn load(path: &Path) -> Result<Option<Reservation>, LoadReservationError> {
    ReservationFile::open(path).unwrap().load()
}

/// A file after `count` stores, and its bytes.
fn stored(path: &Path, count: u64) -> Vec<u8> {
    let _ = fs::remove_file(path);
    let mut file = ReservationFile::open(path).unwrap();
    for seconds in 1..=count {
        file.store(&reservation(seconds)).unwrap();
        assert_eq!(file.load(), Ok(Some(reservation(seconds))));
    }
    fs::read(path).unwrap()
}

#[test]
fn a_new_installation_has_no_reservation_and_opening_makes_none() {
    let (_temp, path) = temp();
    assert_eq!(load(&path), Ok(None));
    assert!(!path.exists());
}

#[test]
fn the_newest_stands_after_each_store_and_each_restart() {
    let (_temp, path) = temp();
    for seconds in 1..10 {
        ReservationFile::open(&path).unwrap().store(&reservation(seconds)).unwrap();
        assert_eq!(load(&path), Ok(Some(reservation(seconds))));
    }
}

#[test]
fn a_store_torn_at_any_byte_leaves_the_one_before() {
    let (_temp, path) = temp();
    for count in 1..5 {
        let before = stored(&path, count);
        let after = stored(&path, count + 1);
        assert_eq!(before.len(), after.len());
        let changed: Vec<_> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
        let (first, last) = (changed[0], changed[changed.len() - 1]);
        for torn in first..=last {
            for content in [
                [&after[..torn], &before[torn..]].concat(),
                [&before[..=torn], &after[torn + 1..]].concat(),
                [&after[..torn], &vec![0xAA; last + 1 - torn][..], &after[last + 1..]].concat(),
            ] {
                if content != after {
                    fs::write(&path, content).unwrap();
                    assert_eq!(load(&path), Ok(Some(reservation(count))), "store {count} torn at {torn}");
                }
            }
        }
    }
}

#[test]
fn damage_never_passes_for_a_new_installation() {
    let (_temp, path) = temp();
    for count in 1..4 {
        let whole = stored(&path, count);
        for bytes in 0..whole.len() {
            fs::write(&path, &whole[..bytes]).unwrap();
            assert_ne!(load(&path), Ok(None), "cut off at {bytes}");
        }
        fs::write(&path, vec![0; whole.len()]).unwrap();
        let damaged = load(&path).unwrap_err();
        assert!(damaged.to_string().contains("is damaged"));

        // The engine ends the sessions, and goes on.
        let mut file = ReservationFile::open(&path).unwrap();
        file.store(&reservation(99)).unwrap();
        assert_eq!((file.load(), load(&path)), (Ok(Some(reservation(99))), Ok(Some(reservation(99)))));
    }
}

#[test]
fn a_store_that_failed_leaves_the_one_before_and_can_be_repeated() {
    let (_temp, path) = temp();
    stored(&path, 3);
    let mut file = ReservationFile::open(&path).unwrap();
    let Held::Newest { file: handle, .. } = &mut file.held else { unreachable!() };
    let working = std::mem::replace(handle, File::open(&path).unwrap());
    file.store(&reservation(4)).unwrap_err();
    assert_eq!((file.load(), load(&path)), (Ok(Some(reservation(3))), Ok(Some(reservation(3)))));

    let Held::Newest { file: handle, .. } = &mut file.held else { unreachable!() };
    *handle = working;
    file.store(&reservation(4)).unwrap();
    assert_eq!(load(&path), Ok(Some(reservation(4))));
}

proptest! {
    #[test]
    fn every_field_is_read_back(
        boot_id: [u8; 16], boot_nanos: u64, offset_nanos: i64, reserved_until_nanos: u64, clean: bool, sequence: u64
    ) {
        let reservation = Reservation { boot_id, boot_nanos, offset_nanos, reserved_until_nanos, clean };
        let record = Record { sequence, reservation };
        prop_assert_eq!(decode(&encode(&record)), Some(record));
    }
}

#[test]
fn whoever_only_looks_sees_the_newest_and_changes_nothing() {
    let (_temp, path) = temp();
    assert_eq!(ReservationFile::peek(&path).unwrap(), None);
    assert!(!path.exists());
    let before = stored(&path, 3);
    assert_eq!(ReservationFile::peek(&path).unwrap(), Some(reservation(3)));
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::write(&path, vec![0; before.len()]).unwrap();
    assert!(matches!(ReservationFile::peek(&path), Err(PeekReservationError::Load(_))));
}
