//! Forms: what asks for a list, what does something after a question, and addresses with a query.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::layout::View;
use super::text::{Text, text};

/// A field of a form.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// Its name in the query.
    pub name: &'static str,
    /// What it is called.
    pub label: Text,
    /// What it takes.
    pub input: Input<'a>,
}

/// What a field takes.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// A line of text, with what it holds now.
    Line(&'a str),
    /// A minute of the calendar, with what it holds now: `2026-11-26T14:47`, Beijing time.
    Minute(&'a str),
    /// One of some words, each with its name; the word that is chosen now. An empty word chooses nothing.
    Choice {
        /// The words and their names.
        options: Vec<(&'a str, Text)>,
        /// The one that is chosen.
        chosen: &'a str,
    },
}

/// How much care a button asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The first thing to do.
    Main,
    /// One of several.
    Plain,
    /// What cannot be taken back.
    Grave,
}

impl Weight {
    fn class(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Plain => "plain",
            Self::Grave => "grave",
        }
    }
}

const SHOW: Text = text("筛选", "Filter");
const ALL: Text = text("清除条件", "Clear");
const CANCEL: Text = text("取消", "Cancel");

/// A form that asks for a list: a GET to `action`.
pub fn filter(view: &View<'_>, action: &str, label: Text, fields: &[Field<'_>]) -> Markup {
    html! {
        form.filter method="get" action=(action) role="search" aria-label=(view.say(&label)) {
            @for field in fields { (labelled(view, field)) }
            div.buttons {
                button.main type="submit" { (view.say(&SHOW)) }
                a.button href=(action) { (view.say(&ALL)) }
            }
        }
    }
}

/// A field with its label.
pub fn labelled(view: &View<'_>, field: &Field<'_>) -> Markup {
    let id = format!("field-{}", field.name);
    html! {
        div.field {
            label for=(id) { (view.say(&field.label)) }
            @match &field.input {
                Input::Line(value) => {
                    input #(id) type="text" name=(field.name) value=(value) autocomplete="off" spellcheck="false";
                }
                Input::Minute(value) => input #(id) type="datetime-local" name=(field.name) value=(value);,
                Input::Choice { options, chosen } => {
                    select #(id) name=(field.name) {
                        @for (word, name) in options {
                            option value=(word) selected[word == chosen] { (view.say(name)) }
                        }
                    }
                }
            }
        }
    }
}

/// A button that does something: a POST to `action` with hidden fields. The session's token is added.
pub fn button(view: &View<'_>, action: &str, name: Text, weight: Weight, hidden: &[(&str, &str)]) -> Markup {
    html! {
        form.action method="post" action=(action) {
            (hidden_fields(view, hidden))
            button class=(weight.class()) type="submit" { (view.say(&name)) }
        }
    }
}

/// What every form that does something begins with: the session's token, and these.
pub fn hidden_fields(view: &View<'_>, hidden: &[(&str, &str)]) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(view.csrf.unwrap_or_default());
        @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
    }
}

/// The question before something is done: what will happen, and the way back.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What will happen.
    pub consequences: Markup,
    /// Where the POST goes.
    pub action: &'a str,
    /// What it carries.
    pub hidden: Vec<(&'a str, &'a str)>,
    /// The button that does it.
    pub button: Text,
    /// How much care it asks for.
    pub weight: Weight,
    /// Where "cancel" leads.
    pub back: &'a str,
}

/// The body of the page that asks.
pub fn question(view: &View<'_>, question: &Question<'_>) -> Markup {
    html! {
        div.question {
            (question.consequences)
            div.buttons {
                (button(view, question.action, question.button, question.weight, &question.hidden))
                a.button href=(question.back) { (view.say(&CANCEL)) }
            }
        }
    }
}

/// A path with a query. Empty values are left out.
pub fn address(path: &str, query: &[(&str, &str)]) -> String {
    /// What needs no escape in a query.
    const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let mut address = path.to_owned();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        address.extend(utf8_percent_encode(value, UNRESERVED));
    }
    address
}

/// A value as one segment of a path.
pub fn segment(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_what_is_asked_for_and_nothing_else() {
        assert_eq!(address("/x", &[]), "/x");
        assert_eq!(address("/x", &[("a", "")]), "/x");
        assert_eq!(address("/x", &[("a", "1&b=\"<云"), ("c", "-")]), "/x?a=1%26b%3D%22%3C%E4%BA%91&c=-");
        assert_eq!(segment("a/b ?"), "a%2Fb%20%3F");
    }
}
