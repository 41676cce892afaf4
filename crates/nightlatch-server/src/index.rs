//! The ledger's index: a SQLite file for questions that would mean reading all of it.
//!
//! It is derived and decides nothing. Everything in it stands in the ledger, and whatever is answered from it is read from there again;
//! the index only says where. So it may be deleted at any time, and it is: a file that is damaged, of another version, or not of
//! this ledger (its first and last entry are compared) is thrown away and made anew. Until it has caught up an answer may
//! lack the newest entries, and never has a wrong one.

use nightlatch_engine::Engine;
use nightlatch_ledger::{Ledger, ReadError};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use serde::Deserialize;
use std::{
    borrow::Cow,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Counts up when the tables change; a file of another version is made anew.
const VERSION: i64 = 1;
/// Entries taken in at once; the lock is let go in between.
const BATCH: usize = 1_000;
/// How often the follower looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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

/// Which entries are looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// About this session.
    pub(crate) session: Option<String>,
    /// Of this kind.
    pub(crate) what: Option<String>,
}

impl Wanted {
    /// Whether no entry is left out, so that no index is needed.
    pub(crate) fn is_everything(&self) -> bool {
        self.session.is_none() && self.what.is_none()
    }
}

/// Why the index has no answer right now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// SQLite would not.
    #[error("the index cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made or removed.
    #[error("the index file cannot be made: {0}")]
    File(#[from] io::Error),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] ReadError),
}

/// The index of one ledger.
pub(crate) struct Index {
    path: PathBuf,
    /// None before the first use and after a failure.
    connection: Mutex<Option<Connection>>,
}

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

impl Index {
    /// The index at `path`. Nothing is opened before it is asked or followed.
    pub(crate) fn at(path: PathBuf) -> Index {
        Index { path, connection: Mutex::default() }
    }

    /// The indexes of at most `limit` entries that are wanted, from `from` on, in order.
    pub(crate) fn find(
        &self,
        ledger: &Ledger,
        wanted: &Wanted,
        from: u64,
        limit: usize,
    ) -> Result<Vec<u64>, IndexError> {
        self.ask(ledger, |connection| {
            let mut query = connection.prepare_cached(
                "SELECT idx FROM entries WHERE (?1 IS NULL OR session = ?1) AND (?2 IS NULL OR what = ?2) AND idx >= ?3
                 ORDER BY idx LIMIT ?4",
            )?;
            let values = params![wanted.session, wanted.what, number(from), limit as i64];
            query.query_map(values, |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()
        })
        .map(|found| found.into_iter().map(i64::cast_unsigned).collect())
    }

    /// Where the start and the end of a session are told.
    pub(crate) fn start_and_end_of(&self, ledger: &Ledger, session: &str) -> Result<Vec<u64>, IndexError> {
        self.ask(ledger, |connection| {
            let mut query = connection.prepare_cached(
                "SELECT idx FROM entries WHERE session = ?1 AND what IN ('session_started', 'session_ended') ORDER BY idx LIMIT 2",
            )?;
            query.query_map([session], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()
        })
        .map(|found| found.into_iter().map(i64::cast_unsigned).collect())
    }

    /// Takes in some entries that are new. True if there are more.
    pub(crate) fn catch_up(&self, ledger: &Ledger) -> Result<bool, IndexError> {
        let mut connection = self.lock();
        let result = self.opened(&mut connection, ledger).and_then(|connection| take_in(connection, ledger));
        self.or_give_up(&mut connection, result)
    }

    fn ask<T>(
        &self,
        ledger: &Ledger,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let mut connection = self.lock();
        let result = self.opened(&mut connection, ledger).and_then(|connection| {
            take_in(connection, ledger)?;
            Ok(question(connection)?)
        });
        self.or_give_up(&mut connection, result)
    }

    /// The connection; made, with a file that belongs to this ledger, if there is none.
    fn opened<'a>(
        &self,
        connection: &'a mut Option<Connection>,
        ledger: &Ledger,
    ) -> Result<&'a mut Connection, IndexError> {
        if connection.is_none() {
            let found = open(&self.path).and_then(|found| Ok(belongs(&found, ledger)?.then_some(found)));
            let usable = match found {
                Ok(usable) => usable,
                Err(IndexError::Sqlite(error)) if is_no_index(&error) => None,
                Err(error) => return Err(error),
            };
            *connection = Some(match usable {
                Some(usable) => usable,
                None => {
                    tracing::info!("the index of the ledger is made anew");
                    remove(&self.path)?;
                    let fresh = open(&self.path)?;
                    fresh.execute_batch(TABLES)?;
                    fresh.pragma_update(None, "user_version", VERSION)?;
                    fresh
                }
            });
        }
        connection.as_mut().ok_or(IndexError::Sqlite(rusqlite::Error::InvalidQuery))
    }

    /// After a failure the connection is dropped, and a file that cannot be an index is removed.
    fn or_give_up<T>(
        &self,
        connection: &mut Option<Connection>,
        result: Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        if let Err(error) = &result {
            tracing::warn!(%error, "the index of the ledger failed; it is tried again");
            *connection = None;
            if let IndexError::Sqlite(error) = error
                && is_no_index(error)
            {
                remove(&self.path)?;
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> Result<Connection, IndexError> {
    // Made by us first, so that it is nobody else's to read; SQLite gives its side files the same mode.
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// Whether the file is an index of this version, and of this ledger as far as its first and last entry show.
fn belongs(connection: &Connection, ledger: &Ledger) -> Result<bool, IndexError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        return Ok(false);
    }
    for end in ["ASC", "DESC"] {
        let query = format!("SELECT idx, json FROM entries ORDER BY idx {end} LIMIT 1");
        let edge = connection.query_row(&query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
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
fn take_in(connection: &mut Connection, ledger: &Ledger) -> Result<bool, IndexError> {
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
fn number(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// Whether SQLite means that the file is not one it can use, now or ever.
fn is_no_index(error: &rusqlite::Error) -> bool {
    let damaged = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation)
    );
    // A table that is not there, or not as it should be.
    let other_tables = error.sqlite_error_code() == Some(ErrorCode::Unknown);
    damaged || other_tables
}

fn remove(path: &Path) -> io::Result<()> {
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

/// The thread that keeps an index close behind its ledger. Dropping it ends the thread.
pub(crate) struct Follower {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Begins to follow.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub(crate) fn start(index: Arc<Index>, engine: Arc<Engine>) -> io::Result<Follower> {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let follow = move || {
            while !stop.load(SeqCst) {
                // A failure was logged; the next round tries again.
                if !index.catch_up(engine.ledger()).unwrap_or(false) {
                    thread::park_timeout(LOOK_EVERY);
                }
            }
        };
        let thread = thread::Builder::new().name("index".to_owned()).spawn(follow)?;
        Ok(Follower { stopping, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread of the index had died");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightlatch_ledger::{Options, Signer};

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
            let of: String = connection
                .query_row("SELECT json FROM entries WHERE idx = 39", [], |row| row.get(0))
                .unwrap();
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
        fs::write(&path, b"this is no database, and long enough to be looked at as one: ...............").unwrap();
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
}
