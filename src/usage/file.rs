//! A CSV file of usage: `instance_id,begin_time,end_time,usage_value,relate_pkg_instance`, in any order of columns, the
//! last one where there are packages.

use super::{RawReport, Report, UsageFault};
use crate::stock_file::Lines;

const COLUMNS: [&str; 5] = ["instance_id", "begin_time", "end_time", "usage_value", "relate_pkg_instance"];

/// A file that cannot be read as a whole.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageFileError {
    /// Not UTF-8, as spreadsheets on Chinese Windows write it.
    #[error("the file is not UTF-8; save it as \"CSV UTF-8\" (另存为 CSV UTF-8)")]
    NotUtf8,
    /// A column nobody knows.
    #[error("column {0:?} is unknown; the columns are {columns}", columns = COLUMNS.join(","))]
    UnknownColumn(String),
    /// A column that must be there.
    #[error("there is no column {0}; the first line must name the columns: {columns}", columns = COLUMNS.join(","))]
    MissingColumn(&'static str),
    /// A column twice.
    #[error("column {0} stands there twice")]
    RepeatedColumn(&'static str),
    /// Nothing in it.
    #[error("the file holds nothing but the names of its columns")]
    Empty,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// The report in it, or what is wrong with it.
    pub report: Result<Report, UsageFault>,
}

/// Reads the whole file. A line that is wrong says nothing about the others.
///
/// # Errors
/// When the file is none, or its columns are not known.
pub fn read(bytes: &[u8]) -> Result<Vec<Line>, UsageFileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| UsageFileError::NotUtf8)?;
    // Spreadsheets put a byte-order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| UsageFileError::MissingColumn(COLUMNS[0]))?.clone();
    let places = places(&header)?;
    let (mut lines, mut counted) = (Vec::new(), Lines::of(text));
    for record in reader.records() {
        let mut number = |position: Option<&csv::Position>| position.map_or(0, |position| counted.line_of(position));
        lines.push(match record {
            Ok(record) => Line { number: number(record.position()), report: report(&header, &places, &record) },
            Err(error) => {
                Line { number: number(error.position()), report: Err(UsageFault::Malformed(error.to_string())) }
            }
        });
    }
    if lines.is_empty() { Err(UsageFileError::Empty) } else { Ok(lines) }
}

fn places(header: &csv::StringRecord) -> Result<[Option<usize>; 5], UsageFileError> {
    let mut places = [None; 5];
    for (place, name) in header.iter().enumerate() {
        let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
            return Err(UsageFileError::UnknownColumn(name.chars().take(40).collect()));
        };
        if places[column].replace(place).is_some() {
            return Err(UsageFileError::RepeatedColumn(COLUMNS[column]));
        }
    }
    match places[..4].iter().position(Option::is_none) {
        Some(missing) => Err(UsageFileError::MissingColumn(COLUMNS[missing])),
        None => Ok(places),
    }
}

fn report(
    header: &csv::StringRecord,
    places: &[Option<usize>; 5],
    record: &csv::StringRecord,
) -> Result<Report, UsageFault> {
    if record.len() != header.len() {
        let shape = format!("it has {} values, the header has {} columns", record.len(), header.len());
        return Err(UsageFault::Malformed(shape));
    }
    let value = |column: usize| places[column].and_then(|place| record.get(place)).unwrap_or_default();
    Report::read(&RawReport {
        instance_id: value(0),
        begin_time: value(1),
        end_time: value(2),
        usage_value: value(3),
        relate_pkg_instance: value(4),
    })
}
