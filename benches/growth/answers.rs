//! How fast calls are answered at each size. All servers are up, one is driven at a time, and every round goes through all
//! of them, so that whatever else the machine does hits every size.

use std::time::Duration;

use crate::load::{self, Found, Pace, Work};
use crate::report::{Table, median};
use crate::subject::Subject;

/// Databases up to this size are begun again before each drive: a second of answers would make them twice as large.
const SMALL: u64 = 100_000;

/// Each kind of call is measured at all of them. Where each connection always has a call, an answer's time is the others'
/// before it, and tells the rate once more; by the clock it is what a caller waits who comes whenever he likes.
const PACES: [Pace; 3] = [Pace::Full(8), Pace::Full(64), Pace::Rate(2000)];

const WORKS: [Work; 3] = [Work::New, Work::Replay, Work::Query];

/// What one drive found, with the commits of that time.
struct One {
    found: Found,
    /// Microseconds.
    commit: f64,
    works: f64,
}

/// Measures and prints all of it; the tables are returned for pictures.
pub fn measure(subjects: &mut [Subject], rounds: usize, length: Duration) -> Vec<Table> {
    for subject in subjects.iter_mut().filter(|subject| subject.exchanges <= SMALL) {
        subject.keep();
    }
    for subject in subjects.iter_mut() {
        subject.start(None);
    }
    for subject in subjects.iter() {
        let taken = subject.server().wait_for("holds");
        eprintln!("{} exchanges: first snapshot after {:.1} s", subject.exchanges, taken.as_secs_f64());
    }
    let loads: Vec<(Work, Pace)> = WORKS.into_iter().flat_map(|work| PACES.map(|pace| (work, pace))).collect();
    let mut found: Vec<Vec<Vec<One>>> = loads.iter().map(|_| subjects.iter().map(|_| Vec::new()).collect()).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (&load, of_load) in loads.iter().zip(&mut found) {
            // Every other time backwards, so that a drift of the machine favours no size.
            let mut order: Vec<usize> = (0..subjects.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for number in order {
                let subject = &mut subjects[number];
                if subject.exchanges <= SMALL {
                    subject.begin_again();
                }
                of_load[number].push(drive(subject, load, length));
            }
        }
    }
    let sizes: Vec<u64> = subjects.iter().map(|subject| subject.exchanges).collect();
    let table = |title: &str, decimals: usize, is_shown: fn(Pace) -> bool, figure: &dyn Fn(&One) -> f64| {
        let mut table = Table::new(title, &sizes);
        for ((work, pace), of_load) in loads.iter().zip(&found).filter(|((_, pace), _)| is_shown(*pace)) {
            let figures = of_load.iter().map(|of_size| {
                let figures: Vec<f64> = of_size.iter().map(figure).collect();
                Some(median(&figures))
            });
            table.row(format!("{work:?}, {pace}").to_lowercase(), decimals, figures.collect());
        }
        table.print();
        table
    };
    println!("\nMedians of {rounds} rounds of {length:?} each.");
    let at_full_load = |pace| matches!(pace, Pace::Full(_));
    let by_the_clock = |pace| matches!(pace, Pace::Rate(_));
    vec![
        table("answers a second", 0, at_full_load, &|one| one.found.rate),
        table("p50, ms", 2, at_full_load, &|one| one.found.p50 / 1e3),
        table("p99, ms", 2, at_full_load, &|one| one.found.p99 / 1e3),
        table("p99.9, ms", 2, at_full_load, &|one| one.found.p999 / 1e3),
        table("p50 by the clock, ms", 2, by_the_clock, &|one| one.found.p50 / 1e3),
        table("p99 by the clock, ms", 2, by_the_clock, &|one| one.found.p99 / 1e3),
        table("p99.9 by the clock, ms", 2, by_the_clock, &|one| one.found.p999 / 1e3),
        table("commit, ms (mean, koogate's own metric)", 3, at_full_load, &|one| one.commit / 1e3),
        table("calls in a commit", 1, at_full_load, &|one| one.works),
    ]
}

fn drive(subject: &Subject, (work, pace): (Work, Pace), length: Duration) -> One {
    let server = subject.server();
    let before = server.commits();
    let found = load::drive(server.address, subject.instances(), work, pace, length / 3, |past| past >= length);
    assert_eq!(found.busy, 0, "calls were told to come again");
    let after = server.commits();
    let count = (after.count - before.count).max(1.0);
    One { found, commit: (after.seconds - before.seconds) * 1e6 / count, works: (after.works - before.works) / count }
}
