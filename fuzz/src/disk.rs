//! The small files beside the ledger, and what an entry says. A file is used as it was written, or is known to be damaged.

use crate::{
    input::{Input, text},
    record::in_memory,
};
use nightlatch_engine::Entry;
use nightlatch_store::{People, Reservation, ReservationFile, Slots, snapshot};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::OnceLock};

/// Whose files they are.
const NODE: &str = "n1";

/// One file in memory for all inputs of a property.
fn scratch(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| in_memory().unwrap_or_else(|error| panic!("{error}"))).path().join(name)
}

fn put(path: &PathBuf, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{error}"));
    // What others may read is refused before it is parsed.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap_or_else(|error| panic!("{error}"));
}

/// The entry written back is the entry; what recovery would take for an instant or a name is there in the bytes.
pub fn entries(data: &[u8]) {
    let Ok(entry) = Entry::from_bytes(data) else { return };
    let written = entry.to_bytes();
    assert_eq!(Entry::from_bytes(&written).ok().as_ref(), Some(&entry), "{}", text(&written));
    let (came, went): (Result<Value, _>, Result<Value, _>) =
        (serde_json::from_slice(data), serde_json::from_slice(&written));
    let (Ok(Value::Object(came)), Ok(Value::Object(went))) = (came, went) else {
        panic!("an entry is an object");
    };
    assert_eq!(went.get("at").and_then(Value::as_u64), Some(entry.at()));
    assert_eq!(went.get("session").and_then(Value::as_str), entry.session());
    // Nothing is made up: whatever is written stood in what came, or says nothing.
    for (name, value) in &went {
        // What is unknown is left out, inside as outside.
        if value.is_object() {
            continue;
        }
        let empty = value.is_null() || value == &Value::Bool(false);
        assert!(came.get(name) == Some(value) || (empty && !came.contains_key(name)), "`{name}`");
    }
}

/// A word is read from its own slot as it was written, or not at all.
pub fn slots(data: &[u8]) {
    let path = scratch("slots");
    put(&path, data);
    let Ok(words) = Slots::open(&path, NODE).and_then(|slots| slots.read_all()) else {
        panic!("any bytes can be read")
    };
    assert_eq!(words.words.len(), data.len().div_ceil(16));
    assert_eq!(words.words.iter().flatten().count(), 0, "noise passes for a word");
    let noise = data.chunks(16).filter(|record| record.iter().any(|byte| *byte != 0)).count();
    assert_eq!(words.bad, noise as u64);

    let mut input = Input::new(data);
    let written: Vec<(u32, u64)> = (0..1 + input.below(8))
        .map(|_| (u32::from(input.byte()), input.number() << 32 | input.number()))
        .collect();
    put(&path, b"");
    let mut slots = Slots::open(&path, NODE).unwrap_or_else(|error| panic!("{error}"));
    slots.write(&written).unwrap_or_else(|error| panic!("{error}"));
    let mut bytes = fs::read(&path).unwrap_or_default();
    let last = |index: u32| written.iter().rfind(|(at, _)| *at == index).map(|(_, word)| *word);
    let expected = |index: usize| u32::try_from(index).ok().and_then(last);
    let read = slots.read_all().unwrap_or_else(|error| panic!("{error}"));
    assert!(read.bad == 0 && read.words.iter().enumerate().all(|(index, word)| *word == expected(index)));

    bytes.truncate(256 * 16);
    while !input.is_empty() {
        let (at, to) = (input.below(bytes.len()), input.below(bytes.len() / 16) * 16);
        match input.byte() {
            // A record in another's place, as a disk writes it that has lost its way.
            0..64 => bytes.copy_within(at / 16 * 16..at / 16 * 16 + 16, to),
            byte => bytes[at] = byte,
        }
    }
    put(&path, &bytes);
    let read =
        Slots::open(&path, NODE).and_then(|slots| slots.read_all()).unwrap_or_else(|error| panic!("{error}"));
    for (index, word) in read.words.iter().enumerate() {
        assert!(
            word.is_none() || *word == expected(index),
            "slot {index} has a word that was never written there"
        );
    }
}

/// After damage the reservation is one that was stored, or is known to be damaged; never absent, never another.
pub fn reservations(data: &[u8]) {
    let path = scratch("time");
    put(&path, data);
    let opened = ReservationFile::open(&path).unwrap_or_else(|error| panic!("{error}"));
    assert!(opened.load().is_err(), "noise passes for a reservation");

    let mut input = Input::new(data);
    let mut stored = Vec::new();
    let _ = fs::remove_file(&path);
    let mut file = ReservationFile::open(&path).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(file.load(), Ok(None)));
    for _ in 0..1 + input.below(3) {
        let reservation = Reservation {
            boot_id: [input.byte(); 16],
            boot_nanos: input.number(),
            offset_nanos: input.number() as i64 - (1 << 31),
            reserved_until_nanos: input.number() << 32 | input.number(),
            clean: input.byte() & 1 == 1,
        };
        file.store(&reservation).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file.load().ok().flatten(), Some(reservation));
        stored.push(reservation);
    }
    let mut bytes = fs::read(&path).unwrap_or_default();
    while !input.is_empty() && !bytes.is_empty() {
        // Only some hundred of the bytes hold anything.
        let place = input.below(256);
        let at = (place % 128 + place / 128 * 4096).min(bytes.len() - 1);
        match input.byte() {
            0..8 => bytes.truncate(at),
            byte => bytes[at] = byte,
        }
    }
    put(&path, &bytes);
    let found = ReservationFile::open(&path).unwrap_or_else(|error| panic!("{error}")).load();
    assert!(!matches!(found, Ok(None)), "damage passes for a new installation");
    if let Ok(Some(found)) = found {
        assert!(stored.contains(&found), "{found:?} was never stored");
        let untouched = fs::read(&path).is_ok_and(|now| now == bytes);
        assert!(untouched, "reading changes nothing");
    }
}

/// A snapshot is used as it was written, or passed over.
pub fn snapshots(data: &[u8]) {
    let dir = scratch("snapshot");
    let _ = fs::remove_dir_all(&dir);
    let mut input = Input::new(data);
    let size = input.number();
    let records: Vec<String> = (0..input.below(4)).map(|_| text(input.take(12))).collect();
    snapshot::write(&dir, NODE, size, &records, || true).unwrap_or_else(|error| panic!("{error}"));
    let written =
        fs::read_dir(&dir).into_iter().flatten().flatten().map(|file| file.path()).collect::<Vec<_>>();
    let [path] = &written[..] else { panic!("one snapshot is one file: {written:?}") };
    let read = || snapshot::read_newest::<String>(&dir, NODE).unwrap_or_else(|error| panic!("{error}"));
    let found = read().snapshot.map(|snapshot| (snapshot.ledger_size, snapshot.records));
    assert_eq!(found, Some((size, records.clone())));

    let written = fs::read(path).unwrap_or_default();
    let mut bytes = written.clone();
    while !input.is_empty() && !bytes.is_empty() {
        let at = input.below(bytes.len());
        match input.byte() {
            0..16 => bytes.truncate(at),
            16..32 => bytes.insert(at, input.byte()),
            32..48 => drop(bytes.remove(at)),
            byte => bytes[at] = byte,
        }
    }
    put(path, &bytes);
    let reading = read();
    if let Some(found) = reading.snapshot {
        assert_eq!((found.ledger_size, &found.records), (size, &records), "a changed snapshot is used");
    } else {
        assert!(bytes != written && reading.bad.len() == 1);
    }
    put(path, data);
    assert!(read().snapshot.is_none(), "noise passes for a snapshot");
}

/// Whoever is known after damage was known before, under the same pseudonym.
pub fn people(data: &[u8]) {
    let path = scratch("people");
    put(&path, data);
    if let Ok(people) = People::open(&path) {
        assert_eq!(people.cut_off_bytes(), data.len() as u64, "noise passes for a person");
    }

    let mut input = Input::new(data);
    let _ = fs::remove_file(&path);
    let people = People::open(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut known = Vec::new();
    for _ in 0..1 + input.below(3) {
        let (provider, name) = (text(input.take(6)), text(input.take(10)));
        let pseudonym = people.pseudonym(&provider, &name).unwrap_or_else(|error| panic!("{error}"));
        known.push((provider, name, pseudonym));
    }
    drop(people);
    let mut bytes = fs::read(&path).unwrap_or_default();
    while !input.is_empty() && !bytes.is_empty() {
        let at = input.below(bytes.len());
        match input.byte() {
            0..16 => bytes.truncate(at),
            16..32 => bytes.insert(at, input.byte()),
            byte => bytes[at] = byte,
        }
    }
    put(&path, &bytes);
    let Ok(people) = People::open(&path) else { return };
    for (provider, name, pseudonym) in &known {
        if let Some(person) = people.person(pseudonym) {
            assert_eq!(
                (&*person.provider, &*person.name),
                (&**provider, &**name),
                "a pseudonym changed hands"
            );
        }
    }
}
