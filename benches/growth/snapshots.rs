//! Answers while a snapshot is taken, and while the journal is purged, against answers without.
//!
//! A koogate that starts takes a snapshot first and purges then. So it is started under load: what is answered until the
//! snapshot is there is "during", what comes after the purge is "without".

use std::time::{Duration, Instant};

use crate::load::{self, Found, Pace, Work};
use crate::report::Table;
use crate::subject::Subject;
use crate::{fill, machine};

/// Calls at a moderate rate.
const RATE: u32 = 2000;

/// How many days are purged under load.
const PURGED_DAYS: i64 = 2;

/// A snapshot under load that has not come to an end by then never does.
const PATIENCE: Duration = Duration::from_secs(900);

/// What one size gave.
struct Size {
    loads: Vec<(Pace, Under)>,
    purge: Option<Purge>,
}

struct Under {
    with: Found,
    without: Found,
    seconds: f64,
    wal_most: u64,
    /// `None`: the log was not cut within a while after the snapshot.
    wal_cut: Option<u64>,
    memory: f64,
}

struct Purge {
    with: Found,
    seconds: f64,
    rows: usize,
}

/// Measures and prints all of it.
pub fn measure(subjects: &mut [Subject], length: Duration) -> Vec<Table> {
    let sizes: Vec<u64> = subjects.iter().map(|subject| subject.exchanges).collect();
    let found: Vec<Size> = subjects.iter_mut().map(|subject| size(subject, length)).collect();
    let mut tables = Vec::new();
    let mut table = Table::new("snapshot", &sizes);
    for (number, (pace, _)) in found[0].loads.iter().enumerate() {
        let mut row = |name: &str, decimals: usize, figure: &dyn Fn(&Under) -> Option<f64>| {
            let figures = found.iter().map(|size| figure(&size.loads[number].1)).collect();
            table.row(format!("{pace}: {name}"), decimals, figures);
        };
        row("time, s", 1, &|under| Some(under.seconds));
        row("p99 without, ms", 2, &|under| Some(under.without.p99 / 1e3));
        row("p99 during, ms", 2, &|under| Some(under.with.p99 / 1e3));
        row("p99 during / without", 2, &|under| Some(under.with.p99 / under.without.p99));
        row("p99.9 without, ms", 2, &|under| Some(under.without.p999 / 1e3));
        row("p99.9 during, ms", 2, &|under| Some(under.with.p999 / 1e3));
        row("slowest without, ms", 1, &|under| Some(under.without.most / 1e3));
        row("slowest during, ms", 1, &|under| Some(under.with.most / 1e3));
        row("answered 000005 during", 0, &|under| Some(under.with.busy as f64));
        row("answers a second without", 0, &|under| Some(under.without.rate));
        row("answers a second during", 0, &|under| Some(under.with.rate));
        row("largest WAL, MiB", 0, &|under| Some(mib(under.wal_most)));
        row("WAL afterwards, MiB", 0, &|under| under.wal_cut.map(mib));
        row("anonymous memory during, MiB", 1, &|under| Some(under.memory));
    }
    table.print();
    tables.push(table);
    let mut table = Table::new(format!("purge of {PURGED_DAYS} days, {RATE} calls a second"), &sizes);
    let mut row = |name: &str, decimals: usize, figure: &dyn Fn(&Purge) -> f64| {
        table.row(name, decimals, found.iter().map(|size| size.purge.as_ref().map(figure)).collect());
    };
    row("rows", 0, &|purge| purge.rows as f64);
    row("time, s", 1, &|purge| purge.seconds);
    row("p99 meanwhile, ms", 2, &|purge| purge.with.p99 / 1e3);
    row("p99.9 meanwhile, ms", 2, &|purge| purge.with.p999 / 1e3);
    row("answered 000005", 0, &|purge| purge.with.busy as f64);
    row("slowest, ms", 1, &|purge| purge.with.most / 1e3);
    table.print();
    tables.push(table);
    tables
}

fn size(subject: &mut Subject, length: Duration) -> Size {
    let mut loads = Vec::new();
    let mut purge = None;
    for pace in [Pace::Rate(RATE), Pace::Full(64)] {
        eprintln!("{} exchanges: a snapshot under {pace}", subject.exchanges);
        subject.server = None;
        let purges = matches!(pace, Pace::Rate(_)).then_some(fill::DAYS - PURGED_DAYS);
        subject.start(purges);
        let (with, wal_most, memory) = during(subject, pace);
        let seconds = subject.server().logged("holds").unwrap().as_secs_f64();
        if purges.is_some() {
            purge = during_purge(subject, pace, seconds);
        }
        let wal_cut = cut(subject);
        let instances = subject.instances();
        let quiet = length / 10;
        let without = load::drive(subject.server().address, instances, Work::Mixed, pace, quiet, |past| past >= length);
        loads.push((pace, Under { with, without, seconds, wal_most, wal_cut, memory }));
    }
    Size { loads, purge }
}

/// Calls until the snapshot is there; with the largest size of the log and of the memory.
fn during(subject: &Subject, pace: Pace) -> (Found, u64, f64) {
    let server = subject.server();
    let (mut wal, mut memory, begun) = (0, 0.0_f64, Instant::now());
    let found = load::drive(server.address, subject.instances(), Work::Mixed, pace, Duration::ZERO, |_| {
        wal = wal.max(subject.bytes("-wal"));
        memory = memory.max(machine::memory(server.pid()).1);
        assert!(begun.elapsed() < PATIENCE, "the snapshot came to no end");
        server.logged("holds").is_some()
    });
    (found, wal, memory)
}

/// Calls until something was purged, and nothing for two seconds since.
fn during_purge(subject: &Subject, pace: Pace, began: f64) -> Option<Purge> {
    let server = subject.server();
    let mut last = (Duration::ZERO, 0);
    let mut quiet_since = Instant::now();
    let with = load::drive(server.address, subject.instances(), Work::Mixed, pace, Duration::ZERO, |past| {
        let found = server.logged_last(" old exchanges").unwrap_or_default();
        if found != last {
            (last, quiet_since) = (found, Instant::now());
        }
        past > PATIENCE || (last.1 > 0 && quiet_since.elapsed() > Duration::from_secs(2))
    });
    let rows = server.purged(" old exchanges");
    (rows > 0).then_some(Purge { with, seconds: last.0.as_secs_f64() - began, rows })
}

/// The size of the log after a while without calls, if it was cut by then.
fn cut(subject: &Subject) -> Option<u64> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        let size = subject.bytes("-wal");
        if size <= 64 << 20 {
            return Some(size);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
