//! What is committed is there: after a return, after a restart, for every reader, in order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the exception for tests ends at the helpers of a test file"
)]

mod common;

use common::{House, check_entries, fill, payload, segments};
use nightlatch_ledger::{AppendError, Ledger, OpenError, Options, PAYLOAD_BYTES_MAX, ReadError};

#[test]
fn on_the_record_from_the_moment_of_commit_and_not_before() {
    let house = House::new();
    let ledger = house.open(4096);
    let watch = ledger.watch();
    assert_eq!(ledger.append(b"first").unwrap(), 0);
    assert_eq!(ledger.append(b"second").unwrap(), 1);
    assert_eq!((ledger.pending(), ledger.durable(), *watch.borrow()), (2, 0, 0));
    assert!(matches!(ledger.read(0), Err(ReadError::NotThere { index: 0 })));
    assert_eq!(ledger.commit().unwrap(), 2);
    assert_eq!((ledger.pending(), ledger.durable(), *watch.borrow()), (0, 2, 2));
    assert_eq!(ledger.read(1).unwrap().payload, b"second");
    assert_eq!(ledger.commit().unwrap(), 2, "a commit of nothing is harmless");
}

#[test]
fn on_the_record_after_a_restart_and_over_several_segments() {
    let house = House::new();
    let ledger = house.open(4096);
    fill(&ledger, 700, 7);
    check_entries(&ledger, 700);
    drop(ledger);
    assert!(segments(&house.dir()).len() > 5);
    for segment_bytes in [4096, 9000, 500] {
        let (ledger, recovered) = house.try_open(segment_bytes).unwrap();
        assert_eq!(recovered.torn_bytes, 0);
        let entries = recovered.entries + 50;
        fill(&ledger, entries, 3);
        check_entries(&ledger, entries);
    }
}

#[test]
fn on_the_record_can_be_read_from_anywhere() {
    let house = House::new();
    let ledger = house.open(8192);
    fill(&ledger, 1000, 11);
    for index in [0, 1, 254, 255, 256, 257, 511, 512, 700, 999] {
        assert_eq!(ledger.read(index).unwrap().payload, payload(index), "entry {index}");
    }
    let tail: Vec<_> = ledger.iter_from(990).map(|entry| entry.unwrap().index).collect();
    assert_eq!(tail, (990..1000).collect::<Vec<_>>());
    assert_eq!(ledger.iter_from(5000).count(), 0);
}

#[test]
fn on_the_record_can_be_followed_as_it_grows() {
    let house = House::new();
    let ledger = house.open(2048);
    let mut entries = ledger.iter_from(0);
    let mut seen = 0;
    for until in 1..200 {
        assert!(entries.next().is_none());
        fill(&ledger, until * 3, 2);
        for entry in entries.by_ref() {
            assert_eq!(entry.unwrap().payload, payload(seen));
            seen += 1;
        }
        assert_eq!(seen, until * 3);
    }
}

#[test]
fn on_the_record_is_any_payload_up_to_the_limit() {
    let house = House::new();
    let ledger = house.open(1000);
    let longest = vec![7; PAYLOAD_BYTES_MAX];
    let too_long = AppendError::TooLong { length: PAYLOAD_BYTES_MAX + 1 };
    assert_eq!(ledger.append(&vec![7; PAYLOAD_BYTES_MAX + 1]), Err(too_long));
    for payload in [&b""[..], &longest, b"", b"\0", &longest[1..]] {
        ledger.append(payload).unwrap();
    }
    assert_eq!(ledger.commit().unwrap(), 5);
    drop(ledger);
    let lengths: Vec<_> = house.open(1000).iter_from(0).map(|entry| entry.unwrap().payload.len()).collect();
    assert_eq!(lengths, [0, PAYLOAD_BYTES_MAX, 0, 1, PAYLOAD_BYTES_MAX - 1]);
}

#[test]
fn on_the_record_keeps_the_order_of_indexes_when_many_append_at_once() {
    let house = House::new();
    let ledger = house.open(16 * 1024);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let index = ledger.append(b"mine").unwrap();
                    if index.is_multiple_of(97) {
                        ledger.commit().unwrap();
                        assert!(ledger.durable() > index);
                    }
                }
            });
        }
    });
    assert_eq!(ledger.commit().unwrap(), 2000);
    assert_eq!(ledger.iter_from(0).filter(|entry| entry.is_ok()).count(), 2000);
}

#[test]
fn on_the_record_is_written_by_one_ledger_at_a_time() {
    let house = House::new();
    let ledger = house.open(4096);
    assert!(matches!(house.try_open(4096), Err(OpenError::InUse)));
    drop(ledger);
    house.open(4096);
}

#[test]
fn on_the_record_has_room_taken_in_advance() {
    let house = House::new();
    let (ledger, _) = Ledger::open(&house.dir(), Options { segment_bytes: 4096 }, house.signer()).unwrap();
    assert_eq!(ledger.reserve(0), 2 * 4096);
    ledger.append(&[0; 90]).unwrap();
    assert_eq!(ledger.reserve(0), 2 * 4096 - 64 - 100);
    ledger.commit().unwrap();
    assert_eq!(ledger.reserve(0), 2 * 4096 - 64 - 100);
}
