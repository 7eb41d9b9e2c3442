//! The write-ahead log: when it is moved into the database file, and how far it may grow.
//!
//! SQLite's own checkpoints are off. The one process that has the database alone moves the log after a number of pages
//! (`mover` does the bulk of it while commits go on) and when there is nothing else to do. A reader that stays (a snapshot, a
//! forgotten shell) holds the move back and the log grows; once it has become large, it is cut as soon as they let go.
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
use super::mover::Mover;

/// After so many new pages (of 4 KiB) the log is moved: more at once would keep the disk from the commits for longer.
const MOVE_AFTER: i64 = 4096;

/// From so many pages on the log is begun anew once all of it is moved. What is slowest at full load is the end of the move
/// before that, when commits wait until the database is on disk: a large log makes that rare.
const ANEW_FROM: i64 = 32 * 1024;

/// When it has grown by so many more while it was moved, commits wait for that.
const WAIT_AFTER: i64 = ANEW_FROM;

/// Up to so many pages are moved by the writer itself: a few milliseconds, and the next commit can begin the log anew.
const LEFT_TO_WRITER: i64 = 256;

/// Up to so many where another pass of the mover would leave as many.
const LEFT_AT_MOST: i64 = 1024;

/// A log of so many pages is cut, not only written over from its beginning, which is quicker: what a sync has to wait for is
/// less where the file keeps its size. None comes to this that no reader holds back.
const CUT_FROM: i64 = 3 * ANEW_FROM;

/// From so many pages on something is wrong, and is said.
const WARN_FROM: i64 = 4 * ANEW_FROM;

/// How long a connection waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long answers may be held up to wait for readers, so that a large log can be cut.
const CUT_PATIENCE: Duration = Duration::from_millis(100);

/// How long nothing is written when the log has grown under Litestream's eyes. It moves the log by itself, but needs the
/// write lock for it, and commits that follow one another without a pause would never let it have that. SQLite asks again
/// after 100 ms at the latest.
const FOLLOWER_TURN: Duration = Duration::from_millis(110);

/// How far the log has been moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Pages in the log.
    pub(super) pages: i64,
    /// How many of them are in the database file, too.
    pub(super) moved: i64,
}

/// Decides when the log is moved, and by whom: the bulk of it by a thread of its own while commits go on, what has come
/// meanwhile by the writer, whose next commit can then begin the log anew. A log that grows faster than it is moved is
/// waited for.
#[derive(Debug)]
pub(super) struct Checkpointer {
    mover: Mover,
    /// Pages in the log when it was last tried: while a reader holds it back, each try must be worth it.
    tried_at: i64,
    /// Pages that the mover's last pass was to move.
    asked: i64,
    /// Pages in the log when its size was last warned of.
    warned_at: i64,
}

impl Checkpointer {
    /// For the process that has the database alone.
    pub(super) fn new(mover: Mover) -> Self {
        Self { mover, tried_at: 0, asked: 0, warned_at: 0 }
    }

    /// After a commit: moves the log if it has grown enough.
    pub(super) fn after_commit(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Progress { pages, moved } = progress(connection)?;
        if pages < self.tried_at {
            // It was written over from its beginning.
            (self.tried_at, self.warned_at) = (0, 0);
        }
        let is_late = pages - self.tried_at >= WAIT_AFTER.max(self.asked / 2);
        let pass = if is_late { self.mover.wait() } else { self.mover.finished() };
        match pass {
            Some(pass) => self.after_pass(connection, pass?),
            None if self.mover.is_busy() || pages - self.tried_at < MOVE_AFTER || moved == pages => Ok(()),
            None => {
                self.tried_at = pages;
                self.ask(connection, pages - moved)
            }
        }
    }

    /// The mover has done what it could.
    fn after_pass(&mut self, connection: &Connection, pass: Progress) -> Result<(), StoreError> {
        let Progress { pages, moved } = progress(connection)?;
        let left = pages - moved;
        let is_nearer = left <= self.asked / 2;
        if pass.pages - pass.moved > LEFT_TO_WRITER {
            // A reader holds the rest back, and it is tried again when the log has grown once more.
            self.warn_of_size(pages, left);
        } else if pages < ANEW_FROM && !is_followed(connection)? {
            // What is left is moved with what comes.
            return Ok(());
        } else if left > LEFT_AT_MOST || left > LEFT_TO_WRITER && is_nearer {
            if !is_nearer && self.asked > 2 * MOVE_AFTER {
                // A reader has let go of a log that had become large: nobody is late.
                self.tried_at = pages;
            }
            return self.ask(connection, left);
        } else {
            self.run(connection)?;
        }
        if is_followed(connection)? && progress(connection)?.pages >= pages {
            std::thread::sleep(FOLLOWER_TURN);
        }
        Ok(())
    }

    fn ask(&mut self, connection: &Connection, pages: i64) -> Result<(), StoreError> {
        heed_follower(connection)?;
        self.asked = pages;
        if self.mover.begin() { Ok(()) } else { self.run(connection) }
    }

    /// Nothing else to do: moves what there is.
    pub(super) fn when_idle(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(pass) = self.mover.finished() {
            return self.after_pass(connection, pass?);
        }
        let Progress { pages, moved } = progress(connection)?;
        match pages - moved {
            _ if self.mover.is_busy() => Ok(()),
            0 if pages < CUT_FROM => Ok(()),
            left if left > LEFT_TO_WRITER => self.ask(connection, left),
            _ => self.run(connection),
        }
    }

    /// Moves the rest, and cuts a log that has become large.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        heed_follower(connection)?;
        let Progress { pages, moved } = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        self.warn_of_size(pages, pages - moved);
        if pages < CUT_FROM || pages - moved > LEFT_TO_WRITER {
            // A reader that stays makes a cut impossible: waiting for it would only hold answers up.
            return Ok(());
        }
        connection.busy_timeout(CUT_PATIENCE).map_err(StoreError::sqlite("cut the WAL"))?;
        let cut = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        connection.busy_timeout(PATIENCE).map_err(StoreError::sqlite("cut the WAL"))?;
        cut.map(drop)
    }

    /// Says that a log of so many pages is held back, so many of them, by a reader: when it has become large, and again
    /// whenever it is twice as large.
    fn warn_of_size(&mut self, pages: i64, held: i64) {
        if held == 0 || pages < self.warned_at.saturating_mul(2).max(WARN_FROM) {
            return;
        }
        self.warned_at = pages;
        let (size, held) = (pages / 256, held / 256);
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
/// content. For others that would only cost time. Each connection that writes must know it.
pub(super) fn heed_follower(connection: &Connection) -> Result<(), StoreError> {
    let limit = if is_followed(connection)? { 0 } else { -1 };
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

pub(super) fn progress(connection: &Connection) -> Result<Progress, StoreError> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn checkpoint(connection: &Connection, pragma: &'static str) -> Result<Progress, StoreError> {
    let mut statement = connection.prepare_cached(pragma).map_err(StoreError::sqlite("move the WAL"))?;
    let row = statement.query_row([], |row| Ok(Progress { pages: row.get(1)?, moved: row.get(2)? }));
    row.map_err(StoreError::sqlite("move the WAL"))
}
