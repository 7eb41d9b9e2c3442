//! `/healthz` and `/readyz`, for whoever watches the process. No token is asked for.

use std::time::{Duration, Instant};

use super::call::Call;
use super::reply::{self, Problem};
use crate::http::Reply;

/// A writer that takes longer is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`: the watchdog's last verdict, as on the public listener. Nothing is tried for it.
pub(super) fn alive(call: &Call<'_>) -> Result<Reply, Problem> {
    Ok(call.context.health.answer(&call.request.method))
}

/// `GET /readyz`: calls can be answered: the writer takes work and gets through with it.
pub(super) fn ready(call: &Call<'_>) -> Result<Reply, Problem> {
    Ok(match call.context.store.write(Some(Instant::now() + READY_WITHIN), |_| Ok(())) {
        Ok(()) => reply::text(200, "ready\n"),
        Err(error) => reply::text(503, format!("not ready: {error}\n")),
    })
}
