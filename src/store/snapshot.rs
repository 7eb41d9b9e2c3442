//! Copies of the database: taking one while a server runs, proving that it is whole, putting it in place.
//!
//! A live WAL database cannot be copied with file tools. A snapshot is written by `VACUUM INTO` on a connection of its
//! own, examined, synced and renamed, so that the file of that name is complete at any instant.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::lock::{LockError, ServerLock, beside};
use super::{OpenError, StoreError, instant, millis, open};
use crate::sealing::SealingKey;

/// What would end the path in a `file:` URI, or be taken for an escape.
const URI_PATH: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%').add(b'?').add(b'#');

/// What is known of a copy after it was examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// When it was taken as a snapshot; `None`: it is a database itself.
    pub snapshot_at: Option<Timestamp>,
    /// When its newest call came in.
    pub newest_exchange_at: Option<Timestamp>,
    /// Rows in its journal.
    pub exchanges: i64,
    /// Its instances.
    pub instances: i64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A copy is not what it should be, or cannot be put in place.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It was examined and found wanting.
    #[error("{path} is not a whole koogate database: {}", problems.join("; "), path = path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// Everything found.
        problems: Vec<String>,
    },
    /// Nothing may be overwritten.
    #[error("{path} exists already; koogate overwrites nothing", path = path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The same reasons for which a database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// Writes a complete copy of the database at `database` to `target`, replacing an older copy there in one step.
/// Works beside a running server and does not hold up its writer. The copy has been examined when this returns.
///
/// # Errors
/// When the disk is full, the target cannot be written, or the copy is not whole; an older copy stays as it was.
pub fn take(database: &Path, target: &Path, sealing: &SealingKey) -> Result<Verified, SnapshotError> {
    // One name per process: a server and a command may take a snapshot at the same time.
    let temporary = beside(target, &format!(".{}.tmp", std::process::id()));
    remove_if_there(&temporary)?;
    let written = write_copy(database, &temporary).and_then(|()| {
        let verified = verify(&temporary, sealing)?;
        sync(&temporary)?;
        fs::rename(&temporary, target).map_err(file_error("cannot rename to", target))?;
        sync_folder(target)?;
        Ok(verified)
    });
    if written.is_err() {
        // The error that matters is the first one; a rest of a copy is removed as far as possible.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Proves a copy: SQLite's own integrity check, every reference, a journal without gaps, nothing left behind in a WAL,
/// the right sealing key.
///
/// # Errors
/// Everything that is wrong with it.
pub fn verify(copy: &Path, sealing: &SealingKey) -> Result<Verified, SnapshotError> {
    let bytes = fs::metadata(copy).map_err(file_error("cannot read", copy))?.len();
    let connection = open_copy(copy)?;
    let version: Result<i64, _> = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let damaged = |problems| SnapshotError::Damaged { path: copy.to_owned(), problems };
    match version {
        Err(error) => return Err(damaged(vec![error.to_string()])),
        Ok(0) => return Err(damaged(vec!["it holds no koogate schema".to_owned()])),
        Ok(found) if found > open::SCHEMA_VERSION => {
            let (path, known) = (copy.to_owned(), open::SCHEMA_VERSION);
            return Err(OpenError::Newer { path, found, known }.into());
        }
        Ok(_) => {}
    }
    let mut problems = examine(&connection)?;
    // Such a copy can be sound and still end days ago: nothing in it tells what stood in the WAL.
    if problems.is_empty() && open::lacks_its_wal(&connection, copy)? {
        problems.push(
            "it was copied from under a running koogate without its -wal file, so its newest calls may be missing; \
             the file to copy is koogate.snapshot.db"
                .to_owned(),
        );
    }
    if !problems.is_empty() {
        return Err(damaged(problems));
    }
    open::check_sealing_key(&connection, copy, sealing)?;
    let facts = connection.query_row(
        "SELECT snapshot_at, (SELECT received_at FROM exchange ORDER BY id DESC LIMIT 1), \
         (SELECT count(*) FROM exchange), (SELECT count(*) FROM instance) FROM meta",
        [],
        |row| {
            Ok(Verified {
                snapshot_at: row.get::<_, Option<i64>>(0)?.map(instant).transpose()?,
                newest_exchange_at: row.get::<_, Option<i64>>(1)?.map(instant).transpose()?,
                exchanges: row.get(2)?,
                instances: row.get(3)?,
                bytes,
            })
        },
    );
    Ok(facts.map_err(StoreError::sqlite("read the copy"))?)
}

/// Puts a copy in the place of the database. The old database and its WAL are kept under a new name, which is returned.
///
/// # Errors
/// When the copy is not whole or a server runs; then nothing has changed.
pub fn restore(copy: &Path, database: &Path, sealing: &SealingKey) -> Result<Option<PathBuf>, SnapshotError> {
    let lock = ServerLock::take(database).map_err(|error| match error {
        LockError::Held(holder) => SnapshotError::Open(OpenError::InUse {
            path: database.to_owned(),
            holder: holder.map(|id| format!(" (process {id})")).unwrap_or_default(),
        }),
        LockError::File(path, source) => SnapshotError::File { doing: "cannot lock", path, source },
    })?;
    verify(copy, sealing)?;
    // The new file is complete and on disk before the old one is touched.
    let incoming = beside(database, ".restoring");
    remove_if_there(&incoming)?;
    fs::copy(copy, &incoming).map_err(file_error("cannot copy to", &incoming))?;
    sync(&incoming)?;
    verify(&incoming, sealing)?;
    let replaced = set_aside(database)?;
    fs::rename(&incoming, database).map_err(file_error("cannot rename to", database))?;
    sync_folder(database)?;
    drop(lock);
    Ok(replaced)
}

/// SQLite's integrity and foreign key checks, and the journal's own: its rows are numbered without gaps, so what is
/// there and what was purged must add up to the highest number given out.
pub(super) fn examine(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    let mut collect = |sql: &str, read: fn(&rusqlite::Row<'_>) -> rusqlite::Result<Option<String>>| {
        let rows = connection
            .prepare(sql)
            .and_then(|mut statement| statement.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>());
        match rows {
            Ok(found) => problems.extend(found.into_iter().flatten()),
            Err(error) => problems.push(error.to_string()),
        }
    };
    collect("PRAGMA integrity_check(10)", |row| {
        let text: String = row.get(0)?;
        Ok((text != "ok").then_some(text))
    });
    collect("PRAGMA foreign_key_check", |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(Some(format!("a row of {table} refers to a missing row of {parent}")))
    });
    collect(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0), \
         (SELECT count(*) FROM exchange), exchanges_purged FROM meta",
        |row| {
            let (given, there, purged): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((given != there + purged)
                .then(|| format!("the journal has gaps: {given} numbers given, {there} rows there, {purged} purged")))
        },
    );
    Ok(problems)
}

fn write_copy(database: &Path, temporary: &Path) -> Result<(), SnapshotError> {
    let source = open::read_only(database)?;
    // The new file is readable by its owner only, like the database.
    {
        use std::os::unix::fs::OpenOptionsExt;
        let created = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary);
        created.map_err(file_error("cannot create", temporary))?;
    }
    let name = temporary.to_string_lossy().into_owned();
    source.execute_batch("PRAGMA query_only = 0").map_err(StoreError::sqlite("write the snapshot"))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(StoreError::sqlite("write the snapshot"))?;
    drop(source);
    // A snapshot is whole by itself: it says so, and when it was taken.
    let copy = Connection::open_with_flags(temporary, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(StoreError::sqlite("mark the snapshot"))?;
    copy.execute("UPDATE meta SET serving = 0, snapshot_at = ?1", [millis(Timestamp::now())])
        .map_err(StoreError::sqlite("mark the snapshot"))?;
    copy.close().map_err(|(_, error)| StoreError::Sqlite { doing: "close the snapshot", source: error })?;
    Ok(())
}

/// Opens a copy for reading only, whatever stands beside it.
fn open_copy(copy: &Path) -> Result<Connection, StoreError> {
    // A file without a WAL beside it does not change: SQLite need not write its own files there to read it.
    let lone = !beside(copy, "-wal").exists();
    let path = percent_encoding::utf8_percent_encode(&copy.to_string_lossy(), URI_PATH).to_string();
    let uri = format!("file:{path}{}", if lone { "?immutable=1" } else { "" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags).map_err(StoreError::sqlite("open the copy"))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(StoreError::sqlite("open the copy"))?;
    Ok(connection)
}

/// Renames the database and what belongs to it, so that it stays openable under the new name. A WAL left behind would
/// bring the old content back into the restored file.
fn set_aside(database: &Path) -> Result<Option<PathBuf>, SnapshotError> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = beside(database, &format!(".replaced-{stamp}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = beside(database, &format!(".replaced-{stamp}-{number}"));
    }
    let existed = database.exists();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let (from, to) = (beside(database, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_error("cannot set aside", &from)(error)),
        }
    }
    Ok(existed.then_some(aside))
}

fn remove_if_there(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file_error("cannot remove", path)(error)),
    }
}

fn sync(path: &Path) -> Result<(), SnapshotError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(file_error("cannot sync", path))
}

/// Makes a rename last: the folder's entry must be on disk too.
fn sync_folder(path: &Path) -> Result<(), SnapshotError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    sync(folder)
}

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::File { doing, path, source }
}
