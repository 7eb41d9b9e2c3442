//! The write-ahead log: how it is moved into the database file, and cut.
//!
//! SQLite's own checkpoints are off. The one process that has the database alone moves the log after a number of pages
//! (`mover` does the bulk of it while commits go on) and when there is nothing else to do; `schedule` says when. A reader that
//! stays (a snapshot, a forgotten shell) holds the move back and the log grows; what they have made of it is cut once they have
//! let go, piece by piece while there is work.
//!
//! Litestream follows the log and copies it elsewhere. While it runs it reads all the time, and moves the log itself. When
//! it comes back after a time away, it finds its place again by a frame that it knows; a log that was moved and written over
//! from its beginning meanwhile still has that frame, and Litestream goes on as if it had missed nothing (0.5.17; its
//! `reset` does not help either). So where Litestream has ever been, a log that is written over is cut first.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;
use super::lock::beside;
use super::mover::{Mover, Pass};
use super::schedule::{self, Progress, Schedule, Step};

/// How long a connection waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long answers may be held up to wait for readers, so that a large log can be cut.
const CUT_PATIENCE: Duration = Duration::from_millis(100);

/// How long nothing is written when the log has grown under Litestream's eyes. It moves the log by itself, but needs the
/// write lock for it, and commits that follow one another without a pause would never let it have that. SQLite asks again
/// after 100 ms at the latest.
const FOLLOWER_TURN: Duration = Duration::from_millis(110);

/// Has the log moved when it is time to: the bulk of it by a thread of its own while commits go on, what has come
/// meanwhile by the writer, whose next commit can then begin the log anew.
#[derive(Debug)]
pub(super) struct Checkpointer {
    mover: Mover,
    schedule: Schedule,
    /// The pass that is under way.
    pass: Pass,
    /// SQLite takes pages for moved that are on no disk yet, and would not move them again.
    is_unsynced: bool,
    /// The words of the sync after which such pages may be lost: the log is left as it is.
    in_doubt: Option<String>,
}

impl Checkpointer {
    /// For the process that has the database alone.
    pub(super) fn new(mover: Mover) -> Self {
        Self { mover, schedule: Schedule::default(), pass: Pass::Synced, is_unsynced: false, in_doubt: None }
    }

    /// In the end, once the pass under way is over: whether the database needs the log, even where SQLite takes all of it for
    /// moved.
    pub(super) fn ends_in_doubt(&mut self) -> bool {
        // What else went wrong is met again when the rest is moved.
        let _ = self.unless_in_doubt(|this| match this.mover.wait() {
            Some(Err(error)) => {
                this.is_unsynced |= matches!(error, StoreError::Sync { .. });
                Err(error)
            }
            _ => Ok(()),
        });
        self.in_doubt.is_some()
    }

    /// After a commit: moves the log if it has grown enough.
    pub(super) fn after_commit(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.unless_in_doubt(|this| this.move_if_grown(connection))
    }

    /// Nothing else to do: moves what there is.
    pub(super) fn when_idle(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.unless_in_doubt(|this| this.move_all(connection))
    }

    /// SQLite syncs the database only where all of the log is moved. What earlier passes have moved it takes for moved
    /// whatever that sync says, until a process that has the log alone reads it anew.
    fn unless_in_doubt(&mut self, moves: impl FnOnce(&mut Self) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if let Some(cause) = &self.in_doubt {
            return Err(StoreError::PagesInDoubt(cause.clone()));
        }
        let moved = moves(self);
        match moved {
            Err(error) if error.is_of_sync() && self.is_unsynced => {
                let cause = error.to_string();
                self.in_doubt = Some(cause.clone());
                Err(StoreError::PagesInDoubt(cause))
            }
            moved => moved,
        }
    }

    fn move_if_grown(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let now = progress(connection)?;
        self.schedule.committed(now);
        let waits = self.schedule.is_late(now);
        let pass = if waits { self.mover.wait() } else { self.mover.finished() };
        match pass {
            Some(pass) => self.after_pass(connection, pass, waits),
            None if self.mover.is_busy() => Ok(()),
            None => {
                let step = self.schedule.after_commit(now);
                self.take(connection, step, now)
            }
        }
    }

    fn move_all(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(pass) = self.mover.finished() {
            return self.after_pass(connection, pass, false);
        }
        if self.mover.is_busy() {
            return Ok(());
        }
        let (now, file) = (progress(connection)?, length(connection));
        match self.schedule.when_idle(now, file) {
            Step::Finish if schedule::is_cut(file) => self.finish_and_cut(connection),
            step => self.take(connection, step, now),
        }
    }

    /// The mover has done what it could, and commits have waited for that or not.
    fn after_pass(
        &mut self,
        connection: &Connection,
        pass: Result<Progress, StoreError>,
        has_waited: bool,
    ) -> Result<(), StoreError> {
        // A sync of its own comes after SQLite has taken the pages for moved.
        self.is_unsynced |= matches!(pass, Ok(_) | Err(StoreError::Sync { .. }));
        let pass = pass?;
        self.is_unsynced &= self.pass == Pass::Written;
        let (now, is_followed) = (progress(connection)?, is_followed(connection)?);
        let step = self.schedule.after_pass(pass, has_waited, now, is_followed);
        self.take(connection, step, now)?;
        if is_followed && matches!(step, Step::Finish | Step::Held) && progress(connection)?.pages >= now.pages {
            std::thread::sleep(FOLLOWER_TURN);
        }
        Ok(())
    }

    fn take(&mut self, connection: &Connection, step: Step, now: Progress) -> Result<(), StoreError> {
        match step {
            Step::Rest => Ok(()),
            Step::Held => {
                self.warn_of_size(now);
                Ok(())
            }
            Step::Move(pass) => {
                limit_length(connection)?;
                self.pass = pass;
                if self.mover.begin(pass) { Ok(()) } else { self.finish(connection).map(drop) }
            }
            Step::Finish => self.finish(connection).map(drop),
        }
    }

    /// Moves what is left.
    fn finish(&mut self, connection: &Connection) -> Result<Progress, StoreError> {
        limit_length(connection)?;
        let now = move_now(connection)?;
        self.is_unsynced &= now.left() > 0;
        self.warn_of_size(now);
        Ok(now)
    }

    /// Moves what is left, and gives back to the disk what a reader has made of the log.
    fn finish_and_cut(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.finish(connection)?.left() > 0 {
            // A reader that stays makes a cut impossible: waiting for it would only hold answers up.
            return Ok(());
        }
        connection.busy_timeout(CUT_PATIENCE).map_err(StoreError::sqlite("cut the WAL"))?;
        let cut = empty(connection);
        connection.busy_timeout(PATIENCE).map_err(StoreError::sqlite("cut the WAL"))?;
        cut.map(drop)
    }

    /// Says that a log that has become large is held back by a reader.
    fn warn_of_size(&mut self, now: Progress) {
        if !self.schedule.is_to_be_warned_of(now) {
            return;
        }
        let (size, held) = (now.pages / 256, now.left() / 256);
        log::warn!(
            "the WAL has grown to {size} MiB, {held} MiB of it held back by a reader: a snapshot of a large database, or is a \
             sqlite3 shell or another program reading the database all the time? Is Litestream stuck?"
        );
    }
}

/// Whether Litestream follows this log, or has done so: it keeps a table of its own in the database.
pub(super) fn is_followed(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_litestream_seq')";
    let find = || connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
    find().map_err(StoreError::sqlite("look for Litestream"))
}

/// Has a log that Litestream follows cut before it is written over: nothing of what was there is mistaken for its present
/// content. For others that would only cost time, and they lose a piece of what a reader has made large. Each connection
/// that writes must know it.
pub(super) fn limit_length(connection: &Connection) -> Result<(), StoreError> {
    let limit = if is_followed(connection)? { Some(0) } else { schedule::limit(length(connection)) };
    let limit = limit.map_or("-1".to_owned(), |bytes| bytes.to_string());
    let set = connection.query_row(&format!("PRAGMA journal_size_limit = {limit}"), [], |row| row.get::<_, i64>(0));
    set.map_err(StoreError::sqlite("limit the WAL")).map(drop)
}

/// Moves what it can without waiting for readers.
pub(super) fn move_now(connection: &Connection) -> Result<Progress, StoreError> {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// Moves everything and leaves an empty log; `false` when a reader or another process stands in the way.
pub(super) fn empty(connection: &Connection) -> Result<bool, StoreError> {
    checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").map(|progress| progress.pages == 0)
}

/// Whether there is a log with something in it beside a database. Only its name is looked up: nothing is opened.
pub(super) fn is_beside(database: &Path) -> bool {
    std::fs::metadata(beside(database, "-wal")).is_ok_and(|file| file.len() > 0)
}

/// Of the log's file, in bytes: more than is in it where it has been larger. 0: there is none.
fn length(connection: &Connection) -> u64 {
    let database = connection.path().map(Path::new);
    let file = database.and_then(|database| std::fs::metadata(beside(database, "-wal")).ok());
    file.map_or(0, |file| file.len())
}

pub(super) fn progress(connection: &Connection) -> Result<Progress, StoreError> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn checkpoint(connection: &Connection, pragma: &'static str) -> Result<Progress, StoreError> {
    let mut statement = connection.prepare_cached(pragma).map_err(StoreError::sqlite("move the WAL"))?;
    let row = statement.query_row([], |row| Ok(Progress { pages: row.get(1)?, moved: row.get(2)? }));
    row.map_err(StoreError::sqlite("move the WAL"))
}
