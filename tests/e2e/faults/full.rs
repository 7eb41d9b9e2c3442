//! Disks without room: for the log, the database, the snapshots, at every moment; and disks that have room again.

use std::time::Duration;

use super::{FIXED, SERVER, Shim, Victim, assert_told_once, shop};
use crate::harness::{KEY, Koogate, Scratch, eventually, new_instance, text};

/// Without room for anything of the database, a snapshot or the lock file.
const FULL: &str = "write /koogate.db 1+ ENOSPC\nwrite -wal 1+ ENOSPC\nwrite -shm 1+ ENOSPC\nwrite -journal 1+ ENOSPC\n\
    write .lock 1+ ENOSPC\nwrite .tmp 1+ ENOSPC\ncreate .tmp 1+ ENOSPC\n";

fn ready(koogate: &Koogate) -> (u16, String) {
    let answer = koogate.admin("GET", "/readyz", None, "");
    (answer.status, text(&answer.body))
}

fn wait_until_ready(koogate: &Koogate) {
    eventually(|| (ready(koogate).0 == 200).then_some(()), || format!("{:?}\n{}", ready(koogate), koogate.log_text()));
}

fn alerts(koogate: &Koogate) -> Vec<String> {
    koogate.log_text().lines().filter(|line| line.contains("ALERT")).map(str::to_owned).collect()
}

/// The bugs: `/readyz` said "ready" because a commit of nothing touches no disk; each call was an `ALERT` of its own.
#[test]
fn a_full_disk_is_told_once_makes_the_server_unready_and_is_over_without_a_restart_or_a_call() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, FIXED);
    let shim = Shim::new();
    let mut victim = Victim::start(&scratch, &shim);
    victim.insist_twice(&new_instance("CS0"));
    assert_eq!(ready(&victim.koogate), (200, "ready\n".to_owned()));
    for fault in ["ENOSPC", "EDQUOT", "EIO", "EROFS"] {
        shim.rules(&FULL.replace("ENOSPC", fault));
        for call in 0..20 {
            assert_eq!(victim.koogate.call(&new_instance(&format!("CS-{fault}-{call}"))).code(), "000005", "{fault}");
        }
        let (status, body) = ready(&victim.koogate);
        assert!(status == 503 && body.contains("the database cannot be written"), "{status} {body}");
        // What was answered is answered still: the record is read. The retry cannot be recorded, though.
        assert_eq!(victim.koogate.call(&new_instance("CS0")).code(), "000005");
        shim.rules("");
        wait_until_ready(&victim.koogate);
        victim.insist_twice(&new_instance(&format!("CS-{fault}-0")));
    }
    let told: Vec<_> = alerts(&victim.koogate).into_iter().filter(|line| line.contains("cannot be written")).collect();
    // One trouble that comes and goes: told once a minute.
    assert!(!told.is_empty() && told.len() <= 3, "{told:#?}");
    assert!(told[0].contains("the disk is full: free some space"), "{told:?}");
    victim.koogate.wait_for_log("the database is written again");
    victim.die_and_rise(false).stop();
}

/// The bug: a result that could not be recorded was lost, and its job stood still until its lease ended.
#[test]
fn what_an_application_has_done_is_recorded_when_the_disk_has_room_again() {
    let scratch = Scratch::new("");
    let shim = std::sync::Arc::new(Shim::new());
    let filling = std::sync::Arc::clone(&shim);
    let application = crate::harness::Application::start(move |event| {
        // Full from the moment on at which the application begins.
        filling.rules(FULL);
        (200, crate::harness::ready_answer(event))
    });
    scratch.configure(&[KEY], SERVER, &application.product(""));
    let koogate = shim.serve(&scratch);
    let code = koogate.call(&new_instance("CS1")).code();
    assert!(["000004", "000005"].contains(&code.as_str()), "{code}");
    koogate.wait_for_log("the result of attempt 1 could not be recorded");
    shim.rules("");
    koogate.call_until_success(&new_instance("CS1"));
    assert_eq!(application.events().len(), 1, "{}", koogate.log_text());
    koogate.stop();
}

#[test]
fn a_stop_on_a_full_disk_loses_nothing_and_a_start_on_one_says_why_it_fails() {
    let (application, scratch) = shop();
    let shim = Shim::new();
    let mut victim = Victim::start(&scratch, &shim);
    victim.live("CS1");
    shim.rules(FULL);
    victim.koogate.signal("TERM");
    let code = victim.koogate.wait();
    let log = victim.koogate.log_text();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("nothing is lost, its WAL stays beside it"), "{log}");
    let ended = shim.try_serve(&scratch).err().expect("a start on a full disk");
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("koogate.db") && ended.log.contains("No space left"), "{}", ended.log);
    shim.rules("");
    let mut risen = Victim { koogate: shim.serve(&scratch), ..victim };
    risen.live("CS2");
    risen.die_and_rise(false).stop();
    assert_told_once(&application);
}

/// Every write of the first start and of a stop, failing in its turn: what is left starts again.
#[test]
fn a_first_start_or_a_stop_that_meets_a_full_disk_leaves_what_starts_again() {
    for call in
        ["write /koogate.db", "write -journal", "write .lock", "write -shm", "sync /koogate.db", "sync -journal"]
    {
        for number in (1..=40).filter(|n| *n < 6 || n % 7 == 0) {
            let scratch = Scratch::new("");
            scratch.configure(&[KEY], SERVER, FIXED);
            let shim = Shim::new();
            shim.rules(&format!("{call} {number}+ ENOSPC\n"));
            let acknowledged = match shim.try_serve(&scratch) {
                Ok(mut koogate) => {
                    let answer = koogate.call(&new_instance("CS1"));
                    koogate.signal("TERM");
                    assert!(koogate.wait().is_some(), "{}", koogate.log_text());
                    Some(answer).filter(|answer| answer.code() == "000000")
                }
                Err(ended) => {
                    assert_eq!(ended.code, Some(1), "{call} {number}: {}", ended.log);
                    assert!(!ended.log.contains("panicked"), "{}", ended.log);
                    None
                }
            };
            let reached = !shim.hits().is_empty();
            let koogate = scratch.serve();
            let answer = koogate.call(&new_instance("CS1"));
            assert_eq!(answer.code(), "000000", "{call} {number}: {}", koogate.log_text());
            if let Some(acknowledged) = acknowledged {
                assert_eq!(answer.verbatim(), acknowledged.verbatim(), "{call} {number}");
            }
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn a_snapshot_that_meets_a_full_disk_leaves_the_last_one_and_the_next_is_taken() {
    let scratch = Scratch::new("");
    let sections = format!(
        "{SERVER}[database]\nsnapshot_every = \"1s\"\n[database.snapshots]\ndirectory = \"series\"\nevery = \"1m\"\nkeep = 2\n"
    );
    scratch.configure(&[KEY], &sections, FIXED);
    let shim = Shim::new();
    let koogate = shim.serve(&scratch);
    koogate.call(&new_instance("CS1"));
    eventually(|| scratch.path("koogate.snapshot.db").exists().then_some(()), || koogate.log_text());
    for fault in
        ["write .tmp 1+ ENOSPC", "create .tmp 1+ ENOSPC", "sync .tmp 1 EIO", "rename /koogate.snapshot.db 1 EIO"]
    {
        let before = std::fs::read(scratch.path("koogate.snapshot.db")).unwrap();
        shim.rules(fault);
        let order = fault.replace(' ', "");
        koogate.call_until_success(&new_instance(&order));
        eventually(
            || (!shim.hits().is_empty()).then_some(()),
            || format!("{fault} was not met:\n{}", koogate.log_text()),
        );
        koogate.wait_for_log("ALERT no snapshot could be taken");
        let left = || {
            let files = std::fs::read_dir(scratch.path(".")).unwrap();
            files.flatten().filter(|file| file.path().extension().is_some_and(|end| end == "tmp")).count()
        };
        shim.rules("");
        // The next one has it, and no half one is left.
        eventually(
            || {
                let now = std::fs::read(scratch.path("koogate.snapshot.db")).unwrap();
                (now != before && left() == 0).then_some(())
            },
            || koogate.log_text(),
        );
    }
    koogate.stop();
    scratch.run_ok(&["verify", "koogate.snapshot.db"]);
}

/// A disk that is slow is no disk that fails: answers leave in time, and nobody is told twice.
#[test]
fn a_disk_that_stalls_is_answered_in_time_and_told_once() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, FIXED);
    let shim = Shim::new();
    let mut victim = Victim::start(&scratch, &shim);
    shim.rules("sync -wal 1+ slow:1500\n");
    for number in 0..3 {
        assert_eq!(victim.koogate.call(&new_instance(&format!("CS{number}"))).code(), "000005");
    }
    shim.rules("");
    std::thread::sleep(Duration::from_millis(1));
    (0..3).for_each(|number| drop(victim.insist_twice(&new_instance(&format!("CS{number}")))));
    let told = alerts(&victim.koogate);
    assert_eq!(told.len(), 1, "{told:#?}");
    victim.die_and_rise(false).stop();
}
