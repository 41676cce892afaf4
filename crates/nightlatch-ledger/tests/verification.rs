//! Nobody can change the record unseen: every way of tampering is found, and the first bad entry is named as narrowly as
//! it can be known.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the exception for tests ends at the helpers of a test file"
)]

mod common;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use common::{ENTRIES, House, SEGMENT_BYTES, check, copy, fill, forge, payload, segments, with_checkpoints};
use nightlatch_ledger::{
    Damage, DamageKind, Hash, OpenError,
    export::export,
    verify::{Anchor, AnchoredBy, CheckpointSource, Finding, Form, Trust, VerifyError, tail, verify},
};

fn payloads() -> Vec<Vec<u8>> {
    (0..ENTRIES).map(payload).collect()
}

/// Puts the checkpoints of the real ledger into a forged one.
fn with_real_checkpoints(house: &House, forged: &Path) {
    for name in ["checkpoint", "checkpoints"] {
        fs::copy(house.dir().join(name), forged.join(name)).unwrap();
    }
}

#[test]
fn on_the_record_and_untouched_is_consistent_and_not_anchored_by_itself() {
    let house = House::new();
    let notes = with_checkpoints(&house);
    export(&house.dir(), &house.path("export"), &house.key()).unwrap();
    for (dir, form) in [(house.dir(), Form::Segments), (house.path("export"), Form::Tiles)] {
        let report = check(&house, &dir, &[]);
        assert!(report.is_consistent(), "{report}");
        assert_eq!((report.form, report.entries, report.signed_entries), (form, ENTRIES, ENTRIES));
        assert_eq!(report.checkpoints_agreed, 4, "three in the history, and the newest");
        assert_eq!(
            (report.unsigned_entries(), report.unfinished_bytes, report.anchored_entries()),
            (0, 0, 0)
        );
        assert!(report.to_string().contains("not independently anchored"), "{report}");

        let report = check(&house, &dir, &notes[..2]);
        assert_eq!(report.anchors, [Anchor { entries: 400, by: AnchoredBy::Caller }]);
        assert_eq!((report.anchored_entries(), report.unanchored_entries()), (400, ENTRIES - 400));
        let said = report.to_string();
        assert!(said.contains("not independently anchored: the 200 entries from entry 400 on"), "{said}");
        let whole = check(&house, &dir, &notes[2..]);
        assert_eq!((whole.anchored_entries(), whole.unanchored_entries()), (ENTRIES, 0));
        assert!(!whole.to_string().contains("not independently anchored"), "{whole}");
    }
}

#[test]
fn on_the_record_beyond_the_newest_checkpoint_is_said_to_be_unsigned() {
    let house = House::new();
    with_checkpoints(&house);
    fill(&house.open(SEGMENT_BYTES), ENTRIES + 7, 1);
    let report = check(&house, &house.dir(), &[]);
    assert!(report.is_consistent());
    assert_eq!((report.entries, report.unsigned_entries()), (ENTRIES + 7, 7));
    assert!(report.to_string().contains("7 entries after that are covered by no checkpoint"), "{report}");
}

#[test]
fn on_the_record_is_changed_by_no_byte_of_a_segment_unseen() {
    let house = House::new();
    let ledger = house.open(600);
    fill(&ledger, 60, 4);
    ledger.checkpoint().unwrap();
    drop(ledger);
    for path in segments(&house.dir()) {
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            fs::write(&path, &changed).unwrap();
            let report = check(&house, &house.dir(), &[]);
            assert!(
                !report.is_consistent() || report.unfinished_bytes > 0,
                "{path:?} byte {place}: {report}"
            );
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn on_the_record_is_changed_by_no_byte_of_the_checkpoints_unseen() {
    let house = House::new();
    with_checkpoints(&house);
    for name in ["checkpoint", "checkpoints"] {
        let path = house.dir().join(name);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            let report = check(&house, &house.dir(), &[]);
            assert!(!report.is_consistent(), "{name} byte {place}: {report}");
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn on_the_record_is_changed_by_no_byte_of_an_export_unseen() {
    let house = House::new();
    with_checkpoints(&house);
    let dir = house.path("export");
    export(&house.dir(), &dir, &house.key()).unwrap();
    let files = [
        "tile/0/000",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/002.p/88",
        "checkpoint",
    ];
    for name in files {
        let path = dir.join(name);
        let whole = fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            fs::write(&path, &changed).unwrap();
            assert!(!check(&house, &dir, &[]).is_consistent(), "{name} byte {place}");
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(!check(&house, &dir, &[]).is_consistent(), "{name} with a byte more");
        fs::remove_file(&path).unwrap();
        // Without its checkpoint nothing says how large an export is; the history still does.
        assert!(!check(&house, &dir, &[]).is_consistent(), "{name} removed");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn on_the_record_tampering_that_makes_everything_fit_is_placed_between_two_checkpoints() {
    let house = House::new();
    with_checkpoints(&house);
    let mut changed = payloads();
    changed[234][0] ^= 1;
    let mut removed = payloads();
    removed.remove(234);
    removed.push(b"so that the number is the same".to_vec());
    let mut inserted = payloads();
    inserted.insert(234, b"never happened".to_vec());
    let mut swapped = payloads();
    swapped.swap(234, 235);
    for (name, forged) in
        [("changed", changed), ("removed", removed), ("inserted", inserted), ("swapped", swapped)]
    {
        let dir = forge(&house, name, &forged, 10);
        with_real_checkpoints(&house, &dir);
        let report = check(&house, &dir, &[]);
        let by = CheckpointSource::History(2);
        assert_eq!(report.findings, [Finding::Contradicted { by, entries: 200..400 }], "{name}");
        assert_eq!(report.first_bad_entry(), Some(200..400), "{name}");
        assert_eq!((report.checkpoints_agreed, report.checkpoints_not_agreed), (1, 3), "{name}");
        assert_eq!(report.signed_entries, 200, "{name}");
    }
}

#[test]
fn on_the_record_frames_moved_within_a_segment_are_found_by_index() {
    let house = House::new();
    let entries: Vec<Vec<u8>> = (0..100).map(|index| format!("entry {index:04}").into_bytes()).collect();
    let dir = forge(&house, "equal", &entries, 20);
    let path = &segments(&dir)[0];
    let whole = fs::read(path).unwrap();
    let frame = 10 + entries[0].len();
    // Entries 45 and 47, in the third commit.
    let start = 2 * (64 + 20 * frame) + 64 + 5 * frame;
    let check_first = |bytes: Vec<u8>, index: u64, story: &str| {
        fs::write(path, bytes).unwrap();
        let report = check(&house, &dir, &[]);
        assert_eq!(report.first_bad_entry(), Some(index..index + 1), "{story}: {report}");
    };
    let mut swapped = whole.clone();
    let (one, other) = swapped[start..start + 3 * frame].split_at_mut(2 * frame);
    one[..frame].swap_with_slice(other);
    check_first(swapped, 45, "swapped");

    let mut changed = whole.clone();
    changed[start + 10] ^= 1;
    check_first(changed, 45, "changed");

    let mut removed = whole.clone();
    removed.drain(start..start + frame);
    check_first(removed, 45, "removed");

    let mut inserted = whole.clone();
    let copied = inserted[start..start + frame].to_vec();
    inserted.splice(start..start, copied);
    check_first(inserted, 46, "inserted");

    let block = 64 + 20 * frame;
    let mut without_block = whole.clone();
    without_block.drain(block..2 * block);
    check_first(without_block, 20, "a whole commit removed");

    let mut doubled = whole.clone();
    doubled.splice(block..block, whole[..block].iter().copied());
    check_first(doubled, 20, "a whole commit twice");
}

#[test]
fn on_the_record_an_entry_changed_with_its_check_does_not_fit_its_commit() {
    let house = House::new();
    fill(&house.open(SEGMENT_BYTES), 30, 10);
    let path = &segments(&house.dir())[0];
    let mut bytes = fs::read(path).unwrap();
    let length =
        |entries: std::ops::Range<u64>| entries.map(|index| 10 + payload(index).len()).sum::<usize>();
    // Entry 12, in the second commit.
    let start = 64 + length(0..10) + 64 + length(10..12);
    let changed = vec![b'z'; payload(12).len()];
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&Hash::of_leaf(&changed).as_bytes()[..8]);
    bytes[start + 2..start + 10].copy_from_slice(&(u64::from_be_bytes(prefix) ^ 12).to_be_bytes());
    bytes[start + 10..start + 10 + changed.len()].copy_from_slice(&changed);
    fs::write(path, bytes).unwrap();

    let report = check(&house, &house.dir(), &[]);
    let expected = |damage: &Damage| damage.index == 10 && damage.kind == DamageKind::Root;
    assert!(matches!(&report.findings[..], [Finding::Damaged(damage)] if expected(damage)), "{report}");
    let refused = house.try_open(SEGMENT_BYTES).err().unwrap();
    assert!(matches!(refused, OpenError::Damaged(damage) if expected(&damage)), "{refused}");
}

#[test]
fn on_the_record_a_changed_entry_of_an_export_is_named() {
    let house = House::new();
    with_checkpoints(&house);
    let dir = house.path("export");
    export(&house.dir(), &dir, &house.key()).unwrap();
    let path = dir.join("tile/entries/001");
    let mut bundle = fs::read(&path).unwrap();
    let skip: usize = (256..300).map(|index| 2 + payload(index).len()).sum();
    bundle[skip + 2] ^= 1;
    fs::write(&path, bundle).unwrap();
    let report = check(&house, &dir, &[]);
    assert_eq!(report.first_bad_entry(), Some(300..301), "{report}");
    assert_eq!(report.signed_entries, 200);
}

#[test]
fn on_the_record_verification_changes_nothing_and_works_beside_an_open_ledger() {
    let house = House::new();
    with_checkpoints(&house);
    let ledger = house.open(SEGMENT_BYTES);
    ledger.append(b"not committed").unwrap();
    let before = snapshot(&house.dir());
    assert!(check(&house, &house.dir(), &[]).is_consistent());
    export(&house.dir(), &house.path("export"), &house.key()).unwrap();
    assert_eq!(snapshot(&house.dir()), before);
    assert!(matches!(
        verify(&house.path("nothing here"), &Trust { log: house.key(), witnesses: vec![] }, &[]),
        Err(VerifyError::Io(_))
    ));
    fs::create_dir(house.path("empty")).unwrap();
    assert!(matches!(
        verify(&house.path("empty"), &Trust { log: house.key(), witnesses: vec![] }, &[]),
        Err(VerifyError::NoLedger)
    ));
    copy(&house.dir(), &house.path("copy"));
    assert!(check(&house, &house.path("copy"), &[]).is_consistent());
}

#[test]
fn on_the_record_can_be_checked_while_it_is_written() {
    let house = House::new();
    let ledger = house.open(2048);
    ledger.checkpoint().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for size in 1..1500 {
                fill(&ledger, size, 1);
                if size % 10 == 0 {
                    ledger.checkpoint().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut round = 0;
        while !done.load(Ordering::Acquire) {
            let report = check(&house, &house.dir(), &[]);
            assert!(report.is_consistent(), "{report}");
            let to = house.path(&format!("export {round}"));
            let signed = export(&house.dir(), &to, &house.key()).unwrap();
            assert!(check(&house, &to, &[signed.note()]).is_consistent());
            round += 1;
        }
    });
}

fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_tail_is_read_from_where_the_newest_checkpoint_ends_and_vouches_for_no_more() {
    let house = House::new();
    with_checkpoints(&house);
    let files = segments(&house.dir());
    let seen = tail(&house.dir(), &house.key()).unwrap();
    assert_eq!((seen.entries, seen.signed_entries, seen.findings), (ENTRIES, Some(ENTRIES), Vec::new()));
    assert_eq!(seen.newest.unwrap().payload, payload(ENTRIES - 1));
    assert!(seen.from > 400, "only the newest segment was read: from {}", seen.from);

    // What lies before is not looked at, and is not said to be good.
    let first = fs::read(&files[0]).unwrap();
    fs::write(&files[0], b"").unwrap();
    assert_eq!(tail(&house.dir(), &house.key()).unwrap().findings, []);
    fs::write(&files[0], first).unwrap();

    // Entries behind the checkpoint, in segments of their own.
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, ENTRIES + 300, 10);
    let more = tail(&house.dir(), &house.key()).unwrap();
    assert_eq!((more.entries, more.signed_entries), (ENTRIES + 300, Some(ENTRIES)));
    assert!(more.from < ENTRIES && more.findings.is_empty(), "{more:?}");
}

#[test]
fn on_the_record_a_tail_that_was_changed_cut_or_signed_by_another_is_found() {
    let house = House::new();
    with_checkpoints(&house);
    let found = |dir: &Path| tail(dir, &house.key()).unwrap().findings;
    let last = segments(&house.dir()).pop().unwrap();
    let name = last.file_name().unwrap();

    let changed = house.copy("changed");
    let mut bytes = fs::read(&last).unwrap();
    bytes[80] ^= 1;
    fs::write(changed.join(name), bytes).unwrap();
    assert!(matches!(found(&changed)[..], [Finding::Damaged(Damage { kind: DamageKind::Entry, .. })]));

    let cut = house.copy("cut");
    fs::remove_file(cut.join(name)).unwrap();
    assert!(matches!(found(&cut)[..], [Finding::Truncated { signed: ENTRIES, .. }]));

    // Another history of the same length, whole in itself.
    let mut other = payloads();
    other[0] = b"not what was written".to_vec();
    let forged = forge(&house, "forged", &other, 10);
    fs::copy(house.dir().join("checkpoint"), forged.join("checkpoint")).unwrap();
    assert!(matches!(found(&forged)[..], [Finding::Contradicted { .. }]));

    let stranger = House::new();
    let seen = tail(&house.dir(), &stranger.key()).unwrap();
    assert!(matches!(seen.findings[..], [Finding::Checkpoint { .. }]) && seen.signed_entries.is_none());
    assert!(matches!(tail(&house.path("."), &house.key()), Err(VerifyError::NoLedger)));
}
