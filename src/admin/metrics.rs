//! `/metrics`, for Prometheus.

use super::call::Call;
use super::reply::Problem;
use crate::http::Reply;
use crate::metrics::{self, OpenApi, Snapshot};

/// `GET /metrics`: the numbers of this moment.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let store = &call.context.store;
    let (jobs_dead, jobs_failing) = store.read(|tx| tx.troubled_jobs())?;
    let open_api = match &call.context.dispatcher.settings().open_api {
        Some(client) => Some(OpenApi {
            calls: client.metrics().counts(),
            is_locked: client.locked(store)?.is_some(),
            clock_difference: client.clock_difference(),
        }),
        None => None,
    };
    let text = metrics::render(Snapshot { jobs_dead, jobs_failing, open_api });
    Ok(Reply::new(200, metrics::CONTENT_TYPE, text))
}
