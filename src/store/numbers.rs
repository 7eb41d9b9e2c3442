//! How many rows of a kind there are at the moment, for metrics. Only what is unfinished or left over is counted, and an index
//! holds it: history is never walked.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};
use crate::operation::Environment;

/// Counts of one moment. Test instances are not in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Jobs that wait for their time.
    pub jobs_waiting: Waiting,
    /// Jobs whose attempt runs.
    pub jobs_running: i64,
    /// Jobs that make a licence or hand one to KooGallery and are not done.
    pub license_jobs: i64,
    /// Licences that nobody has made yet; `since`: the oldest was asked for.
    pub licenses_requested: Waiting,
    /// Alerts that stand, by the name of their kind.
    pub alerts: Vec<(String, i64)>,
    /// Instances that were bought and are not ready; `since`: the oldest was bought.
    pub creating: Waiting,
    /// Instances that are frozen though they are paid beyond now.
    pub frozen_paid: i64,
    /// When the newest call came in, real or test.
    pub last_call: Option<Timestamp>,
    /// When KooGallery's newest test call came in.
    pub last_test_call: Option<Timestamp>,
}

/// So many wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub count: i64,
    /// Since when the first of them does.
    pub since: Option<Timestamp>,
}

impl Tx<'_> {
    /// The counts.
    pub fn numbers(&self, now: Timestamp) -> Result<Numbers, StoreError> {
        let jobs = "SELECT count(*), min(run_at) FROM job INDEXED BY job_due WHERE state = 'waiting'";
        let running = "SELECT count(*) FROM job INDEXED BY job_running WHERE state = 'running'";
        let licenses = "SELECT count(*) FROM job INDEXED BY job_due WHERE state = 'waiting' \
                        AND task IN ('license.upload', 'license.issue')";
        let requested =
            "SELECT count(*), min(requested_at) FROM license INDEXED BY license_requested WHERE state = 'requested'";
        let alerts = "SELECT kind, count(*) FROM alert INDEXED BY alert_standing WHERE ended_at IS NULL GROUP BY kind";
        // The index leaves released ones out and must be told that they are not asked for.
        let creating = "SELECT count(*), min(created_at) FROM instance WHERE status = 'creating' \
                        AND status <> 'released' AND environment = ?1";
        let frozen = "SELECT count(*) FROM instance WHERE status = 'frozen' AND status <> 'released' \
                      AND expire_time > ?1 AND environment = ?2";
        let call = "SELECT max(received_at) FROM exchange";
        // Those of `koogate simulate` are not in it, and rows of test calls are purged sooner.
        let test = "SELECT last_at FROM test_call_calendar WHERE half_day >= 0 ORDER BY half_day DESC LIMIT 1";
        let real = Environment::Real.as_str();
        Ok(Numbers {
            jobs_waiting: self.waiting("count jobs that wait", jobs, [])?,
            jobs_running: self.count("count jobs that run", running, [])?,
            license_jobs: self.count("count jobs of licences", licenses, [])?,
            licenses_requested: self.waiting("count licences to be made", requested, [])?,
            alerts: self.all("count alerts", alerts, [], |row| Ok((row.get(0)?, row.get(1)?)))?,
            creating: self.waiting("count creations", creating, [real])?,
            frozen_paid: self.count("count what is frozen though paid", frozen, (millis(now), real))?,
            last_call: self.newest("look up the newest call", call)?,
            last_test_call: self.newest("look up the newest test call", test)?,
        })
    }

    fn newest(&self, doing: &'static str, sql: &str) -> Result<Option<Timestamp>, StoreError> {
        let newest = self.first(doing, sql, [], |row| row.get::<_, Option<i64>>(0))?;
        newest.flatten().map(instant).transpose().map_err(StoreError::sqlite(doing))
    }

    fn count(&self, doing: &'static str, sql: &str, values: impl rusqlite::Params) -> Result<i64, StoreError> {
        Ok(self.first(doing, sql, values, |row| row.get(0))?.unwrap_or_default())
    }

    fn waiting(&self, doing: &'static str, sql: &str, values: impl rusqlite::Params) -> Result<Waiting, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            let since = row.get::<_, Option<i64>>(1)?.map(instant).transpose()?;
            Ok(Waiting { count: row.get(0)?, since })
        };
        Ok(self.first(doing, sql, values, read)?.unwrap_or_default())
    }
}
