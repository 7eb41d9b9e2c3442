//! koogate beside what a merchant would use instead: the same endpoint on axum, Python, Node.js and Java, as durable and
//! as idempotent, on the same disk, called by the same generator in the same run.
//!
//!     cargo bench --bench compare                    # everything, below twenty minutes: tables here, pictures in docs/images
//!     cargo bench --bench compare -- --quick         # one short round, pictures in target/compare/images
//!     cargo bench --bench compare -- --only new,axum # scenarios and peers whose name holds one of these words
//!     cargo bench --bench compare -- --rounds 9      # more rounds
//!     cargo bench --bench compare -- --no-peers      # koogate alone
//!
//! What every server promises, what each peer is and what was left out: benches/compare/README.md. What the figures mean:
//! docs/performance.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on panics")]

mod facts;
#[path = "../harness/mod.rs"]
mod harness;
mod journal;
mod peers;
mod pictures;
mod process;
mod report;
mod scenario;
mod writer_alone;

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::machine;
use peers::{Identity, OURS, Prepared};
use scenario::{Contest, Contestant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == writer_alone::ARGUMENT) {
        return writer_alone::run(&arguments[1..]);
    }
    let options = Options::read(&arguments);
    process::end_when_interrupted();
    let (folder, writer_folder) = (machine::scratch(), machine::scratch());
    let prepared = peers::prepare(options.with_peers);
    facts::print(folder.path(), &prepared.versions);
    let mut contest = enter(prepared, &options);
    let mut alone = Vec::new();
    for number in 1..=options.rounds {
        eprintln!("round {number} of {}", options.rounds);
        contest.round(number, options.length);
        if options.only.is_empty() {
            alone.push(writer_alone::measure(writer_folder.path(), options.length));
        }
    }
    contest.finish();
    report::print(&contest, &alone);
    pictures::write(&contest, &options.pictures());
}

/// Starts all that was asked for.
fn enter(prepared: Prepared, options: &Options) -> Contest {
    let identity = Identity::new();
    let Prepared { mut peers, mut left_out, .. } = prepared;
    let all = scenario::scenarios();
    let asked = |name: &str| options.only.iter().any(|word| name.contains(word.as_str()));
    if peers.iter().any(|peer| asked(&peer.name)) {
        peers.retain(|peer| peer.name == OURS || asked(&peer.name));
    }
    let has_scenario = all.iter().any(|scenario| asked(&scenario.to_string()));
    let scenarios: Vec<_> = all.into_iter().filter(|scenario| !has_scenario || asked(&scenario.to_string())).collect();
    peers.retain(|peer| scenarios.iter().any(|scenario| scenario.tls == peer.tls));
    let mut contestants = Vec::new();
    for peer in peers {
        eprintln!("starting {}{}", peer.name, if peer.tls { ", TLS" } else { "" });
        match Contestant::enter(peer, &identity) {
            Ok(contestant) => contestants.push(contestant),
            Err(out) => left_out.push(out),
        }
    }
    assert!(contestants.iter().any(|contestant| contestant.peer.name == OURS), "koogate does not start");
    Contest { identity, contestants, left_out, scenarios }
}

/// What was asked for on the command line.
struct Options {
    quick: bool,
    rounds: usize,
    /// Of the measured part of one scenario in one round.
    length: Duration,
    /// Scenarios or peers whose name holds one of these words; all, when there are none.
    only: Vec<String>,
    with_peers: bool,
}

impl Options {
    fn read(arguments: &[String]) -> Self {
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let value = |name: &str| {
            let position = arguments.iter().position(|argument| argument == name)?;
            Some(arguments.get(position + 1).unwrap_or_else(|| panic!("{name} needs a value")).as_str())
        };
        let number = |name: &str, default: u64| value(name).map_or(default, |text| text.parse().unwrap());
        let quick = has("--quick");
        Self {
            quick,
            rounds: usize::try_from(number("--rounds", if quick { 1 } else { 5 })).unwrap().max(1),
            length: Duration::from_millis(number("--milliseconds", if quick { 400 } else { 1500 })),
            only: value("--only").map(|words| words.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            with_peers: !has("--no-peers"),
        }
    }

    /// Only a whole run may replace the pictures of the documentation.
    fn pictures(&self) -> PathBuf {
        if self.quick || !self.only.is_empty() || !self.with_peers {
            return peers::targets().join("images");
        }
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images")
    }
}
