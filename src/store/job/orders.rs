//! Jobs that read an order first.

use jiff::Timestamp;

use super::{JobRow, read_row, sealed_in, select};
use crate::store::{StoreError, Tx, millis};

/// So many earlier events are looked through for what was told before.
const EARLIER: i64 = 20;

impl Tx<'_> {
    /// The order of a job has been read: the job has this event and this change from now on.
    pub fn set_order_read(&self, job: &JobRow, event: &str, change: Option<&str>) -> Result<(), StoreError> {
        let sealed = self.sealing.seal(&sealed_in(job.subject), event.as_bytes())?;
        self.execute(
            "record that the job's order was read",
            "UPDATE job SET event_sealed = ?2, change = ?3, order_id = NULL, order_line_id = NULL, \
             order_product_id = NULL WHERE id = ?1",
            (job.row, sealed, change),
        )
        .map(drop)
    }

    /// The jobs that have told of a purchase or a change of an instance before this one, the newest first.
    pub fn orders_told_before(&self, instance: i64, job: i64) -> Result<Vec<JobRow>, StoreError> {
        let sql = select("job.event_sealed")
            + " WHERE job.instance = ?1 AND job.id < ?2 AND job.state = 'done' \
               AND job.task IN ('instance.create', 'instance.upgrade', 'instance.renew') ORDER BY job.id DESC LIMIT ?3";
        self.all("look for what was told before", &sql, (instance, job, EARLIER), read_row)
    }

    /// Makes the jobs that wait for an order due at once; returns how many.
    pub fn hasten_order_jobs(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.execute(
            "hasten the jobs that wait for an order",
            "UPDATE job SET run_at = ?1, trying_since = NULL \
             WHERE state = 'waiting' AND run_at > ?1 AND order_id IS NOT NULL",
            [millis(now)],
        )
    }

    /// Whether a job of its own is going to read an order.
    pub fn is_order_announced(&self, order_id: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM job WHERE order_id = ?1 AND task = 'order.query' AND state IN ('waiting', 'running')";
        Ok(self.first("look for a job that reads the order", sql, [order_id], |_| Ok(()))?.is_some())
    }

    /// Whether an order was read after an instant, or a job of this operation has tried to since, or is about to.
    pub fn is_order_read_since(&self, order_id: &str, operation: i64, since: Timestamp) -> Result<bool, StoreError> {
        let found = self.first(
            "look when the order was read",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM order_info WHERE order_id = ?1 AND fetched_at > ?3) \
             OR EXISTS (SELECT 1 FROM job WHERE operation = ?2 \
             AND (created_at > ?3 OR state IN ('waiting', 'running')))",
            (order_id, operation, millis(since)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Makes a job that reads an announced order due at once, if it was given up or waits, and no other one is to read the
    /// order; returns how many.
    pub fn retry_order_query(&self, row: i64, now: Timestamp) -> Result<usize, StoreError> {
        self.execute(
            "retry the job",
            "UPDATE job SET state = 'waiting', run_at = ?2, trying_since = NULL, finished_at = NULL \
             WHERE id = ?1 AND task = 'order.query' AND state IN ('dead', 'waiting') AND NOT EXISTS (SELECT 1 FROM job AS other \
             WHERE other.order_id = job.order_id AND other.task = 'order.query' AND other.id <> job.id \
             AND other.state IN ('waiting', 'running'))",
            (row, millis(now)),
        )
    }

    /// Removes the dead job of an order's announcement: the order was told another way.
    pub(in crate::store) fn remove_dead_order_query(&self, order_id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM job WHERE order_id = ?1 AND task = 'order.query' AND state = 'dead'";
        self.execute("remove the dead job of the announcement", sql, [order_id]).map(drop)
    }

    /// Removes a job of which nothing needs to be remembered.
    pub fn remove_job(&self, row: i64) -> Result<(), StoreError> {
        self.execute("remove the job", "DELETE FROM job WHERE id = ?1", [row]).map(drop)
    }
}
