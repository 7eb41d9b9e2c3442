//! How listings are printed: a table for people, JSON lines for programs.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::Value;

use crate::excerpt::is_unprintable;
pub(super) use crate::view::time;

/// Prints rows as a table, or `objects` as one JSON object a line.
pub(super) fn listing(
    json: bool,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    objects: impl IntoIterator<Item = Value>,
) -> anyhow::Result<()> {
    if json {
        for object in objects {
            line(&object.to_string())?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header.to_vec());
    if let Some(width) = width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| harmless(cell)));
    }
    if table.is_empty() { line("(nothing to show)") } else { line(&table.to_string()) }
}

/// Columns of the terminal; `None` when stdout is none.
pub(crate) fn width() -> Option<u16> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0)
}

/// Text of somebody else's in one line of its own, whatever it holds: control characters could forge lines and steer the
/// terminal, others could make it read as another text.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|char| if is_unprintable(char) { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

/// Prints a line on stdout, or several, without what could steer the terminal.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let steers = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    let text = text.replace(steers, "\u{fffd}");
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to stdout")
}

/// An instant as programs see it, that may be missing.
pub(super) fn time_or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), time)
}

/// The text, or a dash.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("–").to_owned()
}

/// Shows how far a long work is, when stderr is a terminal.
pub(super) fn progress(total: Option<u64>, doing: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = if total.is_some() { "{msg} {pos}/{len} [{bar:40}] {eta}" } else { "{spinner} {msg} {pos}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar.with_message(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_neither_steers_nor_misleads() {
        assert_eq!(harmless("a\u{1b}[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(harmless("exe\u{202e}gpj"), "exe\u{fffd}gpj");
        assert_eq!(harmless("a\u{61c}b\u{e0041}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(harmless("云商店 ok"), "云商店 ok");
    }
}
