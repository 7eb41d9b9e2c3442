//! `/metrics`, for Prometheus.

use jiff::Timestamp;

use super::call::Call;
use super::reply::Problem;
use crate::http::Reply;
use crate::metrics::{self, OpenApi, Snapshot, Usage};

/// `GET /metrics`: the numbers of this moment.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let store = &call.context.store;
    let now = Timestamp::now();
    let ((jobs_dead, jobs_failing), usage) = store.read(|tx| Ok((tx.troubled_jobs()?, tx.waiting_usage(now)?)))?;
    let usage = Usage {
        waiting: usage.waiting - usage.due,
        due: usage.due,
        oldest_due: usage.due_since.map(|since| now.duration_since(since)).unwrap_or_default(),
    };
    let open_api = match &call.context.dispatcher.settings().open_api {
        Some(client) => Some(OpenApi {
            calls: client.metrics().counts(),
            is_locked: client.locked(store)?.is_some(),
            clock_difference: client.clock_difference(),
        }),
        None => None,
    };
    let now = Timestamp::now();
    let certificate = call.context.tls.as_ref().map(|tls| tls.identity().not_after().duration_since(now));
    let snapshot_age = Some(call.context.ages.snapshot().behind);
    let series_age = call.context.ages.series().map(|age| age.behind);
    let text =
        metrics::render(Snapshot { jobs_dead, jobs_failing, certificate, usage, open_api, snapshot_age, series_age });
    Ok(Reply::new(200, metrics::CONTENT_TYPE, text))
}
