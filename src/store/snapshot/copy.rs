//! Copying a database into another file while calls are answered.
//!
//! While a reader holds a view of the database, its log cannot be written over and grows. So the view must be short, and most
//! of a large database is copied without one: its pages as they lie in the file, whatever is moved there meanwhile. Then,
//! under a view, the log is copied and every page looked at again; what has changed is copied again.
//!
//! That this is one state of the database follows from what SQLite does while a reader holds a view: it moves nothing into
//! the file that is newer than the view, and begins the log anew only where the view needs nothing of it. So whatever can have
//! changed in the file while it was looked at is in the log that was copied, and stands there whole. SQLite plays that over
//! the copy as it would after a crash.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, Transaction};

use super::SnapshotError;
use super::files::{create_private, failed};
use super::pace::{CHUNK, Named, Pace, read_at};
use super::pages::{LITTLE, Pages};
use crate::store::frames::{FRAME_HEAD, LOG_HEAD};
use crate::store::lock::beside;
use crate::store::schedule::Progress;
use crate::store::{StoreError, wal};

/// Under load the log is begun anew every few seconds. The copy of a large database waits for that so long: a short log is
/// copied and played over quickly.
const SHORT_LOG_PATIENCE: Duration = Duration::from_secs(20);

/// Copies all of a database into the empty file `to`. `source` and `counter` are connections to it, `database` is its file.
pub(super) fn beside_commits(
    [source, counter]: [&Connection; 2],
    database: Named<'_>,
    to: Named<'_>,
) -> Result<(), SnapshotError> {
    let page_size = page_size(source)?;
    let mut pages = Pages::new(database, to, page_size);
    if pages.copy_without_view()? {
        wait_for_short_log(counter, page_size)?;
    }
    let view = begin_view(source)?;
    // Commits after the view may be among them: what counts is that all up to the view are.
    let frames = u64::try_from(wal::progress(counter)?.pages).unwrap_or(0);
    if frames > 0 {
        let length = LOG_HEAD as u64 + frames * (FRAME_HEAD + page_size) as u64;
        copy_log(&beside(database.path, "-wal"), &beside(to.path, "-wal"), length, &mut || ())?;
    }
    pages.copy_what_has_changed()?;
    pages.cut()?;
    view.rollback().map_err(StoreError::sqlite("end the view"))?;
    settle(to.path)
}

/// The same from a connection that has the database for itself.
pub(super) fn alone(source: &Connection, to: &Path) -> Result<(), SnapshotError> {
    let doing = "write the snapshot";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags).map_err(StoreError::sqlite(doing))?;
    // A copy that does not come to its end is thrown away, and nobody else has it.
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;")
        .map_err(StoreError::sqlite(doing))?;
    Backup::new(source, &mut target)
        .and_then(|backup| backup.run_to_completion(256, Duration::from_millis(50), None))
        .map_err(StoreError::sqlite(doing))?;
    target.close().map_err(|(_, source)| StoreError::Sqlite { doing, source })?;
    settle(to)
}

/// Waits until the log has been begun anew, if that happens soon.
fn wait_for_short_log(counter: &Connection, page_size: usize) -> Result<(), StoreError> {
    let until = Instant::now() + SHORT_LOG_PATIENCE;
    while is_worth_waiting_for(wal::progress(counter)?, page_size) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a log is long, and will be shorter soon. One that is all moved waits for the next commit, whenever that comes.
fn is_worth_waiting_for(log: Progress, page_size: usize) -> bool {
    log.pages > (LITTLE / page_size as u64).cast_signed() && log.left() > 0
}

fn page_size(source: &Connection) -> Result<usize, StoreError> {
    let size = source.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0));
    size.map(|size| size as usize).map_err(StoreError::sqlite("read the page size"))
}

fn begin_view(source: &Connection) -> Result<Transaction<'_>, StoreError> {
    let doing = "begin a view";
    let view = source.unchecked_transaction().map_err(StoreError::sqlite(doing))?;
    // The transaction takes its view with its first look.
    view.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).map_err(StoreError::sqlite(doing))?;
    Ok(view)
}

/// Has SQLite play the log over the pages, and makes the copy one file that needs no log.
fn settle(copy: &Path) -> Result<(), SnapshotError> {
    let doing = "finish the snapshot";
    let connection =
        Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(StoreError::sqlite(doing))?;
    // Alone, it needs no shared memory; and what is written is synced before the copy gets its name.
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;")
        .map_err(StoreError::sqlite(doing))?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(StoreError::sqlite(doing))?;
    if mode != "delete" {
        return Err(failed("cannot finish", copy)(io::Error::other("it keeps its log")));
    }
    Ok(connection.close().map_err(|(_, source)| StoreError::Sqlite { doing, source })?)
}

/// Copies the first frames of a log. Where the view needs nothing of it, the log may be begun anew under the hands of who
/// copies it; it is copied again then. That happens once at most: the new one can only be moved after the view. After each
/// chunk `meanwhile` is called, for the tests.
fn copy_log(from: &Path, to: &Path, length: u64, meanwhile: &mut dyn FnMut()) -> Result<(), SnapshotError> {
    let log = File::open(from).map_err(failed("cannot read", from))?;
    let copy = create_private(to)?;
    let head = || {
        let mut head = [0; LOG_HEAD];
        read_at(&log, &mut head, 0).map(|_| head).map_err(failed("cannot read", from))
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        let begun_with = head()?;
        copy.set_len(0).map_err(failed("cannot cut", to))?;
        let (mut at, mut pace) = (0, Pace::new(Named { file: &copy, path: to }));
        while at < length {
            let wanted = chunk.len().min(usize::try_from(length - at).unwrap_or(CHUNK));
            let read = read_at(&log, &mut chunk[..wanted], at).map_err(failed("cannot read", from))?;
            pace.write(&chunk[..read], at)?;
            if read < wanted {
                break;
            }
            at += read as u64;
            pace.pause();
            meanwhile();
        }
        if head()? == begun_with {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::file::DatabaseFile;

    /// A database that is written and moved all the time. Each commit adds to one row of `state`, takes from another, both on
    /// pages of their own, and writes down in `commits` which they were.
    struct Busy {
        folder: tempfile::TempDir,
        reader: Connection,
        counter: Connection,
        /// Dropped after the connections.
        file: DatabaseFile,
    }

    impl Busy {
        fn new(ballast: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("from.db");
            let writer = Connection::open(&path).unwrap();
            writer
                .execute_batch(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0;
                     PRAGMA cache_size = 16;
                     CREATE TABLE meta (x); CREATE TABLE ballast (x); CREATE TABLE state (number, x);
                     CREATE TABLE commits (gives, takes);
                     INSERT INTO meta VALUES (1);
                     WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
                     INSERT INTO state SELECT 0, randomblob(3000) FROM n;",
                )
                .unwrap();
            writer.execute("INSERT INTO ballast VALUES (randomblob(?1))", [ballast.cast_signed()]).unwrap();
            let file = DatabaseFile::open(&path).unwrap();
            Self { reader: writer, counter: Connection::open(&path).unwrap(), folder, file }
        }

        /// Takes so many copies while there are commits and moves, and checks them.
        fn copy(&self, copies: usize) {
            let over = &AtomicBool::new(false);
            let writer = Connection::open(self.path("from.db")).unwrap();
            let taken: Vec<_> = std::thread::scope(|scope| {
                scope.spawn(move || keep_writing(&writer, over));
                let _end = End(over);
                let copies = (0..copies).map(|number| {
                    let path = self.path(&format!("to-{number}.db"));
                    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
                    let from = Named { file: self.file.get(), path: &self.path("from.db") };
                    let before = commits_in(&self.reader);
                    beside_commits([&self.reader, &self.counter], from, Named { file: &file, path: &path }).unwrap();
                    (path, before, commits_in(&self.reader))
                });
                copies.collect()
            });
            for (path, before, after) in taken {
                let found = check(&path);
                // Where the log was begun anew, what is just being committed may be in the copy, too.
                assert!((before..=after + 1).contains(&found), "{found} is not between {before} and {after}");
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }
    }

    /// Ends the other threads, also when a check fails.
    struct End<'o>(&'o AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Commits, and moves the log in every way. While a view holds it back, no more of it is written than a test has room for.
    fn keep_writing(writer: &Connection, over: &AtomicBool) {
        writer
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 16")
            .unwrap();
        for how in ["PASSIVE", "RESTART", "PASSIVE", "TRUNCATE"].iter().cycle() {
            if over.load(Ordering::Relaxed) {
                break;
            }
            writer.busy_timeout(Duration::ZERO).unwrap();
            let how = format!("PRAGMA wal_checkpoint({how})");
            let pages: i64 = writer.query_row(&how, [], |row| row.get(1)).unwrap();
            // A reader that meets the index of the log half written locks writers out for a moment.
            writer.busy_timeout(Duration::from_secs(60)).unwrap();
            for _ in 0..if pages < 5000 { 5 } else { 0 } {
                writer
                    .execute_batch(
                        "BEGIN; INSERT INTO commits VALUES (abs(random()) % 300 + 1, abs(random()) % 300 + 1);
                         UPDATE state SET number = number - 1
                         WHERE rowid = (SELECT gives FROM commits ORDER BY rowid DESC LIMIT 1);
                         UPDATE state SET number = number + 1
                         WHERE rowid = (SELECT takes FROM commits ORDER BY rowid DESC LIMIT 1); COMMIT",
                    )
                    .unwrap();
            }
        }
    }

    fn commits_in(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM commits", [], |row| row.get(0)).unwrap()
    }

    /// Whether a copy is one state of the database, in one file; how many commits are in it.
    fn check(path: &Path) -> i64 {
        let copy = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let read = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(read("PRAGMA integrity_check"), "ok");
        assert_eq!(read("PRAGMA journal_mode"), "delete");
        let differing = "SELECT count(*) || '' FROM (
             SELECT id, sum(number) AS number FROM (
               SELECT gives AS id, -1 AS number FROM commits UNION ALL SELECT takes, 1 FROM commits
             ) GROUP BY id
             ) AS change FULL JOIN state ON state.rowid = change.id WHERE state.number IS NOT coalesce(change.number, 0)";
        assert_eq!(read(differing), "0", "rows that are not what the commits have made of them");
        assert!(!beside(path, "-wal").exists() && !beside(path, "-shm").exists());
        commits_in(&copy)
    }

    #[test]
    fn a_copy_is_one_state_of_the_database_however_much_is_committed_and_moved_meanwhile() {
        Busy::new(0).copy(50);
    }

    #[test]
    fn so_is_one_of_a_large_database_most_of_which_is_copied_before() {
        Busy::new(2 * LITTLE).copy(3);
    }

    #[test]
    fn a_log_that_is_begun_anew_while_it_is_copied_is_copied_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("from.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0;
                 CREATE TABLE meta (x); INSERT INTO meta VALUES (1); CREATE TABLE state (number, x);
                 WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                 INSERT INTO state SELECT 0, randomblob(3000) FROM n;
                 PRAGMA wal_checkpoint(TRUNCATE); UPDATE state SET number = 1 WHERE rowid <= 100;",
            )
            .unwrap();
        // A part of this log would take some rows back.
        writer.execute_batch("UPDATE state SET number = 2; PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        let reader = Connection::open(&path).unwrap();
        let view = begin_view(&reader).unwrap();
        let to = folder.path().join("to.db");
        let mut chunks = 0;
        let mut begin_anew = || {
            chunks += 1;
            if chunks == 1 {
                writer.execute_batch("UPDATE state SET number = 3").unwrap();
            }
        };
        let length = std::fs::metadata(beside(&path, "-wal")).unwrap().len();
        copy_log(&beside(&path, "-wal"), &beside(&to, "-wal"), length, &mut begin_anew).unwrap();
        std::fs::copy(&path, &to).unwrap();
        view.rollback().unwrap();
        settle(&to).unwrap();
        let copy = Connection::open(&to).unwrap();
        let numbers = copy.query_row("SELECT min(number), max(number) FROM state", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        assert_eq!(numbers.unwrap(), (3, 3));
    }

    #[test]
    fn a_long_log_is_waited_for_unless_all_of_it_is_moved() {
        let is_worth_it = |pages, moved| is_worth_waiting_for(Progress { pages, moved }, 4096);
        assert!(is_worth_it(8193, 0) && is_worth_it(8193, 8192));
        assert!(!is_worth_it(8193, 8193) && !is_worth_it(8192, 0));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("from.db");
        let writer = Connection::open(&path).unwrap();
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0";
        let long = format!("CREATE TABLE state (x); INSERT INTO state VALUES (zeroblob({}))", 2 * LITTLE);
        writer.execute_batch(&format!("{pragmas}; {long}")).unwrap();
        let counter = Connection::open(&path).unwrap();
        let waiting = std::thread::spawn(move || {
            wait_for_short_log(&counter, 4096).unwrap();
            wal::progress(&counter).unwrap()
        });
        writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        // It may have been met when all of it was moved and it was not cut yet.
        let after = waiting.join().unwrap();
        assert!(!is_worth_waiting_for(after, 4096), "{after:?}");
    }
}
