//! Opening, creating and migrating the database file.
//!
//! Nothing is written before the file is known to be ours, of a version we know, under the right key and whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::{LockError, ServerLock, beside};
use super::{OpenError, StoreError, cache, leftovers, migrate, millis, snapshot, torn, wal};
use crate::fault;
use crate::sealing::SealingKey;

/// `user_version` of the schema in `schema.sql`.
pub const SCHEMA_VERSION: i64 = 2;

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
    /// The snapshot beside it. Where that is there and the database is not, something has happened to the database.
    pub snapshot: PathBuf,
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

/// A database that is ready to be written.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Ours: no other process has the database open. `None`: a command beside a server.
    pub(super) lock: Option<ServerLock>,
}

/// What a file is, as far as can be told by reading its head.
enum Kind {
    New,
    Ours(i64),
    Foreign,
}

pub(super) fn open(settings: &Settings, role: Role, sealing: &SealingKey) -> Result<Opened, OpenError> {
    let path = &settings.path;
    let lock = take_lock(path, role)?;
    let incoming = snapshot::incoming(path);
    if incoming.exists() {
        return Err(OpenError::UnfinishedRestore { path: path.clone(), incoming });
    }
    match lock {
        Some(lock) => open_alone(settings, lock, role, sealing),
        None => open_beside(path, sealing),
    }
}

/// Opens a file that nobody else has open.
fn open_alone(
    settings: &Settings,
    mut lock: ServerLock,
    role: Role,
    sealing: &SealingKey,
) -> Result<Opened, OpenError> {
    let path = &settings.path;
    torn::refuse_log_without_database(path)?;
    leftovers::refuse(path, &settings.snapshot)?;
    make_file(path)?;
    let (in_file, had_log) = (torn::in_file(path), beside(path, "-wal").exists());
    let connection = connect(path)?;
    torn::refuse_strange_log(&connection, path, &lock, &in_file)?;
    match kind(&connection, path)? {
        Kind::New => create(&connection, sealing, &torn::next_mark(&mut lock)?)?,
        Kind::Ours(found) if found > SCHEMA_VERSION => return Err(OpenError::newer(path, found)),
        // There is no way back from a migration but its snapshot: looking things up must not be what begins one.
        Kind::Ours(found) if found < SCHEMA_VERSION && role == Role::Command => {
            return Err(OpenError::older(path, found));
        }
        Kind::Ours(found) => {
            check_sealing_key(&connection, path, sealing)?;
            torn::refuse(&connection, path, &lock, &in_file, had_log)?;
            if found < SCHEMA_VERSION {
                migrate::run(&connection, path, &mut lock, found, sealing)?;
            }
            torn::mark_open(&connection, &mut lock)?;
        }
        Kind::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
    }
    set_up(&connection, path)?;
    torn::note_log(&connection, path, &mut lock)?;
    Ok(Opened { connection, lock: Some(lock) })
}

/// Opens what another process serves.
fn open_beside(path: &Path, sealing: &SealingKey) -> Result<Opened, OpenError> {
    let connection = connect(path)?;
    match kind(&connection, path)? {
        Kind::Ours(SCHEMA_VERSION) => {}
        Kind::Ours(found) if found > SCHEMA_VERSION => return Err(OpenError::newer(path, found)),
        Kind::Ours(_) => return Err(OpenError::OtherVersionServes { path: path.to_owned() }),
        Kind::New | Kind::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
    }
    check_sealing_key(&connection, path, sealing)?;
    set_up(&connection, path)?;
    Ok(Opened { connection, lock: None })
}

/// A read-only connection for readers of this process.
pub(super) fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite("open for reading"))?;
    connection.busy_timeout(wal::PATIENCE).map_err(StoreError::sqlite("open for reading"))?;
    connection.set_prepared_statement_cache_capacity(32);
    prepare_once(&connection).map_err(StoreError::sqlite("open for reading"))?;
    connection
        .execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;")
        .map_err(StoreError::sqlite("open for reading"))?;
    Ok(connection)
}

/// A connection that only moves the log. It makes the database last before the log is written over.
pub(super) fn for_moving(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -64;")
        .map_err(StoreError::sqlite("open for moving the WAL"))?;
    Ok(connection)
}

/// Leaves the database as one file without a log, where no other process has it open: to be called when nobody else in
/// this process reads it any more.
pub(super) fn close(opened: Opened, path: &Path) -> Result<(), StoreError> {
    let Opened { connection, lock } = opened;
    // A command that has outlived its server is the last one now, and what it has written may be in the log only.
    let mut lock = lock.or_else(|| ServerLock::take(path).ok());
    let left = lock.as_mut().map_or(Ok(()), |lock| torn::leave_clean(&connection, lock));
    let closed = connection.close().map_err(|(_, source)| StoreError::Sqlite { doing: "close the database", source });
    left.and(closed)
}

/// Leaves the database as a crash does, with the log, which no connection moves when it is closed, and with the mark of its
/// process: the next start reads all of the log.
pub(super) fn leave(opened: Opened) -> Result<(), StoreError> {
    let closed = opened.connection.close();
    closed.map_err(|(_, source)| StoreError::Sqlite { doing: "leave the database with its log", source })
}

fn take_lock(path: &Path, role: Role) -> Result<Option<ServerLock>, OpenError> {
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match ServerLock::take(path) {
            Ok(lock) => return Ok(Some(lock)),
            Err(LockError::File(path, source)) => return Err(OpenError::File { doing: "cannot open", path, source }),
            Err(LockError::Held(_)) if role == Role::Command => return Ok(None),
            Err(LockError::Held(_)) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(50)),
            Err(LockError::Held(holder)) => return Err(OpenError::in_use(path, holder)),
        }
    }
}

/// Makes a database that does not exist yet readable by its owner only, before SQLite writes the first byte (`-wal` and
/// `-shm` take over the mode). The file is opened while nobody else has it: the lock is ours and no connection is open,
/// so no SQLite lock can be lost.
fn make_file(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenError::File { doing: "cannot create", path: path.to_owned(), source }),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = "open the database";
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite(doing))?;
    connection.busy_timeout(wal::PATIENCE).map_err(StoreError::sqlite(doing))?;
    connection.set_prepared_statement_cache_capacity(64);
    prepare_once(&connection).map_err(StoreError::sqlite(doing))?;
    // Only a process that is alone may move the WAL into the file, and it does so by itself at known moments. An
    // automatic checkpoint when a connection closes would change a file that has just been refused.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(StoreError::sqlite(doing))?;
    Ok(connection)
}

/// A statement is prepared once, whatever values it is given: without this SQLite prepares some of them anew for every
/// value, in the hope of a better plan, and that was a tenth of the server's CPU time.
fn prepare_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Reads only.
fn kind(connection: &Connection, path: &Path) -> Result<Kind, OpenError> {
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let facts = || -> rusqlite::Result<_> {
        Ok((read("PRAGMA application_id")?, read("PRAGMA user_version")?, read("SELECT count(*) FROM sqlite_schema")?))
    };
    let facts = facts().map_err(|error| OpenError::unreadable(path, "read the version", error))?;
    Ok(match facts {
        // Empty: nobody's yet, or the first start ended before the schema was there.
        (0, 0, 0) => Kind::New,
        (APPLICATION_ID, version @ 1.., _) => Kind::Ours(version),
        _ => Kind::Foreign,
    })
}

/// A commit has returned only when the WAL is on disk (`synchronous = FULL`); the WAL is moved by `wal`, never by itself.
fn set_up(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let doing = "set up the connection";
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| OpenError::unreadable(path, doing, error))?;
    if mode != "wal" {
        // SQLite says so by keeping the old mode; durability and readers that never wait both hang on it.
        let source = std::io::Error::other("its file system gives no shared memory; use a local disk");
        return Err(OpenError::File { doing: "cannot keep a write-ahead log for", path: path.to_owned(), source });
    }
    let pragmas = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0;
                   PRAGMA temp_store = MEMORY;";
    connection.execute_batch(pragmas).map_err(StoreError::sqlite(doing))?;
    cache::fit(connection)?;
    Ok(wal::limit_length(connection)?)
}

/// A commit of one page that says the same as before: SQLite writes it for this, which it does not for an UPDATE that
/// changes nothing.
pub(super) fn write_a_page(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA_VERSION}"))
}

/// Writes the schema in one commit, into the file itself: it has no log yet.
fn create(connection: &Connection, sealing: &SealingKey, mark: &str) -> Result<(), StoreError> {
    let doing = "create the schema";
    let sealed = sealing.seal("meta.sealing_check", SEALING_CHECK).map_err(StoreError::Seal)?;
    connection.execute_batch("PRAGMA synchronous = EXTRA; BEGIN IMMEDIATE").map_err(StoreError::sqlite(doing))?;
    connection.execute_batch(SCHEMA).map_err(StoreError::sqlite(doing))?;
    connection
        .execute(
            "INSERT INTO meta (id, created_at, sealing_check, serving) VALUES (1, ?1, ?2, ?3)",
            (millis(Timestamp::now()), sealed, mark),
        )
        .map_err(StoreError::sqlite(doing))?;
    fault::point("creating");
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
        ))
        .map_err(StoreError::sqlite(doing))?;
    fault::point("created");
    Ok(())
}

/// The version of a file that is ours; `None` for any other.
pub(super) fn version_of(connection: &Connection, path: &Path) -> Result<Option<i64>, OpenError> {
    Ok(match kind(connection, path)? {
        Kind::Ours(version) => Some(version),
        Kind::New | Kind::Foreign => None,
    })
}

pub(super) fn check_sealing_key(connection: &Connection, path: &Path, sealing: &SealingKey) -> Result<(), OpenError> {
    let sealed: Vec<u8> = connection
        .query_row("SELECT sealing_check FROM meta", [], |row| row.get(0))
        .map_err(|error| OpenError::unreadable(path, "read the sealing check", error))?;
    match sealing.open("meta.sealing_check", &sealed) {
        Ok(text) if text.expose() == SEALING_CHECK => Ok(()),
        _ => Err(OpenError::WrongSealingKey { path: path.to_owned() }),
    }
}
