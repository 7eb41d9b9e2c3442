//! Whether a database file is all of what was stored: the mark it carries while it is open, and what a start makes of it.
//!
//! While koogate has the file open, its newest commits are in the `-wal` beside it. Copies and crashes leave files that
//! look alike; three facts tell them apart: the mark in the database (`meta.serving`), whether there is a log beside it,
//! and the mark in the lock file, which no copy takes along.
//!
//! | mark | log | |
//! | --- | --- | --- |
//! | none | none | was closed, or is a snapshot: whole |
//! | the lock's, in the file without its log too | there | was left by a crash: the log has the newest commits |
//! | another than the lock's | none | a copy of a live database without its log: refused |
//! | the lock's | none | a crash, and then another program moved the log: all of it is checked |
//! | any other case | there | file and log were brought together by somebody: all of it is checked |

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::lock::{ServerLock, beside};
use super::{OpenError, StoreError, snapshot, wal};

/// Said of a copy that misses its log.
pub(super) const WITHOUT_WAL: &str = "it was copied while koogate had it open, and the newest changes are in the -wal \
    file that was not copied with it";

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

/// The mark in the database file itself, without its log. To be called while nobody else has it open.
pub(super) fn mark_in_file_alone(path: &Path) -> Option<String> {
    // Whatever stands in the way of reading it makes the file one that must be checked.
    snapshot::open_alone(path).ok().and_then(|connection| mark_in(&connection).ok()).flatten()
}

/// Refuses a copy of a live database, and anything doubtful that is not whole.
pub(super) fn refuse(
    connection: &Connection,
    path: &Path,
    lock: &ServerLock,
    in_file_alone: Option<&str>,
) -> Result<(), OpenError> {
    let torn = |problem| OpenError::Torn { path: path.to_owned(), problem };
    let mark = mark_in(connection).map_err(|error| OpenError::unreadable(path, "read the state of the file", error))?;
    let is_locks = |mark: Option<&str>| mark.is_some() && mark == lock.mark();
    let has_log = wal::is_beside(path);
    match (mark.as_deref(), has_log) {
        (None, false) => return Ok(()),
        (mark, true) if is_locks(mark) && is_locks(in_file_alone) => return Ok(()),
        (mark, false) if !is_locks(mark) => return Err(torn(WITHOUT_WAL.to_owned())),
        _ => {}
    }
    log::warn!("{} was not closed by the koogate that had it open; checking all of it", path.display());
    let problems = snapshot::examine(connection)?;
    if problems.is_empty() { Ok(()) } else { Err(torn(problems.join("; "))) }
}

/// Adds to what is wrong with a file where it probably comes from: a copy was laid over a database that had a log.
pub(super) fn explain(error: OpenError, path: &Path, in_file_alone: Option<&str>) -> OpenError {
    match error {
        OpenError::Torn { path: torn, problem } if in_file_alone.is_none() && wal::is_beside(path) => {
            let problem = format!("{problem}; the -wal beside it may be of another database");
            OpenError::Torn { path: torn, problem }
        }
        error => error,
    }
}

/// Marks the file as open. The mark stands in the file itself when this returns, unless a reader of another program holds
/// the log back.
pub(super) fn mark_open(connection: &Connection, lock: &mut ServerLock) -> Result<(), OpenError> {
    let before = mark_in(connection).map_err(StoreError::sqlite("read the state of the file"))?;
    let mark = match before {
        Some(mark) if lock.mark() == Some(&mark) => mark,
        _ => Uuid::new_v4().to_string(),
    };
    // First the lock file: a crash in between leaves a database that is checked, not one that is refused.
    lock.set_mark(&mark)?;
    set(connection, Some(&mark))?;
    let progress = wal::move_now(connection)?;
    if progress.moved < progress.pages {
        log::warn!("another program reads the database; until it lets go, a copy of the file alone cannot be told");
    }
    Ok(())
}

/// Marks the file as closed and empties its log: what is left is one file that can be copied.
pub(super) fn leave_clean(connection: &Connection) -> Result<(), StoreError> {
    set(connection, None)?;
    if !wal::empty(connection)? {
        log::warn!("another program reads the database: its WAL stays beside it and belongs to it");
    }
    Ok(())
}

/// The mark that a connection sees.
pub(super) fn mark_in(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT serving FROM meta", [], |row| row.get(0)).optional().map(Option::flatten)
}

fn set(connection: &Connection, mark: Option<&str>) -> Result<(), StoreError> {
    let sql = "UPDATE meta SET serving = ?1, snapshot_at = NULL, snapshot_digest = NULL";
    connection.execute(sql, [mark]).map_err(StoreError::sqlite("mark the file")).map(drop)
}
