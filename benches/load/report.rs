//! What the rounds found, as tables: medians with the least and the greatest, ratios within a round.

use crate::harness::generator::Measured;
use crate::scenario::{Load, Round, Scenario};

/// One line for each scenario.
pub fn rates(rounds: &[Round]) {
    let flushes: Vec<f64> = rounds.iter().map(|round| round.flush.as_secs_f64() * 1e6).collect();
    println!("\nflush (append 4 KiB, fdatasync), median: {} µs\n", spread(&flushes, 0));
    println!(
        "| {:<31} | conn. | {:>22} | {:>8} | {:>8} | {:>12} | {:>10} |",
        "calls", "per s (least-most)", "p50 ms", "p99 ms", "server µs", "client µs"
    );
    println!("| {:-<31} | ----: | {:->21}: | {:->7}: | {:->7}: | {:->11}: | {:->9}: |", "", "", "", "", "", "");
    let Some(first) = rounds.first() else { return };
    for (scenario, _) in &first.found {
        let of = |figure: fn(&Measured) -> f64| figures(rounds, *scenario, figure);
        println!(
            "| {:<31} | {:>5} | {:>22} | {:>8.2} | {:>8.2} | {:>12.1} | {:>10.1} |",
            scenario.load.name(),
            scenario.connections,
            spread(&of(|found| found.rate), 0),
            median(&of(|found| found.p50 / 1e3)),
            median(&of(|found| found.p99 / 1e3)),
            median(&of(|found| found.server_cpu)),
            median(&of(|found| found.own_cpu)),
        );
    }
}

/// The promised ratios, each of two scenarios of one round.
pub fn ratios(rounds: &[Round]) {
    println!("\n| {:<57} | {:>6} | {:>22} | met |", "ratio", "target", "found (least-most)");
    println!("| {:-<57} | {:->5}: | {:->21}: | --- |", "", "", "");
    for (name, over, under, target) in [
        ("new / new with a commit each", Load::New, Load::NewSingly, 4.0),
        ("the same, flush +10 ms", Load::NewSlow, Load::NewSlowSingly, 20.0),
        ("new / new on axum", Load::New, Load::NewAxum, 1.0),
        ("replay / door alone", Load::Replay, Load::Door, 0.6),
    ] {
        let rate = |load| figures(rounds, Scenario { load, connections: 64 }, |found| found.rate);
        let found: Vec<f64> = rate(over).iter().zip(rate(under)).map(|(over, under)| over / under).collect();
        line(&format!("{name}, 64 connections"), &found, target, |found| found >= target);
    }
    let p99 = figures(rounds, Scenario { load: Load::New, connections: 8 }, |found| found.p99);
    let flushes = rounds.iter().map(|round| round.flush.as_secs_f64() * 1e6);
    let found: Vec<f64> = p99.iter().zip(flushes).map(|(p99, flush)| p99 / flush).collect();
    line("p99 of new / flush, 8 connections", &found, 10.0, |found| found < 10.0);
}

/// A line about one figure with a target.
pub fn line(name: &str, found: &[f64], target: f64, is_met: impl Fn(f64) -> bool) {
    if found.is_empty() {
        return;
    }
    let met = if is_met(median(found)) { "yes" } else { "NO" };
    println!("| {name:<57} | {target:>6} | {:>22} | {met:<3} |", spread(found, 2));
}

fn figures(rounds: &[Round], scenario: Scenario, figure: fn(&Measured) -> f64) -> Vec<f64> {
    let of_round = |round: &Round| round.found.iter().find(|(found, _)| *found == scenario).map(|(_, it)| figure(it));
    rounds.iter().filter_map(of_round).collect()
}

/// `median (least-most)`.
fn spread(figures: &[f64], decimals: usize) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{:.decimals$} ({least:.decimals$}-{most:.decimals$})", median(figures))
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
