//! Putting a copy in the place of the database.
//!
//! Every step leaves either the old database, or a copy that is whole and a start that refuses until it is in place:
//!
//! 1. the copy is proved, copied beside the database and proved again; there it is brought to this schema, if it is older,
//!    the restore is written into it, and it is proved once more;
//! 2. renamed to `.restoring`, it is decided: from now on nobody opens the database;
//! 3. the old database and its log get a second name, then lose their first;
//! 4. the copy gets the database's name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::files::{copy_private, create_private, failed, folder_of, put_in_place, remove_if_there, sync};
use super::take::rebuild;
use super::verify::open_copy;
use super::{Origin, SnapshotError, Verified, verify};
use crate::fault;
use crate::sealing::SealingKey;
use crate::store::lock::{LockError, ServerLock, beside, opened_by};
use crate::store::torn::{self, InFile};
use crate::store::{OpenError, SCHEMA_VERSION, StoreError, migrate, millis, restore as record, wal};

/// What belongs to a database, the file itself last: while it has its name, what belongs to it is not left alone. A log left
/// behind would bring the old content back into the restored file, a journal too.
const SUFFIXES: [&str; 4] = ["-wal", "-shm", "-journal", ""];

/// The copy that is about to take the place of a database.
pub(in crate::store) fn incoming(database: &Path) -> PathBuf {
    beside(database, ".restoring")
}

/// What a restore came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copy, as it was before.
    pub copy: Verified,
    /// What the database that was there is kept as, with its log.
    pub replaced: Option<PathBuf>,
}

/// Puts a copy in the place of the database. The old database and its WAL are kept under a new name.
///
/// # Errors
/// When the copy is not whole, a server runs or another program has the database open; then nothing has changed.
pub fn restore(copy: &Path, database: &Path, sealing: &SealingKey, origin: Origin) -> Result<Restored, SnapshotError> {
    let _lock = ServerLock::take(database).map_err(|error| match error {
        LockError::Held(holder) => SnapshotError::Open(OpenError::in_use(database, holder)),
        LockError::File(path, source) => SnapshotError::File { doing: "cannot lock", path, source },
    })?;
    if let Some(process) = opened_by(database) {
        return Err(SnapshotError::OpenElsewhere { path: database.to_owned(), process });
    }
    let verified = verify(copy, sealing, origin)?;
    let arriving = beside(database, ".arriving");
    // What a restore that died has left: its journal would be played back into this copy.
    discard(&arriving)?;
    let incoming = incoming(database);
    // A log or a journal that has lost its database is kept as well: it may hold the newest calls.
    let is_left = |suffix: &&str| *suffix != "-shm" && beside(database, suffix).exists();
    let aside = SUFFIXES.iter().any(is_left).then(|| aside(database));
    // A restore that was interrupted has been written into its copy already.
    let is_ready = is_same(copy, &incoming) && verified.schema_version == SCHEMA_VERSION;
    let proved = || verify(&arriving, sealing, Origin::Copy).map(drop);
    let arrived = bring(copy, &arriving).and_then(|()| proved()).and_then(|()| {
        prepare(&arriving, &verified, is_ready, aside.as_deref(), given_by(database))?;
        proved()
    });
    if let Err(error) = arrived {
        let _ = discard(&arriving);
        return Err(error);
    }
    put_in_place(&arriving, &incoming)?;
    fault::point("restore-decided");
    if let Some(aside) = &aside {
        keep(database, aside)?;
    }
    for suffix in SUFFIXES.iter().filter(|suffix| !suffix.is_empty()) {
        remove_if_there(&beside(database, suffix))?;
    }
    // Nothing of the old one may come back after a power cut that the new one has outlived.
    sync(folder_of(database))?;
    fault::point("restore-cleared");
    put_in_place(&incoming, database)?;
    Ok(Restored { copy: verified, replaced: aside })
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// The last number of a call in the database that is going to be replaced, where that can be read.
fn given_by(database: &Path) -> Option<i64> {
    record::last_number(&open_copy(database).ok()?).ok()
}

/// Removes a copy with all that belongs to it.
fn discard(copy: &Path) -> Result<(), SnapshotError> {
    SUFFIXES.iter().try_for_each(|suffix| remove_if_there(&beside(copy, suffix)))
}

/// Makes a copy that has arrived the database that goes on from it: of this schema, and with the restore written down. One
/// that is ready may lack the name under which the old database is kept.
fn prepare(
    arriving: &Path,
    copy: &Verified,
    is_ready: bool,
    aside: Option<&Path>,
    given: Option<i64>,
) -> Result<(), SnapshotError> {
    let failed = |problem| OpenError::Migration { path: arriving.to_owned(), found: copy.schema_version, problem };
    let replaced = aside.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let doing = "write the restore down";
    let connection =
        Connection::open_with_flags(arriving, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(StoreError::sqlite(doing))?;
    // A database that was closed beside Litestream is one that keeps a log, and what was left in that would not come along.
    let mode = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    mode.map_err(StoreError::sqlite(doing))?;
    migrate::run_steps(&connection, copy.schema_version).map_err(failed)?;
    let record = || {
        // Nobody else has the file, and it is synced as a whole in the end.
        connection.execute_batch("PRAGMA synchronous = OFF")?;
        let transaction = connection.unchecked_transaction()?;
        match (is_ready, replaced.as_deref()) {
            (false, replaced) => {
                record::record(&transaction, copy.snapshot_at.map(millis), replaced, given, Timestamp::now())?;
            }
            (true, Some(replaced)) => {
                let is_kept = |known: &str| arriving.with_file_name(known).exists();
                record::rename_replaced(&transaction, replaced, is_kept)?;
            }
            // The old one has lost its name already: it has the one that was written down.
            (true, None) => {}
        }
        transaction.execute("UPDATE meta SET snapshot_at = NULL, snapshot_digest = NULL", [])?;
        transaction.commit()
    };
    record().map_err(StoreError::sqlite(doing))?;
    connection.close().map_err(|(_, source)| StoreError::Sqlite { doing, source }.into())
}

/// Copies a file that was left whole byte for byte; a database that was left by a crash is written anew.
fn bring(copy: &Path, to: &Path) -> Result<(), SnapshotError> {
    if !wal::is_beside(copy) && matches!(torn::in_file(copy), InFile::Unmarked { .. }) {
        return copy_private(copy, to);
    }
    create_private(to)?;
    rebuild(&open_copy(copy)?, to)
}

/// A name for the old database that nobody has.
fn aside(database: &Path) -> PathBuf {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = beside(database, &format!(".replaced-{stamp}"));
    let mut number = 1;
    while SUFFIXES.iter().any(|suffix| beside(&aside, suffix).exists()) {
        number += 1;
        aside = beside(database, &format!(".replaced-{stamp}-{number}"));
    }
    aside
}

/// Gives the old database and what belongs to it a second name, under which it opens. On disk when this returns.
fn keep(database: &Path, aside: &Path) -> Result<(), SnapshotError> {
    for suffix in SUFFIXES {
        let (from, to) = (beside(database, suffix), beside(aside, suffix));
        // SQLite makes the index of the log anew.
        if suffix == "-shm" {
            continue;
        }
        // A file system without second names gets a new name: then a start refuses until the restore is run again.
        match fs::hard_link(&from, &to).or_else(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::AlreadyExists => Err(error),
            _ => fs::rename(&from, &to),
        }) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("cannot set aside", &from)(error)),
            _ => {}
        }
    }
    sync(folder_of(database))
}
