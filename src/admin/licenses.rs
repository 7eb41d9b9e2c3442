//! `/api/v1/licenses`: licences of all families. What is in them is not shown.

use super::call::Call;
use super::page::Piece;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::operation::Environment;
use crate::store::{LICENSE_STATES, LicenseFilter, LicensedRow};
use crate::view;

/// `GET /api/v1/licenses`: licences and authorisation codes, newest first.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let filter = LicenseFilter {
        state: call.one_of("state", &LICENSE_STATES)?.map(str::to_owned),
        kind: call.parsed("kind")?,
        environment: Environment::of_test_flag(call.flag("test")?.unwrap_or(false)),
    };
    let piece = Piece::<(i64, i64)>::read(call, 50, "before")?;
    let rows = call.context.store.read(|tx| tx.licenses(&filter, piece.from, piece.rows()))?;
    piece.reply("licenses", &rows, LicensedRow::place, view::license::listed)
}

/// `GET /api/v1/licenses/{license}`: one with its jobs.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let number = call.path("license").parse::<i64>();
    let found = match number {
        Ok(number) => call.context.store.read(|tx| tx.licensed_with_jobs(number))?,
        Err(_) => None,
    };
    let (row, _, jobs) = found.ok_or_else(|| Problem::not_found("no such licence"))?;
    Ok(reply::ok(&view::license::shown(&row, &jobs)))
}
