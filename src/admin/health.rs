//! `/healthz` and `/readyz`, for whoever watches the process. No token is asked for.

use std::time::{Duration, Instant};

use super::Context;
use super::call::Call;
use super::reply::{self, Problem};
use crate::http::Reply;

/// A writer that takes longer is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`: the watchdog's last verdict, as on the public listener. Nothing is tried for it.
pub(super) fn alive(call: &Call<'_>) -> Result<Reply, Problem> {
    Ok(call.context.health.answer(&call.request.method))
}

/// `GET /readyz`: calls can be answered and nothing that was answered would be lost with this disk: the writer takes work
/// and gets through with it, what it wrote last is on disk, and the copies are young enough. Nobody directs KooGallery's
/// calls by it, the listener is the operator's, so an old copy may speak here as loud as a writer that hangs.
pub(super) fn ready(call: &Call<'_>) -> Result<Reply, Problem> {
    Ok(match not_ready(call.context) {
        None => reply::text(200, "ready\n"),
        Some(problem) => reply::text(503, format!("not ready: {problem}\n")),
    })
}

/// Why calls cannot be answered, or what was answered might be lost; `None`: all is well.
pub(super) fn not_ready(context: &Context) -> Option<String> {
    let (store, ages) = (&context.store, &context.ages);
    let written = store.write(Some(Instant::now() + READY_WITHIN), |_| Ok(()));
    let fault = || store.fault().map(|fault| format!("the database cannot be written: {fault}"));
    written.err().map(|error| error.to_string()).or_else(fault).or_else(|| ages.problem())
}
