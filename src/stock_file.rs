//! The CSV file that fills a stock: accounts with `user_name,password,front_end_url,admin_url,memo`, in any order of
//! columns, or licence codes with the one column `license`.

use crate::access::{Access, AccessFault, AccessParts};
use crate::license::{License, LicenseFault};
use crate::secret::Secret;

/// What is in a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockFile {
    /// Accounts, for instances.
    Accounts(Vec<Access>),
    /// Licence codes.
    Licenses(Vec<Secret<String>>),
}

/// The one column of a file of licence codes.
const LICENSE_COLUMN: &str = "license";

/// The columns of the file; only `front_end_url` must be there.
const COLUMNS: [&str; 5] = ["user_name", "password", "front_end_url", "admin_url", "memo"];

/// What is wrong with a file. No text shows a value: any may be a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockFileError {
    /// Not UTF-8, as spreadsheets on Chinese Windows write it.
    #[error("the file is not UTF-8; save it as \"CSV UTF-8\" (另存为 CSV UTF-8)")]
    NotUtf8,
    /// A column nobody knows.
    #[error(
        "column {0:?} is unknown; the columns are user_name,password,front_end_url,admin_url,memo, or license alone"
    )]
    UnknownColumn(String),
    /// The one column that must be there, or no header line at all.
    #[error("there is no column front_end_url (or license, for codes); the first line must name the columns")]
    NoFrontEndUrl,
    /// A column twice.
    #[error("column {0} stands there twice")]
    RepeatedColumn(&'static str),
    /// Too few or too many values, or a quote that does not end.
    #[error("line {0} does not have as many values as the header has columns")]
    Shape(u64),
    /// A value KooGallery would not take.
    #[error("line {0}: {1}")]
    Value(u64, AccessFault),
    /// A licence code that cannot be handed out.
    #[error("line {0}: {1}")]
    License(u64, LicenseFault),
    /// Nothing to import.
    #[error("the file holds nothing but the names of its columns")]
    Empty,
}

/// Reads the whole file.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(bytes: &[u8]) -> Result<StockFile, StockFileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| StockFileError::NotUtf8)?;
    // Spreadsheets put a byte-order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| StockFileError::Shape(1))?.clone();
    if header.iter().map(str::trim).eq([LICENSE_COLUMN]) {
        return not_empty(rows(&mut reader, text, license)?).map(StockFile::Licenses);
    }
    let places = columns(&header)?;
    not_empty(rows(&mut reader, text, |record, line| account(&places, record, line))?).map(StockFile::Accounts)
}

/// All records, each read by `read`, which is given its line.
fn rows<T>(
    reader: &mut csv::Reader<&[u8]>,
    text: &str,
    read: impl Fn(&csv::StringRecord, u64) -> Result<T, StockFileError>,
) -> Result<Vec<T>, StockFileError> {
    let (mut rows, mut lines) = (Vec::new(), Lines::of(text));
    for record in reader.records() {
        let mut line = |position: Option<&csv::Position>| position.map_or(0, |position| lines.line_of(position));
        let record = record.map_err(|error| StockFileError::Shape(line(error.position())))?;
        let line = line(record.position());
        rows.push(read(&record, line)?);
    }
    Ok(rows)
}

fn not_empty<T>(rows: Vec<T>) -> Result<Vec<T>, StockFileError> {
    if rows.is_empty() { Err(StockFileError::Empty) } else { Ok(rows) }
}

fn license(record: &csv::StringRecord, line: u64) -> Result<Secret<String>, StockFileError> {
    let code = Secret::new(record.get(0).unwrap_or_default().to_owned());
    License::text(code.clone()).map_err(|fault| StockFileError::License(line, fault))?;
    Ok(code)
}

fn account(places: &[Option<usize>; 5], record: &csv::StringRecord, line: u64) -> Result<Access, StockFileError> {
    let value = |column: usize| {
        let text = places[column].and_then(|place| record.get(place)).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let parts = AccessParts {
        user_name: value(0).map(Secret::new),
        password: value(1).map(Secret::new),
        front_end_url: value(2).unwrap_or_default(),
        admin_url: value(3),
        memo: value(4),
    };
    Access::accept(parts).map_err(|fault| StockFileError::Value(line, fault))
}

/// Counts the lines in which records stand, from 1, as one goes through a file. The reader's own count stops before the
/// empty lines it skips.
pub(crate) struct Lines<'t> {
    text: &'t [u8],
    counted: usize,
    line: u64,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        Self { text: text.as_bytes(), counted: 0, line: 1 }
    }

    /// The line of a position, which is not before the last one asked for: each byte is looked at once.
    pub(crate) fn line_of(&mut self, position: &csv::Position) -> u64 {
        let start = usize::try_from(position.byte()).unwrap_or(usize::MAX).clamp(self.counted, self.text.len());
        let skipped = self.text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let end = start + skipped;
        self.line += self.text[self.counted..end].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counted = end;
        self.line
    }
}

/// Where each of [`COLUMNS`] stands in the file.
fn columns(header: &csv::StringRecord) -> Result<[Option<usize>; 5], StockFileError> {
    let mut places = [None; 5];
    for (place, name) in header.iter().enumerate() {
        let name = name.trim();
        let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
            return Err(StockFileError::UnknownColumn(name.chars().take(40).collect()));
        };
        if places[column].replace(place).is_some() {
            return Err(StockFileError::RepeatedColumn(COLUMNS[column]));
        }
    }
    if places[2].is_none() { Err(StockFileError::NoFrontEndUrl) } else { Ok(places) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<usize, StockFileError>) {
        let count = |file| match file {
            StockFile::Accounts(accounts) => accounts.len(),
            StockFile::Licenses(codes) => codes.len(),
        };
        assert_eq!(read(text.as_bytes()).map(count), expected, "{text:?}");
    }

    #[test]
    fn files_as_people_write_them_are_read() {
        check("front_end_url\nhttps://a\n", Ok(1));
        check("\u{feff}user_name,password,front_end_url,admin_url,memo\r\nu,\"p,\"\"w\",https://a,,说明\r\n", Ok(1));
        check("front_end_url,password\nhttps://a,p\nhttps://b,\n", Ok(2));
    }

    #[test]
    fn licence_codes_have_a_file_of_their_own() {
        let codes = ["A-1", "B,2"].map(|code| Secret::new(code.to_owned()));
        assert_eq!(read(b" license \nA-1\n\"B,2\"\n"), Ok(StockFile::Licenses(codes.to_vec())));
        check("license\nA\n\"\"\n", Err(StockFileError::License(3, LicenseFault::Empty)));
        check("license,front_end_url\nA,https://a\n", Err(StockFileError::UnknownColumn("license".into())));
        check("license\n", Err(StockFileError::Empty));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_without_values() {
        check("", Err(StockFileError::NoFrontEndUrl));
        check("front_end_url\n", Err(StockFileError::Empty));
        check("user,front_end_url\n", Err(StockFileError::UnknownColumn("user".into())));
        check("memo,front_end_url,memo\n", Err(StockFileError::RepeatedColumn("memo")));
        check("front_end_url,memo\nhttps://a\n", Err(StockFileError::Shape(2)));
        check(
            "front_end_url\nhttps://a\n\nnot a url\n",
            Err(StockFileError::Value(4, AccessFault::NotAWebAddress { member: "frontEndUrl" })),
        );
        assert_eq!(read(b"front_end_url\n\xb5\xd8"), Err(StockFileError::NotUtf8));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
