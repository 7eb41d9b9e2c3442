//! The pictures: what becomes of answers as the journal grows.

use std::fs;
use std::path::Path;

use crate::report::Table;
use crate::svg::{self, Series};

/// Writes one picture of each table that has a line for each load, into a folder.
pub fn write(tables: &[Table], folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (title, name, unit) in [
        ("answers a second", "rate", "answers a second"),
        ("p99, ms", "p99", "milliseconds"),
        ("p99 by the clock, ms", "p99-clock", "milliseconds"),
        ("commit, ms (mean, koogate's own metric)", "commit", "milliseconds"),
    ] {
        let Some(table) = tables.iter().find(|table| table.title() == title) else { continue };
        let lines: Vec<Series> = table.lines().into_iter().map(|(label, points)| Series { label, points }).collect();
        let picture = svg::lines(&format!("Growth: {title}"), "exchanges in the journal", unit, &lines);
        let file = folder.join(format!("performance-growth-{name}.svg"));
        fs::write(&file, picture).unwrap();
        eprintln!("{}", file.display());
    }
}
