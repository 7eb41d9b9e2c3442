//! Proving a copy.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::files::failed;
use super::{SnapshotError, Verified, digest};
use crate::sealing::SealingKey;
use crate::store::lock::mark_beside;
use crate::store::{OpenError, StoreError, instant, open, torn, wal};

/// What would end the path in a `file:` URI, or be taken for an escape.
const URI_PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// How much a thread that proves a copy stands back where others want a processor (nice): it gets a tenth of what they do.
const STANDS_BACK: i32 = 10;

/// Where a copy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made as a copy: by koogate, or of a database that was closed.
    Copy,
    /// It was rebuilt from what a program streamed while koogate ran. Being what a running koogate had, it carries the
    /// mark of one, and has no log: only who has rebuilt it can tell it from a file that was torn from its log.
    Replica,
}

/// Proves a copy: every byte of a snapshot, SQLite's own integrity check, every reference, a journal without gaps, the
/// right sealing key. Writes nothing.
///
/// # Errors
/// Everything that is wrong with it.
pub fn verify(copy: &Path, sealing: &SealingKey, origin: Origin) -> Result<Verified, SnapshotError> {
    let damaged = |problems| SnapshotError::Damaged { path: copy.to_owned(), problems };
    let (connection, alone) = open_for_proof(copy)?;
    let bytes = match &alone {
        Some(file) => file.metadata(),
        None => fs::metadata(copy),
    };
    let bytes = bytes.map_err(failed("cannot read", copy))?.len();
    let schema_version = match open::version_of(&connection, copy) {
        Err(OpenError::Torn { problem, .. }) => return Err(damaged(vec![problem])),
        Err(error) => return Err(error.into()),
        Ok(None) => return Err(damaged(vec!["it is no koogate database".to_owned()])),
        Ok(Some(found)) if found > open::SCHEMA_VERSION => return Err(OpenError::newer(copy, found).into()),
        Ok(Some(found)) => found,
    };
    let mut problems = examine(&connection)?;
    if let Some(file) = &alone {
        problems.extend(examine_lone_file(&connection, copy, file, origin)?);
    }
    if !problems.is_empty() {
        return Err(damaged(problems));
    }
    open::check_sealing_key(&connection, copy, sealing)?;
    let facts = connection.query_row(
        "SELECT snapshot_at, (SELECT received_at FROM exchange ORDER BY id DESC LIMIT 1), \
         (SELECT count(*) FROM exchange), (SELECT count(*) FROM instance), \
         coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0) FROM meta",
        [],
        |row| {
            Ok(Verified {
                schema_version,
                snapshot_at: row.get::<_, Option<i64>>(0)?.map(instant).transpose()?,
                newest_exchange_at: row.get::<_, Option<i64>>(1)?.map(instant).transpose()?,
                exchanges: row.get(2)?,
                instances: row.get(3)?,
                last_exchange: row.get(4)?,
                bytes,
            })
        },
    );
    Ok(facts.map_err(StoreError::sqlite("read the copy"))?)
}

/// The same on a thread of its own that stands back where others want a processor. Whoever writes a copy holds the log of the
/// database back and must go on; who proves one holds nothing, and has the time that calls leave.
///
/// # Errors
/// As [`verify`], and when no thread can be started.
pub fn verify_aside(copy: &Path, sealing: &SealingKey, origin: Origin) -> Result<Verified, SnapshotError> {
    let prove = || {
        // Of this thread alone. A system that does not let it stand back has it work like others.
        let _ = rustix::process::setpriority_process(None, STANDS_BACK);
        verify(copy, sealing, origin)
    };
    std::thread::scope(|scope| {
        let prover = std::thread::Builder::new().name("prover".to_owned()).spawn_scoped(scope, prove);
        let proved = prover.map_err(failed("cannot start a thread to prove", copy))?.join();
        proved.unwrap_or_else(|_| Err(failed("cannot prove", copy)(std::io::Error::other("the thread had panicked"))))
    })
}

/// SQLite's integrity and foreign key checks, and the journal's own: its rows are numbered without gaps, so what is
/// there, what was purged and what restores have skipped must add up to the highest number given out.
pub(in crate::store) fn examine(connection: &Connection) -> Result<Vec<String>, StoreError> {
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
    collect("SELECT count(*) FROM meta", |row| {
        let rows: i64 = row.get(0)?;
        Ok((rows != 1).then(|| format!("it has {rows} rows of facts about itself")))
    });
    collect(&journal_facts(connection), |row| {
        let (given, there, purged, skipped): (i64, i64, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let restores = if skipped > 0 { format!(", {skipped} skipped by restores") } else { String::new() };
        Ok((given != there + purged + skipped).then(|| {
            format!("the journal has gaps: {given} numbers given, {there} rows there, {purged} purged{restores}")
        }))
    });
    Ok(problems)
}

/// The numbers that must add up. In version 1 there were no restores that anybody wrote down.
fn journal_facts(connection: &Connection) -> String {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    let skipped = match version {
        Ok(1) => "0",
        _ => "(SELECT coalesce(sum(skipped), 0) FROM restore)",
    };
    format!(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0), \
         (SELECT count(*) FROM exchange), exchanges_purged, {skipped} FROM meta"
    )
}

/// What can be said of a file that has no log beside it.
fn examine_lone_file(
    connection: &Connection,
    copy: &Path,
    file: &File,
    origin: Origin,
) -> Result<Vec<String>, SnapshotError> {
    let mut problems = Vec::new();
    match torn::mark_in(connection) {
        // A database that was left by a crash, and whose log another program has moved, is still beside its lock file.
        Ok(Some(mark)) if origin == Origin::Copy && mark_beside(copy).as_ref() != Some(&mark) => {
            problems.push(torn::WITHOUT_LOG.to_owned())
        }
        Ok(_) => {}
        Err(error) => problems.push(error.to_string()),
    }
    match digest::Page::of(connection) {
        Ok(Some(page)) if !page.fits(file).map_err(failed("cannot read", copy))? => {
            problems.push("its bytes have changed since it was taken".to_owned());
        }
        Ok(_) => {}
        Err(error) => problems.push(error.to_string()),
    }
    Ok(problems)
}

/// Opens a copy, and, where it has no log, the same file for its bytes. A server may put its next snapshot in the place of
/// one at any moment: what is proved must be one of the two, not half of each.
fn open_for_proof(copy: &Path) -> Result<(Connection, Option<File>), SnapshotError> {
    if wal::is_beside(copy) {
        return Ok((open::read_only(copy)?, None));
    }
    loop {
        let file = File::open(copy).map_err(failed("cannot read", copy))?;
        let connection = open_alone(copy)?;
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let opened = file.metadata().map(identity).map_err(failed("cannot read", copy))?;
        // The name led to this file before SQLite opened it and after: it is the one that SQLite has.
        if fs::metadata(copy).map(identity).map_err(failed("cannot read", copy))? == opened {
            return Ok((connection, Some(file)));
        }
    }
}

/// Opens a copy for reading only. One without a log does not change, and SQLite need not write its own files beside it.
pub(super) fn open_copy(copy: &Path) -> Result<Connection, StoreError> {
    if !wal::is_beside(copy) {
        return open_alone(copy);
    }
    open::read_only(copy)
}

/// Opens a file for reading as it is, whatever stands beside it. Only for files that nobody changes.
pub(in crate::store) fn open_alone(file: &Path) -> Result<Connection, StoreError> {
    // A relative path could be taken for the authority of the URI.
    let doing = "open the copy";
    let path = std::path::absolute(file).map_err(|source| StoreError::File {
        doing: "cannot find",
        path: file.to_owned(),
        source,
    })?;
    let path = percent_encode(path.as_os_str().as_bytes(), URI_PATH);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{path}?immutable=1"), flags).map_err(StoreError::sqlite(doing))
}
