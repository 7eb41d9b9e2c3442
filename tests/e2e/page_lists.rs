//! The lists of the status page, filled by real calls: what they show, how they are turned and filtered, and that each action
//! does what the command line does, only with the form's token, and not after things have changed.

mod actions;
mod journal;
mod large;
mod others;

use crate::harness::{Answer, Scratch, text};
use crate::page::visitor::{Visitor, admin};

/// The admin section of a scratch configuration.
fn sections() -> String {
    admin("")
}

/// A page that must be there; its HTML.
#[track_caller]
fn page(visitor: &mut Visitor, target: &str) -> String {
    let answer = visitor.get(target);
    let html = text(&answer.body);
    assert_eq!(answer.status, 200, "{target}: {html}");
    html
}

/// Asks the question at `ask`, and sends the form of it that goes to `action`, with further fields.
#[track_caller]
fn confirm(visitor: &mut Visitor, ask: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    let question = page(visitor, ask);
    send_form(visitor, &question, action, fields)
}

/// Sends the form of a page that goes to `action`, with its hidden fields and further ones.
#[track_caller]
fn send_form(visitor: &mut Visitor, html: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    let hidden = hidden_fields(html, action);
    let all: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    visitor.post(action, &[&all, fields].concat())
}

/// The hidden fields of the form of a page that goes to `action`.
#[track_caller]
fn hidden_fields(html: &str, action: &str) -> Vec<(String, String)> {
    let forms = crate::page::crawl::elements(html, "form");
    let mark = format!("action=\"{action}\"");
    let form = forms.into_iter().find(|(attributes, _)| attributes.contains(&mark));
    let (_, content) = form.unwrap_or_else(|| panic!("no form to {action}: {html}"));
    let inputs = content.split("<input type=\"hidden\" name=\"").skip(1);
    inputs
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split_once('"').unwrap().0.replace("&amp;", "&"))
        })
        .collect()
}

/// The first cells of the rows of a page's first table, without markup: the names of its rows.
fn row_names(html: &str) -> Vec<String> {
    let Some((_, table)) = html.split_once("<tbody>") else { return Vec::new() };
    let table = table.split_once("</tbody>").unwrap().0;
    let cells = table.split("<th").skip(1);
    cells.map(|cell| bare(cell.split_once('>').unwrap().1.split_once("</th>").unwrap().0)).collect()
}

/// HTML without its tags.
fn bare(html: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    text.trim().to_owned()
}

/// The address of the link that leads on in a list.
fn next_of(html: &str) -> Option<String> {
    let (before, _) = html.split_once("rel=\"next\"")?;
    let (_, href) = before.rsplit_once("href=\"")?;
    Some(href.split_once('"')?.0.replace("&amp;", "&"))
}

/// What was recorded of what operators did: action and subject.
fn recorded(scratch: &Scratch) -> Vec<String> {
    let sql = "SELECT coalesce(group_concat(action || ' ' || subject, '|' ORDER BY id), '') FROM operator_action";
    let all: String = crate::shop::look_up(scratch, sql);
    all.split('|').filter(|one| !one.is_empty()).map(str::to_owned).collect()
}
