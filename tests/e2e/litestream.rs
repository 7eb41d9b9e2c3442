//! Litestream beside koogate: with the settings of docs/operations.md, by the real program where it is installed.
//!
//! What needs the program is ignored unless asked for; `.ci/run` installs it and asks.

mod stream;

use std::time::SystemTime;

use rusqlite::Connection;

use crate::harness::{Answer, KEY, Koogate, Scratch, eventually, new_instance, text};
use crate::shop::FIXED;
use stream::{Stream, Tail};

/// Nothing but what is tested touches the database.
const QUIET: &str = "[database]\nsnapshot_every = \"24h\"\n";

fn scratch() -> Scratch {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], QUIET, FIXED);
    scratch
}

/// A purchase and its answer.
fn buy(koogate: &Koogate, order: &str) -> (String, Answer) {
    let answer = koogate.call(&new_instance(order));
    assert_eq!(answer.code(), "000000", "{}", answer.json());
    (order.to_owned(), answer)
}

fn check_verbatim(koogate: &Koogate, bought: &[(String, Answer)]) {
    for (order, answer) in bought {
        assert_eq!(koogate.call(&new_instance(order)).verbatim(), answer.verbatim(), "{order}");
    }
}

/// What Litestream does to a database that nobody serves when it comes: it keeps a log from now on, adds its tables, and
/// reads without an end.
fn reads_without_an_end(scratch: &Scratch) -> Connection {
    let follower = Connection::open(scratch.path("koogate.db")).unwrap();
    let set_up = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                  CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
                  CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);
                  BEGIN; SELECT count(*) FROM _litestream_seq;";
    follower.execute_batch(set_up).unwrap();
    follower
}

/// The bug: the mark of the running koogate did not get further than the log, and after a crash the log was taken for
/// another database's.
#[test]
fn a_crash_while_a_follower_keeps_the_log_from_being_moved_loses_nothing() {
    let scratch = scratch();
    let koogate = scratch.serve();
    let mut bought = vec![buy(&koogate, "CS1")];
    koogate.stop();
    let _follower = reads_without_an_end(&scratch);
    for round in 0..2 {
        let koogate = scratch.serve();
        check_verbatim(&koogate, &bought);
        bought.push(buy(&koogate, &format!("CS-{round}")));
        koogate.kill();
    }
    let log = scratch.serve().stop();
    assert!(!log.contains("a copy of the file alone may be torn"), "{log}");
    check_verbatim(&scratch.serve(), &bought);
}

#[test]
fn a_restore_is_refused_while_a_follower_has_the_database_open() {
    let scratch = scratch();
    let koogate = scratch.serve();
    let bought = [buy(&koogate, "CS1")];
    scratch.run_ok(&["backup", "copy.db"]);
    koogate.stop();
    let follower = reads_without_an_end(&scratch);
    let told = text(&scratch.run(&["restore", "copy.db"]).stderr);
    let expected = format!("koogate.db is open in another program (process {})", std::process::id());
    assert!(told.contains(&expected), "{told}");
    drop(follower);
    scratch.run_ok(&["restore", "copy.db"]);
    check_verbatim(&scratch.serve(), &bought);
}

#[test]
#[ignore = "needs litestream: .ci/run installs it and runs this"]
fn a_disk_is_lost_and_what_was_streamed_is_answered_verbatim() {
    let tail = stream::lose_the_disk(1);
    println!("lost: {tail:?}");
}

/// The bug: a log that koogate wrote over from its beginning, while Litestream was away, still showed Litestream the place
/// it knew, and the replica went on without what was in between.
#[test]
#[ignore = "needs litestream: .ci/run installs it and runs this"]
fn a_litestream_that_was_away_misses_nothing() {
    let scratch = scratch();
    let koogate = scratch.serve();
    let mut stream = Stream::start(&scratch);
    let mut bought: Vec<_> = (0..30).map(|number| buy(&koogate, &format!("with-{number}"))).collect();
    stream.has_replicated(&scratch, 30);
    // The next one is a day away: it would mend the replica.
    stream.has_said(&scratch, "snapshot complete");
    stream.kill();
    let before = SystemTime::now();
    bought.extend((0..30).map(|number| buy(&koogate, &format!("without-{number}"))));
    eventually(
        || (std::fs::metadata(scratch.path("koogate.db")).unwrap().modified().unwrap() > before).then_some(()),
        || format!("the log is not moved:\n{}", koogate.log_text()),
    );
    bought.push(buy(&koogate, "over-the-old-log"));
    let mut stream = Stream::start(&scratch);
    stream.has_replicated(&scratch, bought.len());
    bought.push(buy(&koogate, "with-again"));
    koogate.stop();
    stream.stop();
    stream.restore(&scratch, "replica.db");
    scratch.run_ok(&["verify", "--replica", "replica.db"]);
    scratch.run_ok(&["restore", "--replica", "replica.db"]);
    check_verbatim(&scratch.serve(), &bought);
}

#[test]
#[ignore = "needs litestream: .ci/run installs it and runs this"]
fn koogate_starts_stops_crashes_and_is_restored_beside_litestream_without_a_word_of_warning() {
    let scratch = scratch();
    let koogate = scratch.serve();
    let mut bought = vec![buy(&koogate, "CS1")];
    koogate.stop();
    let mut stream = Stream::start(&scratch);
    for round in 0..3 {
        let koogate = scratch.serve();
        bought.extend((0..20).map(|number| buy(&koogate, &format!("CS-{round}-{number}"))));
        check_verbatim(&koogate, &bought);
        scratch.run_ok(&["backup", "copy.db"]);
        scratch.run_ok(&["verify", "copy.db"]);
        let log = if round == 1 {
            let log = koogate.log_text();
            koogate.kill();
            log
        } else {
            koogate.stop()
        };
        // Of a file that somebody has opened since it was closed all is checked, and that is said.
        let expected = |line: &str| line.contains("checking all of it") || line.contains("run chmod 600 on it");
        assert!(log.lines().filter(|line| line.contains(" WARN ")).all(expected), "{log}");
    }
    stream.stop();
    stream.restore(&scratch, "replica.db");
    assert_eq!(stream::orders_in(&scratch.path("replica.db")).len(), bought.len());
}

mod long {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Stream, Tail, buy, scratch, stream};

    /// Unless the environment variable `KOOGATE_TEST_LOSSES` says otherwise.
    const LOSSES: usize = 20;

    /// Unless the environment variable `KOOGATE_TEST_SECONDS` says otherwise.
    const SECONDS: u64 = 60;

    /// A larger log is warned of at 256 MiB.
    const LARGEST_LOG: u64 = 64 << 20;

    #[test]
    #[ignore = "long, and needs litestream: .ci/run installs it"]
    fn the_log_does_not_grow_beside_litestream_under_load() {
        let seconds = std::env::var("KOOGATE_TEST_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
        let scratch = scratch();
        let koogate = scratch.serve();
        let mut stream = Stream::start(&scratch);
        let (over, sold, largest) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for client in 0..8 {
                let (koogate, over, sold, largest) = (&koogate, &over, &sold, &largest);
                scope.spawn(move || {
                    let mut number = 0;
                    while !over.load(Ordering::SeqCst) {
                        let begun = Instant::now();
                        buy(koogate, &format!("CS-{client}-{number}"));
                        number += 1;
                        sold.fetch_add(1, Ordering::SeqCst);
                        largest.fetch_max(usize::try_from(begun.elapsed().as_millis()).unwrap(), Ordering::SeqCst);
                    }
                });
            }
            let (until, mut largest_log) = (Instant::now() + Duration::from_secs(seconds), 0);
            while Instant::now() < until {
                largest_log = largest_log.max(std::fs::metadata(scratch.path("koogate.db-wal")).unwrap().len());
                thread::sleep(Duration::from_millis(100));
            }
            over.store(true, Ordering::SeqCst);
            println!(
                "{seconds} s beside litestream, {} calls: the log had {} KiB at most",
                sold.load(Ordering::SeqCst),
                largest_log >> 10
            );
            assert!(largest_log < LARGEST_LOG);
        });
        println!("the slowest answer took {} ms", largest.load(Ordering::SeqCst));
        let log = koogate.stop();
        assert!(!log.contains("the WAL has grown") && !log.contains("has been writing"), "{log}");
        stream.stop();
        stream.restore(&scratch, "replica.db");
        assert_eq!(stream::orders_in(&scratch.path("replica.db")).len(), sold.load(Ordering::SeqCst));
    }

    #[test]
    #[ignore = "long, and needs litestream: .ci/run installs it"]
    fn the_loss_window_of_litestream_is_measured() {
        let losses = std::env::var("KOOGATE_TEST_LOSSES").map_or(LOSSES, |losses| losses.parse().unwrap());
        let mut tails: Vec<Tail> = (1..=losses).map(stream::lose_the_disk).collect();
        tails.sort_by_key(|tail| tail.window);
        let (median, worst) = (&tails[losses / 2], &tails[losses - 1]);
        let calls: usize = tails.iter().map(|tail| tail.acknowledged).sum();
        println!("{losses} disks lost under load, {calls} calls acknowledged before");
        println!(
            "loss window: median {:?} ({} calls), worst {:?} ({} calls)",
            median.window, median.lost, worst.window, worst.lost
        );
    }
}
