//! A database of an older schema is brought to this one by the server's start, whatever happens meanwhile.

use std::fs;
use std::process::{Command, Output};

use koogate::store::SCHEMA_VERSION;
use rusqlite::Connection;

use super::fixtures::{path, replay_everything, take_out};
use crate::harness::{Koogate, Scratch, files_in, text};

const FILE: &str = "koogate.db";

fn version_of(scratch: &Scratch) -> i64 {
    let database = Connection::open(scratch.path(FILE)).unwrap();
    database.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// The files that keep the database as it was.
fn kept(scratch: &Scratch) -> Vec<String> {
    files_in(&scratch.path("")).into_iter().filter(|name| name.contains(".schema-")).collect()
}

/// Runs koogate where no file may become larger than so many KiB: as on a full disk, writing fails.
fn on_a_small_disk(scratch: &Scratch, kib: usize, args: &[&str]) -> Output {
    let blocks = (kib * 2).to_string();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &blocks]);
    command.arg(env!("CARGO_BIN_EXE_koogate")).args(args).current_dir(scratch.path("")).output().unwrap()
}

#[test]
fn every_answer_of_an_older_version_is_given_verbatim_after_the_migration() {
    for version in 1..=SCHEMA_VERSION {
        let scratch = take_out(version);
        let koogate = scratch.serve();
        replay_everything(version, &koogate);
        let log = koogate.stop();
        let migrated = version < SCHEMA_VERSION;
        assert_eq!(log.contains(&format!("was of schema version {version} and is of version")), migrated, "{log}");
        let expected = if migrated { vec![format!("koogate.schema-{version}.db")] } else { Vec::new() };
        assert_eq!(kept(&scratch), expected);
        for file in kept(&scratch).iter().map(String::as_str).chain([FILE, "koogate.snapshot.db"]) {
            scratch.run_ok(&["verify", file]);
        }
    }
}

#[test]
fn what_an_older_version_held_is_there_after_the_migration() {
    let scratch = take_out(1);
    scratch.serve().stop();
    let json = |args: &[&str]| scratch.run_json(&[args, &["--json"]].concat());
    assert_eq!(json(&["instance", "list"]).len(), 9);
    assert_eq!(json(&["instance", "list", "--status", "frozen"]).len(), 1);
    assert_eq!(json(&["license", "list"]).len(), 4);
    let stock = &json(&["stock", "list"])[0];
    assert_eq!((stock["unused"].as_i64(), stock["taken"].as_i64()), (Some(1), Some(1)), "{stock}");
    assert_eq!(json(&["tenant", "list"]).len(), 1);
    assert_eq!(json(&["usage", "list"]).len(), 2);
    assert_eq!(json(&["order", "list"]).len(), 1);
    assert!(scratch.run_ok(&["license", "show", "1", "--out", "-"]).contains("LICENCE-OF-THE-FIXTURE"));
}

#[test]
fn a_death_at_any_moment_of_a_migration_leaves_what_the_next_start_takes_over() {
    for point in ["migrating", "migration-kept", "migration-step", "migrated"] {
        let scratch = take_out(1);
        let ended = scratch.try_serve_with(&[("KOOGATE_FAULT", point)]).err().expect(point);
        assert_eq!(ended.code, None, "{point}: {}", ended.log);
        let koogate = scratch.serve();
        replay_everything(1, &koogate);
        koogate.stop();
        assert_eq!(version_of(&scratch), SCHEMA_VERSION, "{point}");
        scratch.run_ok(&["verify", FILE]);
        let kept = kept(&scratch);
        assert!(!kept.is_empty(), "{point}");
        for file in kept {
            let told = scratch.run_ok(&["verify", &file]);
            assert!(told.contains("It has schema version 1"), "{point}: {told}");
        }
    }
}

/// A database of version 1 as a crash of its koogate leaves it: its last commits are in the log. `is_copy`: without the
/// file that says that it was left so.
fn crashed(is_copy: bool) -> Scratch {
    let (alive, scratch) = (take_out(1), take_out(1));
    let database = Connection::open(alive.path(FILE)).unwrap();
    database.execute_batch("UPDATE meta SET serving = 'mark'; PRAGMA journal_mode = WAL;").unwrap();
    database.execute_batch("UPDATE instance SET memo = 'in the log'").unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(alive.path(&format!("{FILE}{suffix}")), scratch.path(&format!("{FILE}{suffix}"))).unwrap();
    }
    if !is_copy {
        fs::write(scratch.path("koogate.db.lock"), "1\nmark\n").unwrap();
    }
    scratch
}

#[test]
fn what_a_crash_of_the_older_version_left_in_the_log_is_migrated_too() {
    for (is_copy, point) in [(false, None), (true, None), (false, Some("migrating")), (true, Some("migrating"))] {
        let scratch = crashed(is_copy);
        if let Some(point) = point {
            assert_eq!(scratch.try_serve_with(&[("KOOGATE_FAULT", point)]).err().expect(point).code, None);
        }
        let koogate = scratch.serve();
        replay_everything(1, &koogate);
        koogate.stop();
        let in_log = crate::shop::count(&scratch, "instance WHERE memo = 'in the log'");
        assert_eq!(in_log, 10, "copy: {is_copy}, dies at {point:?}");
    }
}

#[test]
fn a_disk_without_room_for_the_snapshot_leaves_the_old_database_as_it_was() {
    let scratch = take_out(1);
    let before = fs::read(scratch.path(FILE)).unwrap();
    let output = on_a_small_disk(&scratch, 100, &["serve"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("cannot be kept as it is, so nothing was done"), "{told}");
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
    assert_eq!(kept(&scratch), Vec::<String>::new());
    scratch.serve().stop();
    assert_eq!(version_of(&scratch), SCHEMA_VERSION);
}

#[test]
fn commands_say_that_the_server_must_start_first_and_change_nothing() {
    let scratch = take_out(1);
    let before = fs::read(scratch.path(FILE)).unwrap();
    for args in [&["instance", "list"][..], &["backup", "copy.db"], &["restore", "--report"]] {
        let output = scratch.run(args);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains("the next start of the server"), "{args:?}: {told}");
    }
    let findings = text(&scratch.run(&["check"]).stdout);
    assert!(findings.contains("warning  database") && findings.contains("schema version 1"), "{findings}");
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
}

#[test]
fn a_copy_of_an_older_version_is_verified_restored_and_goes_on() {
    let scratch = Scratch::new("");
    fs::copy(take_out(1).path("koogate.toml"), scratch.path("koogate.toml")).unwrap();
    for pem in ["current.pem", "former.pem"] {
        fs::copy(take_out(1).path(pem), scratch.path(pem)).unwrap();
    }
    fs::copy(path(1, "db"), scratch.path("old.db")).unwrap();
    assert!(scratch.run_ok(&["verify", "old.db"]).contains("It has schema version 1, this koogate's is"));
    assert_eq!(scratch.run_json(&["verify", "old.db", "--json"])[0]["schemaVersion"], 1);
    let told = scratch.run_ok(&["restore", "old.db"]);
    assert!(told.contains("The copy has schema version 1"), "{told}");
    assert_eq!(version_of(&scratch), SCHEMA_VERSION);
    assert!(fs::read(scratch.path("old.db")).unwrap() == fs::read(path(1, "db")).unwrap());
    let koogate = scratch.serve();
    replay_everything(1, &koogate);
    koogate.stop();
    scratch.run_ok(&["verify", FILE]);
}

#[test]
fn a_restore_onto_a_full_disk_leaves_the_old_database() {
    let scratch = take_out(1);
    let koogate = scratch.serve();
    koogate.stop();
    let (before, files) = (fs::read(scratch.path(FILE)).unwrap(), files_in(&scratch.path("")));
    let output = on_a_small_disk(&scratch, 100, &["restore", "koogate.schema-1.db"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("File too large"), "{told}");
    assert!(fs::read(scratch.path(FILE)).unwrap() == before);
    assert_eq!(files_in(&scratch.path("")), files);
    let koogate: Koogate = scratch.serve();
    replay_everything(1, &koogate);
}
