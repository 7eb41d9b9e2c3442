//! Restores that do not begin on clean ground.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::store::lock::{ServerLock, beside};
use crate::store::snapshot::{Origin, restore, take};
use crate::store::torn;

const FILE: &str = "koogate.db";

/// A store with so many calls, and a snapshot of it.
fn snapshot_of(calls: usize, copy: &Path) {
    let scratch = Scratch::new();
    let store = scratch.open();
    for _ in 0..calls {
        store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    }
    take(&store, copy).unwrap();
}

#[test]
fn the_journal_of_a_restore_that_died_is_not_played_back_into_the_next_copy() {
    let scratch = Scratch::new();
    let (small, large) = (scratch.path("small.db"), scratch.path("large.db"));
    snapshot_of(1, &small);
    snapshot_of(500, &large);
    let (arriving, journal) = (scratch.path("koogate.db.arriving"), scratch.path("koogate.db.arriving-journal"));
    fs::copy(&small, &arriving).unwrap();
    let dies = Connection::open(&arriving).unwrap();
    dies.execute_batch("PRAGMA synchronous = OFF; BEGIN; UPDATE meta SET snapshot_at = NULL; CREATE TABLE more (a);")
        .unwrap();
    let left = fs::read(&journal).unwrap();
    drop(dies);
    assert!(!left.is_empty());
    fs::write(&journal, left).unwrap();

    restore(&large, &scratch.path(FILE), &key(1), Origin::Copy).unwrap();
    assert!(!journal.exists() && !arriving.exists());
    assert_eq!(rows(&scratch.open(), "exchange"), 500);
}

#[test]
fn a_log_that_has_lost_its_database_is_kept_too() {
    let (live, scratch) = (Scratch::new(), Scratch::new());
    let copy = scratch.path("copy.db");
    snapshot_of(1, &copy);
    let store = live.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    let log = fs::read(beside(store.path(), "-wal")).unwrap();
    fs::write(beside(&scratch.path(FILE), "-wal"), &log).unwrap();
    let kept = restore(&copy, &scratch.path(FILE), &key(1), Origin::Copy).unwrap().replaced.unwrap();
    assert!(fs::read(beside(&kept, "-wal")).unwrap() == log);
    assert_eq!(rows(&scratch.open(), "exchange"), 1);
}

#[test]
fn a_restore_that_is_gone_on_with_knows_where_the_lost_database_is() {
    for is_kept_already in [false, true] {
        let scratch = Scratch::new();
        let (database, copy) = (scratch.path(FILE), scratch.path("copy.db"));
        snapshot_of(1, &copy);
        scratch.open().close().unwrap();
        let first = restore(&copy, &database, &key(1), Origin::Copy).unwrap().replaced.unwrap();
        // As it was when the copy was decided on, or when the old database had its second name.
        let incoming = scratch.path("koogate.db.restoring");
        fs::rename(&database, &incoming).unwrap();
        if is_kept_already {
            fs::hard_link(&first, &database).unwrap();
        } else {
            fs::rename(&first, &database).unwrap();
        }
        let second = restore(&incoming, &database, &key(1), Origin::Copy).unwrap().replaced.unwrap();
        let expected = if is_kept_already { first } else { second };
        let restored = scratch.open();
        let row = restored.read(|tx| tx.last_restore()).unwrap().unwrap();
        assert_eq!(row.replaced.as_deref(), expected.file_name().unwrap().to_str());
        assert!(expected.exists());
        assert_eq!(rows(&restored, "restore"), 1);
    }
}

#[test]
fn numbers_of_a_restored_database_that_is_replaced_again_go_to_no_other_call() {
    let scratch = Scratch::new();
    let (database, copy) = (scratch.path(FILE), scratch.path("copy.db"));
    snapshot_of(1, &copy);
    let mut numbers = Vec::new();
    for _ in 0..2 {
        restore(&copy, &database, &key(1), Origin::Copy).unwrap();
        let restored = scratch.open();
        numbers.push(restored.write(None, |tx| insert_call(tx, "CS")).unwrap());
        assert_eq!(restored.read(|tx| snapshot::examine(tx.connection)).unwrap(), Vec::<String>::new());
        restored.close().unwrap();
    }
    assert_eq!(numbers, [1_000_002, 2_000_003]);
}

#[test]
fn a_database_that_was_closed_with_a_log_is_restored_into_one_file() {
    let scratch = Scratch::new();
    let copy = scratch.path("copy.db");
    snapshot_of(3, &copy);
    let closed = Connection::open(&copy).unwrap();
    closed
        .execute_batch("PRAGMA journal_mode = WAL; UPDATE meta SET snapshot_at = NULL, snapshot_digest = NULL")
        .unwrap();
    drop(closed);
    restore(&copy, &scratch.path(FILE), &key(1), Origin::Copy).unwrap();
    let header = fs::read(scratch.path(FILE)).unwrap();
    assert_eq!(header[18..20], [1, 1], "it keeps no log");
    let restored = scratch.open();
    assert_eq!((rows(&restored, "restore"), rows(&restored, "exchange")), (1, 3));
}

#[test]
fn whoever_leaves_the_log_takes_back_first_that_there_is_one() {
    let scratch = Scratch::new();
    scratch.open().close().unwrap();
    let connection = Connection::open(scratch.path(FILE)).unwrap();
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    let mut lock = ServerLock::take(&scratch.path(FILE)).ok().unwrap();
    lock.set_lineage(Some(7)).unwrap();
    assert!(torn::leave_log(&connection, &mut lock).unwrap());
    drop(lock);
    assert_eq!(ServerLock::take(&scratch.path(FILE)).ok().unwrap().lineage(), None);
}
