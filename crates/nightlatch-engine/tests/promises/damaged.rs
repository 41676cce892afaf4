//! Files that are not as they were left: flipped, cut, grown, exchanged for those of somebody else. The start is refused in words that say
//! what and where, or nobody has more than they had.

use crate::common::*;
use nightlatch_core::{SessionId, Time};
use nightlatch_engine::Engine;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// Starts from files that are damaged.
const DAMAGED: u64 = 400;

/// More bytes than a session has in a snapshot.
const LONGEST: usize = 160;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// A house with sessions that live, that ended, and that are somebody else's lease; stopped.
fn left(names: [&str; 3], touched_at: u64) -> House {
    let house = House::new();
    let engine = house.open();
    let (root, token) = sign_in(&engine, names[0]);
    let (ended, _) = sign_in(&engine, names[1]);
    lease(&engine, &root);
    revoke(&engine, &ended).unwrap();
    engine.commit().unwrap();
    house.pass(&engine, touched_at);
    touch(&engine, &token).unwrap();
    engine.stop();
    drop(engine);
    // After the snapshot: what is in the ledger alone.
    let engine = house.open();
    sign_in(&engine, names[2]);
    engine.upkeep();
    house
}

/// Who lives, and until when.
fn living(engine: &Engine) -> BTreeMap<SessionId, Time> {
    let live = engine.sessions(None, 1_000).into_iter().filter(|session| session.end().is_none());
    live.map(|session| (session.facts.id, session.deadline().at)).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn put_back(kept: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path) {
    for path in files(dir).iter().filter(|path| !kept.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, content) in kept {
        if fs::read(path).ok().as_ref() != Some(content) {
            fs::write(path, content).unwrap();
        }
    }
}

/// Damages a file's content, where it says something.
fn damage(content: &mut Vec<u8>, random: &mut Random) -> &'static str {
    let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let at = random.below(used);
    match random.below(6) {
        0 => {
            content.truncate(at);
            "cut"
        }
        1 => {
            content.splice(at..at, [0xff; 3]);
            "grown inside"
        }
        2 => {
            let more = content[..used].to_vec();
            content.splice(used..used, more);
            "doubled"
        }
        3 => {
            let end = (at + 64).min(content.len());
            content[at..end].fill(0);
            "zeroed"
        }
        4 if used >= 32 => {
            let (from, to) = (random.below(used / 16) * 16, random.below(used / 16) * 16);
            content.copy_within(from..from + 16, to);
            "misplaced"
        }
        _ => {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
            "flipped"
        }
    }
}

#[test]
fn never_longer_whatever_file_is_damaged() {
    let house = left(["ada", "bob", "cleo"], 5_000);
    let dir = house.folder.path().to_owned();
    let kept: BTreeMap<PathBuf, Vec<u8>> =
        files(&dir).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let honest = living(&house.open());
    assert_eq!(honest.len(), 3);
    let (mut refused, mut opened) = (BTreeSet::new(), 0);
    for seed in 1..=DAMAGED {
        put_back(&kept, &dir);
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let path = kept.keys().nth(random.below(kept.len())).unwrap();
        let mut content = kept[path].clone();
        let how = damage(&mut content, &mut random);
        fs::write(path, &content).unwrap();
        let name = path.strip_prefix(&dir).unwrap().display();
        let said = format!("seed {seed}: `{name}` {how}");
        match catch_unwind(AssertUnwindSafe(|| house.try_open())).unwrap_or_else(|_| panic!("{said}")) {
            Ok((engine, _)) => {
                opened += 1;
                for (id, deadline) in living(&engine) {
                    assert!(honest.get(&id).is_some_and(|honest| deadline <= *honest), "{said}: {id} gains");
                }
            }
            Err(error) => {
                refused.insert(error.to_string());
            }
        }
    }
    println!("{opened} of {DAMAGED} opened; of the others it was said: {refused:#?}");
    assert!(opened > DAMAGED / 4 && refused.len() > 2, "{opened}, {refused:?}");
}

#[test]
fn never_longer_with_the_files_of_another_node() {
    let house = left(["ada", "bob", "cleo"], 5_000);
    // The other's sessions have the same places, and were used later; its ledger is longer.
    let other = left(["dora", "eve", "finn"], 20_000);
    other.open().stop();
    let dir = house.folder.path().to_owned();
    let kept: BTreeMap<PathBuf, Vec<u8>> =
        files(&dir).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    house.time.advance(15_000 * MS);
    let honest = living(&house.open());
    let mut refused = Vec::new();
    for theirs in files(other.folder.path()) {
        put_back(&kept, &dir);
        let name = theirs.strip_prefix(other.folder.path()).unwrap();
        fs::copy(&theirs, dir.join(name)).unwrap();
        match house.try_open() {
            Ok((engine, _)) => {
                for (id, deadline) in living(&engine) {
                    assert!(
                        honest.get(&id).is_some_and(|honest| deadline <= *honest),
                        "{}: {id} gains",
                        name.display()
                    );
                }
            }
            // One name, one key or one history do not go with the rest.
            Err(error) => refused.push(format!("{}: {error}", name.display())),
        }
    }
    println!("{refused:#?}");
    assert!(refused.len() >= 4, "{refused:?}");
}

/// Whoever may write there may make any snapshot; but none that takes the program down without a word.
#[test]
fn fail_closed_a_snapshot_that_was_made_up_is_refused_or_taken_but_never_a_panic() {
    /// 2^32 - 1, as the numbers in a record are written.
    const LARGEST: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let house = left(["ada", "bob", "cleo"], 5_000);
    let dir = house.folder.path().to_owned();
    let kept: BTreeMap<PathBuf, Vec<u8>> =
        files(&dir).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let mut refused = BTreeSet::new();
    let mut length = usize::MAX;
    for at in 0..2 * LONGEST {
        put_back(&kept, &dir);
        let (place, flips) = (at / 2, at % 2 == 1);
        let mut first = true;
        rewrite_snapshot(&house, |record| {
            let mut record = record.to_vec();
            if std::mem::take(&mut first) {
                length = record.len();
                let place = place.min(length - 1);
                if flips {
                    record[place] ^= 0xff;
                } else {
                    record.splice(place..=place, LARGEST);
                }
            }
            Some(record)
        });
        let opened = catch_unwind(AssertUnwindSafe(|| house.try_open()));
        match opened.unwrap_or_else(|_| panic!("byte {place} of the first record")) {
            Ok((engine, _)) => engine.stop(),
            Err(error) => drop(refused.insert(error.to_string())),
        }
    }
    assert!(length <= LONGEST, "a record has {length} bytes");
    assert!(refused.iter().any(|words| words.contains("`slot`")), "{refused:?}");
}
