//! Every metric there is: its name, its labels and what it tells. Names, labels and units stay once they are published;
//! docs/metrics.md, the dashboard and the alert rules in packaging/ name the same, and a test holds them to this table.

/// A metric as it is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name. That of a counter in the text ends in `_total` besides.
    pub name: &'static str,
    /// What sort of numbers it has.
    pub sort: Sort,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it tells, with its unit.
    pub help: &'static str,
}

/// What sort of numbers a metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// It only grows, from the start of the process on.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How values are distributed; three series, with `_bucket`, `_sum` and `_count` at the end of the name.
    Histogram,
}

impl Metric {
    /// The name that is written in queries; a histogram's without the end.
    pub fn name_in_queries(&self) -> String {
        let end = if self.sort == Sort::Counter { "_total" } else { "" };
        format!("{}{end}", self.name)
    }
}

macro_rules! table {
    ($($id:ident: $sort:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Metric =
            Metric { name: $name, sort: Sort::$sort, labels: &[$($label),*], help: $help };)*

        /// All of them, in the order in which they are written.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

table! {
    BUILD: Gauge "koogate_build_info" ["version"] "1; the label says which koogate this is";
    HEALTHY: Gauge "koogate_healthy" [] "1: the watchdog finds that the public listener and the writer answer, as /healthz tells";
    CREATIONS_OPEN: Gauge "koogate_creations_open" [] "Instances that were bought and are not ready";
    CREATIONS_OLDEST: Gauge "koogate_creations_oldest_seconds" [] "Seconds since the oldest of them was bought; 0: there is none";
    JOBS_DEAD: Gauge "koogate_jobs_dead" [] "Jobs that were given up and wait for somebody";
    JOBS_FAILING: Gauge "koogate_jobs_failing" [] "Jobs that have failed and are tried again";
    JOBS: Gauge "koogate_jobs" ["state"] "Jobs that are not done: waiting for their time, running, or dead";
    JOBS_OVERDUE: Gauge "koogate_jobs_overdue_seconds" [] "Seconds since the first job that waits became due; 0: none is";
    STOCK_UNUSED: Gauge "koogate_stock_unused" ["stock"] "Entries of a stock that nobody has";
    STOCK_LOW: Gauge "koogate_stock_low" ["stock"] "At so many entries a stock is low: low_stock of its products";
    LICENSE_JOBS: Gauge "koogate_license_jobs" [] "Licences that wait for the application that makes them, or for their upload";
    LICENSES_REQUESTED: Gauge "koogate_licenses_requested" [] "Licences that nobody has made yet: the application's turn, or yours";
    LICENSES_OLDEST: Gauge "koogate_licenses_requested_oldest_seconds" [] "Seconds since the oldest of them was asked for; 0: there is none";
    ALERTS: Gauge "koogate_alerts" ["kind"] "Alerts that stand, as koogate alert list tells them";
    FROZEN_PAID: Gauge "koogate_instances_frozen_paid" [] "Instances that are frozen though they are paid beyond now";
    LAST_CALL: Gauge "koogate_last_call_timestamp_seconds" [] "When KooGallery last called, whatever for";
    LAST_TEST: Gauge "koogate_last_test_call_timestamp_seconds" [] "When KooGallery last made a test call, which it does twice a day for products on sale";
    CALLS: Counter "koogate_calls" ["environment", "family", "activity", "result"] "Calls that were answered";
    CALL_TIMES: Histogram "koogate_call_duration_seconds" ["family"] "From the whole request of a call until its answer is ready and on disk";
    CALLS_REPLAYED: Counter "koogate_calls_replayed" ["family"] "Calls that were answered from the record: KooGallery has repeated them";
    CALLS_WAITED: Counter "koogate_calls_waited" ["family"] "Calls that waited for work in the background";
    CALLS_UNRECORDED: Counter "koogate_calls_unrecorded" [] "Calls that were answered 000005 without a record, because the disk did not take it";
    CALLS_REFUSED: Counter "koogate_calls_refused" ["reason"] "Requests that were turned away without a record, by the sort of reason";
    HOOK_ATTEMPTS: Counter "koogate_hook_attempts" ["kind", "outcome"] "Attempts to tell or ask the application, by kind of product and how they ended";
    HOOK_TIMES: Histogram "koogate_hook_duration_seconds" ["kind"] "How long attempts to tell or ask the application took";
    COMMITS: Counter "koogate_commits" [] "Transactions that were committed";
    COMMITTED_WORKS: Counter "koogate_committed_works" [] "Pieces of work in them";
    COMMITS_FAILED: Counter "koogate_commits_failed" [] "Transactions that failed: nothing of them is stored";
    COMMIT_SIZES: Histogram "koogate_commit_batch_size" [] "Pieces of work that one transaction held";
    COMMIT_TIMES: Histogram "koogate_commit_duration_seconds" [] "From the beginning of a transaction until it was on disk";
    SYNC_TIMES: Histogram "koogate_commit_sync_duration_seconds" [] "How long a transaction waited for the disk to confirm it";
    QUEUED: Gauge "koogate_writer_queue_length" [] "Pieces of work that wait for the writer";
    WRITABLE: Gauge "koogate_database_writable" [] "0: the last commit failed, and calls are answered 000005 until one succeeds";
    DATABASE_SIZE: Gauge "koogate_database_bytes" [] "Size of the database file";
    WAL_SIZE: Gauge "koogate_wal_bytes" [] "Size of the log that is moved into the database now and then";
    SNAPSHOT_SIZE: Gauge "koogate_snapshot_bytes" [] "Size of the snapshot beside the database";
    DISK_FREE: Gauge "koogate_disk_free_bytes" [] "What koogate may still write to the disk of the database";
    SNAPSHOT_AGE: Gauge "koogate_snapshot_age_seconds" [] "Seconds since the verified snapshot beside the database held everything for sure";
    SNAPSHOT_LIMIT: Gauge "koogate_snapshot_age_limit_seconds" [] "A snapshot that is older is too old: three of its periods";
    SNAPSHOT_TAKEN: Gauge "koogate_snapshot_taken_timestamp_seconds" [] "When the snapshot was last taken and proved, since the start";
    SERIES_AGE: Gauge "koogate_snapshot_series_age_seconds" [] "Seconds since the dated series of snapshots got a verified copy";
    SERIES_LIMIT: Gauge "koogate_snapshot_series_age_limit_seconds" [] "A series that is older is too old: three of its periods";
    DRILLED: Gauge "koogate_snapshot_drilled_timestamp_seconds" [] "When a copy that had lain for a while was last proved again and found whole, since the start";
    CERTIFICATE: Gauge "koogate_certificate_expires_seconds" [] "Seconds until the certificate of the public listener expires; less than 0 afterwards";
    USAGE_RECORDS: Gauge "koogate_usage_records" ["state"] "Usage records that KooGallery does not have: waiting for their time, or due";
    USAGE_OLDEST: Gauge "koogate_usage_oldest_due_seconds" [] "Seconds since the first usage record that is due became so; 0: none is";
    OPEN_API_CALLS: Counter "koogate_open_api_calls" ["call", "result"] "Calls to KooGallery since the start or the last reload";
    OPEN_API_LOCKED: Gauge "koogate_open_api_locked" [] "1: KooGallery refused the access key, and nothing is called for now";
    CLOCK_DIFFERENCE: Gauge "koogate_open_api_clock_difference_seconds" [] "Seconds by which this machine's clock is ahead of KooGallery's";
    OPEN: Gauge "koogate_connections_open" ["listener"] "Connections that are open";
    MOST: Gauge "koogate_connections_limit" ["listener"] "So many connections may be open at once";
    ACCEPTED: Counter "koogate_connections_accepted" ["listener"] "Connections that were accepted";
    ACCEPT_ERRORS: Counter "koogate_connections_accept_errors" ["listener"] "Connections that could not be accepted, for want of descriptors or the like";
    EVICTED: Counter "koogate_connections_evicted" ["listener"] "Connections that were cut because another one needed their place";
    REQUESTS: Counter "koogate_http_requests" ["listener"] "Whole requests, whatever they asked for";
    REQUESTS_REFUSED: Counter "koogate_http_requests_refused" ["listener"] "Requests and handshakes that were turned away before anybody read what they ask for";
    PANICS: Counter "koogate_panics" ["listener"] "Requests that were answered 500 because of a bug";
    DOOR_THREADS: Gauge "koogate_connection_threads" ["listener"] "Threads that were started to serve connections";
    HANDSHAKES: Counter "koogate_tls_handshakes" ["result"] "TLS handshakes: done, refused, or abandoned by the client or for their slowness";
    CPU: Counter "process_cpu_seconds" [] "Time computed on all cores together, in seconds";
    RESIDENT: Gauge "process_resident_memory_bytes" [] "Memory in use";
    VIRTUAL: Gauge "process_virtual_memory_bytes" [] "Memory that is set aside";
    THREADS: Gauge "process_threads" [] "Threads";
    OPEN_FDS: Gauge "process_open_fds" [] "Open files and sockets";
    MAX_FDS: Gauge "process_max_fds" [] "So many files and sockets may be open";
    STARTED: Gauge "process_start_time_seconds" [] "When the process started, in seconds since 1970";
}
