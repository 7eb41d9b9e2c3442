//! The write-ahead log: moved when idle and when it has grown, never without end, gone after a clean stop.

use std::time::Duration;

use super::*;
use crate::store::lock::beside;

fn log_bytes(scratch: &Scratch) -> u64 {
    std::fs::metadata(beside(&scratch.path("koogate.db"), "-wal")).map_or(0, |file| file.len())
}

/// Commits about so many MiB.
fn write_mib(store: &Store, mib: usize) {
    for _ in 0..mib {
        let large = NewExchange { request_body: vec![7; 1 << 20], ..call("CS", at(0), Environment::Real) };
        store.write(None, move |tx| tx.insert_exchange(&large)).unwrap();
    }
}

#[test]
fn the_log_is_begun_anew_seldom_and_stays_within_its_bound() {
    let scratch = Scratch::new();
    let store = scratch.open();
    write_mib(&store, 100);
    assert!(log_bytes(&scratch) > 96 << 20, "{}", log_bytes(&scratch));
    write_mib(&store, 220);
    assert!(log_bytes(&scratch) < 288 << 20, "{}", log_bytes(&scratch));
}

#[test]
fn a_log_that_a_reader_has_made_large_is_cut_when_the_reader_lets_go() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    let reader = open::read_only(store.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM exchange;").unwrap();
    write_mib(&store, 400);
    assert!(log_bytes(&scratch) > 384 << 20);
    reader.execute_batch("COMMIT").unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while log_bytes(&scratch) > 0 {
        assert!(Instant::now() < until, "{}", log_bytes(&scratch));
        std::thread::sleep(Duration::from_millis(20));
    }
    write_mib(&store, 1);
}

#[test]
fn beside_work_such_a_log_is_cut_bit_by_bit() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    let reader = open::read_only(store.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM exchange;").unwrap();
    write_mib(&store, 440);
    reader.execute_batch("COMMIT").unwrap();
    let (mut before, mut cuts, until) = (log_bytes(&scratch), 0, Instant::now() + Duration::from_secs(120));
    while cuts < 2 {
        write_mib(&store, 1);
        let now = log_bytes(&scratch);
        assert!(before.saturating_sub(now) <= 16 << 20, "{before} -> {now}");
        cuts += u32::from(now < before);
        before = now;
        assert!(Instant::now() < until, "{now}");
    }
}

#[test]
fn a_log_that_litestream_follows_is_cut_before_it_is_written_over() {
    for (follow, is_cut) in
        [("SELECT 1", false), ("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)", true)]
    {
        let scratch = Scratch::new();
        let store = scratch.open();
        // It may come at any time.
        let follower = rusqlite::Connection::open(store.path()).unwrap();
        follower.execute_batch(&format!("PRAGMA wal_autocheckpoint = 0; {follow}")).unwrap();
        // So much that it is moved beside the commits; on a busy disk that takes its time.
        let (mut was_large, mut was_cut, until) = (false, false, Instant::now() + Duration::from_secs(120));
        for written in 0.. {
            write_mib(&store, 1);
            was_large |= log_bytes(&scratch) >= 16 << 20;
            was_cut |= was_large && log_bytes(&scratch) < 8 << 20;
            if written >= 40 && (was_cut || !is_cut || Instant::now() > until) {
                break;
            }
        }
        assert!(was_large);
        assert_eq!(was_cut, is_cut, "{} bytes", log_bytes(&scratch));
    }
}

#[test]
fn a_clean_stop_leaves_the_database_and_its_lock_file() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| insert_call(tx, "CS")).unwrap();
    rows(&store, "exchange");
    store.version().unwrap();
    store.close().unwrap();
    assert_eq!(names(&scratch), ["koogate.db", "koogate.db.lock"]);
    // A drop without a word of it does the same.
    drop(scratch.open());
    assert_eq!(names(&scratch), ["koogate.db", "koogate.db.lock"]);
}

#[test]
fn a_command_that_outlives_the_server_leaves_one_whole_file_too() {
    let scratch = Scratch::new();
    let server = scratch.open();
    let command = scratch.try_open(Role::Command).unwrap();
    server.close().unwrap();
    command.write(None, |tx| insert_call(tx, "CS")).unwrap();
    command.close().unwrap();
    assert_eq!(names(&scratch), ["koogate.db", "koogate.db.lock"]);
    assert_eq!(rows(&scratch.open(), "exchange"), 1);
}

#[test]
fn a_command_beside_the_server_leaves_everything_as_it_is() {
    let scratch = Scratch::new();
    let server = scratch.open();
    let command = scratch.try_open(Role::Command).unwrap();
    command.write(None, |tx| insert_call(tx, "CS")).unwrap();
    command.close().unwrap();
    assert!(log_bytes(&scratch) > 0);
    server.write(None, |tx| insert_call(tx, "CS")).unwrap();
    assert_eq!(rows(&server, "exchange"), 2);
}

fn names(scratch: &Scratch) -> Vec<String> {
    let entries = std::fs::read_dir(scratch.folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
