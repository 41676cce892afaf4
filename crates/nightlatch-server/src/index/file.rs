//! The SQLite file itself: its tables, whether it is ours, and taking entries in.

use super::IndexError;
use nightlatch_ledger::{Ledger, ReadError};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use serde::Deserialize;
use std::{
    borrow::Cow,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Counts up when the tables change; a file of another version is made anew.
const VERSION: i64 = 1;
/// Entries taken in at once; the lock is let go in between.
const BATCH: usize = 1_000;

const TABLES: &str = "
    CREATE TABLE entries (
        idx         INTEGER PRIMARY KEY,
        what        TEXT NOT NULL,
        session     TEXT,
        subject     TEXT,
        at          INTEGER,
        reason      TEXT,
        lateness_us INTEGER,
        json        TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_session ON entries (session, idx) WHERE session IS NOT NULL;
    CREATE INDEX entries_by_subject ON entries (subject, idx) WHERE subject IS NOT NULL;
    CREATE INDEX entries_by_what ON entries (what, idx);
";

/// What the index takes from an entry.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    what: Cow<'a, str>,
    #[serde(borrow, default)]
    session: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(default)]
    at: Option<i64>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    lateness_us: Option<i64>,
}

/// Makes a new index where none is.
pub(super) fn create(path: &Path) -> Result<Connection, IndexError> {
    let fresh = open(path)?;
    fresh.execute_batch(TABLES)?;
    fresh.pragma_update(None, "user_version", VERSION)?;
    Ok(fresh)
}

/// Opens the file, whatever is in it.
pub(super) fn open(path: &Path) -> Result<Connection, IndexError> {
    // Made by us first, so that it is nobody else's to read; SQLite gives its side files the same mode.
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// Whether the file is an index of this version, and of this ledger as far as its first and last entry show.
pub(super) fn belongs(connection: &Connection, ledger: &Ledger) -> Result<bool, IndexError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        return Ok(false);
    }
    for end in ["ASC", "DESC"] {
        let query = format!("SELECT idx, json FROM entries ORDER BY idx {end} LIMIT 1");
        let edge =
            connection.query_row(&query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        let Some((index, json)) = edge.optional()? else { return Ok(true) };
        match ledger.read(index.cast_unsigned()) {
            Ok(entry) if text(&entry.payload) == json => {}
            Ok(_) | Err(ReadError::NotThere { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Takes in the next entries in one transaction: after a crash all of them are there, or none.
pub(super) fn take_in(connection: &mut Connection, ledger: &Ledger) -> Result<bool, IndexError> {
    let last: Option<i64> = connection.query_row("SELECT max(idx) FROM entries", [], |row| row.get(0))?;
    let next = last.map_or(0, |last| last.cast_unsigned() + 1);
    if next >= ledger.durable() {
        return Ok(false);
    }
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entries (idx, what, session, subject, at, reason, lateness_us, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for entry in ledger.iter_from(next).take(BATCH) {
            let entry = entry?;
            let json = text(&entry.payload);
            let row = serde_json::from_str(&json).unwrap_or(Row {
                what: Cow::Borrowed("unknown"),
                session: None,
                subject: None,
                at: None,
                reason: None,
                lateness_us: None,
            });
            insert.execute(params![
                number(entry.index),
                row.what,
                row.session,
                row.subject,
                row.at,
                row.reason,
                row.lateness_us,
                json
            ])?;
        }
    }
    transaction.commit()?;
    Ok(next + (BATCH as u64) < ledger.durable())
}

fn text(payload: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(payload)
}

/// As SQLite counts. No ledger has so many entries that this matters.
pub(super) fn number(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// Whether SQLite means that the file is not one it can use, now or ever.
pub(super) fn is_no_index(error: &rusqlite::Error) -> bool {
    let damaged = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation)
    );
    // A table that is not there, or not as it should be.
    let other_tables = error.sqlite_error_code() == Some(ErrorCode::Unknown);
    damaged || other_tables
}

/// Removes the file and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
