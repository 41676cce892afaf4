//! A pseudonym that was given out stays, until it is erased, and then nothing links it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use super::*;
use crate::hex;

fn temp() -> (tempfile::TempDir, PathBuf) {
    let temp = crate::temp::dir();
    let path = temp.path().join("people");
    (temp, path)
}

fn person(provider: &str, name: &str) -> Option<Person> {
    Some(Person { provider: provider.into(), name: name.into() })
}

const PEOPLE: [(&str, &str); 4] =
    [("okta", "ada@example.com"), ("okta", "bo \"b\"\n\\ \0 é"), ("entra", "ada@example.com"), ("", "")];

/// A file with all of [`PEOPLE`], its bytes, and their pseudonyms.
fn populated(path: &Path) -> (Vec<u8>, Vec<Pseudonym>) {
    let people = People::open(path).unwrap();
    let made = PEOPLE.map(|(provider, name)| people.pseudonym(provider, name).unwrap());
    (fs::read(path).unwrap(), made.into())
}

#[test]
fn a_person_keeps_one_pseudonym_across_restarts_and_two_people_never_share() {
    let (_temp, path) = temp();
    let (_, made) = populated(&path);
    for _restart in 0..2 {
        let people = People::open(&path).unwrap();
        assert_eq!(people.cut_off_bytes(), 0);
        for ((provider, name), pseudonym) in PEOPLE.into_iter().zip(&made) {
            assert_eq!(&people.pseudonym(provider, name).unwrap(), pseudonym);
            assert_eq!(people.person(pseudonym), person(provider, name));
        }
    }
    let different: std::collections::HashSet<_> = made.iter().collect();
    assert_eq!(different.len(), PEOPLE.len());
}

#[test]
fn another_machine_gives_the_same_person_another_pseudonym() {
    let ((_one, here), (_two, there)) = (temp(), temp());
    let (_, here) = populated(&here);
    let (_, there) = populated(&there);
    assert!(here.iter().all(|pseudonym| !there.contains(pseudonym)));
}

#[test]
fn an_erased_person_cannot_be_linked() {
    let (_temp, path) = temp();
    let (before, made) = populated(&path);
    let people = People::open(&path).unwrap();
    let row = before.split(|&byte| byte == b'\n').next().unwrap();
    let key = serde_json::from_slice::<serde_json::Value>(row).unwrap()["key"].as_str().unwrap().to_owned();

    assert!(people.erase(&made[0]).unwrap());
    assert!(!people.erase(&made[0]).unwrap());
    let after = fs::read_to_string(&path).unwrap();
    for gone in [made[0].to_string(), key] {
        assert!(String::from_utf8_lossy(&before).contains(&gone) && !after.contains(&gone));
    }
    assert_eq!(after.matches("ada@example.com").count(), 1, "the one of the other provider");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left over");

    for people in [people, People::open(&path).unwrap()] {
        assert_eq!(people.person(&made[0]), None);
        for ((provider, name), pseudonym) in PEOPLE.into_iter().zip(&made).skip(1) {
            assert_eq!(people.person(pseudonym), person(provider, name));
        }
    }
    let people = People::open(&path).unwrap();
    let again = people.pseudonym(PEOPLE[0].0, PEOPLE[0].1).unwrap();
    assert_ne!(again, made[0]);
    assert_eq!(People::open(&path).unwrap().person(&again), person(PEOPLE[0].0, PEOPLE[0].1));
}

#[test]
fn a_row_torn_at_any_byte_is_cut_off_and_the_others_stay() {
    let (_temp, path) = temp();
    let (whole, made) = populated(&path);
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    let mut torn: Vec<Vec<u8>> = (last..whole.len()).map(|bytes| whole[..bytes].to_vec()).collect();
    for hole in last..whole.len() {
        let mut to_the_end = whole.clone();
        to_the_end[hole..].fill(0);
        let mut from_the_start = whole.clone();
        from_the_start[last..=hole].fill(0);
        torn.extend([to_the_end, from_the_start]);
    }
    for content in torn {
        fs::write(&path, &content).unwrap();
        let people = People::open(&path).unwrap();
        assert_eq!(people.cut_off_bytes(), (content.len() - last) as u64);
        assert_eq!(fs::metadata(&path).unwrap().len(), last as u64);
        assert_eq!(people.person(&made[3]), None);
        let again = people.pseudonym(PEOPLE[3].0, PEOPLE[3].1).unwrap();
        let people = People::open(&path).unwrap();
        for (known, pseudonym) in PEOPLE.into_iter().zip(made[..3].iter().chain([&again])) {
            assert_eq!(people.person(pseudonym), person(known.0, known.1));
        }
    }
}

#[test]
fn a_row_altered_in_any_bit_stops_the_start_and_the_line_is_named() {
    let (_temp, path) = temp();
    let (whole, _) = populated(&path);
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let line_hit = 1 + whole[..bit / 8].iter().filter(|&&byte| byte == b'\n').count() as u64;
        if line_hit == PEOPLE.len() as u64 && (altered.last() != Some(&b'\n') || altered[bit / 8] == 0) {
            continue; // Looks like a torn line; the test above.
        }
        fs::write(&path, &altered).unwrap();
        match People::open(&path) {
            Err(OpenPeopleError::Damaged { line, .. }) => assert_eq!(line, line_hit, "bit {bit}"),
            other => panic!("bit {bit}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), altered, "nothing is repaired");
    }
}

#[test]
fn a_second_row_for_the_same_person_is_damage() {
    let (_temp, path) = temp();
    let (whole, _) = populated(&path);
    let row = Row::new(&[7; 32], person("okta", "ada@example.com").unwrap());
    fs::write(&path, [whole, row.line(&[7; 32])].concat()).unwrap();
    let error = People::open(&path).unwrap_err().to_string();
    assert!(error.starts_with("line 5 of `") && error.contains("second row"), "{error}");
}

#[test]
fn many_threads_that_ask_at_once_get_one_pseudonym_for_each_person() {
    let (_temp, path) = temp();
    let people = People::open(&path).unwrap();
    let names: Vec<String> = (0..30).map(|number| format!("person {number}")).collect();
    // All ask for the same person at the same time, one person after the other. Answers are looked at afterwards: a
    // thread that panicked here would leave the others waiting for it.
    let together = Barrier::new(4);
    let ask = |name: &String| {
        together.wait();
        people.pseudonym("okta", name).map(|pseudonym| (pseudonym, people.person(&pseudonym)))
    };
    let answers: Vec<Vec<(Pseudonym, Option<Person>)>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| names.iter().map(ask).collect::<Vec<_>>())).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.map(|answers| answers.into_iter().map(Result::unwrap).collect()).collect()
    });
    assert!(answers.iter().all(|one| one == &answers[0]));
    assert!(answers[0].iter().zip(&names).all(|((_, known), name)| *known == person("okta", name)));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), names.len());
    let people = People::open(&path).unwrap();
    for (name, (pseudonym, _)) in names.iter().zip(&answers[0]) {
        assert_eq!(people.person(pseudonym), person("okta", name));
    }
}

#[test]
fn who_was_created_by_another_thread_meanwhile_is_not_created_again() {
    let (_temp, path) = temp();
    let people = People::open(&path).unwrap();
    let theirs = people.create("okta", "ada").unwrap();
    let ours = people.create("okta", "ada").unwrap();
    assert_eq!(ours, theirs);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn who_is_known_is_answered_while_the_disk_is_busy() {
    let (_temp, path) = temp();
    let people = People::open(&path).unwrap();
    let pseudonym = people.pseudonym("okta", "ada").unwrap();
    let _busy = people.rows();
    assert_eq!(people.pseudonym("okta", "ada").unwrap(), pseudonym);
    assert_eq!(people.person(&pseudonym), person("okta", "ada"));
}

#[test]
fn the_file_is_private_also_after_an_erasure_and_refused_if_it_is_not() {
    let (_temp, path) = temp();
    let (_, made) = populated(&path);
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    People::open(&path).unwrap().erase(&made[1]).unwrap();
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(People::open(&path), Err(OpenPeopleError::OpenToOthers(_))));
}

#[test]
fn the_copy_of_an_erasure_that_a_crash_stopped_does_not_stay() {
    let (_temp, path) = temp();
    let (whole, _) = populated(&path);
    fs::write(crate::file::next_version(&path), &whole[..50]).unwrap();
    People::open(&path).unwrap();
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(fs::read(&path).unwrap(), whole);
}

/// Computed by another implementation of HMAC-SHA256: key 32 times 0x0b, message `okta`, a zero byte, `ada`.
#[test]
fn a_pseudonym_is_what_the_design_says() {
    let pseudonym = Pseudonym::derive(&[0x0b; 32], &person("okta", "ada").unwrap());
    assert_eq!(pseudonym.to_string(), "sub_93a12758e17f0b958f229a50cf34b544");
}

#[test]
fn a_pseudonym_has_one_spelling() {
    let pseudonym = Pseudonym::from([0xAB; 16]);
    let text = format!("sub_{}", hex::encode(&[0xAB; 16]));
    assert_eq!((pseudonym.to_string(), text.parse()), (text.clone(), Ok(pseudonym)));
    assert_eq!(serde_json::to_string(&pseudonym).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<Pseudonym>(&format!("\"{text}\"")).unwrap(), pseudonym);
    for wrong in [&text[1..], &text[..35], &text.to_uppercase(), &format!("{text}0"), ""] {
        assert_eq!(wrong.parse::<Pseudonym>(), Err(NotAPseudonym), "{wrong}");
    }
}

#[test]
fn a_name_does_not_show_itself_in_debug_output() {
    let (_temp, path) = temp();
    populated(&path);
    let shown = format!("{:?}", People::open(&path).unwrap());
    assert!(!shown.contains("ada"), "{shown}");
}
