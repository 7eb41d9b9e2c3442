//! A full disk: told as such, nothing half done, and over when there is space again.

use super::*;

fn is_disk_full(error: &StoreError) -> bool {
    error.disk_mend().contains("the disk is full")
}

/// Lets the writer's connection have so many pages more than the file has now; a very large number lifts the limit.
fn leave_space(store: &Store, pages: i64) {
    store
        .write(None, move |tx| {
            let now: i64 = tx.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            let sql = format!("PRAGMA max_page_count = {}", (now + pages).min(1_000_000_000));
            tx.connection.query_row(&sql, [], |_| Ok(())).map_err(StoreError::sqlite("limit"))
        })
        .unwrap();
}

#[test]
fn a_full_disk_is_told_as_such_and_passes_when_there_is_space_without_a_restart() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| create(tx, "CS1")).unwrap();
    leave_space(&store, 0);
    for _ in 0..3 {
        let large = NewExchange { request_body: vec![7; 100_000], ..call("CS2", at(0), Environment::Real) };
        let error = store.write(None, move |tx| tx.insert_exchange(&large)).unwrap_err();
        assert!(is_disk_full(&error), "{error}");
    }
    assert_eq!(rows(&store, "exchange"), 1);

    leave_space(&store, 1_000_000);
    store.write(None, |tx| create(tx, "CS3")).unwrap();
    let problems = store.read(|tx| snapshot::examine(tx.connection)).unwrap();
    assert_eq!(problems, Vec::<String>::new());
    store.close().unwrap();
    assert_eq!(rows(&scratch.open(), "exchange"), 2);
}

#[test]
fn everything_of_a_work_that_meets_a_full_disk_is_undone() {
    let scratch = Scratch::new();
    let store = scratch.open();
    leave_space(&store, 2);
    let error = store.write(None, |tx| {
        create(tx, "CS1")?;
        for _ in 0..100 {
            let large = NewExchange { request_body: vec![7; 5000], ..call("CS1", at(0), Environment::Real) };
            tx.insert_exchange(&large)?;
        }
        Ok(())
    });
    assert!(is_disk_full(&error.unwrap_err()));
    for table in ["exchange", "instance", "instance_history", "operation"] {
        assert_eq!(rows(&store, table), 0, "{table}");
    }
}

#[test]
fn a_commit_that_fails_tells_every_work_in_it_the_same() {
    let full = || StoreError::Sqlite {
        doing: "x",
        source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None),
    };
    assert!(is_disk_full(&StoreError::Commit(Arc::new(full()))));
    assert!(!is_disk_full(&StoreError::Commit(Arc::new(StoreError::Closed))));
}
