//! The same name gives the same key for ever, or a clear refusal.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use super::*;

fn temp() -> (tempfile::TempDir, Keys) {
    let temp = crate::temp::dir();
    let keys = Keys::open(temp.path().join("keys")).unwrap();
    (temp, keys)
}

#[test]
fn a_key_is_made_once_and_differs_from_others() {
    let (_temp, keys) = temp();
    let key = *keys.key("saved-work").unwrap().bytes();
    assert_eq!(keys.key("saved-work").unwrap().bytes(), &key);
    assert_eq!(Keys::open(&keys.dir).unwrap().key("saved-work").unwrap().bytes(), &key);
    assert_ne!(keys.key("checkpoint").unwrap().bytes(), &key);
    assert_ne!(key, [0; 32]);
}

#[test]
fn key_and_directory_are_private() {
    let (_temp, keys) = temp();
    keys.key("k").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys.dir), mode(&keys.dir.join("k"))), (0o700, 0o600));
    assert_eq!(fs::read_dir(&keys.dir).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn two_who_ask_for_a_new_key_at_once_get_the_same_one() {
    let (_temp, keys) = temp();
    let together = Barrier::new(4);
    for round in 0..50 {
        // Each with a handle of its own, as two parts of the program may have.
        let handles = [(); 4].map(|()| Keys::open(&keys.dir).unwrap());
        let ask = |keys: Keys| {
            together.wait();
            keys.key(&format!("k{round}"))
        };
        let all: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let threads: Vec<_> = handles.map(|keys| scope.spawn(|| ask(keys))).into();
            threads.into_iter().map(|thread| *thread.join().unwrap().unwrap().bytes()).collect()
        });
        assert!(all.iter().all(|key| key == &all[0]), "round {round}");
    }
}

#[test]
fn a_key_that_others_may_read_or_write_is_refused_with_what_to_do() {
    let (_temp, keys) = temp();
    let key = *keys.key("k").unwrap().bytes();
    let path = keys.dir.join("k");
    for mode in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = keys.key("k").unwrap_err();
        assert!(matches!(error, KeyError::OpenToOthers(_)));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(keys.key("k").unwrap().bytes(), &key);
}

#[test]
fn a_file_that_is_not_a_key_is_refused_and_left_as_it_is() {
    let (_temp, keys) = temp();
    let path = keys.dir.join("k");
    keys.key("k").unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len(), 65);
    let mut wrong: Vec<Vec<u8>> = (0..64).map(|bytes| whole[..bytes].to_vec()).collect();
    wrong.push([&whole[..], b"\n"].concat());
    wrong.push([&whole[..], &whole[..]].concat());
    wrong.push(
        whole.to_ascii_uppercase().iter().map(|byte| if *byte == b'A' { b'G' } else { *byte }).collect(),
    );
    wrong.push(vec![0xff; 64]);
    for content in wrong.iter().filter(|content| **content != whole) {
        fs::write(&path, content).unwrap();
        assert!(
            matches!(keys.key("k"), Err(KeyError::Damaged { .. })),
            "{}",
            String::from_utf8_lossy(content)
        );
        assert_eq!(&fs::read(&path).unwrap(), content);
    }
    fs::write(&path, &whole[..64]).unwrap();
    keys.key("k").expect("an editor may drop the last line feed");
}

#[test]
fn a_name_cannot_lead_out_of_the_directory() {
    let (_temp, keys) = temp();
    for name in ["", ".", "..", "../people", "a/b", "A", "a.new", "a b", "ä", "a\0", &"a".repeat(65)] {
        assert!(matches!(keys.key(name), Err(KeyError::BadName { .. })), "{name}");
    }
    assert_eq!(fs::read_dir(&keys.dir).unwrap().count(), 0);
}

#[test]
fn a_key_does_not_show_itself() {
    let (_temp, keys) = temp();
    let key = keys.key("k").unwrap();
    assert_eq!(format!("{key:?}"), "SecretKey(..)");
}

#[test]
fn keys_that_are_over_are_removed_and_no_others() {
    let (_temp, keys) = temp();
    for name in ["round-1", "round-2", "round-3", "other"] {
        keys.key(name).unwrap();
    }
    let kept = *keys.key("round-2").unwrap().bytes();
    keys.remove_others("round-", &["round-2", "round-9"]).unwrap();
    keys.remove_others("round-", &["round-2", "round-9"]).unwrap();
    assert_eq!(keys.key_if_there("round-2").unwrap().map(|key| *key.bytes()), Some(kept));
    assert!(keys.key_if_there("other").unwrap().is_some());
    for gone in ["round-1", "round-3", "round-9"] {
        assert!(keys.key_if_there(gone).unwrap().is_none(), "{gone}: and none is made");
    }
}
