//! How large the files are, and how long a start takes.

use std::time::Duration;

use crate::load::{self, Pace, Work};
use crate::machine;
use crate::report::{Table, median};
use crate::subject::Subject;

/// Each start is made so often; the median counts.
const TIMES: usize = 3;

/// Larger ones end cleanly only once.
const LARGE: u64 = 1_000_000;

/// Of the filled databases.
pub fn sizes(subjects: &[Subject]) -> Table {
    let sizes: Vec<u64> = subjects.iter().map(|subject| subject.exchanges).collect();
    let mut table = Table::new("file", &sizes);
    table.row("MiB", 0, subjects.iter().map(|subject| Some(subject.mib("") as f64)).collect());
    let each = |subject: &Subject| subject.bytes("") as f64 / subject.exchanges as f64;
    table.row(
        "bytes for each exchange, everything in it",
        0,
        subjects.iter().map(|subject| Some(each(subject))).collect(),
    );
    table.print();
    table
}

/// From the start of the process to its first answer, and what it holds in memory after some calls.
pub fn measure(subjects: &mut [Subject]) -> Table {
    let sizes: Vec<u64> = subjects.iter().map(|subject| subject.exchanges).collect();
    let mut found = Vec::new();
    for subject in subjects.iter_mut() {
        eprintln!("{} exchanges: starts", subject.exchanges);
        found.push(size(subject));
    }
    let mut table = Table::new("start", &sizes);
    let mut row = |name: &str, decimals, figure: &dyn Fn(&Starts) -> f64| {
        table.row(name, decimals, found.iter().map(|size| Some(figure(size))).collect());
    };
    row("ready after a clean end, ms", 1, &|size| median(&size.clean));
    row("ready after kill -9, ms", 1, &|size| median(&size.killed));
    row("a snapshot, nothing else to do, s", 2, &|size| size.alone);
    row("a stop with nothing new since the snapshot, ms", 1, &|size| size.stop);
    row("resident memory after 4,000 calls, MiB", 1, &|size| size.memory.0);
    row("… of which anonymous, MiB", 1, &|size| size.memory.1);
    table.print();
    table
}

struct Starts {
    alone: f64,
    clean: Vec<f64>,
    killed: Vec<f64>,
    stop: f64,
    memory: (f64, f64),
}

fn size(subject: &mut Subject) -> Starts {
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    let (mut alone, mut stop) = (0.0, 0.0);
    // A clean end at once needs a snapshot first, which takes its time.
    let times = if subject.exchanges > LARGE { 1 } else { TIMES };
    for _ in 0..times {
        subject.server = None;
        subject.start(None);
        alone = subject.server().wait_for("holds").as_secs_f64();
        stop = milliseconds(subject.stop());
        eprintln!("a snapshot: {alone:.1} s, a stop: {stop:.0} ms");
        subject.start(None);
        clean.push(milliseconds(subject.server().ready_after));
    }
    let mut memory = (0.0, 0.0);
    for _ in 0..TIMES {
        let (server, mut count) = (subject.server(), 0);
        // So that there is a log that belongs to it.
        load::drive(server.address, subject.instances(), Work::Mixed, Pace::Rate(4000), Duration::ZERO, |past| {
            count += 1;
            count > 1 && past > Duration::from_secs(1)
        });
        memory = machine::memory(server.pid());
        subject.server = None;
        subject.start(None);
        killed.push(milliseconds(subject.server().ready_after));
        eprintln!("after kill -9: ready after {:?}", subject.server().ready_after);
    }
    Starts { alone, clean, killed, stop, memory }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
