//! Taking a snapshot.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::files::{create_private, failed, folder_of, put_in_place, remove_if_there};
use super::pace::Named;
use super::{Origin, SnapshotError, Verified, copy, digest, verify_aside};
use crate::sealing::SealingKey;
use crate::store::lock::beside;
use crate::store::{Store, StoreError, millis, open};

/// Names of copies that are being written, in the folder they are for: this, a process id and a number, and the end.
const UNFINISHED: (&str, &str) = (".koogate-snapshot-", ".tmp");

/// Writes a complete copy of the database to `target`, replacing an older copy there in one step. Works beside a running
/// server and does not hold up its writer. The copy has been examined when this returns.
///
/// # Errors
/// When the disk is full, the target cannot be written, or the copy is not whole; an older copy stays as it was.
pub fn take(store: &Store, target: &Path) -> Result<Verified, SnapshotError> {
    let database = store.file.get().ok_or(StoreError::Closed)?;
    // Closed before the file is.
    let [source, counter] = [open::read_only(&store.path)?, open::read_only(&store.path)?];
    let from = Named { file: database.get(), path: &store.path };
    take_with(target, &store.sealing, |to| copy::beside_commits([&source, &counter], from, to))
}

/// The same from a connection that has the database for itself, to a name that nobody has.
///
/// # Errors
/// As [`take`], and when there is such a file.
pub(in crate::store) fn keep(
    source: &Connection,
    target: &Path,
    sealing: &SealingKey,
) -> Result<Verified, SnapshotError> {
    if target.exists() {
        return Err(SnapshotError::Exists { path: target.to_owned() });
    }
    take_with(target, sealing, |to| copy::alone(source, to.path))
}

fn take_with(
    target: &Path,
    sealing: &SealingKey,
    copy: impl FnOnce(Named<'_>) -> Result<(), SnapshotError>,
) -> Result<Verified, SnapshotError> {
    let folder = folder_of(target);
    remove_abandoned(folder);
    let unfinished = Unfinished::create(folder)?;
    copy(Named { file: &unfinished.file, path: &unfinished.path })?;
    seal(&unfinished.path)?;
    let verified = verify_aside(&unfinished.path, sealing, Origin::Copy)?;
    put_in_place(&unfinished.path, target)?;
    // Nobody reads it soon, and what it takes of the system's memory the pages of the database would miss.
    let _ = rustix::fs::fadvise(&unfinished.file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(verified)
}

/// Writes all that a connection sees into the empty file at `copy`, built anew without what was deleted, marked and sealed
/// as a snapshot of now.
pub(super) fn rebuild(source: &Connection, copy: &Path) -> Result<(), SnapshotError> {
    let name = copy.to_str().ok_or_else(|| {
        let source = std::io::Error::other("SQLite writes only to files whose name is UTF-8");
        SnapshotError::File { doing: "cannot write", path: copy.to_owned(), source }
    })?;
    let doing = "write the snapshot";
    source.execute_batch("PRAGMA query_only = 0").map_err(StoreError::sqlite(doing))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(StoreError::sqlite(doing))?;
    seal(copy)
}

/// Marks a copy as a snapshot of now and seals it.
fn seal(copy: &Path) -> Result<(), SnapshotError> {
    let page = mark(copy).map_err(StoreError::sqlite("mark the snapshot"))?;
    let file = File::options().read(true).write(true).open(copy).map_err(failed("cannot open", copy))?;
    page.seal(&file).map_err(failed("cannot seal", copy))
}

/// A snapshot is whole by itself: it says so, and when it was taken. Its digest is a placeholder yet.
fn mark(copy: &Path) -> rusqlite::Result<digest::Page> {
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nobody else has the file, and it is synced as a whole in the end.
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
    connection.execute(
        "UPDATE meta SET serving = NULL, snapshot_at = ?1, snapshot_digest = randomblob(32)",
        [millis(Timestamp::now())],
    )?;
    let page = digest::Page::of(&connection)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(page)
}

/// A copy that is being written. Removed when dropped, unless it got its name. While it is, its lock tells it from one
/// that a dead process left.
struct Unfinished {
    path: PathBuf,
    /// Locked.
    file: File,
}

impl Unfinished {
    fn create(folder: &Path) -> Result<Self, SnapshotError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let (begin, end) = UNFINISHED;
        let path = folder.join(format!("{begin}{}-{number}{end}", std::process::id()));
        let file = create_private(&path)?;
        let unfinished = Self { path, file };
        unfinished.file.lock().map_err(failed("cannot lock", &unfinished.path))?;
        Ok(unfinished)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // The error that matters is the one that made the copy fail; after success nothing is there any more.
        let _ = remove_if_there(&beside(&self.path, "-wal"));
        let _ = remove_if_there(&self.path);
    }
}

/// Removes copies that processes left unfinished when they died: each may be as large as the database.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(UNFINISHED.0) || !name.ends_with(UNFINISHED.1) {
            continue;
        }
        // Best effort: what cannot be removed now is tried again with the next snapshot. The copy's log goes first, which
        // nobody would find without it.
        let is_abandoned = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_abandoned && remove_if_there(&beside(&path, "-wal")).is_ok() && fs::remove_file(&path).is_ok() {
            log::info!("removed {}, which a process that died had begun", path.display());
        }
    }
}
