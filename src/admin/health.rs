//! `/healthz` and `/readyz`, for whoever watches the process. No token is asked for.

use std::time::{Duration, Instant};

use super::call::Call;
use super::reply::{self, Problem};
use crate::http::Reply;

/// A writer that takes longer is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(super) fn alive(_: &Call<'_>) -> Result<Reply, Problem> {
    Ok(reply::text(200, "ok\n"))
}

/// `GET /readyz`: calls can be answered: the writer takes work and gets through with it, and what it wrote last is on
/// disk.
pub(super) fn ready(call: &Call<'_>) -> Result<Reply, Problem> {
    Ok(match call.context.store.write(Some(Instant::now() + READY_WITHIN), |_| Ok(())) {
        Ok(()) => match call.context.store.fault() {
            None => reply::text(200, "ready\n"),
            Some(fault) => reply::text(503, format!("not ready: the database cannot be written: {fault}\n")),
        },
        Err(error) => reply::text(503, format!("not ready: {error}\n")),
    })
}
