//! `/metrics`, for Prometheus.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::call::Call;
use super::reply::Problem;
use crate::dispatch::Dispatcher;
use crate::http::{Counters, Reply};
use crate::metrics::process::Process;
use crate::metrics::{self, Copy, Format, Listener, OpenApi, Snapshot, Storage, Usage, Work};
use crate::snapshots::age::Age;
use crate::store::{Numbers, Store, StoreError};

/// What is counted by walking an index is counted no more often, however many ask.
const COUNTED_EVERY: Duration = Duration::from_secs(5);

/// What only the metrics need to know of the process.
pub struct MetricsDesk {
    /// When the process started.
    pub started: Timestamp,
    /// The most connections of the listeners, and what those count; the public one first.
    pub listeners: [(usize, Arc<Counters>); 2],
    /// What was counted last, and when.
    counted: Mutex<Option<(Instant, Counted)>>,
}

/// What is counted by walking an index.
#[derive(Debug, Clone)]
struct Counted {
    numbers: Numbers,
    stocks: Vec<(String, i64, i64)>,
}

impl MetricsDesk {
    /// Of a process that starts now.
    pub fn new(listeners: [(usize, Arc<Counters>); 2]) -> Self {
        Self { started: Timestamp::now(), listeners, counted: Mutex::default() }
    }

    /// Counts, or takes what was counted just now. Whoever comes meanwhile waits for the count instead of making another.
    fn counted(&self, store: &Store, dispatcher: &Dispatcher, now: Timestamp) -> Result<Counted, StoreError> {
        // Replaced as a whole.
        let mut last = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counted)) = last.as_ref().filter(|(at, _)| at.elapsed() < COUNTED_EVERY) {
            return Ok(counted.clone());
        }
        let settings = dispatcher.settings();
        let counted = store.read(|tx| {
            let left = |(stock, low): (String, i64)| tx.unused_stock(&stock).map(|left| (stock, left, low));
            let stocks = settings.stocks().into_iter().map(left).collect::<Result<_, StoreError>>()?;
            Ok(Counted { numbers: tx.numbers(now)?, stocks })
        })?;
        *last = Some((Instant::now(), counted.clone()));
        Ok(counted)
    }
}

/// `GET /metrics`: the numbers of this moment.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let context = call.context;
    let (store, tallies) = (&context.store, context.dispatcher.tallies());
    let now = Timestamp::now();
    let Counted { numbers, stocks } = context.metrics.counted(store, &context.dispatcher, now)?;
    let ((jobs_dead, jobs_failing), usage) = store.read(|tx| Ok((tx.troubled_jobs()?, tx.waiting_usage(now)?)))?;
    let usage = Usage {
        waiting: usage.waiting - usage.due,
        due: usage.due,
        oldest_due: usage.due_since.map(|since| now.duration_since(since)).unwrap_or_default(),
    };
    let open_api = match &context.dispatcher.settings().open_api {
        Some(client) => Some(OpenApi {
            calls: client.metrics().counts(),
            is_locked: client.locked(store)?.is_some(),
            clock_difference: client.clock_difference(),
        }),
        None => None,
    };
    let format = Format::accepted(call.request.header("Accept"));
    let refused = context.dispatcher.refused().by_class().map(|(class, count)| (class.as_str(), count)).to_vec();
    let snapshot = Snapshot {
        now,
        is_healthy: context.health.is_good(),
        work: Work { jobs_dead, jobs_failing, numbers, stocks },
        calls: tallies.calls.now(),
        unrecorded: tallies.unrecorded.now(),
        refused,
        hooks: tallies.hooks.now(),
        counts: store.commits(),
        commits: store.commits_now(),
        storage: storage(call),
        certificate: context.tls.as_ref().map(|tls| tls.identity().not_after().duration_since(now)),
        usage,
        open_api,
        listeners: listeners(call),
        process: Process::now(),
        started: context.metrics.started,
    };
    Ok(Reply::new(200, format.content_type(), metrics::render(snapshot, format)))
}

fn storage(call: &Call<'_>) -> Storage {
    let (store, ages) = (&call.context.store, &call.context.ages);
    let sizes = store.sizes();
    let copy = |age: Age| Copy { age: age.behind, limit: age.limit, taken: age.taken };
    Storage {
        is_writable: store.fault().is_none(),
        database: sizes.database,
        wal: sizes.wal,
        snapshot: sizes.snapshot,
        free: sizes.free,
        copy: copy(ages.snapshot()),
        series: ages.series().map(copy),
        drilled: ages.drilled(),
    }
}

fn listeners(call: &Call<'_>) -> Vec<Listener> {
    let [(public, of_public), (admin, of_admin)] = &call.context.metrics.listeners;
    let is_tls = call.context.tls.is_some();
    vec![
        Listener { name: "public", limit: *public, is_tls, counters: of_public.now() },
        Listener { name: "admin", limit: *admin, is_tls: false, counters: of_admin.now() },
    ]
}
