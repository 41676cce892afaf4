//! A slot gives back the word that was written there, or nothing; never another word.

use std::collections::HashMap;
use std::fs;

use proptest::prelude::*;

use super::*;

const NODE: &str = "n1";

fn words_at(path: &Path) -> Words {
    Slots::open(path, NODE).unwrap().read_all().unwrap()
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let temp = crate::temp::dir();
    let path = temp.path().join("slots");
    (temp, path)
}

#[test]
fn a_new_file_holds_nothing() {
    let (_temp, path) = temp();
    assert_eq!(words_at(&path), Words { words: Vec::new(), bad: 0 });
}

#[test]
fn zero_is_a_word_like_any_other() {
    let (_temp, path) = temp();
    Slots::open(&path, NODE).unwrap().write(&[(1, 0)]).unwrap();
    let found = words_at(&path);
    assert_eq!(found.words[..3], [None, Some(0), None]);
    assert_eq!(found.bad, 0);
}

#[test]
fn a_file_of_another_node_says_nothing() {
    let (_temp, path) = temp();
    Slots::open(&path, "n2").unwrap().write(&[(0, 5), (1, 6)]).unwrap();
    let found = words_at(&path);
    assert!(found.words.iter().all(Option::is_none));
    assert_eq!(found.bad, 2);
}

#[test]
fn where_an_index_is_given_twice_the_later_word_counts() {
    let (_temp, path) = temp();
    Slots::open(&path, NODE).unwrap().write(&[(3, 1), (2, 5), (3, 2), (0, 7), (3, 3)]).unwrap();
    assert_eq!(words_at(&path).words[..4], [Some(7), None, Some(5), Some(3)]);
}

#[test]
fn the_file_grows_by_whole_steps_and_keeps_what_it_has() {
    let (_temp, path) = temp();
    let last = u32::try_from(STEP_SLOTS).unwrap() - 1;
    let mut slots = Slots::open(&path, NODE).unwrap();
    slots.write(&[(last, 1)]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), STEP_SLOTS * 16);
    slots.write(&[(last, 2), (last + 1, 3)]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 2 * STEP_SLOTS * 16);
    slots.sync().unwrap();
    let found = words_at(&path);
    assert_eq!(found.words[last as usize..][..3], [Some(2), Some(3), None]);
    assert_eq!(found.bad, 0);
}

#[test]
fn a_write_torn_at_any_byte_leaves_the_old_word_or_the_new_or_is_counted() {
    let (_temp, path) = temp();
    let (old, new) = (encode(NODE, 1, 0x1111_2222_3333_4444), encode(NODE, 1, 0x5555_6666_7777_8888));
    for torn in 0..=RECORD_BYTES {
        let middle = [&new[..torn], &old[torn..]].concat();
        fs::write(&path, [&encode(NODE, 0, 9)[..], &middle, &encode(NODE, 2, 8)].concat()).unwrap();
        let found = words_at(&path);
        let (word, bad) = match torn {
            0 => (Some(0x1111_2222_3333_4444), 0),
            RECORD_BYTES => (Some(0x5555_6666_7777_8888), 0),
            _ => (None, 1),
        };
        assert_eq!(found, Words { words: vec![Some(9), word, Some(8)], bad }, "torn at {torn}");
    }
}

#[test]
fn any_altered_bit_is_recognised() {
    let (_temp, path) = temp();
    for bit in 0..RECORD_BYTES * 8 {
        let mut record = encode(NODE, 0, 77);
        record[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, record).unwrap();
        assert_eq!(words_at(&path), Words { words: vec![None], bad: 1 }, "bit {bit}");
    }
}

#[test]
fn a_record_in_the_wrong_place_is_recognised() {
    let (_temp, path) = temp();
    fs::write(&path, [encode(NODE, 1, 5), encode(NODE, 0, 6), encode(NODE, 2, 7)].concat()).unwrap();
    assert_eq!(words_at(&path), Words { words: vec![None, None, Some(7)], bad: 2 });
}

#[test]
fn a_file_cut_short_at_any_byte_keeps_its_whole_records_and_can_be_written_again() {
    let (_temp, path) = temp();
    let whole = [encode(NODE, 0, 5), encode(NODE, 1, 6)].concat();
    for bytes in 0..whole.len() {
        fs::write(&path, &whole[..bytes]).unwrap();
        let found = words_at(&path);
        assert_eq!(found.words.iter().flatten().count(), bytes / RECORD_BYTES);
        assert_eq!(found.bad, u64::from(bytes % RECORD_BYTES != 0));
        Slots::open(&path, NODE).unwrap().write(&[(0, 5), (1, 6)]).unwrap();
        let found = words_at(&path);
        assert_eq!((&found.words[..2], found.bad), (&[Some(5), Some(6)][..], 0));
    }
}

proptest! {
    #[test]
    fn after_any_writes_and_restarts_the_file_agrees_with_a_map(
        seconds in prop::collection::vec(
            (prop::collection::vec((0_u32..300, any::<u64>()), 0..40), any::<bool>()), 0..20)
    ) {
        let (_temp, path) = temp();
        let mut model = HashMap::new();
        let mut slots = Slots::open(&path, NODE).unwrap();
        for (words, restart) in seconds {
            slots.write(&words).unwrap();
            model.extend(words);
            if restart {
                slots = Slots::open(&path, NODE).unwrap();
            }
        }
        let found = slots.read_all().unwrap();
        prop_assert_eq!(found.bad, 0);
        for index in 0..300 {
            let word = found.words.get(index as usize).copied().flatten();
            prop_assert_eq!(word, model.get(&index).copied(), "slot {}", index);
        }
    }
}
