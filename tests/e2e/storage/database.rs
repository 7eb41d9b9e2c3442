//! What a start makes of the files it finds, and what a person finds in them.

use std::fs;

use rusqlite::Connection;

use super::{QUIET, buy, change_sealing_key, configure, orders_in, refused_start, scratch_with};
use crate::harness::{Application, Scratch, files_in, new_instance};

const FILE: &str = "koogate.db";
const LOG: &str = "koogate.db-wal";

#[test]
fn a_crashed_database_starts_with_everything_that_was_answered() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    let first = buy(&koogate, "CS1");
    koogate.kill();
    assert!(fs::metadata(scratch.path(LOG)).unwrap().len() > 0);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
}

#[test]
fn a_copy_of_the_live_file_alone_is_refused_with_the_advice_what_to_do() {
    let (live, scratch) = (scratch_with(QUIET), scratch_with(QUIET));
    let koogate = live.serve();
    buy(&koogate, "CS1");
    fs::copy(live.path(FILE), scratch.path(FILE)).unwrap();
    let told = refused_start(&scratch);
    for part in [
        "copied while koogate had it open",
        "koogate restore koogate.snapshot.db",
        "the file to copy is koogate.snapshot.db",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(fs::read(scratch.path(FILE)).unwrap() == fs::read(live.path(FILE)).unwrap(), "it was changed");
    buy(&koogate, "CS2");
}

#[test]
fn a_crashed_database_whose_log_another_program_has_moved_starts_with_everything() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    let first = buy(&koogate, "CS1");
    koogate.kill();
    let other = Connection::open(scratch.path(FILE)).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    other.close().unwrap();
    assert!(!scratch.path(LOG).exists());
    scratch.run_ok(&["verify", FILE]);
    let koogate = scratch.serve();
    koogate.wait_for_log("checking all of it");
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
}

#[test]
fn a_crash_at_any_moment_of_the_first_start_or_the_stop_leaves_what_starts_again() {
    // Where it dies, and whether a first start and a later one come by there.
    let points = [
        ("creating", true, false),
        ("created", true, false),
        ("marking", true, true),
        ("marked", false, true),
        ("leaving", true, true),
    ];
    for (point, first, later) in points {
        let scratch = scratch_with(QUIET);
        // The one command that may come before the first start.
        let stock = "[[product]]\nproduct_id = \"P\"\nfulfilment = \"stock\"\nstock = \"accounts\"\n";
        let sections = format!("[database]\n{QUIET}\n");
        scratch.configure(&[crate::harness::KEY], &sections, &format!("{stock}{}", super::FIXED));
        fs::write(scratch.path("accounts.csv"), "front_end_url\nhttps://app.example.com/\n").unwrap();
        let dies_at_point = || {
            let mut import = scratch.command(&["stock", "import", "accounts", "accounts.csv"]);
            let output = import.env("KOOGATE_FAULT", point).output().unwrap();
            output.status.code().is_none()
        };
        assert_eq!(dies_at_point(), first, "{point}");
        let koogate = scratch.serve();
        buy(&koogate, "CS1");
        koogate.stop();
        assert_eq!(dies_at_point(), later, "{point}");
        scratch.serve().stop();
        assert_eq!(orders_in(&scratch.path(FILE)), ["CS1"], "{point}");
    }
}

#[test]
fn a_log_that_another_program_began_beside_a_stopped_database_is_no_strange_one() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    koogate.stop();
    // As Litestream does: it has the file open and keeps a table of its own in it.
    let other = Connection::open(scratch.path(FILE)).unwrap();
    other
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);")
        .unwrap();
    assert!(fs::metadata(scratch.path(LOG)).unwrap().len() > 0);
    for number in 2..4 {
        let koogate = scratch.serve();
        buy(&koogate, &format!("CS{number}"));
        koogate.stop();
    }
    drop(other);
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS1", "CS2", "CS3"]);
}

#[test]
fn a_newer_database_is_refused_and_not_changed() {
    let scratch = scratch_with(QUIET);
    scratch.serve().stop();
    Connection::open(scratch.path(FILE)).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = fs::read(scratch.path(FILE)).unwrap();
    assert!(refused_start(&scratch).contains("has schema version 99, this koogate knows up to 2"));
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
}

#[test]
fn somebody_elses_database_is_refused_and_not_changed() {
    let scratch = scratch_with(QUIET);
    Connection::open(scratch.path(FILE)).unwrap().execute_batch("CREATE TABLE precious (a)").unwrap();
    let before = fs::read(scratch.path(FILE)).unwrap();
    assert!(refused_start(&scratch).contains("is no koogate database"));
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
}

#[test]
fn another_sealing_key_is_refused_and_nothing_changes() {
    let scratch = scratch_with(QUIET);
    scratch.serve().stop();
    let before = fs::read(scratch.path(FILE)).unwrap();
    change_sealing_key(&scratch);
    let told = refused_start(&scratch);
    assert!(told.contains("put the right key in place, no other can read its passwords"), "{told}");
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
}

#[test]
fn the_database_and_all_its_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = scratch_with("snapshot_every = \"1s\"");
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    crate::harness::eventually(|| scratch.path("koogate.snapshot.db").exists().then_some(()), || koogate.log_text());
    let mut seen = 0;
    for name in files_in(scratch.path("").as_path())
        .iter()
        .filter(|name| name.starts_with("koogate.") && *name != "koogate.toml")
    {
        let mode = fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 5, "database, log, index, lock and snapshot");
}

#[test]
fn a_retry_after_its_first_call_was_purged_creates_nothing_and_gets_the_same_bytes() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    let first = koogate.call(&new_instance("CS1"));
    assert_eq!(first.code(), "000000");
    // Today's, beside which the first one is old.
    koogate.call(&new_instance("CS2"));
    koogate.stop();
    let aged = Connection::open(scratch.path(FILE)).unwrap();
    let sql = "UPDATE exchange SET received_at = received_at - 500 * 86400000 WHERE order_id = 'CS1'";
    aged.execute(sql, []).unwrap();
    aged.close().unwrap();

    let koogate = scratch.serve();
    koogate.wait_for_log("purged 1 old exchanges");
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
    koogate.stop();
    assert_eq!(application.events().len(), 2);
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS2", "CS1"], "of the first order only the retry is left");
    // The journal still proves itself gapless.
    scratch.run_ok(&["verify", "koogate.snapshot.db"]);
    assert_eq!(scratch.run_json(&["instance", "list", "--json"]).len(), 2);
}

#[test]
fn a_person_can_read_the_tables_and_finds_them_explained() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    // Beside the running server.
    let reader = Connection::open(scratch.path(FILE)).unwrap();
    let read = "SELECT received_at, activity, order_id, result_code FROM exchange_view";
    let row = reader
        .query_row(read, [], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    let (received_at, activity, order_id, code): (String, String, String, String) = row;
    assert!(received_at.starts_with("20") && received_at.ends_with('Z'), "{received_at}");
    assert_eq!((activity.as_str(), order_id.as_str(), code.as_str()), ("newInstance", "CS1", "000000"));
    let status: String = reader.query_row("SELECT status FROM instance_view", [], |row| row.get(0)).unwrap();
    assert_eq!(status, "active");
    for table in ["meta", "instance", "operation", "exchange", "job", "stock_entry"] {
        let sql: String =
            reader.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap();
        assert!(sql.contains("-- ") && sql.ends_with("STRICT"), "{sql}");
    }
}

#[test]
fn a_reader_that_never_lets_go_holds_up_neither_answers_nor_the_stop() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    let reader = Connection::open(scratch.path(FILE)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM exchange;").unwrap();
    for number in 2..20 {
        buy(&koogate, &format!("CS{number}"));
    }
    koogate.stop();
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    configure(&scratch, QUIET);
    let koogate = scratch.serve();
    buy(&koogate, "CS20");
    koogate.stop();
    assert_eq!(orders_in(&scratch.path(FILE)).len(), 20);
}
