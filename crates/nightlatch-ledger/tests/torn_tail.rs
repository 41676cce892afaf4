//! A crash in the middle of a commit: what had been committed is kept, what had not is cut off and reported, and what
//! only looks like a crash is refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the exception for tests ends at the helpers of a test file"
)]

mod common;

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use common::{House, check_entries, fill, payload, segments};
use nightlatch_ledger::{DamageKind, OpenError};

const SEGMENT_BYTES: u64 = 4096;

/// A ledger of 20 entries, then one commit of 5 more; gives where that commit begins and ends in the only segment.
fn with_last_commit(house: &House) -> (usize, usize) {
    let length =
        |entries: std::ops::Range<u64>| entries.map(|index| 10 + payload(index).len()).sum::<usize>();
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 20, 20);
    let start = 64 + length(0..20);
    fill(&ledger, 25, 25);
    (start, start + 64 + length(20..25))
}

fn write_at(path: &Path, bytes: &[u8], offset: usize) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset as u64).unwrap();
}

/// Opens and expects 20 or 25 entries; then goes on writing, and everything is there after another opening.
fn check_goes_on(house: &House, entries: u64, torn_bytes: u64, story: &str) {
    let (ledger, recovered) = house.try_open(SEGMENT_BYTES).unwrap();
    assert_eq!((recovered.entries, recovered.torn_bytes), (entries, torn_bytes), "{story}");
    drop(ledger);
    let (ledger, recovered) = house.try_open(SEGMENT_BYTES).unwrap();
    assert_eq!((recovered.entries, recovered.torn_bytes), (entries, 0), "cut off once and for all: {story}");
    check_entries(&ledger, entries);
    fill(&ledger, entries + 3, 2);
    drop(ledger);
    let (ledger, recovered) = house.try_open(SEGMENT_BYTES).unwrap();
    assert_eq!((recovered.entries, recovered.torn_bytes), (entries + 3, 0), "{story}");
    check_entries(&ledger, entries + 3);
}

#[test]
fn on_the_record_is_every_whole_commit_wherever_the_last_one_broke_off() {
    let house = House::new();
    let (start, end) = with_last_commit(&house);
    let copied = house.copy("whole");
    let whole = fs::read(&segments(&copied)[0]).unwrap();
    for cut in start..=end {
        let entries = if cut == end { 25 } else { 20 };
        let torn_bytes = if cut == end { 0 } else { last_set(&whole[start..cut]) };

        house.put_back(&copied);
        write_at(&segments(&house.dir())[0], &vec![0; end - cut], cut);
        check_goes_on(&house, entries, torn_bytes, &format!("zeros from byte {cut}"));

        house.put_back(&copied);
        fs::write(&segments(&house.dir())[0], &whole[..cut]).unwrap();
        check_goes_on(&house, entries, torn_bytes, &format!("nothing from byte {cut}"));
    }
}

fn last_set(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |place| place as u64 + 1)
}

#[test]
fn on_the_record_is_nothing_of_a_commit_that_has_any_byte_wrong() {
    let house = House::new();
    let (start, end) = with_last_commit(&house);
    let copied = house.copy("whole");
    let whole = fs::read(&segments(&copied)[0]).unwrap();
    for (place, byte) in whole.iter().enumerate().take(end).skip(start) {
        house.put_back(&copied);
        write_at(&segments(&house.dir())[0], &[byte ^ 0x10], place);
        check_goes_on(&house, 20, (end - start) as u64, &format!("byte {place}"));
    }
}

#[test]
fn on_the_record_is_not_what_a_crash_left_behind_the_end() {
    let house = House::new();
    let (_, end) = with_last_commit(&house);
    write_at(&segments(&house.dir())[0], b"garbage", end + 100);
    check_goes_on(&house, 25, 107, "garbage");
}

#[test]
fn on_the_record_is_never_dropped_when_a_later_commit_shows_that_it_was_there() {
    let house = House::new();
    let (start, end) = with_last_commit(&house);
    let copied = house.copy("whole");
    let whole = fs::read(&segments(&copied)[0]).unwrap();
    for (place, byte) in whole.iter().enumerate().take(start) {
        house.put_back(&copied);
        write_at(&segments(&house.dir())[0], &[byte ^ 1], place);
        let refused = house.try_open(SEGMENT_BYTES).err().unwrap();
        assert!(
            matches!(refused, OpenError::Damaged(damage) if damage.index < 20),
            "byte {place}: {refused}"
        );
        let untouched = fs::read(&segments(&house.dir())[0]).unwrap();
        assert_eq!(untouched.len(), whole.len());
        assert_eq!(untouched[start..end], whole[start..end], "a refused ledger is left as it is");
    }
}

#[test]
fn on_the_record_is_never_dropped_when_a_later_segment_shows_that_it_was_there() {
    let house = House::new();
    let ledger = house.open(512);
    fill(&ledger, 100, 5);
    drop(ledger);
    let files = segments(&house.dir());
    assert!(files.len() > 4);
    let copied = house.copy("whole");
    for (segment, file) in files.iter().enumerate().take(files.len() - 1) {
        let whole = fs::read(file).unwrap();
        let check = |story: &str, expected: Option<DamageKind>| {
            let refused = house.try_open(512).err();
            let Some(OpenError::Damaged(damage)) = refused else {
                panic!("segment {segment}, {story}: {refused:?}")
            };
            assert!(expected.is_none_or(|kind| kind == damage.kind), "segment {segment}, {story}: {damage}");
            house.put_back(&copied);
        };
        fs::write(file, &whole[..whole.len() - 1]).unwrap();
        check("cut by a byte", Some(DamageKind::Entry));
        fs::write(file, [&whole[..], &[0]].concat()).unwrap();
        check("a zero more", Some(DamageKind::Block));
        fs::write(file, b"").unwrap();
        check("emptied", None);
        fs::remove_file(file).unwrap();
        check("removed", Some(DamageKind::Segment));
    }
}

#[test]
fn on_the_record_is_never_dropped_when_a_checkpoint_covers_it() {
    let house = House::new();
    let (start, end) = with_last_commit(&house);
    house.open(SEGMENT_BYTES).checkpoint().unwrap();
    let copied = house.copy("whole");
    let whole = fs::read(&segments(&copied)[0]).unwrap();
    for cut in start..end {
        house.put_back(&copied);
        fs::write(&segments(&house.dir())[0], &whole[..cut]).unwrap();
        let refused = house.try_open(SEGMENT_BYTES).err().unwrap();
        assert!(matches!(refused, OpenError::Damaged(damage) if damage.index >= 20), "byte {cut}: {refused}");
    }
    house.put_back(&copied);
    for segment in segments(&house.dir()) {
        fs::remove_file(segment).unwrap();
    }
    let refused = house.try_open(SEGMENT_BYTES).err().unwrap();
    assert!(matches!(refused, OpenError::Damaged(damage) if damage.kind == DamageKind::Missing), "{refused}");
}

#[test]
fn on_the_record_is_not_taken_from_another_history() {
    let house = House::new();
    with_last_commit(&house);
    let copied = house.copy("whole");
    house.open(SEGMENT_BYTES).checkpoint().unwrap();
    let checkpoints =
        ["checkpoint", "checkpoints"].map(|name| (name, fs::read(house.dir().join(name)).unwrap()));
    house.put_back(&copied);
    for segment in segments(&house.dir()) {
        fs::remove_file(segment).unwrap();
    }
    let ledger = house.open(SEGMENT_BYTES);
    for _ in 0..30 {
        ledger.append(b"something else").unwrap();
    }
    ledger.commit().unwrap();
    drop(ledger);
    for (name, bytes) in checkpoints {
        fs::write(house.dir().join(name), bytes).unwrap();
    }
    assert!(matches!(house.try_open(SEGMENT_BYTES), Err(OpenError::Contradicted { size: 25 })));
}

#[test]
fn on_the_record_stays_what_was_signed_when_a_crash_cuts_the_history_of_checkpoints() {
    let house = House::new();
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 5, 1);
    ledger.checkpoint().unwrap();
    let before = house.copy("before");
    fill(&ledger, 9, 1);
    let signed = ledger.checkpoint().unwrap();
    assert_eq!(ledger.last_checkpoint(), Some(signed.clone()));
    drop(ledger);
    let old = fs::read(before.join("checkpoints")).unwrap();
    let new = fs::read(house.dir().join("checkpoints")).unwrap();
    // The history is written before `checkpoint` is replaced.
    fs::copy(before.join("checkpoint"), house.dir().join("checkpoint")).unwrap();
    let copied = house.copy("between");
    for length in old.len()..=new.len() {
        house.put_back(&copied);
        fs::write(house.dir().join("checkpoints"), &new[..length]).unwrap();
        let ledger = house.open(SEGMENT_BYTES);
        assert_eq!(ledger.checkpoint().unwrap(), signed, "{length} bytes");
        drop(ledger);
        assert_eq!(fs::read(house.dir().join("checkpoints")).unwrap(), new, "{length} bytes");
        assert_eq!(
            fs::read_to_string(house.dir().join("checkpoint")).unwrap(),
            signed.note(),
            "{length} bytes"
        );
    }
    // A sector that was not written leaves a hole; what lies behind it may be there.
    for end in old.len() + 1..new.len() {
        house.put_back(&copied);
        let mut torn = new.clone();
        torn[old.len()..end].fill(0);
        fs::write(house.dir().join("checkpoints"), &torn).unwrap();
        let ledger = house.open(SEGMENT_BYTES);
        assert_eq!(ledger.checkpoint().unwrap(), signed, "a hole up to {end}");
        drop(ledger);
        // What was published was whole before: then it was somebody else who made the hole.
        house.put_back(&copied);
        fs::write(house.dir().join("checkpoint"), signed.note()).unwrap();
        fs::write(house.dir().join("checkpoints"), &torn).unwrap();
        let refused = house.try_open(SEGMENT_BYTES).err().unwrap();
        assert!(matches!(refused, OpenError::Checkpoint(_) | OpenError::History), "{end}: {refused}");
    }
    house.put_back(&copied);
    fs::write(house.dir().join("checkpoint"), signed.note()).unwrap();
    fs::write(house.dir().join("checkpoints"), &old).unwrap();
    assert!(matches!(house.try_open(SEGMENT_BYTES), Err(OpenError::History)));
}
