//! Requests that were turned away lately.

use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::place;
use crate::page::refused::{self, Line};

/// `GET /refused`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let refused = visit.context.dispatcher.refused();
    let lines: Vec<_> = refused
        .last()
        .into_iter()
        .rev()
        .map(|refused| Line {
            at: refused.at,
            peer: refused.peer,
            family: refused.family,
            class: refused.class.as_str(),
            reason: refused.reason,
        })
        .collect();
    Ok(visit.page(Some(place::REFUSED), &refused::TITLE, |view| refused::body(view, refused.total(), &lines)))
}
