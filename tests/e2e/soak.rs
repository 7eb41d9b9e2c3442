//! Soak: steady mixed work for as long as one likes, a restore drill twenty-four times in that time, and a look at what the
//! process holds. What must be flat is flat.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::crash::ledger::check_operations;
use crate::crash::market::{Addresses, Market, Scene, random};
use crate::harness::{Koogate, Scratch, eventually};
use crate::shop::count;
use crate::usage::push::assert_billed_once;

/// Buyers at the same time.
const BUYERS: usize = 4;

/// Entries of each stock at the beginning, and for every second until the next drill: more than are sold.
const STOCK: usize = 500;
const STOCK_A_SECOND: usize = 20;

/// Old answers that are asked for again in every drill, of the restored server and of the running one.
const SAMPLE: usize = 50;

/// Drills before anything is compared: pools are filled, caches warm, every kind of work has been done.
const WARM: usize = 4;

/// What the process holds, in KiB and numbers, and what lies in its folder.
#[derive(Debug, Clone, Copy)]
struct Held {
    answers: u64,
    resident: u64,
    threads: u64,
    descriptors: usize,
    log: u64,
    file: u64,
}

impl Held {
    fn by(koogate: &Koogate, scratch: &Scratch, answers: u64) -> Self {
        let process = format!("/proc/{}", koogate.pid());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let kib = |file: &str| fs::metadata(scratch.path(file)).map_or(0, |file| file.len() / 1024);
        Self {
            answers,
            resident: number("VmRSS:"),
            threads: number("Threads:"),
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
            log: kib("koogate.db-wal"),
            file: kib("koogate.db"),
        }
    }
}

/// Takes the snapshot elsewhere, proves it, restores it in an empty folder, and has a second server answer from it. The
/// number of answers that were asked for again.
fn drill(scene: &Scene<'_>, known: usize) -> usize {
    let market = scene.market;
    let elsewhere = Scratch::new("");
    for file in ["koogate.toml", "kit.pem"] {
        fs::copy(market.scratch.path(file), elsewhere.path(file)).unwrap();
    }
    // As any tool copies it, while the server may put the next one in its place.
    fs::copy(market.scratch.path("koogate.snapshot.db"), elsewhere.path("copy.db")).unwrap();
    elsewhere.run_ok(&["verify", "copy.db"]);
    elsewhere.run_ok(&["restore", "copy.db"]);
    // It must not tell the application, nor KooGallery, what the other one tells them.
    let configuration = fs::read_to_string(elsewhere.path("koogate.toml")).unwrap();
    let closed = crate::harness::ClosedDoor::new();
    let lines = configuration.lines().map(|line| match line {
        line if line.starts_with("endpoint = ") => format!("endpoint = \"http://{}\"", closed.address()),
        line if line.starts_with("url = ") => format!("url = \"http://{}/\"", closed.address()),
        line => line.to_owned(),
    });
    fs::write(elsewhere.path("koogate.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    let koogate = elsewhere.serve();
    let places: Vec<_> = (0..SAMPLE.min(known)).map(|_| random(known)).collect();
    let problems = scene.ledger.repeat(places.iter().copied(), Addresses::of(&koogate));
    assert!(problems.is_empty(), "{problems:#?}");
    koogate.stop();
    places.len()
}

/// Imports what is sold in so much time; how many entries of each stock.
fn fill(market: &Market, from: usize, time: Duration) -> usize {
    let count = STOCK_A_SECOND * usize::try_from(time.as_secs() + 1).unwrap();
    market.fill(count, from);
    count
}

/// Works for so long, with so many drills, and prints what was held at each.
fn soak(length: Duration, drills: usize, warm: usize) -> Vec<Held> {
    let snapshots = length.div_f64(4.0 * drills as f64).max(Duration::from_secs(1)).min(Duration::from_secs(300));
    let market = Market::open(STOCK, &format!("[database]\nsnapshot_every = \"{}s\"\n", snapshots.as_secs()));
    let scene = Scene::new(&market, "S");
    // Its descriptors are counted, and not by root only.
    let koogate = market.scratch.serve_with(&[("KOOGATE_FAULT_WATCHED", "1")]);
    let begun = Instant::now();
    let held = thread::scope(|scope| {
        scene.serve(&koogate);
        for _ in 0..BUYERS {
            scope.spawn(|| scene.buy());
        }
        println!("drill  minutes  answers  resident KiB  threads  descriptors  log KiB  file KiB  asked again");
        let mut held: Vec<Held> = Vec::new();
        let mut stock = STOCK + fill(&market, STOCK, length.div_f64(drills as f64));
        for number in 1..=drills {
            let known = scene.ledger.acknowledged();
            let since = SystemTime::now();
            let until = begun + length.mul_f64(number as f64 / drills as f64);
            thread::sleep(until.saturating_duration_since(Instant::now()));
            // One that was begun when all that is known had been answered.
            let snapshot = || fs::metadata(market.scratch.path("koogate.snapshot.db")).ok()?.modified().ok();
            let is_new = || snapshot().is_some_and(|taken| taken > since + snapshots).then_some(());
            eventually(is_new, || koogate.log_text());
            koogate.signal("HUP");
            stock += fill(&market, stock, length.div_f64(drills as f64));
            let asked = drill(&scene, known);
            let now = Held::by(&koogate, &market.scratch, scene.answered());
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            let Held { answers, resident, threads, descriptors, log, file } = now;
            println!(
                "{number:5}  {minutes:7.1}  {answers:7}  {resident:12}  {threads:7}  {descriptors:11}  {log:7}  {file:8}  {asked:11}"
            );
            held.push(now);
        }
        scene.close();
        held
    });
    for unfinished in ["job WHERE state IN ('waiting', 'running')", "usage_record WHERE state = 'waiting'"] {
        eventually(|| (count(&market.scratch, unfinished) == 0).then_some(()), || koogate.log_text());
    }
    let problems = scene.ledger.compare(&market.scratch, "koogate.db");
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(check_operations(&market.application.events()), Vec::<String>::new());
    assert_billed_once(&market.mock, &scene.ledger.usage_numbers());
    println!("{:?}", scene.ledger.figures());
    koogate.stop();
    check_flat(&held[warm..]);
    held
}

/// Bounds on what may grow. Threads come with connections, of which buyers have one each, and with jobs, of which there are
/// 32 at a time; descriptors with both. The log is moved every 16 MiB and cut at 64 MiB. Memory: SQLite's caches are bounded
/// (4 MiB for the writer, 1 MiB a reader), and nothing else is kept for a call; an allocator keeps what threads have freed.
fn check_flat(held: &[Held]) {
    let Some((first, rest)) = held.split_first() else { return };
    for now in rest {
        let per_100_000 = 100_000.0 / (now.answers - first.answers).max(10_000) as f64;
        let growth = now.resident.saturating_sub(first.resident) as f64 * per_100_000;
        assert!(now.resident < first.resident + 16 * 1024 || growth < 8.0 * 1024.0, "memory: {first:?}, {now:?}");
        assert!(now.threads <= 64 + 32, "threads: {now:?}");
        assert!(now.descriptors <= first.descriptors + 64, "descriptors: {first:?}, {now:?}");
        assert!(now.log <= 64 * 1024, "log: {now:?}");
    }
}

#[test]
fn a_short_soak_with_two_drills_loses_nothing() {
    soak(Duration::from_secs(5), 2, 2);
}

mod long {
    use super::*;

    #[test]
    #[ignore = "takes ten minutes; KOOGATE_TEST_SOAK says how long (90s, 10m, 24h)"]
    fn a_soak_with_twenty_four_restore_drills_holds_no_more_than_at_its_beginning() {
        let wanted = std::env::var("KOOGATE_TEST_SOAK").unwrap_or_else(|_| "10m".to_owned());
        let (number, unit) = wanted.split_at(wanted.len() - 1);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => panic!("KOOGATE_TEST_SOAK = {wanted:?}: a number and s, m or h"),
        };
        soak(Duration::from_secs(number.parse::<u64>().unwrap() * seconds), 24, WARM);
    }
}
