//! Jobs that failed or wait, and are to be tried again at once.

use jiff::Timestamp;

use crate::store::{StoreError, Tx, millis};

impl Tx<'_> {
    /// Makes the newest job of an operation due again if it is dead; `false` if it is not.
    pub fn revive_job(&self, operation: i64, now: Timestamp) -> Result<bool, StoreError> {
        let revived = self.execute(
            "revive the job",
            "UPDATE job SET state = 'waiting', run_at = ?2, trying_since = NULL, finished_at = NULL \
             WHERE state = 'dead' AND id = (SELECT max(id) FROM job WHERE operation = ?1)",
            (operation, millis(now)),
        )?;
        Ok(revived > 0)
    }

    /// Makes uploads that wait for something that is nobody's failure due at once; returns how many.
    pub fn hasten_uploads(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.execute(
            "hasten uploads",
            "UPDATE job SET run_at = ?1 WHERE state = 'waiting' AND run_at > ?1 AND task = 'license.upload' \
             AND trying_since IS NULL",
            [millis(now)],
        )
    }

    /// Makes dead jobs of an instance, and those that wait for their next attempt, due at once; their operations are
    /// open again. Returns how many. Of the jobs of one operation only the newest counts, and a dead job that a later
    /// one has overtaken stays dead: telling the application of an old freeze after a later unfreeze would be wrong.
    pub fn retry_jobs(&self, instance: i64, now: Timestamp) -> Result<usize, StoreError> {
        let retried = "instance = ?1 AND (state = 'waiting' OR (state = 'dead' AND NOT EXISTS (SELECT 1 FROM job AS later \
             WHERE later.instance = job.instance AND later.id > job.id \
             AND (later.operation = job.operation OR (job.task <> 'license.upload' \
             AND later.task <> 'license.upload' AND later.state IN ('done', 'running', 'waiting'))))))";
        let operations = format!("(SELECT operation FROM job WHERE change IS NOT NULL AND {retried})");
        self.execute(
            "open the operations again",
            &format!(
                "UPDATE operation SET state = 'open', result_code = NULL, result_message = NULL \
                 WHERE state = 'failed' AND id IN {operations}"
            ),
            [instance],
        )?;
        // A licence that is asked for again takes its place among those an instance may have.
        let sql =
            format!("UPDATE license SET state = 'requested' WHERE state = 'refused' AND operation IN {operations}");
        self.execute("ask for the licences again", &sql, [instance])?;
        self.execute(
            "retry the jobs",
            &format!(
                "UPDATE job SET state = 'waiting', run_at = ?2, trying_since = NULL, finished_at = NULL WHERE {retried}"
            ),
            (instance, millis(now)),
        )
    }

    /// How many jobs are dead, and how many have failed at least once and are tried again.
    pub fn troubled_jobs(&self) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT (SELECT count(*) FROM job WHERE state = 'dead'), (SELECT count(*) FROM job INDEXED BY job_due \
                   WHERE state = 'waiting' AND last_error IS NOT NULL)";
        let counts = self.first("count troubled jobs", sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(counts.unwrap_or_default())
    }
}
