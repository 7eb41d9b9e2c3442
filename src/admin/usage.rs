//! `/api/v1/usage`: what on-demand instances have used, as the application reports it.

use super::call::Call;
use super::page::Piece;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::store::UsageFilter;
use crate::usage::State;
use crate::usage::desk::{self, DeskError};
use crate::view;

/// `POST /api/v1/usage`: records one report or up to 1000; what is answered is on disk. In a list each entry says what
/// became of it, so that the status does not.
pub(super) fn record(call: &Call<'_>) -> Result<Reply, Problem> {
    let answer = desk::answer(&call.context.store, &call.request.body).map_err(|error| match error {
        DeskError::Intake(fault) => Problem::bad_request(fault.to_string()),
        DeskError::Store(error) => error.into(),
        DeskError::NoRandomness(error) => Problem::internal(error.to_string()),
    })?;
    let alone = answer.body.get("records").is_none();
    Ok(reply::with_status(if alone && answer.refused > 0 { 400 } else { 200 }, &answer.body))
}

/// `GET /api/v1/usage`: records, newest first.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let state = call.parsed::<State>("state")?;
    let filter = UsageFilter { state, instance_id: call.text("instance").map(str::to_owned) };
    let piece = Piece::<i64>::read(call, 50, "before")?;
    let rows = call.context.store.read(|tx| tx.usage_records(&filter, piece.from, piece.rows()))?;
    piece.reply("usage", &rows, |row| row.row, view::usage::to_json)
}
