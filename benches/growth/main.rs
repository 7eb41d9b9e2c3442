//! The growth benchmark: what becomes of koogate when its journal has ten thousand, a hundred thousand, a million and ten
//! million exchanges.
//!
//! Each database is made by koogate, filled in bulk while koogate is stopped, and served by the real binary. What is
//! measured: answers and commits, start, snapshots and purges under load, what an operator asks for, size and memory.
//!
//!     cargo bench --bench growth                        # all sizes: half an hour, 30 GB of disk for a while
//!     cargo bench --bench growth -- --up-to 1000000     # about eight minutes
//!     cargo bench --bench growth -- --only snapshots    # answers, operator, starts, snapshots
//!
//! Pictures go to docs/images, of less than all to the build's folder, or where `--svg` says. What the figures mean: docs/performance.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on panics")]

mod answers;
mod fill;
mod load;
#[allow(dead_code, reason = "each benchmark uses its part of the harness")]
#[path = "../harness/machine.rs"]
mod machine;
mod operator;
mod pictures;
mod report;
mod rows;
mod snapshots;
mod starts;
mod subject;
#[allow(dead_code, reason = "each benchmark uses its part of the harness")]
#[path = "../harness/svg.rs"]
mod svg;

use std::path::{Path, PathBuf};
use std::time::Duration;

use report::Table;
use subject::Subject;

/// Larger ones are not checked by SQLite's own checks here: koogate does that when it takes a snapshot.
const CHECKED: u64 = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(position + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
    };
    let number = |name: &str, default: u64| value(name).map_or(default, |text| text.parse().unwrap());
    let (from, up_to) = (number("--from", 10_000), number("--up-to", 10_000_000));
    let rounds = usize::try_from(number("--rounds", 5)).unwrap();
    let length = Duration::from_millis(number("--milliseconds", 1500));
    let quiet = Duration::from_secs(number("--quiet-seconds", 20));
    let only = value("--only");
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|word| word == name));
    machine::announce();
    let sizes = [10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|size| (from..=up_to).contains(size));
    let mut subjects: Vec<Subject> = sizes.map(Subject::make).collect();
    for subject in subjects.iter().filter(|subject| subject.exchanges <= CHECKED) {
        fill::check(&subject.database());
    }
    let mut tables: Vec<Table> = vec![starts::sizes(&subjects)];
    if wanted("answers") {
        tables.extend(answers::measure(&mut subjects, rounds, length));
    }
    if wanted("starts") {
        tables.push(starts::measure(&mut subjects));
    }
    if wanted("operator") {
        for subject in subjects.iter_mut().filter(|subject| subject.server.is_none()) {
            subject.start(None);
        }
        tables.extend(operator::measure(&mut subjects));
    }
    if wanted("snapshots") {
        tables.extend(snapshots::measure(&mut subjects, quiet));
    }
    let folder = value("--svg").map(PathBuf::from).unwrap_or_else(|| match (up_to, &only) {
        (10_000_000, None) => Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images"),
        _ => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    });
    pictures::write(&tables, &folder);
}
