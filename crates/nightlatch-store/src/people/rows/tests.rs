//! Each step fails both ways: it failed and was lost, it failed and was kept.

use std::fs;

use super::*;

fn row(name: &str) -> (Row, Vec<u8>) {
    let row = Row::new(&[1; 32], Person { provider: "okta".into(), name: name.into() });
    let line = row.line(&[1; 32]);
    (row, line)
}

/// A file with one row in it.
fn one_row() -> (tempfile::TempDir, PathBuf, Rows) {
    let temp = crate::temp::dir();
    let path = temp.path().join("people");
    let mut rows = Rows::open(&path).unwrap().rows;
    rows.append(&row("ada").1).unwrap();
    (temp, path, rows)
}

fn content(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| row(name).1).collect()
}

#[test]
fn after_a_write_that_failed_and_was_lost_the_next_is_kept() {
    let (_temp, path, mut rows) = one_row();
    rows.file = File::open(&path).unwrap();
    rows.append(&row("bo").1).unwrap_err();
    rows.append(&row("cy").1).unwrap();
    rows.append(&row("di").1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content(&["ada", "cy", "di"]));
}

#[test]
fn a_write_that_failed_and_was_kept_is_gone_with_the_next_change() {
    let (_temp, path, mut rows) = one_row();
    rows.file = File::open(&path).unwrap();
    rows.append(&row("bo").1).unwrap_err();
    fs::write(&path, content(&["ada", "bo"])).unwrap();
    rows.append(&row("cy").1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content(&["ada", "cy"]));
}

#[test]
fn an_erasure_that_failed_and_was_lost_can_be_repeated() {
    let (_temp, path, mut rows) = one_row();
    let in_the_way = file::next_version(&path);
    fs::create_dir(&in_the_way).unwrap();
    rows.rewrite_without(&row("ada").0.pseudonym).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), content(&["ada"]));
    fs::remove_dir(&in_the_way).unwrap();
    rows.rewrite_without(&row("ada").0.pseudonym).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
}

/// The rename was made, the sync after it failed: the open handle is on a file that has no name any more.
#[test]
fn after_an_erasure_that_failed_and_was_kept_nothing_is_written_to_a_file_without_a_name() {
    let (temp, path, mut rows) = one_row();
    rows.suspect = true;
    let other = temp.path().join("other");
    fs::write(&other, b"").unwrap();
    fs::rename(&other, &path).unwrap();
    rows.append(&row("bo").1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content(&["ada", "bo"]));
}
