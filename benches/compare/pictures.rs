//! The pictures: one file for each figure, all servers side by side.

use std::fs;
use std::path::Path;

use crate::harness::generator::Measured;
use crate::harness::svg::{self, Bar};
use crate::peers::OURS;
use crate::report::{figures, fitting};
use crate::scenario::{Contest, Contestant, Load, Scenario};

const fn kept(load: Load) -> Scenario {
    Scenario { load, connections: 64, connection_per_call: false, tls: false }
}

/// Writes them into a folder.
pub fn write(contest: &Contest, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let save = |name: &str, picture: String| {
        let file = folder.join(format!("performance-{name}.svg"));
        fs::write(&file, picture).unwrap();
        eprintln!("{}", file.display());
    };
    let per_call = Scenario { connection_per_call: true, ..kept(Load::New) };
    let of_scenario = [
        ("new", kept(Load::New), "Purchases a second, 64 kept connections", "answers a second"),
        ("replay", kept(Load::Replay), "Retries a second, 64 kept connections", "answers a second"),
        ("mix", kept(Load::Mixed), "A mix of purchases, retries and queries, 64 kept connections", "answers a second"),
        ("new-per-call", per_call, "Purchases a second, a connection for each call", "answers a second"),
        ("new-tls", Scenario { tls: true, ..per_call }, "The same by HTTPS", "answers a second"),
    ];
    for (name, scenario, title, unit) in of_scenario {
        if contest.scenarios.contains(&scenario) {
            save(name, measured(contest, &scenario, title, unit, |found| found.rate));
        }
    }
    let new = kept(Load::New);
    if contest.scenarios.contains(&new) {
        let title = "99 of 100 purchases are answered within, 64 kept connections";
        save("p99", measured(contest, &new, title, "milliseconds", |found| found.p99 / 1e3));
        let title = "CPU time of the server for one purchase, 64 kept connections";
        save("cpu", measured(contest, &new, title, "microseconds", |found| found.server_cpu));
    }
    let plain: Vec<&Contestant> = fitting(contest, &new);
    let memory = plain.iter().filter_map(|contestant| Some(bar(contestant, vec![contestant.end?.memory])));
    save("memory", svg::bars("Resident memory after the run", "MiB", &memory.collect::<Vec<_>>()));
    let starts = plain
        .iter()
        .map(|contestant| bar(contestant, contestant.starts.iter().map(|start| start.as_secs_f64() * 1e3).collect()));
    let title = "From the start of the process to the first answer";
    save("start", svg::bars(title, "milliseconds", &starts.collect::<Vec<_>>()));
}

fn measured(contest: &Contest, scenario: &Scenario, title: &str, unit: &str, figure: fn(&Measured) -> f64) -> String {
    let bars = fitting(contest, scenario).into_iter();
    let bars: Vec<Bar> = bars.map(|contestant| bar(contestant, figures(contestant, scenario, figure))).collect();
    svg::bars(title, unit, &bars)
}

fn bar(contestant: &Contestant, figures: Vec<f64>) -> Bar {
    let label = contestant.peer.name.clone();
    Bar { is_ours: label == OURS, label, figures }
}
