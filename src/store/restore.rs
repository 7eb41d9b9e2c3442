//! Rows of `restore`: every time a copy took the place of a database.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx, instant, millis};

/// So many numbers of the journal are left out after a restore. The lost database may have given them to calls that the
/// copy knows nothing of, and no number may mean two calls: in exports, in logs, in what somebody has written down. A
/// merchant whose copy is nine hours old would have to get thirty calls a second to use them up.
const SKIPPED: i64 = 1_000_000;

/// More numbers than that no database is ahead of a copy of it.
const MOST_AHEAD: i64 = 1000 * SKIPPED;

/// A recorded restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRow {
    /// When the copy took its place.
    pub restored_at: Timestamp,
    /// When the copy was taken; `None`: it was a database, not a snapshot.
    pub copy_at: Option<Timestamp>,
    /// The last number that its journal had given.
    pub last_exchange: i64,
    /// When its newest call came in; `None`: it had none.
    pub last_exchange_at: Option<Timestamp>,
    /// What the database that was there is kept as.
    pub replaced: Option<String>,
}

/// The last number that a journal has given.
pub(super) fn last_number(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0)";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Writes down that what this connection sees takes the place of a database, from a copy of `copy_at` (Unix
/// milliseconds), and skips numbers of the journal, beyond those that the database has given up to `given`, as far as that
/// can be read. Belongs into a transaction of the caller's.
pub(super) fn record(
    connection: &Connection,
    copy_at: Option<i64>,
    replaced: Option<&str>,
    given: Option<i64>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    // A restored database that is replaced in its turn is a million ahead. A damaged one may say anything.
    let ahead = given.unwrap_or(0).saturating_sub(last_number(connection)?);
    let skipped = SKIPPED + ahead.clamp(0, MOST_AHEAD);
    connection.execute(
        "INSERT INTO restore (restored_at, copy_at, last_exchange, last_exchange_at, skipped, replaced) \
         VALUES (?1, ?2, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0), \
         (SELECT received_at FROM exchange ORDER BY id DESC LIMIT 1), ?3, ?4)",
        (millis(now), copy_at, skipped, replaced),
    )?;
    let skip = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'exchange'";
    if connection.execute(skip, [skipped])? == 0 {
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('exchange', ?1)", [skipped])?;
    }
    Ok(())
}

/// A restore that was interrupted is gone on with. If the database that was there did not come to be kept under the name
/// that was written down, it gets another one now.
pub(super) fn rename_replaced(
    connection: &Connection,
    replaced: &str,
    is_kept: impl Fn(&str) -> bool,
) -> rusqlite::Result<()> {
    let last = "SELECT replaced FROM restore ORDER BY id DESC LIMIT 1";
    let known = connection.query_row(last, [], |row| row.get::<_, Option<String>>(0)).optional()?.flatten();
    if known.is_some_and(|known| is_kept(&known)) {
        return Ok(());
    }
    let sql = "UPDATE restore SET replaced = ?1 WHERE id = (SELECT max(id) FROM restore)";
    connection.execute(sql, [replaced]).map(drop)
}

/// The same where the file is a snapshot still: it was put here by hand, and is opened for the first time.
pub(super) fn record_if_snapshot(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let copy_at: Option<i64> = connection.query_row("SELECT snapshot_at FROM meta", [], |row| row.get(0))?;
    copy_at.map_or(Ok(()), |copy_at| record(connection, Some(copy_at), None, None, now))
}

impl Tx<'_> {
    /// The last restore, if there was any.
    pub fn last_restore(&self) -> Result<Option<RestoreRow>, StoreError> {
        let sql = format!("{SELECT} ORDER BY id DESC LIMIT 1");
        self.first("look for restores", &sql, [], read_row)
    }

    /// The last restores, the newest first.
    pub fn restores(&self) -> Result<Vec<RestoreRow>, StoreError> {
        self.all("list restores", &format!("{SELECT} ORDER BY id DESC LIMIT 100"), [], read_row)
    }
}

const SELECT: &str = "SELECT restored_at, copy_at, last_exchange, last_exchange_at, replaced FROM restore";

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RestoreRow> {
    Ok(RestoreRow {
        restored_at: instant(row.get(0)?)?,
        copy_at: row.get::<_, Option<i64>>(1)?.map(instant).transpose()?,
        last_exchange: row.get(2)?,
        last_exchange_at: row.get::<_, Option<i64>>(3)?.map(instant).transpose()?,
        replaced: row.get(4)?,
    })
}
