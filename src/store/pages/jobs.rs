//! Jobs by their state.

use serde::{Deserialize, Serialize};

use super::{LOOKED_THROUGH, Piece};
use crate::store::job::{read_row, select};
use crate::store::{JobRow, StoreError, Tx, millis};

/// Which jobs a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobsShown {
    /// Given up, newest first.
    Dead,
    /// Those that wait for another attempt after one that failed, the next one first.
    Failing,
    /// Those that wait, the next one first.
    Waiting,
    /// Those that run.
    Running,
    /// All, newest first.
    All,
}

/// The place of a job in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlace {
    /// When it is due, Unix milliseconds; counts only where a list goes by it.
    pub run_at: i64,
    /// Its row.
    pub row: i64,
}

impl Tx<'_> {
    /// Jobs without their events, at most `limit`, after a place; with `task` only those that do this.
    pub fn list_jobs(
        &self,
        shown: JobsShown,
        task: Option<&str>,
        after: Option<JobPlace>,
        limit: i64,
    ) -> Result<Piece<JobRow, JobPlace>, StoreError> {
        match shown {
            JobsShown::Waiting => self.waiting_jobs(false, task, after, limit),
            JobsShown::Failing => self.waiting_jobs(true, task, after, limit),
            JobsShown::Dead => self.newest_jobs("state = 'dead' AND id < ?1", task, after, limit),
            JobsShown::Running => self.newest_jobs("state = 'running' AND id < ?1", task, after, limit),
            JobsShown::All => self.newest_jobs("id < ?1", task, after, limit),
        }
    }

    /// Of dead and running jobs there are few, and an index holds nothing else.
    fn newest_jobs(
        &self,
        which: &'static str,
        task: Option<&str>,
        after: Option<JobPlace>,
        limit: i64,
    ) -> Result<Piece<JobRow, JobPlace>, StoreError> {
        let before = after.map_or(i64::MAX, |after| after.row);
        let last = format!("SELECT id FROM job WHERE {which} ORDER BY id DESC LIMIT 1 OFFSET ?2");
        let values = (before, LOOKED_THROUGH - 1);
        let seen = self.first("look how far to list jobs", &last, values, |row| row.get::<_, i64>(0))?;
        let sql = select("NULL")
            + &format!(
                " WHERE job.id IN (SELECT id FROM job WHERE {which} AND id >= ?2 AND (?3 IS NULL OR task = ?3) \
                 ORDER BY id DESC LIMIT ?4) ORDER BY job.id DESC"
            );
        let values = (before, seen.unwrap_or(0), task, limit.saturating_add(1));
        let rows = self.all("list jobs by their state", &sql, values, read_row)?;
        Ok(Piece::of(
            rows,
            limit,
            |job| JobPlace { run_at: 0, row: job.row },
            seen.map(|row| JobPlace { run_at: 0, row }),
        ))
    }

    fn waiting_jobs(
        &self,
        failing: bool,
        task: Option<&str>,
        after: Option<JobPlace>,
        limit: i64,
    ) -> Result<Piece<JobRow, JobPlace>, StoreError> {
        let after = after.unwrap_or(JobPlace { run_at: i64::MIN, row: 0 });
        let candidates = "state = 'waiting' AND run_at >= ?1 AND (+run_at, id) > (?1, ?2)";
        let last = format!(
            "SELECT run_at, id FROM job INDEXED BY job_due WHERE {candidates} ORDER BY run_at, id LIMIT 1 OFFSET ?3"
        );
        let read = |row: &rusqlite::Row<'_>| Ok(JobPlace { run_at: row.get(0)?, row: row.get(1)? });
        let seen =
            self.first("look how far to list jobs", &last, (after.run_at, after.row, LOOKED_THROUGH - 1), read)?;
        let until = seen.unwrap_or(JobPlace { run_at: i64::MAX, row: i64::MAX });
        let sql = select("NULL")
            + &format!(
                " WHERE job.id IN (SELECT id FROM job INDEXED BY job_due WHERE {candidates} \
                 AND run_at <= ?3 AND (+run_at, id) <= (?3, ?4) AND (NOT ?5 OR last_error IS NOT NULL) AND (?6 IS NULL OR task = ?6) \
                 ORDER BY run_at, id LIMIT ?7) ORDER BY job.run_at, job.id"
            );
        let values = (after.run_at, after.row, until.run_at, until.row, failing, task, limit.saturating_add(1));
        let rows = self.all("list jobs by their state", &sql, values, read_row)?;
        Ok(Piece::of(rows, limit, |job| JobPlace { run_at: millis(job.run_at), row: job.row }, seen))
    }

    /// A job, without its event.
    pub fn job(&self, row: i64) -> Result<Option<JobRow>, StoreError> {
        self.first("look up the job", &(select("NULL") + " WHERE job.id = ?1"), [row], read_row)
    }

    /// How many jobs are dead; with `task` only those that do this.
    pub fn count_dead_jobs(&self, task: Option<&str>) -> Result<i64, StoreError> {
        // Without a task the index alone tells.
        let count = match task {
            None => {
                self.first("count dead jobs", "SELECT count(*) FROM job WHERE state = 'dead'", [], |row| row.get(0))
            }
            Some(task) => {
                let sql = "SELECT count(*) FROM job WHERE state = 'dead' AND task = ?1";
                self.first("count dead jobs", sql, [task], |row| row.get(0))
            }
        };
        Ok(count?.unwrap_or(0))
    }

    /// Shows every dead job, with `task` only those that do this, to `see`: its row, and how often it was tried. Nothing is kept
    /// of them here, however many there are. The order is the same as long as they are the same.
    pub fn each_dead_job(&self, task: Option<&str>, mut see: impl FnMut(i64, i64)) -> Result<(), StoreError> {
        let sql = "SELECT id, attempt FROM job INDEXED BY job_dead WHERE state = 'dead' AND (?1 IS NULL OR task = ?1) \
                   ORDER BY instance, id";
        let seen: Vec<()> = self.all("look at dead jobs", sql, [task], |row| {
            see(row.get(0)?, row.get(1)?);
            Ok(())
        })?;
        drop(seen);
        Ok(())
    }

    /// How many jobs of a tenant are dead.
    pub fn dead_jobs_of_tenant(&self, tenant: i64) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM job WHERE tenant = ?1 AND tenant IS NOT NULL AND state = 'dead'";
        Ok(self.first("count dead jobs", sql, [tenant], |row| row.get(0))?.unwrap_or(0))
    }

    /// How many jobs wait, those that failed and are tried again among them.
    pub fn waiting_jobs_count(&self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM job INDEXED BY job_due WHERE state = 'waiting'";
        Ok(self.first("count waiting jobs", sql, [], |row| row.get(0))?.unwrap_or(0))
    }
}
