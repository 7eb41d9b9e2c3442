//! From the databases of released schemas to this one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::types::Value;

use super::*;
use crate::store::migrate;

const FILE: &str = "koogate.db";

/// All but what a start writes.
type Rows = BTreeMap<String, Vec<Vec<Value>>>;

/// A folder with the database of a schema, and the key of all of them.
fn fixture(version: i64) -> (Scratch, Arc<SealingKey>) {
    let scratch = Scratch::new();
    let stem = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("schema-{version}"));
    fs::copy(stem.with_extension("db"), scratch.path(FILE)).unwrap();
    let key = fs::read_to_string(stem.with_extension("key")).unwrap();
    (scratch, Arc::new(SealingKey::from_hex(key.trim()).unwrap()))
}

fn open(scratch: &Scratch, key: &Arc<SealingKey>) -> Result<Store, OpenError> {
    Store::open(&scratch.settings(), Role::Server, Arc::clone(key))
}

fn names(connection: &Connection, kind: &str) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = ?1 AND name <> 'sqlite_sequence' ORDER BY name";
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([kind], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every row of every table of a file, but for the mark of an open one.
fn rows_of(file: &Path) -> Rows {
    let connection = Connection::open(file).unwrap();
    let all = |table: &String| {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let serving = statement.column_names().into_iter().position(|name| table == "meta" && name == "serving");
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|at| if Some(at) == serving { Ok(Value::Null) } else { row.get(at) }).collect()
        };
        statement.query_map([], read).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    names(&connection, "table").iter().map(|table| (table.clone(), all(table))).collect()
}

/// Every table, index, view and trigger as it was written, comments and all.
fn schema_of(file: &Path) -> Vec<(String, String, Option<String>)> {
    let connection = Connection::open(file).unwrap();
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_old_database_becomes_what_a_new_one_is_to_the_letter() {
    let fresh = Scratch::new();
    fresh.open().close().unwrap();
    for version in 1..=SCHEMA_VERSION {
        let (scratch, key) = fixture(version);
        open(&scratch, &key).unwrap().close().unwrap();
        let (found, expected) = (schema_of(&scratch.path(FILE)), schema_of(&fresh.path(FILE)));
        assert_eq!(found, expected, "from version {version}");
        let connection = Connection::open(scratch.path(FILE)).unwrap();
        assert_eq!(migrate::version(&connection).unwrap(), SCHEMA_VERSION);
    }
}

#[test]
fn every_row_of_an_old_database_stays_as_it_was() {
    for version in 1..SCHEMA_VERSION {
        let (scratch, key) = fixture(version);
        let before = rows_of(&scratch.path(FILE));
        assert!(before.len() >= 20 && before.values().all(|rows| !rows.is_empty()), "{:?}", before.keys());
        open(&scratch, &key).unwrap().close().unwrap();
        let mut after = rows_of(&scratch.path(FILE));
        after.retain(|table, _| before.contains_key(table));
        // A step adds columns behind the others.
        for (table, rows) in &mut after {
            rows.iter_mut().zip(&before[table]).for_each(|(row, old)| row.truncate(old.len()));
        }
        assert!(after == before, "from version {version}");
    }
}

/// The order of each operation, by its row.
fn orders_of_operations(connection: &Connection) -> BTreeMap<i64, Option<String>> {
    let mut statement = connection.prepare("SELECT id, order_id FROM operation").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_calls_of_an_old_database_are_listed_by_their_order_and_so_are_those_that_come_after() {
    let (scratch, key) = fixture(1);
    let connection = Connection::open(scratch.path(FILE)).unwrap();
    let named = "SELECT exchange.order_id, operation FROM exchange JOIN operation ON operation.id = exchange.operation \
                 WHERE exchange.order_id IS NOT NULL ORDER BY exchange.id";
    let calls: Vec<(String, i64)> = {
        let mut statement = connection.prepare(named).unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert!(calls.len() > 5);
    drop(connection);
    let store = open(&scratch, &key).unwrap();
    let list = |order: &str| super::by_order::check_in(&store, order);
    for (order, _) in &calls {
        list(order);
    }
    // Repeats are found through the operation from now on, but for those that wait first.
    for (order, operation) in calls.clone() {
        let count = |order: &str| rows(&store, &format!("exchange WHERE order_id = '{order}'"));
        let before = count(&order);
        let indexed = rows(&store, "exchange WHERE through_operation = 0");
        let named = order.clone();
        store.write(None, move |tx| super::by_order::repeat(tx, &named, operation)).unwrap();
        assert_eq!(count(&order), before + 1);
        assert_eq!(rows(&store, "exchange WHERE through_operation = 0"), indexed);
        list(&order);
    }
}

#[test]
fn an_old_operation_whose_first_call_is_purged_gets_its_order_from_another_or_from_its_instance() {
    let (scratch, key) = fixture(1);
    let connection = Connection::open(scratch.path(FILE)).unwrap();
    // Two creations lose their calls, the second but for a repeat that differs and one that does not; so does a renewal.
    let creations =
        "SELECT id FROM operation WHERE identity ->> '$[2]' = 'create' AND identity ->> '$[0]' = 'real' LIMIT 2";
    let mut found: Vec<i64> = {
        let mut statement = connection.prepare(creations).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let renewal = "SELECT id FROM operation WHERE identity ->> '$[2]' = 'renew' LIMIT 1";
    found.push(connection.query_row(renewal, [], |row| row.get(0)).unwrap());
    let add = "INSERT INTO exchange (received_at, environment, family, peer, access_key, request_line, order_id, operation, \
               replayed, difference) VALUES (1, 'real', 'f', 'p', 'k', 'POST /', ?1, ?2, 1, ?3)";
    let purge = "DELETE FROM exchange WHERE operation = ?1";
    let mut purged = 0_i64;
    for operation in &found {
        purged += i64::try_from(connection.execute(purge, [operation]).unwrap()).unwrap();
    }
    connection.execute("UPDATE meta SET exchanges_purged = exchanges_purged + ?1", [purged]).unwrap();
    connection.execute(add, ("other", found[1], Some("{}"))).unwrap();
    connection.execute(add, ("same", found[1], None::<&str>)).unwrap();
    let instance = "SELECT instance.order_id FROM operation JOIN instance ON instance.id = operation.instance \
                    WHERE operation.id = ?1";
    let bought: String = connection.query_row(instance, [found[0]], |row| row.get(0)).unwrap();
    let first = "SELECT operation.id, exchange.order_id FROM operation JOIN exchange ON exchange.id = first_exchange";
    let mut expected: BTreeMap<i64, Option<String>> = {
        let mut statement = connection.prepare(first).unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    };
    drop(connection);
    open(&scratch, &key).unwrap().close().unwrap();
    expected.extend([(found[0], Some(bought)), (found[1], Some("same".to_owned())), (found[2], None)]);
    assert_eq!(orders_of_operations(&Connection::open(scratch.path(FILE)).unwrap()), expected);
}

#[test]
fn the_old_database_is_kept_under_a_name_of_its_own_and_overwrites_none() {
    let (scratch, key) = fixture(1);
    let before = rows_of(&scratch.path(FILE));
    fs::write(scratch.path("koogate.schema-1.db"), "precious").unwrap();
    open(&scratch, &key).unwrap().close().unwrap();
    assert_eq!(fs::read(scratch.path("koogate.schema-1.db")).unwrap(), b"precious");
    let kept = scratch.path("koogate.schema-1.2.db");
    let verified = snapshot::verify(&kept, &key, snapshot::Origin::Copy).unwrap();
    assert!(verified.schema_version == 1 && verified.snapshot_at.is_some(), "{verified:?}");
    let mut kept = rows_of(&kept);
    assert!(kept.remove("meta").is_some());
    assert!(kept.iter().all(|(table, rows)| before[table] == *rows));
}

#[test]
fn an_old_database_that_another_program_has_open_is_left_alone() {
    let (scratch, key) = fixture(1);
    let other = Connection::open(scratch.path(FILE)).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; BEGIN; SELECT count(*) FROM exchange;").unwrap();
    let error = open(&scratch, &key).err().expect("a refusal");
    assert!(matches!(error, OpenError::OthersHaveIt { .. }), "{error}");
    assert!(error.to_string().contains("another program has it open: end that"), "{error}");
    assert_eq!(migrate::version(&other).unwrap(), 1);
    drop(other);
    open(&scratch, &key).unwrap().close().unwrap();
}

#[test]
fn a_command_does_not_begin_a_migration() {
    let (scratch, key) = fixture(1);
    let before = fs::read(scratch.path(FILE)).unwrap();
    let error = Store::open(&scratch.settings(), Role::Command, Arc::clone(&key)).err().expect("a refusal");
    assert!(matches!(error, OpenError::Older { found: 1, .. }), "{error}");
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
}

#[test]
fn a_disk_that_fills_up_during_a_step_leaves_the_old_version() {
    let (scratch, _) = fixture(1);
    let before = rows_of(&scratch.path(FILE));
    let connection = Connection::open(scratch.path(FILE)).unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let problem = migrate::run_steps(&connection, 1).unwrap_err();
    assert!(problem.contains("to version 2: database or disk is full"), "{problem}");
    assert_eq!(migrate::version(&connection).unwrap(), 1);
    drop(connection);
    assert!(rows_of(&scratch.path(FILE)) == before);
}

#[test]
fn a_step_that_cannot_be_done_leaves_the_database_as_it_was_and_no_snapshot() {
    let (scratch, key) = fixture(1);
    // Somebody has a table of his own under the name of ours.
    Connection::open(scratch.path(FILE)).unwrap().execute_batch("CREATE TABLE restore (mine)").unwrap();
    let before = rows_of(&scratch.path(FILE));
    let error = open(&scratch, &key).err().expect("a refusal").to_string();
    assert!(error.contains("cannot be migrated and stays at schema version 1: to version 2: table restore"), "{error}");
    assert!(rows_of(&scratch.path(FILE)) == before);
    assert!(!scratch.path("koogate.schema-1.db").exists());
}

#[test]
fn an_old_database_that_is_not_whole_is_not_touched() {
    let (scratch, key) = fixture(1);
    let connection = Connection::open(scratch.path(FILE)).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = 0; DELETE FROM tenant;").unwrap();
    drop(connection);
    let error = open(&scratch, &key).err().expect("a refusal").to_string();
    assert!(error.contains("nothing was done") && error.contains("refers to a missing row of tenant"), "{error}");
    let connection = Connection::open(scratch.path(FILE)).unwrap();
    assert_eq!(migrate::version(&connection).unwrap(), 1);
    assert!(!scratch.path("koogate.schema-1.db").exists());
}

#[test]
fn a_view_of_somebody_elses_that_was_broken_before_is_nobodys_matter() {
    let (scratch, key) = fixture(1);
    Connection::open(scratch.path(FILE)).unwrap().execute_batch("CREATE VIEW mine AS SELECT * FROM nowhere").unwrap();
    open(&scratch, &key).unwrap().close().unwrap();
}

#[test]
fn a_restore_is_written_down_and_its_numbers_go_to_no_call() {
    let (from, to) = (Scratch::new(), Scratch::new());
    let store = from.open();
    store.write(None, |tx| insert_call(tx, "CS1")).unwrap();
    let taken = snapshot::take(&store, &to.path("copy.db")).unwrap();
    store.write(None, |tx| insert_call(tx, "CS2")).unwrap();
    snapshot::restore(&to.path("copy.db"), &to.path(FILE), store.sealing(), snapshot::Origin::Copy).unwrap();
    for times in 1..=2 {
        let restored = to.open();
        let row = restored.read(|tx| tx.last_restore()).unwrap().unwrap();
        assert_eq!((row.copy_at, row.last_exchange, row.replaced), (taken.snapshot_at, 1, None));
        assert_eq!(rows(&restored, "restore"), 1, "start {times}");
        let number = restored.write(None, |tx| insert_call(tx, "CS3")).unwrap();
        assert_eq!(number, 1_000_001 + times);
        assert_eq!(restored.read(|tx| snapshot::examine(tx.connection)).unwrap(), Vec::<String>::new());
        restored.close().unwrap();
    }
}

#[test]
fn a_snapshot_put_in_place_by_hand_is_a_restore_too() {
    let (from, to) = (Scratch::new(), Scratch::new());
    let store = from.open();
    let taken = snapshot::take(&store, &to.path(FILE)).unwrap();
    let opened = to.open();
    let row = opened.read(|tx| tx.last_restore()).unwrap().unwrap();
    assert_eq!((row.copy_at, row.last_exchange, row.last_exchange_at), (taken.snapshot_at, 0, None));
    assert_eq!(opened.write(None, |tx| insert_call(tx, "CS1")).unwrap(), 1_000_001);
    opened.close().unwrap();
    snapshot::verify(&to.path(FILE), store.sealing(), snapshot::Origin::Copy).unwrap();
    let reopened = to.open();
    assert_eq!(rows(&reopened, "restore"), 1);
}
