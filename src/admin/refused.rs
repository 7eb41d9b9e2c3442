//! `/api/v1/refused`: the requests that were turned away lately.

use serde_json::{Value, json};

use super::call::Call;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::view;

/// `GET /api/v1/refused`: newest first, and how many there were in all since the start.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let refused = call.context.dispatcher.refused();
    let last: Vec<Value> = refused.last().iter().rev().map(view::refused::listed).collect();
    Ok(reply::ok(&json!({ "total": refused.total(), "last": last })))
}
