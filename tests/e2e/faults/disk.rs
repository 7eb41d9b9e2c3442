//! Reads, writes and syncs that fail, each in its turn, while calls go on.

use super::{Shim, Victim, again, assert_told_once, shop};
use crate::harness::{eventually, query};

/// A life makes fewer calls of any kind.
pub const MOST: u32 = 4000;

/// Which of the calls of a life are tried: all, or ever fewer.
#[derive(Clone, Copy, PartialEq)]
pub enum Which {
    All,
    Most,
    Some,
}

/// Plays a life for every n: its n-th call of this kind on a file meets the fault. Returns how many there were.
pub fn sweep(victim: &mut Victim<'_>, call: &str, fault: &str, which: Which) -> u32 {
    let (mut number, mut reached) = (1, 0);
    while number < MOST {
        victim.shim.rules(&format!("{call} {number} {fault}\n"));
        victim.sweeps += 1;
        victim.live(&format!("CS{}-{number}", victim.sweeps));
        if victim.shim.hits().is_empty() {
            break;
        }
        reached = number;
        number += match which {
            Which::All => 1,
            Which::Most => 1 + number / 8,
            Which::Some => 1 + number / 2,
        };
    }
    victim.shim.rules("");
    reached
}

#[test]
fn the_shim_is_under_everything_koogate_does() {
    let (_application, scratch) = shop();
    let shim = Shim::new();
    let kinds = [
        "open /koogate.db",
        "create /koogate.db.lock",
        "create /koogate.db-wal",
        "create /koogate.db-shm",
        "write /koogate.db",
        "write /koogate.db-wal",
        "write /koogate.db.lock",
        "sync /koogate.db-wal",
        "read /koogate.db",
        "map /koogate.db-shm",
        "accept socket",
        "thread thread",
    ];
    shim.rules(&kinds.map(|kind| format!("{kind} 1 slow:0\n")).concat());
    let mut victim = Victim::start(&scratch, &shim);
    victim.live("CS1");
    for kind in kinds {
        let (call, file) = kind.split_once(' ').unwrap();
        let seen = |hit: &&String| hit.starts_with(&format!("{call} ")) && hit.ends_with(file);
        assert!(shim.hits().iter().any(|hit| seen(&hit)), "{kind}: {:?}", shim.hits());
    }
    let kinds =
        ["sync /koogate.db", "truncate /koogate.db-wal", "rename /koogate.snapshot.db", "unlink /koogate.db-wal"];
    shim.rules(&kinds.map(|kind| format!("{kind} 1 slow:0\n")).concat());
    let Victim { koogate, .. } = victim;
    koogate.stop();
    for kind in kinds {
        let file = kind.split_once(' ').unwrap().1;
        assert!(shim.hits().iter().any(|hit| hit.ends_with(file)), "{kind}: {:?}", shim.hits());
    }
}

#[test]
fn a_failing_log_costs_an_answer_and_never_what_was_answered() {
    let (application, scratch) = shop();
    let shim = Shim::new();
    let mut victim = Victim::start(&scratch, &shim);
    assert!(sweep(&mut victim, "sync -wal", "EIO", Which::All) > 8);
    assert!(victim.refusals > 8, "faults have consequences");
    for fault in ["EIO", "ENOSPC", "EDQUOT", "short"] {
        assert!(sweep(&mut victim, "write -wal", fault, Which::Some) > 20, "{fault}");
    }
    victim.die_and_rise(false);
    assert_told_once(&application);
}

/// What cannot be read is answered "try again", or from what was read before.
#[test]
fn reads_that_fail_or_are_cut_short_give_no_wrong_answer() {
    let (application, scratch) = shop();
    let shim = Shim::new();
    let mut victim = Victim::start(&scratch, &shim);
    let mut reached = 0;
    for call in ["read -wal", "read /koogate.db"] {
        for fault in ["EIO", "short"] {
            reached += sweep(&mut victim, call, fault, Which::Some);
        }
    }
    assert!(reached > 0);
    victim.die_and_rise(false);
    assert_told_once(&application);
}

/// After a sync that fails, Linux takes the pages for written, and the next sync succeeds without them. Nothing that was
/// answered may depend on those: here they are gone, and the power too.
#[test]
fn after_a_failed_sync_nothing_depends_on_pages_that_never_reached_the_disk() {
    for moved in ["sync /koogate.db 1 EIO", "write /koogate.db 2 EIO", "write /koogate.db 1 short", ""] {
        lose_pages(moved);
    }
}

/// Fails syncs of the log while calls go on, and, while nothing goes on, something of its move into the database; then
/// cuts the power.
fn lose_pages(moved: &str) {
    let (application, scratch) = shop();
    let shim = Shim::with_platter();
    let mut victim = Victim::start(&scratch, &shim);
    assert!(sweep(&mut victim, "sync -wal", "EIO", Which::Some) > 8);
    if !moved.is_empty() {
        shim.rules(moved);
        let met = || shim.hits().first().cloned();
        eventually(met, || format!("{moved}: {}", victim.koogate.log_text()));
        victim.live("CS-moved");
        if moved.ends_with("EIO") {
            victim.koogate.wait_for_log("the WAL is moved into the database again");
        }
    }
    assert!(sweep(&mut victim, "sync -wal", "EIO", Which::Some) > 8);
    victim.die_and_rise(true);
    assert_told_once(&application);
}

/// What is moved beside commits SQLite takes for moved before any sync has confirmed it, and would not move it again.
#[test]
fn pages_that_a_failed_sync_has_lost_come_from_the_log_at_the_next_start() {
    for stops in [false, true] {
        let (application, scratch) = shop();
        let shim = Shim::with_platter();
        let mut victim = Victim::start(&scratch, &shim);
        victim.live("CS-before");
        shim.rules("sync /koogate.db 1+ EIO");
        // What is moved in one pass is moved again: nothing is in doubt yet, and what is said of it must not hide what comes.
        victim.live("CS-again");
        victim.koogate.wait_for_log("ALERT the WAL cannot be moved");
        assert!(!victim.koogate.log_text().contains("restart koogate"));
        grow_log(&victim, 80);
        victim.koogate.wait_for_log("restart koogate");
        shim.rules("");
        victim.live("CS-doubt");
        // A log that was not needed any more would be written over now.
        grow_log(&victim, 120);
        victim.live("CS-after");
        if stops {
            victim.stop_and_rise()
        } else {
            victim.die_and_rise(true)
        };
        assert_told_once(&application);
    }
}

/// The last sync is that of the stop itself: closing the database must not try once more, and remove the log.
#[test]
fn a_stop_whose_sync_fails_leaves_the_log_to_the_next_start() {
    let (application, scratch) = shop();
    let shim = Shim::with_platter();
    let mut victim = Victim::start(&scratch, &shim);
    victim.live("CS1");
    // Passes of the mover, which beside commits put nothing on the disk.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| grow_log(&victim, 25));
        }
    });
    victim.live("CS2");
    shim.rules("sync /koogate.db 1 EIO");
    victim.end_and_rise(|mut koogate, scratch, shim| {
        koogate.signal("TERM");
        koogate.wait();
        assert_eq!(shim.hits().len(), 1);
        shim.cut_power(scratch);
    });
    assert_told_once(&application);
}

/// Calls that put about 220 pages each into the log.
fn grow_log(victim: &Victim<'_>, calls: u32) {
    let mut large = query("nobody-knows-it");
    large["padding"] = "x".repeat(900_000).into();
    for _ in 0..calls {
        assert_eq!(victim.koogate.call(&again(&large)).code(), "000003");
    }
}
