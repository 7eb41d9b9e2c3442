//! Group commit: many share one, none takes another along, and nobody waits for ever.

use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::*;

/// Long enough that only something that hangs takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops the writer until the returned sender is dropped; works that come meanwhile share the next commit.
fn hold_writer(store: &Arc<Store>) -> std::sync::mpsc::Sender<()> {
    let (release, released) = channel::<()>();
    let (begun, has_begun) = channel();
    let holder = Arc::clone(store);
    thread::spawn(move || {
        holder.write(None, move |_| {
            begun.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        })
    });
    has_begun.recv_timeout(PATIENCE).unwrap();
    release
}

/// Waits until so much work stands in the queue.
fn wait_for_queue(store: &Store, length: usize) {
    while store.writer.queued() < length {
        thread::yield_now();
    }
}

#[test]
fn works_that_come_while_the_disk_is_busy_share_one_commit() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let before = store.commits();
    let release = hold_writer(&store);
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.write(None, move |tx| insert_call(tx, &format!("CS{number}"))).unwrap())
        })
        .collect();
    wait_for_queue(&store, 20);
    drop(release);
    let mut ids: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    let after = store.commits();
    assert_eq!((after.works - before.works, after.commits - before.commits), (21, 2));
    assert_eq!(rows(&store, "exchange"), 20);
}

#[test]
fn a_commit_holds_no_more_works_than_configured() {
    let scratch = Scratch::new();
    let settings = Settings { commit_batch: 4, ..scratch.settings() };
    let store = Arc::new(Store::open(&settings, Role::Server, key(1)).unwrap());
    let release = hold_writer(&store);
    let writers: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.write(None, |tx| insert_call(tx, "CS")).unwrap())
        })
        .collect();
    wait_for_queue(&store, 10);
    drop(release);
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(store.commits().commits, 1 + 3);
}

#[test]
fn a_work_that_fails_or_panics_leaves_no_trace_and_takes_nobody_with_it() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let release = hold_writer(&store);
    let spawn = |work: fn(&Tx<'_>) -> Result<i64, StoreError>| {
        let store = Arc::clone(&store);
        thread::spawn(move || store.write(None, work))
    };
    let good = spawn(|tx| insert_call(tx, "good"));
    wait_for_queue(&store, 1);
    let refused = spawn(|tx| {
        insert_call(tx, "refused")?;
        Err(StoreError::BadRow { table: "exchange", problem: "made up".to_owned() })
    });
    wait_for_queue(&store, 2);
    let panicking = spawn(|tx| {
        insert_call(tx, "panicking")?;
        panic!("made up");
    });
    wait_for_queue(&store, 3);
    let breaking = spawn(|tx| {
        insert_call(tx, "breaking")?;
        tx.insert("break a rule", "INSERT INTO answer VALUES (77, 'k', x'', '', 1)", [])
    });
    wait_for_queue(&store, 4);
    let last = spawn(|tx| insert_call(tx, "last"));
    wait_for_queue(&store, 5);
    let before = store.commits().commits;
    drop(release);

    assert_eq!(good.join().unwrap().unwrap(), 1);
    assert!(matches!(refused.join().unwrap(), Err(StoreError::BadRow { .. })));
    assert!(matches!(panicking.join().unwrap(), Err(StoreError::Panicked(text)) if text == "made up"));
    assert!(matches!(breaking.join().unwrap(), Err(StoreError::Sqlite { doing: "break a rule", .. })));
    // The journal is numbered without gaps, whoever failed.
    assert_eq!(last.join().unwrap().unwrap(), 2);
    assert_eq!(store.commits().commits - before, 2, "the one that was held and the one with all five");
    let orders: Vec<String> =
        store.read(|tx| tx.all("list", "SELECT order_id FROM exchange ORDER BY id", [], |row| row.get(0))).unwrap();
    assert_eq!(orders, ["good", "last"]);
}

#[test]
fn work_that_nobody_waits_for_any_more_is_not_done() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let release = hold_writer(&store);
    let soon = Instant::now() + Duration::from_millis(20);
    let late = store.write(Some(soon), |tx| insert_call(tx, "late"));
    assert!(matches!(late, Err(StoreError::TimedOut)));
    drop(release);
    // The queue is first in, first out.
    store.write(None, |_| Ok(())).unwrap();
    assert_eq!(rows(&store, "exchange"), 0);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let release = hold_writer(&store);
    let over = Instant::now();
    let mut refused = 0;
    for _ in 0..8192 + 3 {
        // A deadline that has passed leaves the work in the queue and does not wait.
        match store.write(Some(over), |_| Ok(())) {
            Err(StoreError::TimedOut) => {}
            Err(StoreError::Overloaded(8192)) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 3);
    drop(release);
    // And works again when the disk has caught up.
    let until = Instant::now() + PATIENCE;
    while store.write(None, |_| Ok(())).is_err() {
        assert!(Instant::now() < until);
        thread::yield_now();
    }
}

#[test]
fn closing_does_what_is_queued_first() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let release = hold_writer(&store);
    let writers: Vec<_> = (0..5)
        .map(|_| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.write(None, |tx| insert_call(tx, "CS")))
        })
        .collect();
    wait_for_queue(&store, 5);
    store.writer.announce_end();
    assert!(matches!(store.write(None, |_| Ok(())), Err(StoreError::Closed)));
    drop(release);
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
    // The thread that held the writer lets go of the store when its work is done.
    let mut store = store;
    let store = loop {
        match Arc::try_unwrap(store) {
            Ok(store) => break store,
            Err(shared) => store = shared,
        }
        thread::yield_now();
    };
    store.close().unwrap();
    assert_eq!(rows(&scratch.open(), "exchange"), 5);
}

#[test]
fn readers_see_whole_commits_and_do_not_wait_for_the_writer() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let (inserted, has_inserted) = sync_channel(0);
    let (release, released) = channel::<()>();
    let writing = Arc::clone(&store);
    let writer = thread::spawn(move || {
        writing.write(None, move |tx| {
            insert_call(tx, "CS")?;
            inserted.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        })
    });
    has_inserted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rows(&store, "exchange"), 0);
    drop(release);
    writer.join().unwrap().unwrap();
    assert_eq!(rows(&store, "exchange"), 1);
}

#[test]
fn another_process_that_writes_for_long_makes_works_wait_and_fails_none() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    // Each try gives up at once: the work goes on waiting all the same.
    store
        .write(None, |tx| tx.connection.busy_timeout(Duration::from_millis(1)).map_err(StoreError::sqlite("hurry")))
        .unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    assert!(matches!(store.write(Some(soon), |tx| insert_call(tx, "one")), Err(StoreError::TimedOut)));
    other.execute_batch("COMMIT").unwrap();
    store.write(None, |tx| insert_call(tx, "two")).unwrap();
    let orders: Vec<String> =
        store.read(|tx| tx.all("list", "SELECT order_id FROM exchange ORDER BY id", [], |row| row.get(0))).unwrap();
    assert_eq!(orders.last().map(String::as_str), Some("two"));
}

#[test]
fn the_version_changes_with_every_commit_of_anybody_and_only_then() {
    let scratch = Scratch::new();
    let server = scratch.open();
    let first = server.version().unwrap();
    rows(&server, "exchange");
    server.write(None, |_| Ok(())).unwrap();
    assert_eq!(server.version().unwrap(), first, "nothing was changed");
    server.write(None, |tx| insert_call(tx, "CS1")).unwrap();
    let second = server.version().unwrap();
    assert_ne!(second, first);
    let command = scratch.try_open(Role::Command).unwrap();
    command.write(None, |tx| insert_call(tx, "CS2")).unwrap();
    let third = server.version().unwrap();
    assert_ne!(third, second);
    command.close().unwrap();
    assert_eq!(server.version().unwrap(), third);
}

#[test]
fn a_transaction_that_sqlite_rolls_back_fails_all_its_works_and_the_next_one_succeeds() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open());
    let release = hold_writer(&store);
    let spawn = |work: fn(&Tx<'_>) -> Result<i64, StoreError>| {
        let store = Arc::clone(&store);
        thread::spawn(move || store.write(None, work))
    };
    let innocent = spawn(|tx| insert_call(tx, "innocent"));
    wait_for_queue(&store, 1);
    // As a disk that fails makes SQLite do.
    let failing = spawn(|tx| {
        tx.connection.execute_batch("ROLLBACK").unwrap();
        Err(StoreError::BadRow { table: "exchange", problem: "made up".to_owned() })
    });
    wait_for_queue(&store, 2);
    drop(release);
    for told in [innocent.join().unwrap(), failing.join().unwrap()] {
        assert!(matches!(told, Err(StoreError::Commit(cause)) if cause.to_string().contains("made up")));
    }
    assert_eq!(store.write(None, |tx| insert_call(tx, "next")).unwrap(), 1);
    assert_eq!(rows(&store, "exchange"), 1);
}
