//! The thread that moves the write-ahead log into the database while commits go on: the bulk of the work, so that the writer
//! is left with what has come since. When it is asked is decided by `wal`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::file::DatabaseFile;
use super::schedule::Progress;
use super::{StoreError, open, wal};

/// The writer's handle on the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Mover {
    /// `None` once it is to end.
    asked: Option<Sender<Pass>>,
    moved: Receiver<Result<Progress, StoreError>>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

/// How far a pass goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The pages are handed to the system, which writes them when it likes.
    Written,
    /// All that was moved is on the disk. SQLite sees to that where nothing is left to be moved, which beside commits is
    /// never: the writer would have to wait for everything in the end.
    Synced,
}

impl Mover {
    /// Starts the thread. It connects to the database when it is asked for the first time.
    pub(super) fn start(path: PathBuf, database: DatabaseFile) -> io::Result<Self> {
        let (asked, asks) = channel();
        let (tell, moved) = channel();
        let thread = std::thread::Builder::new().name("wal-mover".to_owned()).spawn(move || {
            let mut connection = None;
            for asked in asks {
                // The writer looks for the answer as long as it lives, and the thread does not outlive it.
                let _ = tell.send(pass(asked, &mut connection, &database, &path));
            }
        })?;
        Ok(Self { asked: Some(asked), moved, is_busy: false, thread: Some(thread) })
    }

    /// Begins a pass over what is in the log now; not to be called while one is under way. `false`: the thread is gone, it
    /// has panicked.
    pub(super) fn begin(&mut self, pass: Pass) -> bool {
        self.is_busy = self.asked.as_ref().is_some_and(|asked| asked.send(pass).is_ok());
        self.is_busy
    }

    /// Whether a pass is under way, or has ended and not been looked at.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// What a pass that has ended has come to; `None` while it is under way, and when there was none.
    pub(super) fn finished(&mut self) -> Option<Result<Progress, StoreError>> {
        if !self.is_busy {
            return None;
        }
        match self.moved.try_recv() {
            Err(TryRecvError::Empty) => None,
            Ok(moved) => Some(self.ended(moved)),
            Err(TryRecvError::Disconnected) => Some(self.ended(Err(StoreError::Closed))),
        }
    }

    /// The same, once the pass has ended.
    pub(super) fn wait(&mut self) -> Option<Result<Progress, StoreError>> {
        self.is_busy.then(|| {
            let moved = self.moved.recv().unwrap_or(Err(StoreError::Closed));
            self.ended(moved)
        })
    }

    fn ended(&mut self, moved: Result<Progress, StoreError>) -> Result<Progress, StoreError> {
        self.is_busy = false;
        moved
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported it.
            let _ = thread.join();
        }
    }
}

/// Moves what is in the log, on a connection that is opened once and again after an error.
fn pass(
    asked: Pass,
    kept: &mut Option<Connection>,
    database: &DatabaseFile,
    path: &Path,
) -> Result<Progress, StoreError> {
    let connection = match kept.take() {
        Some(connection) => connection,
        None => open::for_moving(path)?,
    };
    let progress = wal::move_now(&connection)?;
    *kept = Some(connection);
    if asked == Pass::Synced {
        database.get().sync_data().map_err(|source| StoreError::Sync { path: path.to_owned(), source })?;
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_pass_moves_what_the_log_held_when_it_began_and_the_next_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)").unwrap();
        let mut mover = Mover::start(path.clone(), DatabaseFile::open(&path).unwrap()).unwrap();
        assert!(mover.finished().is_none() && mover.wait().is_none(), "nobody has asked");
        for _ in 0..2 {
            writer.execute_batch("INSERT INTO t VALUES (zeroblob(100000))").unwrap();
            assert!(mover.begin(Pass::Written) && mover.is_busy());
            let Progress { pages, moved } = mover.wait().unwrap().unwrap();
            assert!(pages > 20 && moved == pages, "{moved} of {pages}");
            assert!(!mover.is_busy());
        }
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        writer.execute_batch("INSERT INTO t VALUES (zeroblob(100000))").unwrap();
        assert!(mover.begin(Pass::Synced));
        let Progress { pages, moved } = mover.wait().unwrap().unwrap();
        assert!(moved < pages, "what a reader may still need stays in the log");
    }

    #[test]
    fn what_is_synced_leaves_the_locks_of_other_connections_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
        let file = format!(":{} ", std::fs::metadata(&path).unwrap().ino());
        // Without its lock another process that closes the database takes itself for the last one, and removes the log.
        let is_locked = || std::fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains(&file));
        assert!(is_locked());
        let database = DatabaseFile::open(&path).unwrap();
        let mut mover = Mover::start(path.clone(), database.clone()).unwrap();
        for _ in 0..2 {
            connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            assert!(mover.begin(Pass::Synced));
            mover.wait().unwrap().unwrap();
            assert!(is_locked());
        }
        drop(mover);
        assert!(is_locked());
        drop((connection, database));
        assert!(!is_locked());
    }

    #[test]
    fn a_pass_that_fails_says_so_and_the_next_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.db");
        std::fs::write(&path, "no database").unwrap();
        let mut mover = Mover::start(path.clone(), DatabaseFile::open(&path).unwrap()).unwrap();
        assert!(mover.begin(Pass::Synced));
        mover.wait().unwrap().unwrap_err();
        std::fs::write(&path, "").unwrap();
        Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
        assert!(mover.begin(Pass::Synced));
        mover.wait().unwrap().unwrap();
    }
}
