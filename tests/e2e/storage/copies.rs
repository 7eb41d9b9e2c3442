//! Snapshots and backups: there at any time, whole, and proved to be.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;

use super::{QUIET, buy, change_sealing_key, failure, orders_in, scratch_with};
use crate::harness::{Scratch, eventually, files_in, text};

const SNAPSHOT: &str = "koogate.snapshot.db";

#[test]
fn the_snapshot_beside_the_database_follows_the_calls() {
    let scratch = scratch_with("snapshot_every = \"1s\"");
    let koogate = scratch.serve();
    for number in 1..=3 {
        buy(&koogate, &format!("CS{number}"));
        eventually(
            || (scratch.path(SNAPSHOT).exists() && orders_in(&scratch.path(SNAPSHOT)).len() == number).then_some(()),
            || format!("{number} calls are in no snapshot:\n{}", koogate.log_text()),
        );
        scratch.run_ok(&["verify", SNAPSHOT]);
    }
}

#[test]
fn the_snapshot_follows_what_commands_change_beside_the_server() {
    let scratch = scratch_with("snapshot_every = \"1s\"");
    let stock = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\n";
    scratch.configure(&[crate::harness::KEY], "[database]\nsnapshot_every = \"1s\"\n", stock);
    fs::write(scratch.path("accounts.csv"), "user_name,password,front_end_url\na,b,https://app.example.com\n").unwrap();
    let koogate = scratch.serve();
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let imported = || {
        let connection = Connection::open(scratch.path(SNAPSHOT)).ok()?;
        connection.query_row("SELECT id FROM stock_entry", [], |row| row.get::<_, i64>(0)).ok()
    };
    eventually(imported, || format!("the import is in no snapshot:\n{}", koogate.log_text()));
}

#[test]
fn a_clean_stop_leaves_a_snapshot_with_the_last_call_and_a_database_without_a_log() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    buy(&koogate, "CS2");
    koogate.stop();
    assert_eq!(files_in(scratch.path("").as_path()), ["koogate.db", "koogate.db.lock", SNAPSHOT, "koogate.toml"]);
    assert_eq!(orders_in(&scratch.path(SNAPSHOT)), ["CS1", "CS2"]);
    assert_eq!(orders_in(&scratch.path("koogate.db")), ["CS1", "CS2"]);
}

#[test]
fn a_backup_beside_a_busy_server_is_whole_and_has_all_that_was_answered_before() {
    let scratch = scratch_with(QUIET);
    let koogate = Arc::new(scratch.serve());
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (koogate, done) = (Arc::clone(&koogate), Arc::clone(&done));
            thread::spawn(move || {
                let mut number = 0;
                while !done.load(Ordering::SeqCst) {
                    buy(&koogate, &format!("CS{caller}-{number}"));
                    number += 1;
                }
            })
        })
        .collect();
    for number in 0..5 {
        let order = format!("before-{number}");
        buy(&koogate, &order);
        scratch.run_ok(&["backup", "copy.db"]);
        scratch.run_ok(&["verify", "copy.db"]);
        assert!(orders_in(&scratch.path("copy.db")).contains(&order));
    }
    done.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.join().unwrap();
    }
}

#[test]
fn a_backup_is_refused_over_the_database_and_leaves_nothing_where_it_cannot_be_written() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    assert!(failure(&scratch.run(&["backup", "koogate.db"])).contains("is the database itself"));
    assert!(failure(&scratch.run(&["backup", "no/such/folder/copy.db"])).contains("No such file or directory"));
    fs::create_dir(scratch.path("folder")).unwrap();
    failure(&scratch.run(&["backup", "folder"]));
    let left: Vec<_> = files_in(scratch.path("").as_path());
    assert!(!left.iter().any(|name| name.ends_with(".tmp")), "{left:?}");
    buy(&koogate, "CS2");
}

#[test]
fn a_backup_without_a_name_refreshes_the_snapshot_beside_the_database() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    eventually(|| scratch.path(SNAPSHOT).exists().then_some(()), || koogate.log_text());
    buy(&koogate, "CS1");
    assert!(scratch.run_ok(&["backup"]).contains("koogate.snapshot.db is whole"));
    assert_eq!(orders_in(&scratch.path(SNAPSHOT)), ["CS1"]);
}

/// A stopped server's folder with a backup in a folder of its own.
fn backed_up(calls: usize) -> (Scratch, PathBuf) {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    for number in 1..=calls {
        buy(&koogate, &format!("CS{number}"));
    }
    fs::create_dir(scratch.path("copies")).unwrap();
    let told = scratch.run_ok(&["backup", "copies/copy.db"]);
    assert!(told.contains("sealing key (keys.sealing_key)"), "{told}");
    koogate.stop();
    let copy = scratch.path("copies/copy.db");
    (scratch, copy)
}

/// `verify` finds this, and leaves nothing beside the copy.
fn check_found(scratch: &Scratch, expected: &str) {
    let told = failure(&scratch.run(&["verify", "copies/copy.db"]));
    assert!(told.contains(expected), "{told}");
    assert_eq!(files_in(&scratch.path("copies")), ["copy.db"]);
}

#[test]
fn verify_says_from_when_a_copy_is_and_leaves_nothing_beside_it() {
    let (scratch, copy) = backed_up(2);
    let bytes = fs::read(&copy).unwrap();
    let told = scratch.run_ok(&["verify", "copies/copy.db"]);
    for part in ["is whole: taken 20", "newest call 20", "2 exchanges, 2 instances"] {
        assert!(told.contains(part), "{told}");
    }
    let object = scratch.run_json(&["verify", "copies/copy.db", "--json"]).remove(0);
    assert_eq!((object["exchanges"].as_i64(), object["bytes"].as_u64()), (Some(2), Some(bytes.len() as u64)));
    assert!(object["snapshotAt"].as_str() >= object["newestExchangeAt"].as_str().map(|at| &at[..19]), "{object}");
    assert_eq!(files_in(&scratch.path("copies")), ["copy.db"]);
    assert!(fs::read(&copy).unwrap() == bytes);
}

#[test]
fn verify_of_a_snapshot_that_is_replaced_meanwhile_tells_of_one_of_them() {
    let (scratch, copy) = backed_up(3);
    scratch.run_ok(&["backup", "other.db"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            let next = scratch.path("next.db");
            for from in [&copy, &scratch.path("other.db")].into_iter().cycle() {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                fs::copy(from, &next).unwrap();
                fs::rename(&next, scratch.path(SNAPSHOT)).unwrap();
            }
        });
        for _ in 0..20 {
            let output = scratch.run(&["verify", SNAPSHOT]);
            let told = text(&output.stderr);
            if !output.status.success() {
                done.store(true, Ordering::SeqCst);
                panic!("{told}");
            }
        }
        done.store(true, Ordering::SeqCst);
        replacing.join().unwrap();
    });
}

#[test]
fn verify_finds_a_truncated_copy() {
    let (scratch, copy) = backed_up(50);
    let file = fs::File::options().write(true).open(&copy).unwrap();
    file.set_len(file.metadata().unwrap().len() - 4096).unwrap();
    check_found(&scratch, "database disk image is malformed");
}

#[test]
fn verify_finds_a_flipped_byte_in_a_password_a_body_or_unused_space() {
    let (scratch, copy) = backed_up(3);
    let file = fs::File::options().read(true).write(true).open(&copy).unwrap();
    let length = file.metadata().unwrap().len();
    for place in [100, length / 3, length / 2, length - 1] {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 1], place).unwrap();
        let told = failure(&scratch.run(&["verify", "copies/copy.db"]));
        assert!(told.contains("is not a whole koogate database"), "{place}: {told}");
        file.write_all_at(&byte, place).unwrap();
    }
    scratch.run_ok(&["verify", "copies/copy.db"]);
}

#[test]
fn verify_finds_a_call_that_is_missing_from_the_journal() {
    let (scratch, copy) = backed_up(3);
    let connection = Connection::open(&copy).unwrap();
    connection.execute("DELETE FROM exchange WHERE id = 2", []).unwrap();
    // As somebody would who knows of the digest.
    connection.execute("UPDATE meta SET snapshot_digest = NULL", []).unwrap();
    connection.close().unwrap();
    check_found(&scratch, "the journal has gaps: 3 numbers given, 2 rows there, 0 purged");
}

#[test]
fn verify_finds_a_change_by_hand() {
    let (scratch, copy) = backed_up(1);
    let connection = Connection::open(&copy).unwrap();
    connection.execute("UPDATE exchange SET peer = 'nobody'", []).unwrap();
    connection.close().unwrap();
    check_found(&scratch, "its bytes have changed since it was taken");
}

#[test]
fn verify_finds_a_reference_to_a_row_that_is_gone() {
    let (scratch, copy) = backed_up(1);
    let connection = Connection::open(&copy).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = 0; DELETE FROM instance;").unwrap();
    connection.close().unwrap();
    check_found(&scratch, "refers to a missing row of instance");
}

#[test]
fn verify_tells_that_the_sealing_key_at_hand_does_not_open_the_copy() {
    let (scratch, _) = backed_up(1);
    change_sealing_key(&scratch);
    check_found(&scratch, "the sealing key (keys.sealing_key) is not the one");
}

#[test]
fn verify_tells_files_that_are_no_copies_of_ours() {
    let (scratch, copy) = backed_up(1);
    fs::write(&copy, "precious notes\n".repeat(1000)).unwrap();
    check_found(&scratch, "file is not a database");
    fs::write(&copy, "").unwrap();
    check_found(&scratch, "it is no koogate database");
    fs::remove_file(&copy).unwrap();
    Connection::open(&copy).unwrap().execute_batch("CREATE TABLE t (a); PRAGMA user_version = 1;").unwrap();
    check_found(&scratch, "it is no koogate database");
    fs::remove_file(&copy).unwrap();
    assert!(failure(&scratch.run(&["verify", "copies/copy.db"])).contains("No such file or directory"));
}

#[test]
fn verify_tells_a_copy_of_a_newer_koogate() {
    let (scratch, copy) = backed_up(1);
    Connection::open(&copy).unwrap().execute_batch("PRAGMA user_version = 7").unwrap();
    check_found(&scratch, "has schema version 7, this koogate knows up to 2");
}

#[test]
fn verify_tells_a_copy_of_the_live_file_without_its_log() {
    let (scratch, copy) = backed_up(1);
    let koogate = scratch.serve();
    buy(&koogate, "CS9");
    fs::copy(scratch.path("koogate.db"), &copy).unwrap();
    check_found(&scratch, "the newest changes may be missing; the file to copy is koogate.snapshot.db");
    // Where it lies, with its log, the live database is whole.
    scratch.run_ok(&["verify", "koogate.db"]);
    buy(&koogate, "CS10");
}

#[test]
fn the_series_of_snapshots_is_kept_to_its_number() {
    let scratch =
        scratch_with("snapshot_every = \"24h\"\nsnapshots = { directory = \"series\", every = \"1s\", keep = 2 }");
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    let first = eventually(
        || scratch.path("series").exists().then(|| files_in(&scratch.path("series")).first().cloned()).flatten(),
        || format!("no series:\n{}", koogate.log_text()),
    );
    let series = eventually(
        || Some(files_in(&scratch.path("series"))).filter(|names| !names.contains(&first) && names.len() == 2),
        || format!("the first of the series stays:\n{}", koogate.log_text()),
    );
    koogate.stop();
    for name in series {
        // What is taken while we look may be the next one.
        let file = format!("series/{name}");
        if scratch.path(&file).exists() {
            let told = text(&scratch.run(&["verify", &file]).stdout);
            assert!(told.contains("is whole: taken 20"), "{told}");
        }
    }
}
