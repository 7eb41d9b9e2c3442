//! Rows of `job`: durable work for the merchant's application, in order per instance.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};

/// A job to be done.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Row of the instance.
    pub instance: i64,
    /// Row of the operation.
    pub operation: i64,
    /// The event, JSON.
    pub event: &'a str,
    /// What happens to the instance when the application agrees, JSON; `None` when it has happened already.
    pub change: Option<&'a str>,
}

/// A recorded job.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Row id.
    pub row: i64,
    /// Row of the instance.
    pub instance: i64,
    /// The instance's id on the wire.
    pub instance_id: String,
    /// Row of the operation.
    pub operation: i64,
    /// `waiting`, `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// The event, JSON.
    pub event: String,
    /// What happens to the instance when it is done, JSON.
    pub change: Option<String>,
    /// Attempts begun.
    pub attempt: u32,
    /// Not before.
    pub run_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
}

impl Tx<'_> {
    /// Adds a job that is due at once.
    pub fn insert_job(&self, new: &NewJob<'_>, now: Timestamp) -> Result<i64, StoreError> {
        self.insert(
            "add the job",
            "INSERT INTO job (instance, operation, state, event, change, run_at, created_at) \
             VALUES (?1, ?2, 'waiting', ?3, ?4, ?5, ?5)",
            (new.instance, new.operation, new.event, new.change, millis(now)),
        )
    }

    /// When the next job is due that no earlier job of its instance holds back; `None` when there is none.
    pub fn next_job_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!("SELECT run_at FROM job WHERE state = 'waiting' AND {NOT_HELD_BACK} ORDER BY run_at LIMIT 1");
        self.first("look for jobs", &sql, [], |row| instant(row.get(0)?))
    }

    /// Takes up to `most` due jobs: nobody else gets them before the lease ends.
    pub fn claim_jobs(&self, now: Timestamp, lease_until: Timestamp, most: i64) -> Result<Vec<JobRow>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE job.state = 'waiting' AND job.run_at <= ?1 AND {NOT_HELD_BACK} \
             ORDER BY job.run_at, job.id LIMIT ?2"
        );
        let mut jobs = self.all("claim jobs", &sql, (millis(now), most), read_row)?;
        for job in &mut jobs {
            self.execute(
                "claim the job",
                "UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = ?2 WHERE id = ?1",
                (job.row, millis(lease_until)),
            )?;
            job.attempt += 1;
        }
        Ok(jobs)
    }

    /// Puts jobs whose lease has ended back; `all` does it for every running job, which is right at a start, when the
    /// process that ran them is gone. Returns how many.
    pub fn release_leases(&self, now: Timestamp, all: bool) -> Result<usize, StoreError> {
        self.execute(
            "put jobs back",
            "UPDATE job SET state = 'waiting', lease_until = NULL, run_at = ?1 \
             WHERE state = 'running' AND (?2 OR lease_until < ?1)",
            (millis(now), all),
        )
    }

    /// A job, if attempt number `attempt` of it still runs: the result of an attempt whose lease was given away must
    /// not count.
    pub fn running_job(&self, row: i64, attempt: u32) -> Result<Option<JobRow>, StoreError> {
        let sql = format!("{SELECT} WHERE job.id = ?1 AND job.state = 'running' AND job.attempt = ?2");
        self.first("look up the job", &sql, (row, attempt), read_row)
    }

    /// Ends a job as `done`, `dead` or `cancelled`.
    pub fn end_job(&self, row: i64, state: &str, error: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "end the job",
            "UPDATE job SET state = ?2, last_error = coalesce(?3, last_error), lease_until = NULL, finished_at = ?4 \
             WHERE id = ?1",
            (row, state, error, millis(now)),
        )
        .map(drop)
    }

    /// Puts a job back to be tried again at `run_at`.
    pub fn put_off_job(&self, row: i64, run_at: Timestamp, error: Option<&str>) -> Result<(), StoreError> {
        self.execute(
            "put the job off",
            "UPDATE job SET state = 'waiting', lease_until = NULL, run_at = ?2, last_error = ?3 WHERE id = ?1",
            (row, millis(run_at), error),
        )
        .map(drop)
    }

    /// Whether a job of this operation runs or is due before `until`: waiting for it makes sense.
    pub fn job_ends_before(&self, operation: i64, instance: i64, until: Timestamp) -> Result<bool, StoreError> {
        let found = self.first(
            "look for the operation's job",
            "SELECT 1 FROM job WHERE instance = ?1 AND operation = ?2 \
             AND (state = 'running' OR (state = 'waiting' AND run_at <= ?3))",
            (instance, operation, millis(until)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Jobs of an instance, oldest first.
    pub fn jobs_of(&self, instance: i64) -> Result<Vec<JobRow>, StoreError> {
        self.all("list jobs", &format!("{SELECT} WHERE job.instance = ?1 ORDER BY job.id"), [instance], read_row)
    }

    /// How many jobs are in each state that an operator cares about.
    pub fn job_counts(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.all(
            "count jobs",
            "SELECT state, count(*) FROM job WHERE state IN ('waiting', 'running', 'dead') GROUP BY state",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}

/// Operations on one instance reach the application in the order KooGallery asked for them.
const NOT_HELD_BACK: &str = "NOT EXISTS (SELECT 1 FROM job AS earlier WHERE earlier.instance = job.instance \
    AND earlier.id < job.id AND earlier.state IN ('waiting', 'running'))";

const SELECT: &str = "SELECT job.id, job.instance, instance.instance_id, job.operation, job.state, job.event, \
    job.change, job.attempt, job.run_at, job.last_error, job.created_at \
    FROM job JOIN instance ON instance.id = job.instance";

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        row: row.get(0)?,
        instance: row.get(1)?,
        instance_id: row.get(2)?,
        operation: row.get(3)?,
        state: row.get(4)?,
        event: row.get(5)?,
        change: row.get(6)?,
        attempt: row.get(7)?,
        run_at: instant(row.get(8)?)?,
        last_error: row.get(9)?,
        created_at: instant(row.get(10)?)?,
    })
}
