//! Tables, and the links to further pieces of a list. On a narrow screen each row becomes a card, in which every value has
//! its column's name.

use maud::{Markup, html};

use super::layout::View;
use super::text::{Text, text};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Text,
    /// It holds numbers.
    pub is_number: bool,
}

/// A column of words.
pub const fn column(zh: &'static str, en: &'static str) -> Column {
    Column { name: text(zh, en), is_number: false }
}

/// A column of numbers.
pub const fn number(zh: &'static str, en: &'static str) -> Column {
    Column { name: text(zh, en), is_number: true }
}

const EARLIER: Text = text("更早", "Earlier");
const NEWEST: Text = text("最新", "Newest");
const PIECES: Text = text("翻页", "Pages");

/// A table. The first cell of a row names the row. `empty` is said where there are no rows.
pub fn table(view: &View<'_>, caption: &str, columns: &[Column], rows: &[Vec<Markup>], empty: &Text) -> Markup {
    if rows.is_empty() {
        return html! { p.empty { (view.say(empty)) } };
    }
    html! {
        table {
            caption { (caption) }
            thead {
                tr { @for column in columns { th scope="col" class=[class(*column)] { (view.say(&column.name)) } } }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for (at, (cell, column)) in row.iter().zip(columns).enumerate() {
                            @if at == 0 {
                                th scope="row" class=[class(*column)] data-label=(view.say(&column.name)) { div { (cell) } }
                            } @else {
                                td class=[class(*column)] data-label=(view.say(&column.name)) { div { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn class(column: Column) -> Option<&'static str> {
    column.is_number.then_some("number")
}

/// Links to the newest and to the next piece of a list, where there are such.
pub fn pager(view: &View<'_>, newest: Option<&str>, earlier: Option<&str>) -> Markup {
    if newest.is_none() && earlier.is_none() {
        return html! {};
    }
    html! {
        nav.pager aria-label=(view.say(&PIECES)) {
            @if let Some(href) = newest { a.button href=(href) { (view.say(&NEWEST)) } }
            @if let Some(href) = earlier { a.button href=(href) rel="next" { (view.say(&EARLIER)) } }
        }
    }
}
