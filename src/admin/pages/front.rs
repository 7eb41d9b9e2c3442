//! The first page.

use super::super::health;
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::front::{self, Front};
use crate::page::place;

/// `GET /`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (jobs_dead, _) = visit.context.store.read(|tx| tx.troubled_jobs())?;
    let front = Front {
        not_ready: health::not_ready(visit.context),
        jobs_dead,
        refused: visit.context.dispatcher.refused().total(),
    };
    Ok(visit.page(Some(place::FRONT), &front::TITLE, |view| front::body(view, &front)))
}
