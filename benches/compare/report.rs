//! The tables, in Markdown: what each server does, and what koogate is beside each of the others within a round.

use crate::harness::generator::Measured;
use crate::peers::OURS;
use crate::scenario::{Contest, Contestant, Load, Scenario};
use crate::writer_alone::{Alone, THREADS};

/// The promise of the issue: the server by HTTP against the writer alone.
const OF_THE_WRITER: f64 = 0.6;

/// A figure by which servers are compared.
struct Figure {
    name: &'static str,
    of: fn(&Measured) -> f64,
    more_is_better: bool,
}

const FIGURES: [Figure; 3] = [
    Figure { name: "answers a second, koogate / peer", of: |found| found.rate, more_is_better: true },
    Figure { name: "p99, peer / koogate", of: |found| found.p99, more_is_better: false },
    Figure { name: "server CPU a call, peer / koogate", of: |found| found.server_cpu, more_is_better: false },
];

/// All tables.
pub fn print(contest: &Contest, alone: &[Alone]) {
    for scenario in &contest.scenarios {
        rates(contest, scenario);
    }
    for figure in &FIGURES {
        ratios(contest, figure);
    }
    appliances(contest);
    writer(contest, alone);
    if !contest.left_out.is_empty() {
        println!("\nLeft out:\n");
    }
    for left_out in &contest.left_out {
        println!("- {}: {}", left_out.name, left_out.reason);
    }
}

fn rates(contest: &Contest, scenario: &Scenario) {
    println!(
        "\n| {scenario} | a second (least-most) | p50 ms | p99 ms (least-most) | p99.9 ms | server CPU µs | generator CPU µs |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for contestant in fitting(contest, scenario) {
        let of = |figure: fn(&Measured) -> f64| figures(contestant, scenario, figure);
        println!(
            "| {} | {} | {:.2} | {} | {:.1} | {:.0} | {:.0} |",
            contestant.peer.name,
            spread(&of(|found| found.rate), 0),
            median(&of(|found| found.p50 / 1e3)),
            spread(&of(|found| found.p99 / 1e3), 1),
            median(&of(|found| found.p999 / 1e3)),
            median(&of(|found| found.server_cpu)),
            median(&of(|found| found.own_cpu)),
        );
    }
}

/// How koogate stands beside each peer in one figure: above 1 it is ahead.
fn ratios(contest: &Contest, figure: &Figure) {
    let mut names: Vec<&str> = Vec::new();
    for contestant in contest.contestants.iter().filter(|contestant| contestant.peer.name != OURS) {
        if !names.contains(&contestant.peer.name.as_str()) {
            names.push(&contestant.peer.name);
        }
    }
    if names.is_empty() {
        return;
    }
    println!("\n| {} | {} | first |", figure.name, names.join(" | "));
    println!("| --- |{} --- |", " ---: |".repeat(names.len()));
    for scenario in &contest.scenarios {
        let fitting = fitting(contest, scenario);
        let Some(ours) = fitting.iter().find(|contestant| contestant.peer.name == OURS) else { continue };
        let ours = figures(ours, scenario, figure.of);
        let mut is_first = true;
        let cells = names.iter().map(|name| {
            let Some(peer) = fitting.iter().find(|contestant| contestant.peer.name == **name) else {
                return String::new();
            };
            let theirs = figures(peer, scenario, figure.of);
            let ratio =
                |(ours, theirs): (&f64, &f64)| if figure.more_is_better { ours / theirs } else { theirs / ours };
            let ratios: Vec<f64> = ours.iter().zip(&theirs).map(ratio).collect();
            is_first &= median(&ratios) >= 1.0;
            spread(&ratios, 2)
        });
        let cells: Vec<String> = cells.collect();
        println!("| {scenario} | {} | {} |", cells.join(" | "), yes(is_first));
    }
}

/// Memory, start, disk.
fn appliances(contest: &Contest) {
    println!(
        "\n| server | memory after 2,000 orders, MiB | after the run, MiB | start to first answer, ms (least-most) | bytes on disk an exchange | exchanges of the run |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for contestant in &contest.contestants {
        let Some(end) = &contestant.end else { continue };
        println!(
            "| {}{} | {:.1} | {:.1} | {} | {:.0} | {} |",
            contestant.peer.name,
            if contestant.peer.tls { ", TLS" } else { "" },
            contestant.memory_at_first,
            end.memory,
            spread(&starts(contestant), 0),
            contestant.bytes_per_exchange,
            end.exchanges,
        );
    }
    let plain: Vec<&Contestant> = contest.contestants.iter().filter(|contestant| !contestant.peer.tls).collect();
    let Some(ours) = plain.iter().find(|contestant| contestant.peer.name == OURS) else { return };
    let first = |figure: fn(&Contestant) -> f64| {
        yes(plain.iter().all(|contestant| contestant.peer.name == OURS || figure(ours) <= figure(contestant)))
    };
    println!(
        "\nkoogate first: memory {}, start {}, disk {}",
        first(|contestant| contestant.end.map_or(f64::INFINITY, |end| end.memory)),
        first(|contestant| median(&starts(contestant))),
        first(|contestant| contestant.bytes_per_exchange),
    );
}

fn writer(contest: &Contest, alone: &[Alone]) {
    let scenario = Scenario { load: Load::New, connections: 64, connection_per_call: false, tls: false };
    let ours = contest.contestants.iter().find(|contestant| contestant.peer.name == OURS && !contestant.peer.tls);
    let by_http = ours.map(|ours| figures(ours, &scenario, |found| found.rate)).unwrap_or_default();
    if alone.is_empty() || by_http.is_empty() {
        return;
    }
    let rates: Vec<f64> = alone.iter().map(|alone| alone.rate).collect();
    let cpu: Vec<f64> = alone.iter().map(|alone| alone.cpu).collect();
    let ratios: Vec<f64> = by_http.iter().zip(&rates).map(|(by_http, alone)| by_http / alone).collect();
    println!("\n| new, without HTTP | target | found (least-most) | met |\n| --- | ---: | ---: | --- |");
    println!("| writer alone, {THREADS} callers, a second | | {} | |", spread(&rates, 0));
    println!("| its CPU a call, µs | | {} | |", spread(&cpu, 0));
    let met = yes(median(&ratios) >= OF_THE_WRITER);
    println!("| koogate by HTTP ({scenario}) / writer alone | {OF_THE_WRITER} | {} | {met} |", spread(&ratios, 2));
}

/// Those that can be measured in a scenario.
pub fn fitting<'c>(contest: &'c Contest, scenario: &Scenario) -> Vec<&'c Contestant> {
    contest.contestants.iter().filter(|contestant| contestant.peer.tls == scenario.tls).collect()
}

/// One figure of one scenario in each round.
pub fn figures(contestant: &Contestant, scenario: &Scenario, figure: fn(&Measured) -> f64) -> Vec<f64> {
    let all = contestant.found.iter().flatten();
    all.filter(|(found, _)| found == scenario).map(|(_, measured)| figure(measured)).collect()
}

fn starts(contestant: &Contestant) -> Vec<f64> {
    contestant.starts.iter().map(|start| start.as_secs_f64() * 1e3).collect()
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "**NO**" }
}

/// `median (least-most)`.
fn spread(figures: &[f64], decimals: usize) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    let text = |figure: f64| format!("{figure:.decimals$}");
    format!("{} ({}-{})", text(median(figures)), text(least), text(most))
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
