//! Opening, creating, migrating and leaving the database file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::{LockError, ServerLock, beside};
use super::{OpenError, StoreError, millis};
use crate::sealing::SealingKey;

/// `user_version` of the schema in `schema.sql`.
pub const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = include_str!("../../schema.sql");

/// `application_id` of our files ("koog" in ASCII): tells them from other SQLite databases.
const APPLICATION_ID: i64 = 0x6b6f_6f67;

/// The text sealed into a new database; a key that opens it is the right one.
const SEALING_CHECK: &[u8] = b"koogate sealing check";

/// How long a starting server waits for a command that just works on the file alone.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Where the database is and how it is written.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// At most so many pieces of work share a commit.
    pub commit_batch: usize,
}

/// Who opens the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one server.
    Server,
    /// A command, beside a running server or alone.
    Command,
}

pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) lock: Option<ServerLock>,
    pub(super) alone: bool,
}

pub(super) fn open(settings: &Settings, role: Role, sealing: &SealingKey) -> Result<Opened, OpenError> {
    let path = &settings.path;
    let lock = take_lock(path, role)?;
    let alone = lock.is_some();
    if alone {
        protect_new_file(path)?;
    }
    let connection = connect(path)?;
    let version = version(&connection, path)?;
    match version {
        None if alone => create(&connection, sealing)?,
        None => return Err(OpenError::Foreign { path: path.clone() }),
        Some(found) if found > SCHEMA_VERSION => {
            return Err(OpenError::Newer { path: path.clone(), found, known: SCHEMA_VERSION });
        }
        // Version 1 is the first: there is nothing to migrate from yet.
        Some(SCHEMA_VERSION) => {}
        Some(_) if !alone => return Err(OpenError::OtherVersionServes { path: path.clone() }),
        Some(_) => return Err(OpenError::Foreign { path: path.clone() }),
    }
    check_sealing_key(&connection, path, sealing)?;
    if alone {
        refuse_torn_copy(&connection, path)?;
        set_serving(&connection, true)?;
    }
    Ok(Opened { connection, lock, alone })
}

/// A read-only connection for readers of this process.
pub(super) fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite("open for reading"))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(StoreError::sqlite("open for reading"))?;
    connection.set_prepared_statement_cache_capacity(32);
    prepare_once(&connection).map_err(StoreError::sqlite("open for reading"))?;
    connection
        .execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;")
        .map_err(StoreError::sqlite("open for reading"))?;
    Ok(connection)
}

/// Moves what it can from the WAL into the database without waiting for readers.
pub(super) fn checkpoint(connection: &Connection) -> Result<(), StoreError> {
    pragma_rows(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// Marks the file as whole and empties the WAL: what is left is one file that can be copied.
pub(super) fn leave_clean(connection: &Connection) -> Result<(), StoreError> {
    set_serving(connection, false)?;
    pragma_rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
}

fn take_lock(path: &Path, role: Role) -> Result<Option<ServerLock>, OpenError> {
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match ServerLock::take(path) {
            Ok(lock) => return Ok(Some(lock)),
            Err(LockError::File(path, source)) => return Err(OpenError::File { doing: "cannot open", path, source }),
            Err(LockError::Held(_)) if role == Role::Command => return Ok(None),
            Err(LockError::Held(_)) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(50)),
            Err(LockError::Held(holder)) => {
                let holder = holder.map(|id| format!(" (process {id})")).unwrap_or_default();
                return Err(OpenError::InUse { path: path.to_owned(), holder });
            }
        }
    }
}

/// Makes a database that does not exist yet readable by its owner only, before SQLite writes the first byte. The file
/// is opened while nobody else has it (the lock is ours and no connection is open), so no SQLite lock can be lost.
fn protect_new_file(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenError::File { doing: "cannot create", path: path.to_owned(), source }),
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = "open the database";
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite(doing))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(StoreError::sqlite(doing))?;
    connection.set_prepared_statement_cache_capacity(64);
    prepare_once(&connection).map_err(StoreError::sqlite(doing))?;
    // Only a process that is alone may move the WAL into the file, and it does so by itself at known moments. An
    // automatic checkpoint when a connection closes would take the WAL away from under the mark that tells a torn copy.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(StoreError::sqlite(doing))?;
    Ok(connection)
}

/// A statement is prepared once, whatever values it is given: without this SQLite prepares some of them anew for every
/// value, in the hope of a better plan, and that was a tenth of the server's CPU time.
fn prepare_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// The schema version; `None` for a new, empty file. Checked before anything is written.
fn version(connection: &Connection, path: &Path) -> Result<Option<i64>, OpenError> {
    let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let facts = || -> rusqlite::Result<(i64, i64, i64)> {
        Ok((read("PRAGMA application_id")?, read("PRAGMA user_version")?, read("SELECT count(*) FROM sqlite_schema")?))
    };
    let (application, version, objects) = match facts() {
        Ok(facts) => facts,
        Err(error) => {
            let damaged = matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            );
            let path = path.to_owned();
            return Err(if damaged {
                OpenError::Torn { path, problem: error.to_string() }
            } else {
                OpenError::Store(StoreError::Sqlite { doing: "read the version", source: error })
            });
        }
    };
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                   PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;";
    if (application, version, objects) != (0, 0, 0) && application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    connection.execute_batch(pragmas).map_err(StoreError::sqlite("set up the connection"))?;
    Ok((application == APPLICATION_ID).then_some(version))
}

fn create(connection: &Connection, sealing: &SealingKey) -> Result<(), StoreError> {
    let doing = "create the schema";
    let sealed = sealing.seal("meta.sealing_check", SEALING_CHECK).map_err(StoreError::Seal)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::sqlite(doing))?;
    connection.execute_batch(SCHEMA).map_err(StoreError::sqlite(doing))?;
    connection
        .execute(
            "INSERT INTO meta (id, created_at, sealing_check) VALUES (1, ?1, ?2)",
            (millis(Timestamp::now()), sealed),
        )
        .map_err(StoreError::sqlite(doing))?;
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
        ))
        .map_err(StoreError::sqlite(doing))
}

pub(super) fn check_sealing_key(connection: &Connection, path: &Path, sealing: &SealingKey) -> Result<(), OpenError> {
    let sealed: Vec<u8> = connection
        .query_row("SELECT sealing_check FROM meta", [], |row| row.get(0))
        .map_err(StoreError::sqlite("read the sealing check"))?;
    match sealing.open("meta.sealing_check", &sealed) {
        Ok(text) if text.expose() == SEALING_CHECK => Ok(()),
        _ => Err(OpenError::WrongSealingKey { path: path.to_owned() }),
    }
}

/// While a server has the file open, `meta.serving` is 1 and the newest commits are in the WAL. A file with that mark
/// and without a WAL is a copy of the live file alone, or somebody else has moved the WAL into it (a sqlite3 shell after
/// a crash does); only a look at the whole file tells them apart.
fn refuse_torn_copy(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let serving: bool = connection
        .query_row("SELECT serving FROM meta", [], |row| row.get(0))
        .map_err(StoreError::sqlite("read the state of the file"))?;
    let wal = std::fs::metadata(beside(path, "-wal")).map(|file| file.len()).unwrap_or(0);
    if !serving || wal > 0 {
        return Ok(());
    }
    log::warn!("{} was not closed by its server and has no WAL beside it; checking all of it", path.display());
    match super::snapshot::examine(connection)? {
        problems if problems.is_empty() => Ok(()),
        problems => Err(OpenError::Torn { path: path.to_owned(), problem: problems.join("; ") }),
    }
}

fn set_serving(connection: &Connection, serving: bool) -> Result<(), StoreError> {
    let doing = "mark the file";
    connection
        .execute("UPDATE meta SET serving = ?1, snapshot_at = NULL WHERE serving <> ?1", [serving])
        .map_err(StoreError::sqlite(doing))?;
    // The mark must stand in the file itself, not only in the WAL, or a copy of the file alone would not carry it.
    if serving { pragma_rows(connection, "PRAGMA wal_checkpoint(PASSIVE)") } else { Ok(()) }
}

fn pragma_rows(connection: &Connection, pragma: &'static str) -> Result<(), StoreError> {
    connection.query_row(pragma, [], |_| Ok(())).map_err(StoreError::sqlite(pragma))
}
