//! Read-only connections, opened when needed and kept for the next reader.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::{StoreError, Tx, open};
use crate::sealing::SealingKey;

/// So many idle connections are kept; each has a page cache.
const KEPT: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    sealing: Arc<SealingKey>,
    idle: Mutex<Vec<Connection>>,
    /// Only ever asked for its version, which counts the commits of all others.
    watching: Mutex<Option<Connection>>,
    closed: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: PathBuf, sealing: Arc<SealingKey>) -> Self {
        Self { path, sealing, idle: Mutex::default(), watching: Mutex::default(), closed: AtomicBool::new(false) }
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = self.idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.open()?,
        };
        connection.execute_batch("BEGIN").map_err(StoreError::sqlite("begin to read"))?;
        let result = work(&Tx { connection: &connection, sealing: &self.sealing });
        // A connection that cannot end its transaction would hold back checkpoints: close it instead.
        let ended = connection.execute_batch("COMMIT").is_ok();
        let mut idle = self.idle();
        if ended && idle.len() < KEPT && !self.closed.load(Ordering::SeqCst) {
            idle.push(connection);
        }
        result
    }

    /// A number that is another one whenever something was committed in between.
    pub(super) fn version(&self) -> Result<i64, StoreError> {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match watching.take() {
            Some(connection) => connection,
            None => self.open()?,
        };
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        *watching = Some(connection);
        version.map_err(StoreError::sqlite("read the version"))
    }

    /// No more reading; connections in use are closed when they are given back.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.idle().clear();
        *self.watching.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn open(&self) -> Result<Connection, StoreError> {
        if self.closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { open::read_only(&self.path) }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Only push and pop happen under the lock, so a poisoned list is whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
