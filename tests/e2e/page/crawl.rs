//! The pages that links lead to from the first one, as their reader sees them.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Answer, text};
use crate::page::visitor::Visitor;

/// A page.
pub struct Seen {
    pub target: String,
    pub answer: Answer,
    pub html: String,
}

/// Follows links within koogate from `/`, to so many pages of one kind: those of one thing differ in what the thing is, and
/// lists lead to many. Links that choose the language are not followed.
pub fn crawl(visitor: &mut Visitor, of_one_kind: usize) -> Vec<Seen> {
    let (mut open, mut known) = (vec!["/".to_owned()], BTreeSet::from(["/".to_owned()]));
    let (mut seen, mut kinds) = (Vec::new(), BTreeMap::<String, usize>::new());
    while let Some(target) = open.pop() {
        let answer = visitor.get(&target);
        let html = text(&answer.body);
        if answer.header("Content-Type").is_some_and(|of| of.starts_with("text/html")) {
            for link in links(&html) {
                let path = link.split(['?', '#']).next().unwrap();
                if path == "/language" || path.starts_with("/static/") || !known.insert(path.to_owned()) {
                    continue;
                }
                let count = kinds.entry(kind(path)).or_default();
                *count += 1;
                if *count <= of_one_kind {
                    open.push(link.split('#').next().unwrap().to_owned());
                }
            }
        }
        seen.push(Seen { target, answer, html });
    }
    seen
}

/// A path without what tells one thing from another: `/jobs/7/retry` is `/jobs/…/retry`.
fn kind(path: &str) -> String {
    let segments = path.split('/').enumerate().map(|(at, segment)| if at == 2 { "…" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Where the links of a page lead within koogate.
pub fn links(html: &str) -> Vec<String> {
    let all = html.split(" href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0);
    all.filter(|link| link.starts_with('/')).map(|link| link.replace("&amp;", "&").replace("&quot;", "\"")).collect()
}

/// The elements of a page that are of one name, each with its attributes and content; none holds another of its name.
pub fn elements<'h>(html: &'h str, name: &str) -> Vec<(&'h str, &'h str)> {
    let (begin, end) = (format!("<{name}"), format!("</{name}>"));
    let pieces = html.split(&begin).skip(1).filter(|rest| rest.starts_with([' ', '>']));
    pieces
        .map(|rest| {
            let (attributes, rest) = rest.split_once('>').unwrap();
            (attributes, rest.split_once(&end).unwrap_or_else(|| panic!("<{name}> is not closed: {rest}")).0)
        })
        .collect()
}

/// The texts of koogate's own that a page has in one language, without what others wrote (`bdi`), what is typed or written in
/// files (`code`, `pre`), and names of languages.
pub fn own_texts(html: &str) -> Vec<String> {
    let mut rest = html.to_owned();
    for name in ["bdi", "code", "pre", "time", "style", "svg"] {
        for (attributes, content) in elements(&rest.clone(), name) {
            rest = rest.replace(&format!("<{name}{attributes}>{content}</{name}>"), " … ");
        }
    }
    let own_language = rest.split_once("<a class=\"language\"");
    if let Some((before, after)) = own_language {
        rest = format!("{before}{}", after.split_once("</a>").unwrap().1);
    }
    let mut texts = Vec::new();
    for piece in rest.split('<').skip(1) {
        let (tag, content) = piece.split_once('>').unwrap_or((piece, ""));
        texts.push(content.trim().to_owned());
        for attribute in ["aria-label=\"", "title=\"", "data-label=\"", "placeholder=\""] {
            texts.extend(tag.split_once(attribute).map(|(_, rest)| rest.split_once('"').unwrap().0.to_owned()));
        }
    }
    texts.retain(|text| !text.is_empty());
    texts
}
