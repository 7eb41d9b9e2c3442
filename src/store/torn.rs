//! Whether a database file is all of what was stored: the mark it carries while it is open, and what a start makes of it.
//!
//! While koogate has the file open, its newest commits are in the log (`-wal`) beside it. Copies and crashes leave files
//! that look alike; the mark in the database (`meta.serving`) tells them apart, with the one in the lock file, which no
//! copy takes along. The mark is set before there is a log and removed when there is none any more, so a file without a
//! mark never has a log of its own.
//!
//! | mark in the file alone | with its log | log | |
//! | --- | --- | --- | --- |
//! | none | | none | was closed, or is a snapshot: whole |
//! | none | none, and other calls | there | the log is another database's: refused |
//! | none | the lock's, which notes that it is set by way of the log | there | left by a crash while Litestream kept the log from being moved: all of it is checked |
//! | the lock's | the lock's | there, of the lock's lineage | was left by a crash: the log has the newest commits |
//! | the lock's | | none | left by a crash, and another program has moved the log: all of it is checked |
//! | another | | none | a copy of a live database without its log: refused |
//! | any other case, another lineage too | | there | copied together, or the file has lost something: all of it is checked |
//!
//! A crash while the log was moved leaves a file that may be too short. Its mark counts where the log has what it lacks.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::lock::{ServerLock, beside};
use super::{OpenError, StoreError, frames, open, restore, snapshot, wal};
use crate::alert::{self, Alarm};
use crate::fault;

/// Said of a copy that misses its log.
pub(super) const WITHOUT_LOG: &str = "it was copied while koogate had it open, without its -wal, so the newest changes \
    may be missing; the file to copy is koogate.snapshot.db. What Litestream has rebuilt needs `koogate restore --replica`";

/// Said of a file under a log that is not its own.
const STRANGE_LOG: &str = "the -wal beside it belongs to another database: a copy was put here by hand";

/// How long to wait for programs that have the file open without need: the mark can do without.
const PATIENCE: Duration = Duration::from_millis(200);

/// The mark in the database file itself, without its log.
pub(super) enum InFile {
    /// It was closed by its koogate, or is a snapshot.
    Unmarked {
        /// The number of the last call in its journal.
        calls: i64,
    },
    /// A koogate has or had it open.
    Marked(String),
    /// It is damaged or new.
    Unreadable,
}

/// Refuses what lies at the path when opening it would destroy what is left of a database: SQLite deletes a log beside
/// an empty file. To be called before the file is opened.
pub(super) fn refuse_log_without_database(path: &Path) -> Result<(), OpenError> {
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    if size > 0 || !wal::is_beside(path) {
        return Ok(());
    }
    let problem = format!("it is empty, but there is a log of changes to it: {}", beside(path, "-wal").display());
    Err(OpenError::Torn { path: path.to_owned(), problem })
}

/// Looks at the file without its log. To be called while nobody else has it open.
pub(super) fn in_file(path: &Path) -> InFile {
    let look = |connection: &Connection| match mark_in(connection)? {
        Some(mark) => Ok(InFile::Marked(mark)),
        None => restore::last_number(connection).map(|calls| InFile::Unmarked { calls }),
    };
    let Ok(connection) = snapshot::open_alone(path) else { return InFile::Unreadable };
    look(&connection)
        .unwrap_or_else(|_| mark_in_shortened(&connection, path).map_or(InFile::Unreadable, InFile::Marked))
}

/// The mark in a file that was left while its log was being moved, and that is too short for what its first page says: where
/// the log has all that is missing, it is as good as any other.
fn mark_in_shortened(connection: &Connection, path: &Path) -> Option<String> {
    if !frames::makes_up_for_end(path).unwrap_or(false) {
        return None;
    }
    // With this SQLite goes by the size of the file (lockBtree in its btree.c).
    connection.execute_batch("PRAGMA writable_schema = ON").ok()?;
    mark_in(connection).ok().flatten()
}

/// Refuses a log of ours that belongs to another file: what a connection sees of the two together is neither's.
pub(super) fn refuse_strange_log(
    connection: &Connection,
    path: &Path,
    lock: &ServerLock,
    in_file: &InFile,
) -> Result<(), OpenError> {
    let is_ours = || lock.is_by_log() && mark_in(connection).is_ok_and(|mark| mark.as_deref() == lock.mark());
    match in_file {
        InFile::Unmarked { calls }
            if wal::is_beside(path) && restore::last_number(connection).ok() != Some(*calls) && !is_ours() =>
        {
            Err(OpenError::Torn { path: path.to_owned(), problem: STRANGE_LOG.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Refuses a copy of a live database, and anything doubtful that is not whole. `had_log` says whether there was a log, were
/// it empty, before the file was opened, which makes one.
pub(super) fn refuse(
    connection: &Connection,
    path: &Path,
    lock: &ServerLock,
    in_file: &InFile,
    had_log: bool,
) -> Result<(), OpenError> {
    let torn = |problem| OpenError::Torn { path: path.to_owned(), problem };
    let mark = mark_in(connection).map_err(|error| OpenError::unreadable(path, "read the state of the file", error))?;
    let is_locks = |mark: Option<&str>| mark.is_some() && mark == lock.mark();
    match (mark.as_deref(), in_file, wal::is_beside(path)) {
        (None, _, false) => return Ok(()),
        (mark, InFile::Marked(alone), true)
            if is_locks(mark)
                && is_locks(Some(alone))
                && lock.lineage().is_some()
                && lock.lineage() == frames::lineage(path) =>
        {
            return Ok(());
        }
        (mark, _, false) if !is_locks(mark) => return Err(torn(WITHOUT_LOG.to_owned())),
        // It was noted that there is one, and whoever removes it takes that back before.
        (_, _, false) if lock.lineage().is_some() && !had_log => {
            log::error!(
                "ALERT {} was not closed with its -wal, and that is gone: unless another program, such as a sqlite3 shell, \
                 has moved it into the file, the newest calls are missing; compare `koogate exchange list` with the \
                 seller console",
                path.display()
            );
            alert::raise(Alarm::WalGone);
        }
        _ => {}
    }
    log::warn!("{} was not closed by the koogate that had it open; checking all of it", path.display());
    let problems = snapshot::examine(connection)?;
    if problems.is_empty() { Ok(()) } else { Err(torn(problems.join("; "))) }
}

/// The mark that a file is going to carry, noted in the lock file. That comes first: a crash in between leaves a file
/// without a mark or with an old log, and neither is refused.
pub(super) fn next_mark(lock: &mut ServerLock) -> Result<String, OpenError> {
    noted_mark(lock, false)
}

fn noted_mark(lock: &mut ServerLock, by_log: bool) -> Result<String, OpenError> {
    let mark = Uuid::new_v4().to_string();
    lock.set_mark(&mark, by_log)?;
    fault::point("marking");
    Ok(mark)
}

/// Takes over the mark that the file carries. To be called when file and log are known to be whole and belong together,
/// before the log is left: without it only the lock's mark tells them from a torn copy.
pub(super) fn adopt(connection: &Connection, lock: &mut ServerLock) -> Result<(), OpenError> {
    match mark_in(connection).map_err(StoreError::sqlite("read the state of the file"))? {
        Some(mark) if lock.mark() != Some(&mark) => Ok(lock.set_mark(&mark, false)?),
        _ => Ok(()),
    }
}

/// Marks the file as open.
pub(super) fn mark_open(connection: &Connection, lock: &mut ServerLock) -> Result<(), OpenError> {
    let before = mark_in(connection).map_err(StoreError::sqlite("read the state of the file"))?;
    if before.is_some() && before.as_deref() == lock.mark() {
        return Ok(());
    }
    let without_log = before.is_none() && leave_log(connection, lock)?;
    let mark = noted_mark(lock, !without_log)?;
    set(connection, Some(&mark))?;
    fault::point("marked");
    if !without_log {
        // Set by way of the log. The file itself must have it, or a copy of it alone would look like one that was closed.
        let progress = wal::move_now(connection)?;
        // Litestream lets go within a minute or so, and moves the log itself.
        if progress.moved < progress.pages && !wal::is_followed(connection)? {
            log::warn!(
                "another program reads the database; until it lets go, a copy of the file alone may be torn unseen"
            );
        }
    }
    Ok(())
}

/// Notes the lineage of the log, so that after a crash another database's log is not taken for it. Makes the log, if there
/// is none yet.
pub(super) fn note_log(connection: &Connection, path: &Path, lock: &mut ServerLock) -> Result<(), OpenError> {
    if !wal::is_beside(path) {
        open::write_a_page(connection).map_err(StoreError::sqlite("begin the log"))?;
    }
    let lineage = frames::lineage(path);
    if lock.lineage() != lineage {
        lock.set_lineage(lineage)?;
    }
    Ok(())
}

/// Marks the file as closed, with everything in it: what is left is one file that can be copied.
pub(super) fn leave_clean(connection: &Connection, lock: &mut ServerLock) -> Result<(), StoreError> {
    // Litestream lets go only when it ends, which is after koogate, so that it has everything.
    let is_followed = wal::is_followed(connection)?;
    if is_followed {
        connection.busy_timeout(PATIENCE).map_err(StoreError::sqlite("empty the WAL"))?;
    }
    if !wal::empty(connection)? {
        let level = if is_followed { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "another program reads the database all the time: its WAL stays beside it and belongs to it");
        return Ok(());
    }
    let without_log = leave_log(connection, lock)?;
    fault::point("leaving");
    set(connection, None)?;
    if !without_log {
        // Another program has it open without reading at this moment.
        wal::empty(connection)?;
    }
    Ok(())
}

/// The mark that a connection sees.
pub(super) fn mark_in(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT serving FROM meta", [], |row| row.get(0)).optional().map(Option::flatten)
}

/// Goes from the write-ahead log to a rollback journal, where a commit is in the file itself when it returns; `false`
/// when another program has the file open. That there is a log is taken back in the lock file first: a crash in between
/// must not look as if somebody had taken the log away.
pub(super) fn leave_log(connection: &Connection, lock: &mut ServerLock) -> Result<bool, StoreError> {
    let doing = "leave the write-ahead log";
    if lock.lineage().is_some() {
        lock.set_lineage(None)?;
    }
    connection.busy_timeout(PATIENCE).map_err(StoreError::sqlite(doing))?;
    let mode = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    connection.busy_timeout(wal::PATIENCE).map_err(StoreError::sqlite(doing))?;
    match mode.map_err(StoreError::sqlite(doing)) {
        Ok(mode) if mode == "delete" => {
            // With EXTRA the end of a journal is on disk, too.
            connection.execute_batch("PRAGMA synchronous = EXTRA").map_err(StoreError::sqlite(doing))?;
            Ok(true)
        }
        Err(error) if !error.is_busy() => Err(error),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// A file that is marked is no snapshot any more; if it was one, that is a restore.
fn set(connection: &Connection, mark: Option<&str>) -> Result<(), StoreError> {
    let set = || {
        let transaction = connection.unchecked_transaction()?;
        restore::record_if_snapshot(&transaction, Timestamp::now())?;
        transaction.execute("UPDATE meta SET serving = ?1, snapshot_at = NULL, snapshot_digest = NULL", [mark])?;
        transaction.commit()
    };
    set().map_err(StoreError::sqlite("mark the file"))
}
