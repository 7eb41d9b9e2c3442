//! The journal as a sheet: the columns of an export, and cells that no spreadsheet takes for formulas.

use serde_json::Value;

use super::exchange;
use crate::store::ExchangeRow;

/// The columns; members of the JSON form, too.
pub const COLUMNS: [&str; 16] = [
    "id",
    "receivedAt",
    "durationMs",
    "environment",
    "family",
    "activity",
    "orderId",
    "instanceId",
    "resultCode",
    "replayed",
    "difference",
    "operation",
    "firstExchange",
    "request",
    "requestBody",
    "answer",
];

/// A call as a row, in the order of [`COLUMNS`].
pub fn record(row: &ExchangeRow) -> [String; 16] {
    let object = exchange::listed(row);
    COLUMNS.map(|column| match &object[column] {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        other => other.to_string(),
    })
}

/// A text as a spreadsheet should see it. What begins like a formula would be one, and formulas can send data away; so an
/// apostrophe stands before it, by which spreadsheets know a text.
fn cell(text: &str) -> String {
    // Spreadsheets in Chinese take the wide forms for the narrow ones.
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_of_a_spreadsheet_begins_like_a_formula() {
        for text in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"]
        {
            assert_eq!(cell(text), format!("'{text}"));
        }
        for text in ["", "CS1", "a=b", "GET /saasproduce?x=1", "{\"a\":1}"] {
            assert_eq!(cell(text), text);
        }
    }
}
