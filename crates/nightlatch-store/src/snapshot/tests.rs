//! A snapshot is used whole or not at all.

use std::fmt::Debug;

use serde::de::DeserializeOwned;

use super::*;

const NODE: &str = "n1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: u64,
    note: String,
}

fn records(count: u64) -> Vec<Record> {
    (0..count).map(|id| Record { id, note: format!("line\nbreak \"{id}\"") }).collect()
}

fn newest<T: DeserializeOwned + Debug>(dir: &Path) -> (Option<(u64, Vec<T>)>, Vec<SnapshotFault>) {
    let Reading { snapshot, bad } = read_newest(dir, NODE).unwrap();
    (snapshot.map(|it| (it.ledger_size, it.records)), bad.into_iter().map(|it| it.fault).collect())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn no_directory_and_an_empty_one_hold_no_snapshot() {
    let temp = crate::temp::dir();
    for dir in [temp.path().join("none"), temp.path().to_owned()] {
        let (snapshot, bad) = newest::<Record>(&dir);
        assert!(snapshot.is_none() && bad.is_empty());
    }
}

#[test]
fn what_was_written_is_read_back_also_if_it_is_nothing() {
    let temp = crate::temp::dir();
    let dir = temp.path().join("snapshot");
    for count in [0, 1, 1000] {
        write(&dir, NODE, 10 + count, records(count), || true).unwrap();
        assert_eq!(newest(&dir).0, Some((10 + count, records(count))));
    }
}

#[test]
fn the_last_two_are_kept_and_leftovers_of_a_crash_are_removed() {
    let temp = crate::temp::dir();
    let dir = temp.path();
    fs::write(file::next_version(&path(dir, 9)), "half a snap").unwrap();
    fs::write(dir.join("notes.txt"), "somebody's own").unwrap();
    for size in [1, 2, 300] {
        write(dir, NODE, size, records(1), || true).unwrap();
    }
    assert_eq!(names(dir), ["00000000000000000002.snapshot", "00000000000000000300.snapshot", "notes.txt"]);
}

#[test]
fn a_snapshot_of_a_ledger_that_was_put_back_does_not_outlive_the_next_one() {
    let temp = crate::temp::dir();
    for size in [100, 200] {
        write(temp.path(), NODE, size, records(2), || true).unwrap();
    }
    write(temp.path(), NODE, 50, records(3), || true).unwrap();
    assert_eq!(newest(temp.path()).0, Some((50, records(3))));
    assert_eq!(names(temp.path()).len(), 1);
}

#[test]
fn a_snapshot_cut_off_at_any_byte_falls_back_to_the_one_before() {
    let temp = crate::temp::dir();
    write(temp.path(), NODE, 1, records(1), || true).unwrap();
    write(temp.path(), NODE, 2, records(3), || true).unwrap();
    let newer = path(temp.path(), 2);
    let whole = fs::read(&newer).unwrap();
    for bytes in 0..whole.len() {
        fs::write(&newer, &whole[..bytes]).unwrap();
        let (snapshot, bad) = newest(temp.path());
        assert_eq!(snapshot, Some((1, records(1))), "cut off at {bytes}");
        assert_eq!(bad.len(), 1);
    }
}

#[test]
fn a_snapshot_with_any_bit_altered_or_a_part_missing_or_more_is_not_used() {
    let temp = crate::temp::dir();
    write(temp.path(), NODE, 2, records(3), || true).unwrap();
    let path = path(temp.path(), 2);
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, altered).unwrap();
        let (snapshot, bad) = newest::<Record>(temp.path());
        assert!(snapshot.is_none() && bad.len() == 1, "bit {bit}");
    }
    for (from, to) in (0..whole.len()).flat_map(|from| [(from, from + 1), (from, whole.len().min(from + 30))])
    {
        let missing = [&whole[..from], &whole[to..]].concat();
        let doubled = [&whole[..to], &whole[from..]].concat();
        for content in [missing, doubled] {
            fs::write(&path, content).unwrap();
            assert!(newest::<Record>(temp.path()).0.is_none(), "{from}..{to}");
        }
    }
    fs::write(&path, whole).unwrap();
    assert!(newest::<Record>(temp.path()).0.is_some());
}

#[test]
fn another_nodes_is_passed_over() {
    let temp = crate::temp::dir();
    write(temp.path(), NODE, 1, records(2), || true).unwrap();
    let own = fs::read(path(temp.path(), 1)).unwrap();
    write(temp.path(), "n2", 2, records(3), || true).unwrap();
    fs::write(path(temp.path(), 1), own).unwrap();
    let (found, faults) = newest::<Record>(temp.path());
    assert_eq!(found, Some((1, records(2))));
    assert!(matches!(&faults[..], [SnapshotFault::Foreign { node }] if node == "n2"), "{faults:?}");
}

#[test]
fn what_is_wrong_is_told() {
    let temp = crate::temp::dir();
    let dir = temp.path();
    write(dir, NODE, 7, records(2), || true).unwrap();
    let good = fs::read(path(dir, 7)).unwrap();

    // A record of another version, in a file that is otherwise whole.
    let faults = newest::<(u64, Vec<u64>, u64)>(dir).1;
    assert!(matches!(faults[..], [SnapshotFault::Record { index: 0, .. }]), "{faults:?}");

    fs::rename(path(dir, 7), path(dir, 8)).unwrap();
    let faults = newest::<Record>(dir).1;
    assert!(matches!(faults[..], [SnapshotFault::Misnamed { ledger_size: 7 }]), "{faults:?}");

    let mut other = good;
    other[b"{\"nightlatch_snapshot\":".len()] = b'4';
    fs::write(path(dir, 7), other).unwrap();
    fs::write(path(dir, 8), "a letter to a friend\n").unwrap();
    let Reading { bad, .. } = read_newest::<Record>(dir, NODE).unwrap();
    let told: Vec<_> = bad.iter().map(ToString::to_string).collect();
    assert!(told[0].ends_with("8.snapshot` cannot be used: it does not begin like a snapshot"), "{told:?}");
    assert!(told[1].ends_with("it is of form 4, and this version reads form 3"), "{told:?}");
}

#[test]
fn a_record_that_cannot_be_written_changes_nothing() {
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let temp = crate::temp::dir();
    write(temp.path(), NODE, 1, records(1), || true).unwrap();
    let error = write(temp.path(), NODE, 2, [Unwritable], || true).unwrap_err();
    assert!(matches!(error, WriteSnapshotError::Record { index: 0, .. }));
    assert_eq!(names(temp.path()), ["00000000000000000001.snapshot"]);
}

#[test]
fn a_snapshot_that_is_ahead_of_the_ledger_is_not_written() {
    let temp = crate::temp::dir();
    write(temp.path(), NODE, 1, records(1), || true).unwrap();
    let taken = std::cell::Cell::new(0);
    let counted = records(3).into_iter().inspect(|_| taken.set(taken.get() + 1));
    let on_record = || {
        assert_eq!((taken.get(), names(temp.path()).len()), (3, 2), "asked last, and before it has its name");
        false
    };
    let error = write(temp.path(), NODE, 2, counted, on_record).unwrap_err();
    assert!(matches!(error, WriteSnapshotError::AheadOfLedger));
    assert_eq!(names(temp.path()), ["00000000000000000001.snapshot"]);
}
