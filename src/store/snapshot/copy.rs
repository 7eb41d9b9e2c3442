//! Copying a database's pages into another file while calls are answered.
//!
//! The copy is one view of the database: the read transaction is held from the first page to the last, so that commits
//! meanwhile neither get into it nor make it begin anew. While it is held the log cannot be written over and grows; so the
//! copy is the part that must be quick, and it only moves pages: nothing is sorted, nothing built anew.
//!
//! What is written goes to the disk piece by piece. Were it left to the end, the disk would have gigabytes to write at
//! once, and the syncs of commits would wait behind them. After each piece there is a short pause, in which the disk is
//! others' alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::SnapshotError;
use super::files::failed;
use crate::store::StoreError;

/// Pages that are copied at a time: of 4 KiB they are a mebibyte.
const STEP: i32 = 256;

/// So many steps are written before they are synced.
const STEPS_SYNCED: u32 = 8;

/// The pause after a piece, as a part of the time that the piece took: the log grows meanwhile.
const PAUSE: u32 = 4;

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a SQLite file says at this place of the way it is written: with a rollback journal, for readers and for writers.
const VERSIONS: (u64, [u8; 2]) = (18, [1, 1]);

/// Copies all that a connection sees into the empty file at `path`, which is open as `file`. All but the last piece is on
/// disk when this returns.
pub(super) fn pages(source: &Connection, path: &Path, file: &File) -> Result<(), SnapshotError> {
    let doing = "write the snapshot";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite(doing))?;
    // A copy that does not come to its end is thrown away, and nobody else has it.
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;")
        .map_err(StoreError::sqlite(doing))?;
    let view = source.unchecked_transaction().map_err(StoreError::sqlite(doing))?;
    // The transaction takes its view with its first look.
    view.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).map_err(StoreError::sqlite(doing))?;
    {
        let backup = Backup::new(&view, &mut target).map_err(StoreError::sqlite(doing))?;
        let mut steps = 0;
        let mut begun = Instant::now();
        loop {
            match backup.step(STEP).map_err(StoreError::sqlite(doing))? {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else has the copy, and the source's readers are never held up.
                _ => return Err(failed("cannot write", path)(std::io::Error::other("the database is locked"))),
            }
            steps += 1;
            if steps % STEPS_SYNCED == 0 {
                file.sync_data().map_err(failed("cannot sync", path))?;
                std::thread::sleep((begun.elapsed() / PAUSE).min(LONGEST_PAUSE));
                begun = Instant::now();
            }
        }
    }
    view.rollback().map_err(StoreError::sqlite(doing))?;
    target.close().map_err(|(_, source)| StoreError::Sqlite { doing, source })?;
    // The pages say that there is a log. The copy has none.
    file.write_all_at(&VERSIONS.1, VERSIONS.0).map_err(failed("cannot write", path))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_copy_is_one_view_of_the_database_however_much_is_committed_meanwhile_and_has_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from.db"), folder.path().join("to.db"));
        let writer = Connection::open(&from).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE first (x); CREATE TABLE meta (x); CREATE TABLE last (x);
                 WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
                 INSERT INTO meta SELECT randomblob(4000) FROM n;",
            )
            .unwrap();
        let (over, reader) = (&AtomicBool::new(false), Connection::open(&from).unwrap());
        let file = File::options().read(true).write(true).create_new(true).open(&to).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Both tables of one commit: a copy that has pages of two views has more rows in one of them.
                while !over.load(Ordering::Relaxed) {
                    writer
                        .execute_batch(
                            "BEGIN; INSERT INTO first VALUES (randomblob(3000));
                             INSERT INTO last VALUES (randomblob(3000)); COMMIT",
                        )
                        .unwrap();
                }
            });
            let copied = pages(&reader, &to, &file);
            over.store(true, Ordering::Relaxed);
            copied.unwrap();
        });
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let copy = Connection::open_with_flags(&to, flags).unwrap();
        let read = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(read("PRAGMA integrity_check"), "ok");
        assert_eq!(read("PRAGMA journal_mode"), "delete");
        assert_eq!(read("SELECT CAST((SELECT count(*) FROM first) = (SELECT count(*) FROM last) AS TEXT)"), "1");
        assert_eq!(read("SELECT count(*) || '' FROM meta"), "4000");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "from.db, its log and index, to.db");
    }
}
