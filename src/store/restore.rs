//! Rows of `restore`: every time a copy took the place of a database.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{StoreError, Tx, instant, millis};

/// So many numbers of the journal are left out after a restore. The lost database may have given them to calls that the
/// copy knows nothing of, and no number may mean two calls: in exports, in logs, in what somebody has written down. A
/// merchant whose copy is nine hours old would have to get thirty calls a second to use them up.
pub(super) const SKIPPED: i64 = 1_000_000;

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

/// Writes down that what this connection sees takes the place of a database, from a copy of `copy_at` (Unix
/// milliseconds), and skips numbers of the journal. Belongs into a transaction of the caller's.
pub(super) fn record(
    connection: &Connection,
    copy_at: Option<i64>,
    replaced: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO restore (restored_at, copy_at, last_exchange, last_exchange_at, skipped, replaced) \
         VALUES (?1, ?2, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0), \
         (SELECT received_at FROM exchange ORDER BY id DESC LIMIT 1), ?3, ?4)",
        (millis(now), copy_at, SKIPPED, replaced),
    )?;
    let skip = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'exchange'";
    if connection.execute(skip, [SKIPPED])? == 0 {
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('exchange', ?1)", [SKIPPED])?;
    }
    Ok(())
}

/// The same where the file is a snapshot still: it was put here by hand, and is opened for the first time.
pub(super) fn record_if_snapshot(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let copy_at: Option<i64> = connection.query_row("SELECT snapshot_at FROM meta", [], |row| row.get(0))?;
    copy_at.map_or(Ok(()), |copy_at| record(connection, Some(copy_at), None, now))
}

impl Tx<'_> {
    /// The last restore, if there was any.
    pub fn last_restore(&self) -> Result<Option<RestoreRow>, StoreError> {
        let sql = "SELECT restored_at, copy_at, last_exchange, last_exchange_at, replaced FROM restore \
                   ORDER BY id DESC LIMIT 1";
        self.first("look for restores", sql, [], |row| {
            Ok(RestoreRow {
                restored_at: instant(row.get(0)?)?,
                copy_at: row.get::<_, Option<i64>>(1)?.map(instant).transpose()?,
                last_exchange: row.get(2)?,
                last_exchange_at: row.get::<_, Option<i64>>(3)?.map(instant).transpose()?,
                replaced: row.get(4)?,
            })
        })
    }
}
