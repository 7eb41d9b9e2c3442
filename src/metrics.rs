//! What `GET /metrics` tells, in the text formats that Prometheus and others read. The numbers are kept by those who count
//! them; here they get names.
//!
//! | file | |
//! | --- | --- |
//! | `table` | every metric: name, labels, meaning |
//! | `page` | the text |
//! | `tally` | counting where it happens, by atomics |
//! | `calls`, `hooks`, `tallies` | what is counted on the way of a call |
//! | `process` | what the system says of the process |

pub mod calls;
pub mod hooks;
mod page;
pub mod process;
pub mod table;
pub mod tallies;
pub mod tally;

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use page::Format;

use self::calls::CallsNow;
use self::hooks::HooksNow;
use self::page::{Numbers, Page};
use self::process::Process;
use self::table as name;
use crate::alert::Kind;
use crate::http::CountersNow;
use crate::open_api::CallCount;
use crate::store::{CommitsNow, Counts};

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// The numbers of one moment. What does not apply is `None` or empty, and not told.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The moment.
    pub now: Timestamp,
    /// What the watchdog says.
    pub is_healthy: bool,
    /// Work in the background and what waits for somebody.
    pub work: Work,
    /// Calls that were answered.
    pub calls: CallsNow,
    /// Calls that were answered without a record.
    pub unrecorded: u64,
    /// Requests that were turned away, by the sort of reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Attempts to reach applications.
    pub hooks: Vec<HooksNow>,
    /// Commits and what they held.
    pub counts: Counts,
    /// How commits went.
    pub commits: CommitsNow,
    /// The database and its copies.
    pub storage: Storage,
    /// For how long the certificate is still valid; `None`: HTTPS is not spoken.
    pub certificate: Option<SignedDuration>,
    /// Usage records that KooGallery does not have yet. (Settled ones are too many to count each time.)
    pub usage: Usage,
    /// Calls to KooGallery; `None`: the open API is not configured.
    pub open_api: Option<OpenApi>,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The process.
    pub process: Process,
    /// When it started.
    pub started: Timestamp,
}

/// Work in the background, and what waits for somebody.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Jobs that were given up.
    pub jobs_dead: i64,
    /// Jobs that have failed and are tried again.
    pub jobs_failing: i64,
    /// What else stands in the database.
    pub numbers: crate::store::Numbers,
    /// Stocks that products use: the name, how many entries are left, and how many are few.
    pub stocks: Vec<(String, i64, i64)>,
}

/// The database and its copies.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    /// Commits reach the disk.
    pub is_writable: bool,
    /// Bytes of the database file.
    pub database: u64,
    /// Bytes of its log.
    pub wal: u64,
    /// Bytes of the snapshot; `None`: there is none.
    pub snapshot: Option<u64>,
    /// Bytes that may still be written; `None`: the system does not tell.
    pub free: Option<u64>,
    /// The snapshot beside the database.
    pub copy: Copy,
    /// The dated series; `None`: there is none.
    pub series: Option<Copy>,
    /// When a copy was last proved again.
    pub drilled: Option<Timestamp>,
}

/// How a copy stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copy {
    /// For so long it has not held everything for sure.
    pub age: Duration,
    /// Longer is too long.
    pub limit: Duration,
    /// When it was last taken; `None`: not since the start.
    pub taken: Option<Timestamp>,
}

/// What of the reported usage waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Records whose time has not come.
    pub waiting: i64,
    /// Records that are to be sent now.
    pub due: i64,
    /// For so long the first of those has been due; zero: none is.
    pub oldest_due: SignedDuration,
}

/// How calls to KooGallery stand.
#[derive(Debug, Clone, Default)]
pub struct OpenApi {
    /// By call and result.
    pub calls: Vec<CallCount>,
    /// The access key was refused, and nothing is called for now.
    pub is_locked: bool,
    /// By how much this machine's clock is ahead of KooGallery's.
    pub clock_difference: Option<SignedDuration>,
}

/// A listener and what it has counted.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `public` or `admin`.
    pub name: &'static str,
    /// So many connections may be open at once.
    pub limit: usize,
    /// It speaks TLS.
    pub is_tls: bool,
    /// Its counters.
    pub counters: CountersNow,
}

/// The text.
pub fn render(snapshot: Snapshot, format: Format) -> String {
    page::render(snapshot, format)
}

impl Numbers for Snapshot {
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        page.each(&name::BUILD, [([env!("CARGO_PKG_VERSION")], 1_i64)])?;
        page.one(&name::HEALTHY, self.is_healthy)?;
        self.tell_work(page)?;
        self.tell_calls(page)?;
        self.tell_commits(page)?;
        self.storage.tell(page)?;
        page.some(&name::CERTIFICATE, self.certificate.map(|left| left.as_secs()))?;
        let usage = self.usage;
        page.each(&name::USAGE_RECORDS, [(["waiting"], usage.waiting), (["due"], usage.due)])?;
        page.one(&name::USAGE_OLDEST, usage.oldest_due.as_secs())?;
        self.open_api.as_ref().map_or(Ok(()), |open_api| open_api.tell(page))?;
        self.tell_listeners(page)?;
        self.tell_process(page)
    }
}

impl Snapshot {
    fn tell_work(&self, page: &mut Page<'_>) -> fmt::Result {
        let Work { jobs_dead, jobs_failing, numbers, stocks } = &self.work;
        // Less than nothing after a step of the clock.
        let since = |then: Option<Timestamp>| then.map_or(0, |then| self.now.duration_since(then).as_secs().max(0));
        page.one(&name::CREATIONS_OPEN, numbers.creating.count)?;
        page.one(&name::CREATIONS_OLDEST, since(numbers.creating.since))?;
        page.one(&name::JOBS_DEAD, *jobs_dead)?;
        page.one(&name::JOBS_FAILING, *jobs_failing)?;
        let states = [("waiting", numbers.jobs_waiting.count), ("running", numbers.jobs_running), ("dead", *jobs_dead)];
        page.each(&name::JOBS, states.map(|(state, count)| ([state], count)))?;
        page.one(&name::JOBS_OVERDUE, since(numbers.jobs_waiting.since))?;
        page.each(&name::STOCK_UNUSED, stocks.iter().map(|(stock, unused, _)| ([stock.as_str()], *unused)))?;
        page.each(&name::STOCK_LOW, stocks.iter().map(|(stock, _, low)| ([stock.as_str()], *low)))?;
        page.one(&name::LICENSE_JOBS, numbers.license_jobs)?;
        page.one(&name::LICENSES_REQUESTED, numbers.licenses_requested.count)?;
        page.one(&name::LICENSES_OLDEST, since(numbers.licenses_requested.since))?;
        let stand =
            |kind: Kind| numbers.alerts.iter().find(|(name, _)| name == kind.as_str()).map_or(0, |(_, count)| *count);
        page.each(&name::ALERTS, Kind::ALL.iter().map(|kind| ([kind.as_str()], stand(*kind))))?;
        page.one(&name::FROZEN_PAID, numbers.frozen_paid)?;
        page.some(&name::LAST_CALL, numbers.last_call.map(seconds))?;
        page.some(&name::LAST_TEST, numbers.last_test_call.map(seconds))
    }

    fn tell_calls(&self, page: &mut Page<'_>) -> fmt::Result {
        let calls = &self.calls;
        page.each(&name::CALLS, calls.counts.iter().map(|(names, count)| (*names, *count)))?;
        page.histograms(&name::CALL_TIMES, MICROS, calls.by_family.iter().map(|(family, .., times)| (*family, times)))?;
        let by_family = || calls.by_family.iter();
        page.each(&name::CALLS_REPLAYED, by_family().map(|(family, replayed, ..)| ([*family], *replayed)))?;
        page.each(&name::CALLS_WAITED, by_family().map(|(family, _, waited, _)| ([*family], *waited)))?;
        page.one(&name::CALLS_UNRECORDED, self.unrecorded)?;
        page.each(&name::CALLS_REFUSED, self.refused.iter().map(|(reason, count)| ([*reason], *count)))?;
        let outcomes = |of_kind: &HooksNow| {
            let kind = of_kind.kind.as_str();
            of_kind.outcomes.map(|(outcome, count)| ([kind, outcome], count))
        };
        page.each(&name::HOOK_ATTEMPTS, self.hooks.iter().flat_map(outcomes))?;
        page.histograms(&name::HOOK_TIMES, MICROS, self.hooks.iter().map(|now| (now.kind.as_str(), &now.times)))
    }

    fn tell_commits(&self, page: &mut Page<'_>) -> fmt::Result {
        let CommitsNow { failed, queued, batches, times, syncs } = &self.commits;
        page.one(&name::COMMITS, self.counts.commits)?;
        page.one(&name::COMMITTED_WORKS, self.counts.works)?;
        page.one(&name::COMMITS_FAILED, *failed)?;
        page.histogram(&name::COMMIT_SIZES, batches, 1.0)?;
        page.histogram(&name::COMMIT_TIMES, times, MICROS)?;
        page.histogram(&name::SYNC_TIMES, syncs, MICROS)?;
        page.one(&name::QUEUED, *queued)
    }

    fn tell_listeners(&self, page: &mut Page<'_>) -> fmt::Result {
        let each = |number: fn(&Listener) -> u64| self.listeners.iter().map(move |door| ([door.name], number(door)));
        page.each(&name::OPEN, each(|door| door.counters.open as u64))?;
        page.each(&name::MOST, each(|door| door.limit as u64))?;
        page.each(&name::ACCEPTED, each(|door| door.counters.accepted))?;
        page.each(&name::ACCEPT_ERRORS, each(|door| door.counters.accept_errors))?;
        page.each(&name::EVICTED, each(|door| door.counters.evicted))?;
        page.each(&name::REQUESTS, each(|door| door.counters.requests))?;
        page.each(&name::REQUESTS_REFUSED, each(|door| door.counters.refused))?;
        page.each(&name::PANICS, each(|door| door.counters.panics))?;
        page.each(&name::DOOR_THREADS, each(|door| door.counters.threads as u64))?;
        let handshakes = |door: &Listener| {
            let counters = door.counters;
            [
                (["done"], counters.handshakes),
                (["refused"], counters.handshakes_refused),
                (["abandoned"], counters.handshakes_abandoned),
            ]
        };
        page.each(&name::HANDSHAKES, self.listeners.iter().filter(|door| door.is_tls).flat_map(handshakes))
    }

    fn tell_process(&self, page: &mut Page<'_>) -> fmt::Result {
        let Process { cpu, resident, virtual_size, threads, open_fds, max_fds } = self.process;
        page.one(&name::CPU, cpu.as_secs_f64())?;
        page.one(&name::RESIDENT, resident)?;
        page.one(&name::VIRTUAL, virtual_size)?;
        page.one(&name::THREADS, threads)?;
        page.one(&name::OPEN_FDS, open_fds)?;
        page.one(&name::MAX_FDS, max_fds)?;
        page.one(&name::STARTED, seconds(self.started))
    }
}

impl Storage {
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        page.one(&name::WRITABLE, self.is_writable)?;
        page.one(&name::DATABASE_SIZE, self.database)?;
        page.one(&name::WAL_SIZE, self.wal)?;
        page.some(&name::SNAPSHOT_SIZE, self.snapshot)?;
        page.some(&name::DISK_FREE, self.free)?;
        page.one(&name::SNAPSHOT_AGE, self.copy.age.as_secs())?;
        page.one(&name::SNAPSHOT_LIMIT, self.copy.limit.as_secs())?;
        page.some(&name::SNAPSHOT_TAKEN, self.copy.taken.map(seconds))?;
        page.some(&name::SERIES_AGE, self.series.map(|series| series.age.as_secs()))?;
        page.some(&name::SERIES_LIMIT, self.series.map(|series| series.limit.as_secs()))?;
        page.some(&name::DRILLED, self.drilled.map(seconds))
    }
}

impl OpenApi {
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        let calls = self.calls.iter().map(|CallCount { call, result, count }| ([*call, *result], *count));
        page.each(&name::OPEN_API_CALLS, calls)?;
        page.one(&name::OPEN_API_LOCKED, self.is_locked)?;
        page.some(&name::CLOCK_DIFFERENCE, self.clock_difference.map(|difference| difference.as_secs()))
    }
}

/// A moment as Prometheus counts it.
fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests;
