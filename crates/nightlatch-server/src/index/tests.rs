//! What is found, and what becomes of files that are not an index.

use super::*;
use nightlatch_ledger::{Options, Signer};
use std::{fs, path::Path};

fn ledger(dir: &Path, name: &str, entries: u64) -> Ledger {
    let key = dir.join(format!("{name}.key"));
    let signer = Signer::create(&key, name).unwrap();
    let (ledger, _) = Ledger::open(&dir.join(name), Options { segment_bytes: 1 << 20 }, signer).unwrap();
    for index in 0..entries {
        let what = if index % 2 == 0 { "session_started" } else { "session_ended" };
        let session = index / 2;
        let entry = format!(r#"{{"what":"{what}","session":"ses_{session}","at":{index},"of":"{name}"}}"#);
        ledger.append(entry.as_bytes()).unwrap();
    }
    ledger.commit().unwrap();
    ledger
}

fn catch_up(index: &Index, ledger: &Ledger) {
    while index.catch_up(ledger).unwrap() {}
}

#[test]
fn finds_by_session_and_by_kind() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), "one", 2_500);
    let index = Index::at(dir.path().join("index.sqlite"));
    catch_up(&index, &ledger);
    let session = Wanted { session: Some("ses_7".to_owned()), what: None };
    assert_eq!(index.find(&ledger, &session, 0, 10).unwrap(), [14, 15]);
    assert_eq!(index.find(&ledger, &session, 15, 10).unwrap(), [15]);
    let ended = Wanted { session: None, what: Some("session_ended".to_owned()) };
    assert_eq!(index.find(&ledger, &ended, 100, 3).unwrap(), [101, 103, 105]);
    assert_eq!(index.start_and_end_of(&ledger, "ses_1249").unwrap(), [2498, 2499]);
    assert!(index.start_and_end_of(&ledger, "' OR 1=1 --").unwrap().is_empty());
    ledger.append(br#"{"what":"cut","session":"ses_7"}"#).unwrap();
    ledger.append(b"not JSON").unwrap();
    ledger.commit().unwrap();
    assert_eq!(index.find(&ledger, &session, 0, 10).unwrap(), [14, 15, 2500], "what is new is found at once");
}

#[test]
fn a_file_that_is_deleted_foreign_damaged_or_old_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (ledger(dir.path(), "one", 40), ledger(dir.path(), "other", 60));
    let path = dir.path().join("index.sqlite");
    let wanted = Wanted { session: Some("ses_3".to_owned()), what: None };
    let check = |what: &str| {
        let index = Index::at(path.clone());
        assert_eq!(index.find(&one, &wanted, 0, 10).unwrap(), [6, 7], "{what}");
        let connection = Connection::open(&path).unwrap();
        let of: String =
            connection.query_row("SELECT json FROM entries WHERE idx = 39", [], |row| row.get(0)).unwrap();
        assert!(of.contains("\"one\""), "{what}");
    };
    check("new");
    check("as it was left");
    remove(&path).unwrap();
    check("deleted");
    let foreign = Index::at(path.clone());
    catch_up(&foreign, &other);
    drop(foreign);
    check("of another ledger that has more entries");
    fs::write(&path, b"this is no database, and long enough to be looked at as one: ...............")
        .unwrap();
    check("damaged");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    check("of another version");
    Connection::open(&path).unwrap().execute_batch("DROP TABLE entries").unwrap();
    check("without its table");
}

#[test]
fn a_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), "one", 4);
    let index = Index::at(dir.path().join("index.sqlite"));
    catch_up(&index, &ledger);
    for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("index.sqlite") {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.file_name());
        }
    }
}
