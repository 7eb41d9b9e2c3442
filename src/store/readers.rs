//! Read-only connections, opened when needed and kept for the next reader.
//!
//! More of them than cores do not read faster, and each has a page cache: readers wait a moment for one to come back
//! before another is opened.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::{StoreError, Tx, open};
use crate::sealing::SealingKey;

/// So many connections serve readers that come and go, and are kept.
const KEPT: usize = 4;

/// Whoever has waited so long for one of them gets another: the others are busy with long lists.
const PATIENCE: Duration = Duration::from_millis(50);

pub(super) struct Readers {
    path: PathBuf,
    sealing: Arc<SealingKey>,
    pool: Mutex<Pool>,
    given_back: Condvar,
    /// Only ever asked for its version, which counts the commits of all others.
    watching: Mutex<Option<Connection>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
}

/// A connection on loan, or the right to open one; given back when dropped, closed unless it is worth keeping.
struct Loan<'r> {
    readers: &'r Readers,
    connection: Option<Connection>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, sealing: Arc<SealingKey>) -> Self {
        let (pool, given_back, watching) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { path, sealing, pool, given_back, watching, closed: AtomicBool::new(false) }
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut loan = self.borrow();
        let connection = match loan.connection.take() {
            Some(connection) => connection,
            None => self.open()?,
        };
        let step = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        step("BEGIN").map_err(StoreError::sqlite("begin to read"))?;
        let result = work(&Tx { connection: &connection, sealing: &self.sealing });
        // A connection that cannot end its transaction would hold back checkpoints: close it instead.
        if step("COMMIT").is_ok() {
            loan.connection = Some(connection);
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
        self.pool().idle.clear();
        *self.watching.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn open(&self) -> Result<Connection, StoreError> {
        if self.closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { open::read_only(&self.path) }
    }

    fn borrow(&self) -> Loan<'_> {
        let all_lent = |pool: &mut Pool| pool.idle.is_empty() && pool.lent >= KEPT;
        let waited = self.given_back.wait_timeout_while(self.pool(), PATIENCE, all_lent);
        let mut pool = waited.unwrap_or_else(PoisonError::into_inner).0;
        pool.lent += 1;
        Loan { readers: self, connection: pool.idle.pop() }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        // Only push, pop and counting happen under the lock, so a poisoned pool is whole.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.lent -= 1;
        if pool.idle.len() < KEPT && !self.readers.closed.load(Ordering::SeqCst) {
            pool.idle.extend(self.connection.take());
        }
        drop(pool);
        self.readers.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::sealing::SealingKey;

    #[test]
    fn many_quick_readers_share_few_connections_and_a_slow_one_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.db");
        Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
        let readers = Arc::new(Readers::new(path, Arc::new(SealingKey::from_hex(&"ab".repeat(32)).unwrap())));
        let (go_on, stop) = mpsc::channel::<()>();
        let stop = Arc::new(Mutex::new(stop));
        let begun = Arc::new(std::sync::Barrier::new(KEPT + 1));
        let slow: Vec<_> = (0..KEPT)
            .map(|_| {
                let (readers, stop, begun) = (Arc::clone(&readers), Arc::clone(&stop), Arc::clone(&begun));
                thread::spawn(move || {
                    readers.read(|_| {
                        begun.wait();
                        stop.lock().unwrap().recv().unwrap();
                        Ok(())
                    })
                })
            })
            .collect();
        begun.wait();
        // All connections are lent, and stay so.
        readers.read(|_| Ok(())).unwrap();
        slow.iter().for_each(|_| go_on.send(()).unwrap());
        slow.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        let quick: Vec<_> = (0..32)
            .map(|_| {
                let readers = Arc::clone(&readers);
                thread::spawn(move || readers.read(|_| Ok(())))
            })
            .collect();
        quick.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        let pool = readers.pool();
        assert!(pool.lent == 0 && (1..=KEPT).contains(&pool.idle.len()));
    }
}
