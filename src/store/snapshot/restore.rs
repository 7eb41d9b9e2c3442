//! Putting a copy in the place of the database.
//!
//! Every step leaves either the old database, or a copy that is whole and a start that refuses until it is in place:
//!
//! 1. the copy is proved, copied beside the database and proved again;
//! 2. renamed to `.restoring`, it is decided: from now on nobody opens the database;
//! 3. the old database and its log get a second name, then lose their first;
//! 4. the copy gets the database's name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{copy_private, create_private, failed, folder_of, put_in_place, remove_if_there, sync};
use super::take::write_copy;
use super::verify::open_copy;
use super::{Origin, SnapshotError, verify};
use crate::fault;
use crate::sealing::SealingKey;
use crate::store::lock::{LockError, ServerLock, beside, opened_by};
use crate::store::torn::{self, InFile};
use crate::store::{OpenError, wal};

/// What belongs to a database. A log left behind would bring the old content back into the restored file.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The copy that is about to take the place of a database.
pub(in crate::store) fn incoming(database: &Path) -> PathBuf {
    beside(database, ".restoring")
}

/// Puts a copy in the place of the database. The old database and its WAL are kept under a new name, which is returned.
///
/// # Errors
/// When the copy is not whole, a server runs or another program has the database open; then nothing has changed.
pub fn restore(
    copy: &Path,
    database: &Path,
    sealing: &SealingKey,
    origin: Origin,
) -> Result<Option<PathBuf>, SnapshotError> {
    let _lock = ServerLock::take(database).map_err(|error| match error {
        LockError::Held(holder) => SnapshotError::Open(OpenError::in_use(database, holder)),
        LockError::File(path, source) => SnapshotError::File { doing: "cannot lock", path, source },
    })?;
    if let Some(process) = opened_by(database) {
        return Err(SnapshotError::OpenElsewhere { path: database.to_owned(), process });
    }
    verify(copy, sealing, origin)?;
    let arriving = beside(database, ".arriving");
    remove_if_there(&arriving)?;
    let arrived = bring(copy, &arriving).and_then(|()| verify(&arriving, sealing, Origin::Copy));
    if let Err(error) = arrived {
        let _ = remove_if_there(&arriving);
        return Err(error);
    }
    let incoming = incoming(database);
    put_in_place(&arriving, &incoming)?;
    fault::point("restore-decided");
    let replaced = keep(database)?;
    for suffix in &SUFFIXES[1..] {
        remove_if_there(&beside(database, suffix))?;
    }
    fault::point("restore-cleared");
    put_in_place(&incoming, database)?;
    Ok(replaced)
}

/// Copies a file that was left whole byte for byte; a database that was left by a crash is written anew.
fn bring(copy: &Path, to: &Path) -> Result<(), SnapshotError> {
    if !wal::is_beside(copy) && matches!(torn::in_file(copy), InFile::Unmarked { .. }) {
        return copy_private(copy, to);
    }
    create_private(to)?;
    write_copy(open_copy(copy)?, to)
}

/// Gives the old database and what belongs to it a second name, under which it opens. On disk when this returns.
fn keep(database: &Path) -> Result<Option<PathBuf>, SnapshotError> {
    if !database.exists() {
        return Ok(None);
    }
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = beside(database, &format!(".replaced-{stamp}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = beside(database, &format!(".replaced-{stamp}-{number}"));
    }
    for suffix in SUFFIXES {
        let (from, to) = (beside(database, suffix), beside(&aside, suffix));
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
    sync(folder_of(database))?;
    Ok(Some(aside))
}
