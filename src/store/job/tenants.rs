//! Jobs about tenants' directories: what a retry, a listing and the purge ask for.

use jiff::Timestamp;

use super::{JobRow, read_row, sealed_in, select};
use crate::store::{StoreError, Tx, millis};

impl Tx<'_> {
    /// Makes the jobs of a tenant that wait for their next attempt due at once. Returns how many.
    pub fn hasten_tenant_jobs(&self, tenant: i64, now: Timestamp) -> Result<usize, StoreError> {
        self.execute(
            "retry the jobs",
            "UPDATE job SET run_at = ?2, trying_since = NULL WHERE tenant = ?1 AND state = 'waiting'",
            (tenant, millis(now)),
        )
    }

    /// Makes a job of a tenant that has ended due again, with another event if there is one.
    pub fn revive_tenant_job(&self, job: &JobRow, event: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        let sealed = event.map(|event| self.sealing.seal(&sealed_in(job.subject), event.as_bytes())).transpose()?;
        self.execute(
            "revive the job",
            "UPDATE job SET state = 'waiting', run_at = ?2, trying_since = NULL, finished_at = NULL, \
             event_sealed = coalesce(?3, event_sealed) WHERE id = ?1 AND state IN ('dead', 'done')",
            (job.row, millis(now), sealed),
        )
        .map(drop)
    }

    /// Removes what ended of tenants' jobs before an instant, at most `limit`; returns how many. The events hold personal
    /// data. What follows a younger dead job stays: its retry tells only what no later event has told.
    pub fn purge_tenant_jobs(&self, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "purge the jobs of tenants",
            "DELETE FROM job WHERE id IN (SELECT id FROM job AS ended WHERE tenant IS NOT NULL \
             AND state IN ('done', 'dead', 'cancelled') AND finished_at < ?1 AND NOT EXISTS (SELECT 1 FROM job AS earlier \
             WHERE earlier.tenant = ended.tenant AND earlier.id < ended.id AND earlier.state = 'dead' \
             AND earlier.finished_at >= ?1) LIMIT ?2)",
            (millis(before), limit),
        )
    }

    /// From a tenant's first dead job on what is dead, done or running, oldest first.
    pub fn jobs_since_first_dead(&self, tenant: i64) -> Result<Vec<JobRow>, StoreError> {
        let sql = select("job.event_sealed")
            + " WHERE job.tenant = ?1 AND job.state IN ('dead', 'done', 'running') AND job.id >= \
               (SELECT min(id) FROM job WHERE tenant = ?1 AND tenant IS NOT NULL AND state = 'dead') ORDER BY job.id";
        self.all("list jobs", &sql, [tenant], read_row)
    }

    /// The newest jobs of a tenant, oldest first, without their events, each of which may be megabytes.
    pub fn jobs_of_tenant(&self, tenant: i64, limit: i64) -> Result<Vec<JobRow>, StoreError> {
        let sql = select("NULL") + " WHERE job.tenant = ?1 ORDER BY job.id DESC LIMIT ?2";
        let mut jobs = self.all("list jobs", &sql, (tenant, limit), read_row)?;
        jobs.reverse();
        Ok(jobs)
    }
}
