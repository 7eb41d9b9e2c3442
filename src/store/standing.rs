//! One read of what stands wrong in the database. Each part walks an index that holds what is unfinished, or a handful of
//! rows; lists end after [`MOST`].

use jiff::{SignedDuration, Timestamp};

use super::{StoreError, Tx, instant, millis};
use crate::alert::standing::{DeadJob, FailedOrders, GIVEN_UP_AFTER, HalfDay, OpenOrder, Standing, StandingQuery};

/// So many of a kind are read.
pub const MOST: i64 = 100;

impl Tx<'_> {
    /// Reads what stands.
    pub fn standing(&self, query: &StandingQuery) -> Result<Standing, StoreError> {
        let mut stocks = Vec::with_capacity(query.stocks.len());
        for stock in &query.stocks {
            stocks.push((stock.clone(), self.unused_stock(stock)?));
        }
        Ok(Standing {
            open_orders: self.open_orders(query.now)?,
            failed_orders: self.failed_orders(query.month, query.now)?,
            test_calls: self.test_call_calendar(query.calendar_from)?,
            dead_jobs: self.dead_jobs()?,
            stocks,
            frozen_paid: self.frozen_paid(query.now)?,
            usage_due: self.usage_due(query.now)?,
            usage_rejected: self.usage_rejected(query.now)?,
            licenses_waiting: self.licenses_waiting()?,
            instances_waiting: self.instances_waiting()?,
            restore_gap: self.restore_gap()?,
            open_api_locked: self.open_api_locked(query.now)?,
        })
    }

    fn open_orders(&self, now: Timestamp) -> Result<Vec<OpenOrder>, StoreError> {
        let sql = "SELECT instance.instance_id, instance.order_id, instance.product_id, operation.created_at \
                   FROM operation JOIN instance ON instance.id = operation.instance \
                   WHERE (operation.state <> 'done' OR operation.done_at > operation.created_at + 10800000) \
                   AND operation.state <> 'done' AND operation.created_at > ?1 AND instance.environment = 'real' \
                   AND json_extract(identity, '$[2]') IN ('create', 'upgrade') \
                   ORDER BY operation.created_at LIMIT ?2";
        self.all("look for open orders", sql, (before(now, GIVEN_UP_AFTER), MOST), |row| {
            let first_call = instant(row.get(3)?)?;
            let refund_at = first_call.checked_add(GIVEN_UP_AFTER).unwrap_or(Timestamp::MAX);
            let (instance_id, order_id, product_id) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(OpenOrder { instance_id, order_id, product_id, first_call, refund_at })
        })
    }

    /// Real purchases and upgrades of a month that KooGallery has given up: not done three hours after their first call,
    /// or later only.
    fn failed_orders(&self, month: Timestamp, now: Timestamp) -> Result<Vec<FailedOrders>, StoreError> {
        let sql = "SELECT instance.product_id, count(*) \
                   FROM operation JOIN instance ON instance.id = operation.instance \
                   WHERE (operation.state <> 'done' OR operation.done_at > operation.created_at + 10800000) \
                   AND operation.created_at >= ?1 AND operation.created_at <= ?2 AND instance.environment = 'real' \
                   AND json_extract(identity, '$[2]') IN ('create', 'upgrade') \
                   GROUP BY instance.product_id ORDER BY 2 DESC LIMIT ?3";
        self.all("count failed orders", sql, (millis(month), before(now, GIVEN_UP_AFTER), MOST), |row| {
            Ok(FailedOrders { product_id: row.get(0)?, count: row.get(1)? })
        })
    }

    /// The calendar of test calls, from a half day on.
    pub fn test_call_calendar(&self, from: i64) -> Result<Vec<HalfDay>, StoreError> {
        let sql = "SELECT half_day, calls, failures, last_at FROM test_call_calendar WHERE half_day >= ?1 \
                   ORDER BY half_day";
        self.all("read the calendar of test calls", sql, [from], |row| {
            let (half_day, calls, failures) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(HalfDay { half_day, calls, failures, last: instant(row.get(3)?)? })
        })
    }

    /// Counts a test call, in the transaction of its answer.
    pub fn count_test_call(&self, half_day: i64, failed: bool, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "count a test call",
            "INSERT INTO test_call_calendar (half_day, calls, failures, last_at) VALUES (?1, 1, ?2, ?3) \
             ON CONFLICT (half_day) DO UPDATE SET calls = calls + 1, failures = failures + excluded.failures, \
             last_at = max(last_at, excluded.last_at)",
            (half_day, i64::from(failed), millis(at)),
        )
        .map(drop)
    }

    /// Removes half days of the calendar before one of them.
    pub fn purge_test_call_calendar(&self, before: i64) -> Result<usize, StoreError> {
        self.execute("purge the calendar", "DELETE FROM test_call_calendar WHERE half_day < ?1", [before])
    }

    fn dead_jobs(&self) -> Result<Vec<DeadJob>, StoreError> {
        let sql = "SELECT job.id, job.task, coalesce(instance.instance_id, tenant.tenant_id, job.order_id, ''), \
                   job.instance IS NOT NULL, job.tenant IS NOT NULL, job.finished_at \
                   FROM job INDEXED BY job_dead LEFT JOIN instance ON instance.id = job.instance LEFT JOIN tenant ON tenant.id = job.tenant \
                   WHERE job.state = 'dead' AND instance.environment IS NOT 'test' ORDER BY job.id LIMIT ?1";
        self.all("look for dead jobs", sql, [MOST], |row| {
            let at = row.get::<_, Option<i64>>(5)?.map(instant).transpose()?;
            let retry = match (row.get(3)?, row.get(4)?) {
                (true, _) => "instance retry",
                (false, true) => "tenant retry",
                (false, false) => "order show --refresh",
            };
            Ok(DeadJob { job: row.get(0)?, task: row.get(1)?, about: row.get(2)?, retry, at })
        })
    }

    fn frozen_paid(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT instance_id, expire_time FROM instance WHERE status = 'frozen' AND status <> 'released' \
                   AND expire_time > ?1 AND environment = 'real' ORDER BY expire_time LIMIT ?2";
        self.all("look for what is frozen though paid", sql, (millis(now), MOST), |row| {
            Ok((row.get(0)?, instant(row.get(1)?)?))
        })
    }

    fn usage_due(&self, now: Timestamp) -> Result<Option<(Timestamp, i64)>, StoreError> {
        let sql = "SELECT min(due_at), count(*) FROM usage_record WHERE state = 'waiting' AND due_at <= ?1";
        let found = self.first("look for usage that is due", sql, [millis(now)], |row| {
            let count = row.get(1)?;
            row.get::<_, Option<i64>>(0)?.map(|at| Ok((instant(at)?, count))).transpose()
        })?;
        Ok(found.flatten())
    }

    fn usage_rejected(&self, now: Timestamp) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM usage_record WHERE state = 'rejected' AND state <> 'waiting' \
                   AND finished_at >= ?1";
        let since = before(now, SignedDuration::from_hours(24));
        Ok(self.first("count rejected usage", sql, [since], |row| row.get(0))?.unwrap_or(0))
    }

    fn licenses_waiting(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let sql = "SELECT license.id, instance.instance_id FROM license \
                   JOIN instance ON instance.id = license.instance JOIN operation ON operation.id = license.operation \
                   WHERE license.state = 'requested' AND instance.environment = 'real' AND instance.status <> 'released' \
                   AND operation.state = 'open' AND NOT EXISTS (SELECT 1 FROM job WHERE job.operation = operation.id \
                   AND job.state IN ('waiting', 'running', 'dead')) ORDER BY license.requested_at LIMIT ?1";
        self.all("look for licences that wait", sql, [MOST], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn instances_waiting(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT instance.instance_id FROM instance JOIN operation ON operation.instance = instance.id \
                   WHERE instance.status = 'creating' AND instance.status <> 'released' \
                   AND instance.environment = 'real' AND operation.state = 'open' \
                   AND json_extract(identity, '$[2]') = 'create' \
                   AND NOT EXISTS (SELECT 1 FROM license WHERE license.instance = instance.id) \
                   AND NOT EXISTS (SELECT 1 FROM job WHERE job.operation = operation.id \
                   AND job.state IN ('waiting', 'running', 'dead')) ORDER BY instance.id LIMIT ?1";
        self.all("look for instances that wait", sql, [MOST], |row| row.get(0))
    }

    fn restore_gap(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT restored_at, looked_at FROM restore ORDER BY id DESC LIMIT 1";
        let last = self.first("look for restores", sql, [], |row| {
            row.get::<_, Option<i64>>(1)?.is_none().then(|| row.get::<_, i64>(0)).transpose()
        })?;
        last.flatten().map(instant).transpose().map_err(StoreError::sqlite("look for restores"))
    }

    /// Somebody has read the report of the last restore.
    pub fn restore_looked_at(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE restore SET looked_at = ?1 WHERE id = (SELECT max(id) FROM restore) AND looked_at IS NULL";
        self.execute("note that the report was read", sql, [millis(now)]).map(drop)
    }

    fn open_api_locked(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        // A row an access key that is refused: there are as many as somebody has tried.
        let sql = "SELECT max(not_before) FROM open_api_refusal WHERE not_before > ?1 AND refused_at <= ?1";
        let until = self.first("look for refused keys", sql, [millis(now)], |row| row.get::<_, Option<i64>>(0))?;
        until.flatten().map(instant).transpose().map_err(StoreError::sqlite("look for refused keys"))
    }
}

fn before(now: Timestamp, by: SignedDuration) -> i64 {
    millis(now.checked_sub(by).unwrap_or(Timestamp::MIN))
}
