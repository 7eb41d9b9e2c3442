//! Bringing the database of an older koogate to this schema.
//!
//! `schema.sql` is what a new database is made from; the steps here are how an old one gets there. A step never changes
//! once it is released. In this order:
//!
//! 1. the write-ahead log is left, which SQLite allows only where nobody else has the file open, and the file stays locked
//!    until the end;
//! 2. a snapshot beside the database, under a name of its own, keeps what it was: the way back;
//! 3. each step is one transaction with the version that it leads to, examined before it is committed.
//!
//! A crash at any instant leaves the database whole and in one of the versions; the next start goes on from there. What
//! fails leaves it as it was, and the snapshot goes again.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::lock::ServerLock;
use super::{OpenError, SCHEMA_VERSION, StoreError, snapshot, torn};
use crate::fault;
use crate::sealing::SealingKey;

/// The steps: the first leads from version 1 to 2, and so on. Written for a connection that enforces no foreign keys, so
/// that a table may be made anew (sqlite.org/lang_altertable.html, section 7); whether all references hold is looked at
/// before the commit. A row that no longer fits is the step's matter: it says what becomes of it.
const STEPS: [&str; 1] = [include_str!("migrate/to_2.sql")];

/// Every version has its step.
const _: () = assert!(STEPS.len() as i64 == SCHEMA_VERSION - 1);

/// Brings a database that is known to be ours, whole, and of version `found` to this one. Nobody else has it open when this
/// returns, and it has no log.
///
/// # Errors
/// When another program has it open, the snapshot cannot be written or a step fails; then it is as it was, or, where there
/// were several steps, in one of the versions between.
pub(super) fn run(
    connection: &Connection,
    path: &Path,
    lock: &mut ServerLock,
    found: i64,
    sealing: &SealingKey,
) -> Result<(), OpenError> {
    lock_out_others(connection, path, lock)?;
    fault::point("migrating");
    let kept = kept_path(path, found);
    snapshot::keep(connection, &kept, sealing).map_err(|source| OpenError::BeforeMigration {
        path: path.to_owned(),
        found,
        source: Box::new(source),
    })?;
    fault::point("migration-kept");
    if let Err(problem) = run_steps(connection, found) {
        let now = version(connection).unwrap_or(found);
        if now == found {
            // Nothing has happened, so nobody needs the way back; a full disk needs the space.
            let _ = std::fs::remove_file(&kept);
        }
        return Err(OpenError::Migration { path: path.to_owned(), found: now, problem });
    }
    log::info!(
        "{} was of schema version {found} and is of version {SCHEMA_VERSION} now; as it was, it is kept as {}",
        path.display(),
        kept.display()
    );
    fault::point("migrated");
    Ok(share(connection)?)
}

/// The steps alone, for a copy that nobody else knows of.
///
/// # Errors
/// In words: which step failed, and why. Its changes are undone, those of earlier ones stay.
pub(super) fn run_steps(connection: &Connection, found: i64) -> Result<(), String> {
    let from = usize::try_from(found - 1).map_err(|_| format!("there is no schema version {found}"))?;
    for (to, sql) in (found + 1..).zip(STEPS.iter().skip(from)) {
        step(connection, to, sql).map_err(|problem| {
            // SQLite may have undone it by itself.
            let _ = connection.execute_batch("ROLLBACK");
            format!("to version {to}: {problem}")
        })?;
    }
    Ok(())
}

/// One version on, in one transaction.
fn step(connection: &Connection, to: i64, sql: &str) -> Result<(), String> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(|error| error.to_string());
    let broken = || broken_views(connection).map_err(|error| error.to_string());
    let broken_before = broken()?;
    // Both have no effect within a transaction. EXTRA: with the commit the end of its journal is on disk, too.
    run("PRAGMA foreign_keys = OFF; PRAGMA synchronous = EXTRA; BEGIN IMMEDIATE")?;
    // First, because it changes the first page: that is how a start knows the journal for ours after a crash
    // (`leftovers`), and further behind, in the journal of a large step, it would not be found.
    run(&format!("PRAGMA user_version = {to}"))?;
    run(sql)?;
    let mut problems = snapshot::examine(connection).map_err(|error| error.to_string())?;
    problems.extend(broken()?.into_iter().filter(|view| !broken_before.contains(view)));
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    fault::point("migration-step");
    run("COMMIT")
}

/// Views that name what is not there: a merchant's own ones, too.
fn broken_views(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut views = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'")?;
    let names = views.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let broken = |name: &String| {
        let sql = format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""));
        connection.prepare(&sql).err().map(|error| format!("the view {name}: {error}"))
    };
    Ok(names.iter().filter_map(broken).collect())
}

/// Leaves the log, and lets nobody else in until [`share`].
fn lock_out_others(connection: &Connection, path: &Path, lock: &mut ServerLock) -> Result<(), OpenError> {
    let doing = "lock the database for its migration";
    // Without its log only the mark tells a database that a crash left from a copy of a live one.
    torn::adopt(connection, lock)?;
    let others = || OpenError::OthersHaveIt { path: path.to_owned() };
    if !torn::leave_log(connection, lock)? {
        return Err(others());
    }
    match connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT") {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Err(others()),
        locked => Ok(locked.map_err(StoreError::sqlite(doing))?),
    }
}

/// Others may open it again.
fn share(connection: &Connection) -> Result<(), StoreError> {
    let doing = "unlock the database after its migration";
    // The lock is given back when the file is read next.
    connection.execute_batch("PRAGMA locking_mode = NORMAL").map_err(StoreError::sqlite(doing))?;
    version(connection).map_err(StoreError::sqlite(doing)).map(drop)
}

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Where the database is kept as it was: `koogate.schema-1.db` beside `koogate.db`, or, where there is one already,
/// `koogate.schema-1.2.db` and so on: nothing is ever overwritten.
fn kept_path(database: &Path, version: i64) -> PathBuf {
    let stem = database.file_stem().unwrap_or_default().to_string_lossy();
    let end = database.extension().map_or_else(|| "db".into(), |end| end.to_string_lossy());
    let mut kept = database.with_file_name(format!("{stem}.schema-{version}.{end}"));
    let mut number = 1;
    while kept.exists() {
        number += 1;
        kept = database.with_file_name(format!("{stem}.schema-{version}.{number}.{end}"));
    }
    kept
}
