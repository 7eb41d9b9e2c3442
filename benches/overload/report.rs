//! The tables.

use std::collections::BTreeMap;

use super::calls::{Said, Work};
use super::figures::{Figures, percentiles};
use super::flood::Kind;
use super::honest::Told;
use super::open::Lines;

/// One drive of the first part.
pub struct LoadRow {
    /// Milliseconds more for each flush.
    pub delay: Option<u64>,
    pub work: Work,
    pub lines: Lines,
    /// What the server does at most, a second.
    pub peak: f64,
    /// Calls were planned at so many times that.
    pub factor: f64,
    /// Cores that the server used.
    pub cpu: f64,
    pub figures: Figures,
}

/// One drive with a disk that stands still.
pub struct StallRow {
    pub lines: Lines,
    pub factor: f64,
    pub peak: f64,
    pub before: Figures,
    pub during: Figures,
    pub after: Figures,
}

/// One flood.
pub struct FloodRow {
    /// `None`: without one, to compare with.
    pub kind: Option<Kind>,
    pub hosts: u8,
    pub secure: bool,
    /// Connections and calls of the flood, a second.
    pub rate: Option<f64>,
    /// The honest caller with a connection for each call.
    pub anew: Honest,
    /// The honest caller with kept connections.
    pub kept: Honest,
    /// Cores that the server used.
    pub cpu: f64,
    /// MiB of the server.
    pub memory: f64,
    /// Lines of the server's log.
    pub log_lines: u64,
}

/// What an honest caller found.
pub struct Honest {
    calls: usize,
    /// Freezes that had no success.
    lost_freezes: usize,
    /// Queries likewise.
    lost_queries: usize,
    /// Milliseconds of the freezes that had: half, 99 of 100, all.
    freezes: [f64; 3],
}

impl Honest {
    pub fn of(told: &[Told]) -> Self {
        let succeeded = |told: &&Told| told.said == Some(Said::Code(*b"000000"));
        let of = |is_freeze: bool| told.iter().filter(move |told| told.is_freeze == is_freeze);
        let lost = |is_freeze: bool| of(is_freeze).count() - of(is_freeze).filter(succeeded).count();
        let freezes = percentiles(of(true).filter(succeeded).map(|told| told.took).collect());
        Self { calls: of(true).count(), lost_freezes: lost(true), lost_queries: lost(false), freezes }
    }

    fn row(&self) -> String {
        let Self { calls, lost_freezes, lost_queries, freezes: [p50, p99, max] } = self;
        format!("{lost_freezes} and {lost_queries} of {calls} | {p50:.1} | {p99:.0} | {max:.0}")
    }
}

pub fn load(rows: &[LoadRow]) {
    println!("\n## More than can be done\n");
    println!(
        "| disk | calls | connections | peak/s | planned | 000000/s | of the peak | others/s | in time | p50 ms | p99 ms | max ms | in time from sending | p99 ms | cores |"
    );
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for LoadRow { delay, work, lines, peak, factor, cpu, figures } in rows {
        let disk = delay.map_or("as it is".to_owned(), |delay| format!("+{delay} ms a flush"));
        let work = if *work == Work::New { "new" } else { "mix" };
        let Figures { rate, ends, from_plan: [p50, p99, max], from_send: [_, sent, _], in_time, in_time_sent } =
            figures;
        println!(
            "| {disk} | {work} | {} | {peak:.0} | {factor} x | {rate:.0} | {:.0} % | {} | {:.2} % | {p50:.0} | {p99:.0} | {max:.0} | {:.2} % | {sent:.0} | {cpu:.1} |",
            words(*lines),
            100.0 * rate / peak,
            others(ends),
            100.0 * in_time,
            100.0 * in_time_sent
        );
    }
}

pub fn stall(rows: &[StallRow]) {
    println!("\n## A disk that stands still for five seconds\n");
    println!(
        "| connections | planned | when | 000000/s | others/s | in time | p50 ms | p99 ms | max ms | in time from sending |"
    );
    println!("| --- | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for StallRow { lines, factor, peak, before, during, after } in rows {
        for (when, figures) in [("before", before), ("during", during), ("after", after)] {
            let Figures { rate, ends, from_plan: [p50, p99, max], in_time, in_time_sent, .. } = figures;
            println!(
                "| {} | {factor} x {peak:.0} | {when} | {rate:.0} | {} | {:.2} % | {p50:.0} | {p99:.0} | {max:.0} | {:.2} % |",
                words(*lines),
                others(ends),
                100.0 * in_time,
                100.0 * in_time_sent
            );
        }
    }
}

pub fn floods(rows: &[FloodRow]) {
    println!("\n## A freeze and a query every 50 ms beside a flood\n");
    println!(
        "| flood | its hosts | its calls/s | freezes and queries lost, a connection each | p50 ms | p99 ms | max ms | lost, kept connections | p50 ms | p99 ms | max ms | server's cores | MiB | log lines |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for FloodRow { kind, hosts, secure, rate, anew, kept, cpu, memory, log_lines } in rows {
        let name = kind.and_then(|kind| Kind::ALL.iter().find(|(other, ..)| *other == kind)).map(|(.., name)| *name);
        let rate = rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        println!(
            "| {}{} | {} | {rate} | {} | {} | {cpu:.1} | {memory:.0} | {log_lines} |",
            name.unwrap_or("none"),
            if *secure { ", HTTPS" } else { "" },
            if kind.is_some() { hosts.to_string() } else { "-".to_owned() },
            anew.row(),
            kept.row()
        );
    }
}

fn words(lines: Lines) -> String {
    match lines {
        Lines::Kept(count) => format!("{count} kept"),
        Lines::PerCall => "one a call".to_owned(),
    }
}

/// All ends but success.
fn others(ends: &BTreeMap<String, f64>) -> String {
    let others = ends.iter().filter(|(word, _)| *word != "000000");
    let others: Vec<String> = others.map(|(word, rate)| format!("{word}: {rate:.0}")).collect();
    if others.is_empty() { "-".to_owned() } else { others.join(", ") }
}
