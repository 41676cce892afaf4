//! The ledger's index: a SQLite file for questions that would mean reading all of it.
//!
//! It is derived and decides nothing. Everything in it stands in the ledger, and whatever is answered from it is read from there again;
//! the index only says where. So it may be deleted at any time, and it is: a file that is damaged, of another version, or not of
//! this ledger (its first and last entry are compared) is thrown away and made anew. Until it has caught up an answer may
//! lack the newest entries, and never has a wrong one.

mod file;
mod follow;

#[cfg(test)]
mod tests;

pub(crate) use follow::Follower;

use file::{belongs, create, is_no_index, number, open, remove, take_in};
use nightlatch_ledger::{Ledger, ReadError};
use rusqlite::{Connection, params};
use std::{
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

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
                    tracing::info!("the index of the ledger is made");
                    remove(&self.path)?;
                    create(&self.path)?
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
