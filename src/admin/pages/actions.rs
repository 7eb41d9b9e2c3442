//! What was done on the status page.

use super::super::page::{decode, encode};
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::actions::{self, Action};
use crate::page::trouble::Trouble;
use crate::page::{form, place, words};
use crate::store::OperatorAction;

/// So many are on a page.
const ROWS: usize = 50;

/// `GET /actions`: newest first.
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let unreadable = || Trouble::BadRequest(words("参数 after 无效。", "The parameter after is none of this list's."));
    let after = visit.text("after").map(|text| decode::<i64>(text).ok_or_else(unreadable)).transpose()?;
    let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
    let rows = visit.context.store.read(|tx| tx.operator_actions(after, limit + 1))?;
    let earlier = (rows.len() > ROWS).then(|| form::address("/actions", &[("after", &encode(&rows[ROWS - 1].row))]));
    let newest = after.is_some().then_some("/actions");
    let actions: Vec<_> = rows.into_iter().take(ROWS).map(shown).collect();
    Ok(visit
        .page(Some(place::ACTIONS), &actions::TITLE, |view| actions::body(view, &actions, newest, earlier.as_deref())))
}

fn shown(row: OperatorAction) -> Action {
    Action { at: row.at, peer: row.peer, action: row.action, subject: row.subject, detail: row.detail }
}
