//! `koogate restore`: never over a running server, never a bad copy, never half, never overwriting.

use std::fs;

use rusqlite::Connection;

use super::{QUIET, buy, failure, orders_in, refused_start, scratch_with};
use crate::harness::{Answer, Koogate, Scratch, files_in, new_instance};

const FILE: &str = "koogate.db";
const LOG: &str = "koogate.db-wal";

/// A running server with one call in the backup `copy.db` and one after it.
fn one_call_behind() -> (Scratch, Koogate, Answer) {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    let first = buy(&koogate, "CS1");
    scratch.run_ok(&["backup", "copy.db"]);
    buy(&koogate, "CS2");
    (scratch, koogate, first)
}

/// The name of the old database that `restore` says.
fn kept_name(scratch: &Scratch) -> String {
    let names = files_in(scratch.path("").as_path());
    let kept: Vec<_> = names.iter().filter(|name| name.contains(".replaced-") && name.ends_with('Z')).collect();
    assert_eq!(kept.len(), 1, "{names:?}");
    kept[0].clone()
}

#[test]
fn a_restored_database_replays_verbatim_and_the_old_one_is_kept_and_opens() {
    let (scratch, koogate, first) = one_call_behind();
    koogate.stop();
    let told = scratch.run_ok(&["restore", "copy.db"]);
    let kept = kept_name(&scratch);
    assert!(told.contains(&kept), "{told}");
    assert_eq!(orders_in(&scratch.path(&kept)), ["CS1", "CS2"]);
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS1"]);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
    buy(&koogate, "CS3");
    koogate.stop();
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS1", "CS1", "CS3"]);
}

#[test]
fn a_restore_is_refused_while_a_server_runs() {
    let (scratch, koogate, _) = one_call_behind();
    let told = failure(&scratch.run(&["restore", "copy.db"]));
    assert!(told.contains(&format!("is in use by another koogate (process {})", koogate.pid())), "{told}");
    buy(&koogate, "CS3");
    koogate.stop();
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS1", "CS2", "CS3"]);
}

#[test]
fn a_damaged_copy_is_refused_and_nothing_changes() {
    let (scratch, koogate, first) = one_call_behind();
    koogate.stop();
    let mut bytes = fs::read(scratch.path("copy.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(scratch.path("copy.db"), bytes).unwrap();
    let before = (files_in(scratch.path("").as_path()), fs::read(scratch.path(FILE)).unwrap());
    assert!(failure(&scratch.run(&["restore", "copy.db"])).contains("is not a whole koogate database"));
    assert!((files_in(scratch.path("").as_path()), fs::read(scratch.path(FILE)).unwrap()) == before);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
}

#[test]
fn the_log_of_a_crashed_database_does_not_bring_the_old_content_back() {
    let (scratch, koogate, first) = one_call_behind();
    koogate.kill();
    assert!(fs::metadata(scratch.path(LOG)).unwrap().len() > 0);
    scratch.run_ok(&["restore", "copy.db"]);
    for suffix in ["-wal", "-shm", "-journal"] {
        assert!(!scratch.path(&format!("{FILE}{suffix}")).exists(), "{suffix}");
    }
    // The log went with its database, so that nothing of it is lost.
    assert_eq!(orders_in(&scratch.path(&kept_name(&scratch))), ["CS1", "CS2"]);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
    koogate.stop();
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS1", "CS1"]);
}

#[test]
fn a_snapshot_laid_over_a_crashed_database_by_hand_does_not_start_unseen() {
    let scratch = scratch_with(QUIET);
    let koogate = scratch.serve();
    for number in 0..30 {
        buy(&koogate, &format!("CS{number}"));
    }
    scratch.run_ok(&["backup", "copy.db"]);
    for number in 30..60 {
        buy(&koogate, &format!("CS{number}"));
    }
    koogate.kill();
    fs::copy(scratch.path("copy.db"), scratch.path(FILE)).unwrap();
    let told = refused_start(&scratch);
    assert!(told.contains("the -wal beside it belongs to another database"), "{told}");
    scratch.run_ok(&["restore", "copy.db"]);
    assert_eq!(orders_in(&scratch.path(FILE)).len(), 30);
}

#[test]
fn a_restore_into_an_empty_folder_needs_nothing_but_the_copy_and_the_key() {
    let (from, koogate, first) = one_call_behind();
    koogate.stop();
    let scratch = scratch_with(QUIET);
    fs::copy(from.path("copy.db"), scratch.path("copy.db")).unwrap();
    assert!(scratch.run_ok(&["restore", "copy.db"]).contains("koogate.db is copy.db now"));
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
}

#[test]
fn a_crashed_database_with_its_log_can_be_restored_elsewhere() {
    let (from, koogate, _) = one_call_behind();
    koogate.kill();
    let scratch = scratch_with(QUIET);
    for suffix in ["", "-wal"] {
        fs::copy(from.path(&format!("{FILE}{suffix}")), scratch.path(&format!("crashed.db{suffix}"))).unwrap();
    }
    scratch.run_ok(&["restore", "crashed.db"]);
    assert_eq!(orders_in(&scratch.path(FILE)), ["CS1", "CS2"]);
    scratch.run_ok(&["verify", FILE]);
}

#[test]
fn a_restore_that_dies_in_the_middle_is_finished_before_anything_starts() {
    for point in ["restore-decided", "restore-cleared"] {
        let (scratch, koogate, first) = one_call_behind();
        koogate.kill();
        let mut restore = scratch.command(&["restore", "copy.db"]);
        assert_eq!(restore.env("KOOGATE_FAULT", point).output().unwrap().status.code(), None, "{point}: not killed");

        let told = refused_start(&scratch);
        assert!(told.contains("was interrupted; finish it with `koogate restore koogate.db.restoring`"), "{told}");
        failure(&scratch.run(&["instance", "list"]));
        scratch.run_ok(&["restore", "koogate.db.restoring"]);
        assert_eq!(crate::shop::count(&scratch, "restore"), 1, "{point}: it is one restore");
        let koogate = scratch.serve();
        assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
        koogate.stop();
        assert_eq!(orders_in(&scratch.path(FILE)), ["CS1", "CS1"]);
        // The oldest of the kept ones has everything that was answered.
        let names = files_in(scratch.path("").as_path());
        let kept = names.iter().find(|name| name.contains(".replaced-")).unwrap();
        assert_eq!(orders_in(&scratch.path(kept)), ["CS1", "CS2"], "{point}: {names:?}");
    }
}

#[test]
fn a_restored_database_is_for_the_owner_alone_whatever_the_copy_was() {
    use std::os::unix::fs::PermissionsExt;

    let (scratch, koogate, _) = one_call_behind();
    koogate.stop();
    fs::set_permissions(scratch.path("copy.db"), fs::Permissions::from_mode(0o644)).unwrap();
    scratch.run_ok(&["restore", "copy.db"]);
    assert_eq!(fs::metadata(scratch.path(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        Connection::open(scratch.path(FILE))
            .unwrap()
            .query_row("PRAGMA quick_check", [], |r| r.get::<_, String>(0))
            .unwrap(),
        "ok"
    );
}
