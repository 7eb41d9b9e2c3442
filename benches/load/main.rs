//! The load benchmark: how fast, how even and how frugal the appliance is, seen from the outside.
//!
//! It starts the real binary (and what it is compared with) as processes of their own, calls them over loopback and
//! prints rates, latencies, CPU time and memory, then the ratios that the project promises. Every round goes through all
//! scenarios, so that whatever else the machine does hits all of them; ratios are taken within a round.
//!
//!     cargo bench --bench load --features fault-points               # everything, about four minutes
//!     cargo bench --bench load --features fault-points -- --quick    # one short round
//!     cargo bench --bench load -- --only replay                      # scenarios whose name holds a word
//!
//! Without `fault-points` the scenarios with a slow disk are left out. `benches/peer-axum` says how the binary for the
//! comparison with axum is built; without it that comparison is left out. What the figures mean: docs/performance.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on panics")]

mod appliance;
#[path = "../harness/mod.rs"]
mod harness;
mod report;
mod scenario;

use std::time::Duration;

use harness::{machine, server};
use scenario::Bench;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == server::DOOR_ARGUMENT) {
        return server::serve_fixed_answer();
    }
    let options = Options::read(&arguments);
    machine::announce();
    let mut bench = Bench::start(&options.only);
    let rounds = (1..=options.rounds).map(|number| {
        eprintln!("round {number} of {}", options.rounds);
        bench.round(number, options.length)
    });
    let rounds: Vec<_> = rounds.collect();
    drop(bench);
    report::rates(&rounds);
    report::ratios(&rounds);
    if options.only.is_empty() {
        appliance::report(options.quick);
    }
}

/// What was asked for on the command line.
struct Options {
    quick: bool,
    rounds: usize,
    /// Of the measured part of one scenario in one round.
    length: Duration,
    /// Scenarios whose name holds one of these words; all, when there are none.
    only: Vec<String>,
}

impl Options {
    fn read(arguments: &[String]) -> Self {
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let value = |name: &str| {
            let position = arguments.iter().position(|argument| argument == name)?;
            Some(arguments.get(position + 1).unwrap_or_else(|| panic!("{name} needs a value")).as_str())
        };
        let number = |name: &str, default: u64| value(name).map_or(default, |text| text.parse().unwrap());
        Self {
            quick,
            rounds: usize::try_from(number("--rounds", if quick { 1 } else { 7 })).unwrap(),
            length: Duration::from_millis(number("--milliseconds", if quick { 700 } else { 1500 })),
            only: value("--only").map(|words| words.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        }
    }
}
