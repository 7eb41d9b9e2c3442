//! What is opened, what is refused, and what a refusal leaves as it was.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::*;
use crate::store::lock::beside;
use crate::store::torn::{self, InFile};

const FILE: &str = "koogate.db";

/// Refused, with this text; the database and its log are byte for byte what they were.
fn check_refused(scratch: &Scratch, expected: &str) -> OpenError {
    let (file, log) = (scratch.path(FILE), beside(&scratch.path(FILE), "-wal"));
    let bytes = |path: &Path| fs::read(path).unwrap_or_default();
    let before = (bytes(&file), bytes(&log));
    let error = scratch.try_open(Role::Server).err().expect("a refusal");
    assert!(error.to_string().contains(expected), "{error}");
    assert!((bytes(&file), bytes(&log)) == before, "the refused file was changed");
    error
}

/// Copies a database and its log as they are at this moment, without the lock file.
fn copy_live(from: &Scratch, to: &Scratch, with_log: bool) {
    fs::copy(from.path(FILE), to.path(FILE)).unwrap();
    if with_log {
        fs::copy(beside(&from.path(FILE), "-wal"), beside(&to.path(FILE), "-wal")).unwrap();
    }
}

#[test]
fn a_newer_database_is_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    scratch.open().close().unwrap();
    for journal_mode in ["WAL", "DELETE"] {
        let newer = Connection::open(scratch.path(FILE)).unwrap();
        newer.execute_batch(&format!("PRAGMA journal_mode = {journal_mode}; PRAGMA user_version = 99;")).unwrap();
        newer.close().unwrap();
        let error = check_refused(&scratch, "has schema version 99, this koogate knows up to 2");
        assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    }
}

#[test]
fn somebody_elses_database_is_refused() {
    let scratch = Scratch::new();
    Connection::open(scratch.path(FILE))
        .unwrap()
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    check_refused(&scratch, "is no koogate database");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let scratch = Scratch::new();
    fs::write(scratch.path(FILE), "precious notes\n".repeat(500)).unwrap();
    check_refused(&scratch, "file is not a database");
}

#[test]
fn an_empty_file_becomes_a_database_for_a_start_may_have_ended_there() {
    let scratch = Scratch::new();
    fs::write(scratch.path(FILE), "").unwrap();
    assert_eq!(rows(&scratch.open(), "exchange"), 0);
}

#[test]
fn a_log_whose_database_is_missing_or_empty_is_not_thrown_away() {
    let (live, scratch) = (Scratch::new(), Scratch::new());
    let store = live.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    fs::copy(beside(&live.path(FILE), "-wal"), beside(&scratch.path(FILE), "-wal")).unwrap();
    check_refused(&scratch, "there is a log of changes to it");
    assert!(!scratch.path(FILE).exists());
    fs::write(scratch.path(FILE), "").unwrap();
    check_refused(&scratch, "there is a log of changes to it");
}

#[test]
fn a_copy_of_a_live_database_without_its_log_is_refused_however_whole_it_looks() {
    let (live, scratch) = (Scratch::new(), Scratch::new());
    let store = live.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    copy_live(&live, &scratch, false);
    let error = check_refused(&scratch, "the snapshot beside the database: `koogate restore koogate.snapshot.db`");
    assert!(error.to_string().contains("copied while koogate had it open"), "{error}");
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
}

#[test]
fn a_copy_of_a_live_database_that_is_put_back_after_a_clean_stop_is_refused() {
    let (scratch, kept) = (Scratch::new(), Scratch::new());
    let store = scratch.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    copy_live(&scratch, &kept, false);
    store.close().unwrap();
    scratch.open().close().unwrap();
    fs::copy(kept.path(FILE), scratch.path(FILE)).unwrap();
    check_refused(&scratch, "copied while koogate had it open");
}

#[test]
fn a_copy_with_its_log_starts_when_all_of_it_is_whole() {
    let (live, scratch) = (Scratch::new(), Scratch::new());
    let store = live.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    copy_live(&live, &scratch, true);
    assert_eq!(rows(&scratch.open(), "exchange"), 1);
}

#[test]
fn a_snapshot_laid_over_a_crashed_database_with_a_log_does_not_start_unseen() {
    let (live, crashed) = (Scratch::new(), Scratch::new());
    let store = live.open();
    for number in 0..200 {
        store.write(None, move |tx| create(tx, &format!("CS{number}"))).unwrap();
    }
    snapshot::take(&store, &crashed.path("snapshot.db")).unwrap();
    // Moved into the file: what follows stands in the log alone.
    store.write(None, |tx| tx.execute("age", "UPDATE exchange SET peer = 'elsewhere' WHERE id < 20", [])).unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    for number in 0..50 {
        store.write(None, move |tx| create(tx, &format!("new{number}"))).unwrap();
    }
    fs::rename(crashed.path("snapshot.db"), crashed.path(FILE)).unwrap();
    fs::copy(beside(&live.path(FILE), "-wal"), beside(&crashed.path(FILE), "-wal")).unwrap();
    fs::copy(beside(&live.path(FILE), ".lock"), beside(&crashed.path(FILE), ".lock")).unwrap();
    check_refused(&crashed, "the -wal beside it belongs to another database");
}

#[test]
fn a_truncated_database_is_refused() {
    let scratch = Scratch::new();
    let store = scratch.open();
    write_calls(&store, 0..200);
    store.close().unwrap();
    let file = fs::File::options().write(true).open(scratch.path(FILE)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    check_refused(&scratch, "is damaged or was copied while koogate was running");
}

#[test]
fn a_file_that_is_too_short_because_its_log_was_being_moved_is_known_by_its_mark() {
    let (live, killed, moved) = (Scratch::new(), Scratch::new(), Scratch::new());
    let store = live.open();
    write_calls(&store, 0..200);
    for copy in [&killed, &moved] {
        copy_live(&live, copy, true);
    }
    let lock = fs::read_to_string(beside(&live.path(FILE), ".lock")).unwrap();
    fs::write(beside(&killed.path(FILE), ".lock"), &lock).unwrap();
    move_log(&moved.path(FILE));
    // The first page goes first, and says how long the file is going to be.
    let first_page = &fs::read(moved.path(FILE)).unwrap()[..4096];
    fs::File::options().write(true).open(killed.path(FILE)).unwrap().write_all_at(first_page, 0).unwrap();
    let InFile::Marked(mark) = torn::in_file(&killed.path(FILE)) else { panic!("no mark") };
    assert_eq!(lock.lines().nth(1), Some(&*mark));
    assert_eq!(rows(&killed.open(), "exchange"), 200);
}

#[test]
fn one_that_has_lost_its_end_is_checked_and_refused() {
    let (live, scratch) = (Scratch::new(), Scratch::new());
    let store = live.open();
    write_calls(&store, 0..200);
    move_log(&live.path(FILE));
    write_calls(&store, 200..201);
    copy_live(&live, &scratch, true);
    fs::copy(beside(&live.path(FILE), ".lock"), beside(&scratch.path(FILE), ".lock")).unwrap();
    let file = fs::File::options().write(true).open(scratch.path(FILE)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    assert!(matches!(torn::in_file(&scratch.path(FILE)), InFile::Unreadable));
    check_refused(&scratch, "is damaged or was copied while koogate was running");
}

fn write_calls(store: &Store, numbers: Range<u32>) {
    store
        .write(None, move |tx| numbers.clone().try_for_each(|number| create(tx, &format!("CS{number}")).map(drop)))
        .unwrap();
}

/// The next commit begins the log anew, and it stays its connection's.
fn move_log(database: &Path) {
    let connection = Connection::open(database).unwrap();
    let left = "PRAGMA wal_checkpoint(PASSIVE)";
    let left: i64 = connection.query_row(left, [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)).unwrap();
    assert_eq!(left, 0, "somebody was in the way");
}

#[test]
fn a_second_server_is_refused_and_told_who_has_it() {
    let scratch = Scratch::new();
    let _first = scratch.open();
    let error = scratch.try_open(Role::Server).err().unwrap().to_string();
    assert!(error.contains(&format!("is in use by another koogate (process {})", std::process::id())), "{error}");
}

#[test]
fn everything_in_the_folder_is_for_the_owner_alone() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    snapshot::take(&store, &scratch.path("koogate.snapshot.db")).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(scratch.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let beside = ["-shm", "-wal", ".lock"].map(|suffix| format!("{FILE}{suffix}"));
    assert_eq!(names, [vec![FILE.to_owned()], beside.to_vec(), vec!["koogate.snapshot.db".to_owned()]].concat());
}

#[test]
fn a_snapshot_leaves_the_locks_of_the_database_alone() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    let file = format!(":{} ", fs::metadata(store.path()).unwrap().ino());
    let is_locked = || fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains(&file));
    assert!(is_locked());
    snapshot::take(&store, &scratch.path("koogate.snapshot.db")).unwrap();
    assert!(is_locked(), "another process would take itself for the last one, and remove the log");
    store.close().unwrap();
    assert!(!is_locked());
    let after = snapshot::take(&store, &scratch.path("koogate.snapshot.db")).unwrap_err();
    assert!(matches!(after, snapshot::SnapshotError::Store(StoreError::Closed)), "{after}");
}

#[test]
fn a_copy_that_a_dead_process_left_unfinished_is_removed_and_a_living_ones_is_not() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let (dead, living) = (".koogate-snapshot-1-0.tmp", ".koogate-snapshot-2-0.tmp");
    fs::write(scratch.path(dead), "half a copy").unwrap();
    fs::write(beside(&scratch.path(dead), "-wal"), "and its log").unwrap();
    let living_file = fs::File::create(scratch.path(living)).unwrap();
    living_file.lock().unwrap();
    snapshot::take(&store, &scratch.path("koogate.snapshot.db")).unwrap();
    assert!(!scratch.path(dead).exists() && !beside(&scratch.path(dead), "-wal").exists());
    assert!(scratch.path(living).exists());
}

#[test]
fn every_changed_byte_of_a_snapshot_is_found() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| create(tx, "CS1")).unwrap();
    let copy = scratch.path("copy.db");
    let taken = snapshot::take(&store, &copy).unwrap();
    assert_eq!(snapshot::verify(&copy, store.sealing(), snapshot::Origin::Copy).unwrap(), taken);
    let whole = fs::read(&copy).unwrap();
    // A prime step: all parts of all pages, unused space and the digest itself included.
    for place in (0..whole.len()).step_by(997) {
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        fs::write(&copy, &changed).unwrap();
        assert!(snapshot::verify(&copy, store.sealing(), snapshot::Origin::Copy).is_err(), "byte {place}");
    }
}

#[test]
fn the_sqlite_inside_is_one_without_the_known_faults_of_its_log() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}
