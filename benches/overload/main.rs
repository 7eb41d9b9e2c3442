//! What happens when more comes than can be done: `cargo bench --bench overload --features fault-points`, seven to
//! eight minutes; `-- load`, `-- stall` or `-- floods` for one part.
//!
//! `load` finds what the server does at most (closed loop) and then plans calls at 0.5 to 3 times that rate by the clock.
//! `stall` stops the disk for five seconds in the middle. `floods` lets strangers without a key do what they can beside one
//! honest caller. Everything runs on the same cores, the callers too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on panics")]

mod calls;
mod figures;
mod flood;
mod honest;
#[allow(dead_code, reason = "each benchmark uses its part of the harness")]
#[path = "../harness/machine.rs"]
mod machine;
mod open;
mod report;
mod victim;

use std::time::Duration;

use calls::{BOUGHT, Scribe, Work};
use figures::{Figures, figures};
use flood::{Flood, Kind};
use open::{Lines, Pace, drive};
use report::{FloodRow, LoadRow, StallRow};
use victim::Victim;

/// Calls at a time while the most is looked for: as many as the server has places, or as are kept if these are fewer.
const AT_ONCE: usize = 256;

/// Kept connections, fewer and more than the server's 256 places.
const KEPT: [usize; 2] = [128, 512];

const FACTORS: [f64; 5] = [0.5, 1.0, 1.5, 2.0, 3.0];

const MEASURED: Duration = Duration::from_secs(2);

/// How long the disk stands still, and when that begins.
const STALL: Duration = Duration::from_secs(5);
const STALL_AT: Duration = Duration::from_secs(2);

const FLOODED: Duration = Duration::from_secs(4);

/// From so many hosts a flood comes.
const HOSTS: u8 = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, kind, address, hosts] = &arguments[..]
        && word == flood::ARGUMENT
    {
        flood::run(kind, address, hosts);
    }
    let chosen = |part: &str| {
        let parts: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
        parts.is_empty() || parts.iter().any(|&chosen| chosen == part)
    };
    machine::announce();
    println!("a flush (append 4 KiB, fdatasync) takes {:?}", machine::flush_time(machine::scratch().path()));
    if chosen("load") {
        report::load(&load());
    }
    if chosen("stall") {
        report::stall(&stall());
    }
    if chosen("floods") {
        report::floods(&floods());
    }
}

fn kinds_of_lines() -> impl Iterator<Item = Lines> {
    KEPT.into_iter().map(Lines::Kept).chain([Lines::PerCall])
}

fn load() -> Vec<LoadRow> {
    let mut rows = Vec::new();
    for delay in [None, Some(10)] {
        if delay.is_some() && !koogate_has_fault_points() {
            eprintln!("no slow disk without --features fault-points");
            continue;
        }
        for work in [Work::New, Work::Mix] {
            for lines in kinds_of_lines() {
                let victim = Victim::start(false, delay);
                buy(&victim);
                let peak = peak(&victim, lines, work);
                for factor in FACTORS {
                    let cpu = machine::cpu_time(victim.pid());
                    let calls = drive(victim.address, lines, Pace::Open(peak * factor), work, MEASURED);
                    let cpu = (machine::cpu_time(victim.pid()) - cpu).as_secs_f64() / MEASURED.as_secs_f64();
                    let figures = figures(&calls, Duration::ZERO, MEASURED);
                    rows.push(LoadRow { delay, work, lines, peak, factor, cpu, figures });
                }
            }
        }
    }
    rows
}

/// Half of the benchmarks need what a release build for use does not have.
fn koogate_has_fault_points() -> bool {
    cfg!(feature = "fault-points")
}

/// Orders that mixes repeat and ask about.
fn buy(victim: &Victim) {
    let mut scribe = Scribe::new();
    let orders = (0..BOUGHT).map(|number| scribe.purchase(&calls::bought(number))).collect();
    assert!(victim::all_succeed(victim.address, orders), "the orders of the mix");
}

/// What the server does at most, a second.
fn peak(victim: &Victim, lines: Lines, work: Work) -> f64 {
    let (warm, time) = (Duration::from_millis(500), Duration::from_millis(2500));
    let (lines, at_once) = match lines {
        Lines::PerCall => (lines, AT_ONCE),
        Lines::Kept(lines) => (Lines::Kept(lines.min(AT_ONCE)), lines.min(AT_ONCE)),
    };
    let calls = drive(victim.address, lines, Pace::Closed(at_once), work, time);
    figures(&calls, warm, time).rate
}

fn stall() -> Vec<StallRow> {
    let mut rows = Vec::new();
    for lines in kinds_of_lines() {
        for factor in [0.5, 2.0] {
            let victim = Victim::start(false, None);
            let peak = peak(&victim, lines, Work::New);
            let over = STALL_AT + STALL;
            let calls = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(STALL_AT);
                    victim.stop_disk(STALL);
                });
                drive(victim.address, lines, Pace::Open(peak * factor), Work::New, over + MEASURED)
            });
            let part = |from: Duration, until: Duration| -> Figures { figures(&calls, from, until) };
            rows.push(StallRow {
                lines,
                factor,
                peak,
                before: part(Duration::ZERO, STALL_AT),
                during: part(STALL_AT, over),
                after: part(over, over + MEASURED),
            });
        }
    }
    rows
}

fn floods() -> Vec<FloodRow> {
    let mut rows = Vec::new();
    let tls = honest::blind_tls();
    let scenes = [(None, HOSTS, false), (None, HOSTS, true)].into_iter();
    let kinds = Kind::ALL.into_iter().map(|(kind, ..)| (Some(kind), HOSTS, kind == Kind::Handshake));
    let from_one = [Kind::Forged(1), Kind::Silent].into_iter().map(|kind| (Some(kind), 1, false));
    for (kind, hosts, secure) in scenes.chain(kinds).chain(from_one) {
        let victim = Victim::start(secure, None);
        let mut scribe = Scribe::new();
        // The second one is what a replaying stranger has captured.
        for order in ["CSONE", "CSCAPTURED"] {
            honest::buy(victim.address, secure.then_some(&tls), &scribe.purchase(order));
        }
        let flood = kind.map(|kind| Flood::start(kind, victim.address, hosts));
        std::thread::sleep(Duration::from_secs(u64::from(flood.is_some())));
        let (cpu, lines) = (machine::cpu_time(victim.pid()), victim.lines());
        let mut told = [Vec::new(), Vec::new()];
        std::thread::scope(|scope| {
            for (told, keeps) in told.iter_mut().zip([false, true]) {
                let (victim, tls) = (&victim, secure.then_some(&tls));
                // Two instances: what one caller freezes, the other must not unfreeze.
                let instance = calls::instance(if keeps { "CSONE" } else { "CSCAPTURED" });
                scope.spawn(move || *told = honest::call(victim.address, tls, keeps, &instance, FLOODED));
            }
        });
        let cpu = (machine::cpu_time(victim.pid()) - cpu).as_secs_f64() / FLOODED.as_secs_f64();
        let memory = machine::memory(victim.pid()).0;
        let log_lines = victim.lines() - lines;
        let rate = flood.map(Flood::stop);
        let [anew, kept] = told.map(|told| report::Honest::of(&told));
        rows.push(FloodRow { kind, hosts, secure, rate, anew, kept, cpu, memory, log_lines });
    }
    rows
}
