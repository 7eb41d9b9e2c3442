//! Rows of `job`: durable work in the background. Events reach the merchant's application in order per instance; uploads
//! go to KooGallery and hold nobody up.

mod clock;
mod orders;
mod retries;
mod tenants;

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};

/// The task of handing a licence to KooGallery.
pub const UPLOAD: &str = "license.upload";

/// The task of reading an order that was announced.
pub const ORDER_QUERY: &str = "order.query";

/// A job to be done.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// What it is about.
    pub subject: Subject,
    /// What is to be done: the event's name, [`UPLOAD`] or [`ORDER_QUERY`].
    pub task: &'a str,
    /// The order that is read first.
    pub order: Option<OrderWanted>,
    /// The event, JSON; `None` for [`UPLOAD`] and [`ORDER_QUERY`].
    pub event: Option<&'a str>,
    /// What happens to the instance when the application agrees, JSON; `None` when it has happened already.
    pub change: Option<&'a str>,
}

/// An order that a job is to read, from the point of view of the call that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderWanted {
    /// `orderId`.
    pub order_id: String,
    /// The line the call is about.
    pub order_line_id: Option<String>,
    /// The billing item the call is about, where it names one.
    pub product_id: Option<String>,
}

/// What a job is about. Events about one subject reach the application in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An operation on an instance.
    Operation {
        /// Row of the instance.
        instance: i64,
        /// Row of the operation.
        operation: i64,
    },
    /// The directory of a tenant.
    Tenant(i64),
    /// An order alone.
    Order,
}

impl Subject {
    /// Rows of instance, operation and tenant.
    fn columns(self) -> (Option<i64>, Option<i64>, Option<i64>) {
        match self {
            Self::Operation { instance, operation } => (Some(instance), Some(operation), None),
            Self::Tenant(tenant) => (None, None, Some(tenant)),
            Self::Order => (None, None, None),
        }
    }

    /// The row of the operation, where there is one.
    pub fn operation(self) -> Option<i64> {
        self.columns().1
    }
}

/// A recorded job.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Row id.
    pub row: i64,
    /// What it is about.
    pub subject: Subject,
    /// The same in words: the instance's, the tenant's or the order's id on the wire.
    pub subject_id: String,
    /// `waiting`, `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// What is to be done: the event's name, [`UPLOAD`] or [`ORDER_QUERY`].
    pub task: String,
    /// The order that is still to be read, before anything else.
    pub order: Option<OrderWanted>,
    event_sealed: Option<Vec<u8>>,
    /// What happens to the instance when it is done, JSON.
    pub change: Option<String>,
    /// Attempts begun.
    pub attempt: u32,
    /// Not before.
    pub run_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Since when its attempts have been failing; `None` before the first, and after "pending".
    pub trying_since: Option<Timestamp>,
    /// When it came.
    pub created_at: Timestamp,
}

impl Tx<'_> {
    /// Adds a job that is due at once.
    pub fn insert_job(&self, new: &NewJob<'_>, now: Timestamp) -> Result<i64, StoreError> {
        // A job is known by its subject when its event is sealed: it has no row id yet.
        let seal = |event: &str| self.sealing.seal(&sealed_in(new.subject), event.as_bytes());
        let sealed = new.event.map(seal).transpose()?;
        let (instance, operation, tenant) = new.subject.columns();
        let order = new.order.as_ref();
        self.insert(
            "add the job",
            "INSERT INTO job (instance, operation, tenant, state, task, event_sealed, change, run_at, created_at, \
             order_id, order_line_id, order_product_id) \
             VALUES (?1, ?2, ?3, 'waiting', ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10)",
            (
                instance,
                operation,
                tenant,
                new.task,
                sealed,
                new.change,
                millis(now),
                order.map(|order| &order.order_id),
                order.and_then(|order| order.order_line_id.as_ref()),
                order.and_then(|order| order.product_id.as_ref()),
            ),
        )
    }

    /// The event of a job, JSON.
    pub fn event_of(&self, job: &JobRow) -> Result<String, StoreError> {
        let sealed = job.event_sealed.as_deref();
        let sealed = sealed.ok_or_else(|| StoreError::BadRow {
            table: "job",
            problem: format!("job {} has no event to tell", job.row),
        })?;
        let plain = self.sealing.open(&sealed_in(job.subject), sealed)?;
        String::from_utf8(plain.expose().clone())
            .map_err(|_| StoreError::BadRow { table: "job", problem: format!("event of job {} is not UTF-8", job.row) })
    }

    /// When the next job is due that no earlier job of its instance holds back; `None` when there is none.
    pub fn next_job_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!("SELECT run_at FROM job WHERE state = 'waiting' AND {NOT_HELD_BACK} ORDER BY run_at LIMIT 1");
        self.first("look for jobs", &sql, [], |row| instant(row.get(0)?))
    }

    /// Takes up to `most` due jobs: nobody else gets them before the lease ends.
    pub fn claim_jobs(&self, now: Timestamp, lease_until: Timestamp, most: i64) -> Result<Vec<JobRow>, StoreError> {
        let sql = format!(
            "{} WHERE job.state = 'waiting' AND job.run_at <= ?1 AND {NOT_HELD_BACK} ORDER BY job.run_at, job.id LIMIT ?2",
            select("job.event_sealed")
        );
        let mut jobs = self.all("claim jobs", &sql, (millis(now), most), read_row)?;
        for job in &mut jobs {
            self.execute(
                "claim the job",
                "UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = ?2, \
                 trying_since = coalesce(trying_since, ?3) WHERE id = ?1",
                (job.row, millis(lease_until), millis(now)),
            )?;
            job.attempt += 1;
            job.trying_since = job.trying_since.or(Some(now));
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
        let sql = select("job.event_sealed") + " WHERE job.id = ?1 AND job.state = 'running' AND job.attempt = ?2";
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

    /// Puts a job back to be tried again at `run_at`. Without an error the application works on it: its failures are
    /// counted anew from the next one.
    pub fn put_off_job(&self, row: i64, run_at: Timestamp, error: Option<&str>) -> Result<(), StoreError> {
        self.execute(
            "put the job off",
            "UPDATE job SET state = 'waiting', lease_until = NULL, run_at = ?2, last_error = ?3, \
             trying_since = CASE WHEN ?3 IS NULL THEN NULL ELSE trying_since END WHERE id = ?1",
            (row, millis(run_at), error),
        )
        .map(drop)
    }

    /// Lets a job wait until `run_at` for something that is nobody's failure; it never dies of that.
    pub fn postpone_job(&self, row: i64, run_at: Timestamp, reason: &str) -> Result<(), StoreError> {
        self.execute(
            "postpone the job",
            "UPDATE job SET state = 'waiting', lease_until = NULL, run_at = ?2, last_error = ?3, trying_since = NULL \
             WHERE id = ?1",
            (row, millis(run_at), reason),
        )
        .map(drop)
    }

    /// Cancels what waits for an instance.
    pub fn cancel_waiting_jobs(&self, instance: i64, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "cancel jobs",
            "UPDATE job SET state = 'cancelled', last_error = ?2, finished_at = ?3 \
             WHERE instance = ?1 AND state = 'waiting'",
            (instance, reason, millis(now)),
        )
        .map(drop)
    }

    /// Whether the instance of a job was released, or is to be, after the job was made. A release overtakes everything
    /// but itself.
    pub fn is_overtaken_by_release(&self, job: &JobRow) -> Result<bool, StoreError> {
        let Subject::Operation { instance, .. } = job.subject else { return Ok(false) };
        let found = self.first(
            "look for a release",
            "SELECT 1 FROM instance WHERE id = ?1 AND ?3 <> 'instance.release' AND (status = 'released' OR EXISTS \
             (SELECT 1 FROM job WHERE instance = ?1 AND id > ?2 AND task = 'instance.release' \
             AND state IN ('waiting', 'running')))",
            (instance, job.row, &job.task),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Ends the jobs that create an instance as done, dead ones too: it has come into being another way.
    pub fn end_creation_jobs(&self, instance: i64, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "end the creation's jobs",
            "UPDATE job SET state = 'done', lease_until = NULL, finished_at = ?2 \
             WHERE instance = ?1 AND state IN ('waiting', 'running', 'dead') AND change ->> '$.change' = 'ready'",
            (instance, millis(now)),
        )
        .map(drop)
    }

    /// Ends the jobs by which an operation asks the application for a licence, dead ones too: it has been made.
    pub fn end_issue_jobs(&self, operation: i64, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "end the licence's jobs",
            "UPDATE job SET state = 'done', lease_until = NULL, finished_at = coalesce(finished_at, ?2) \
             WHERE operation = ?1 AND state IN ('waiting', 'running', 'dead') AND change ->> '$.change' = 'license'",
            (operation, millis(now)),
        )
        .map(drop)
    }

    /// Whether a running job's lease has ended.
    pub fn has_lapsed_lease(&self, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM job WHERE state = 'running' AND lease_until < ?1 LIMIT 1";
        Ok(self.first("look for ended leases", sql, [millis(now)], |_| Ok(()))?.is_some())
    }

    /// The operation of an unfinished job that will change an instance's status or date once the application agrees.
    pub fn open_status_change(&self, instance: i64) -> Result<Option<i64>, StoreError> {
        self.first(
            "look for unfinished changes",
            "SELECT operation FROM job WHERE instance = ?1 AND state IN ('waiting', 'running') \
             AND change ->> '$.change' IN ('renew', 'freeze', 'unfreeze', 'supervise', 'release') LIMIT 1",
            [instance],
            |row| row.get(0),
        )
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

    /// Jobs of an instance, oldest first, without their events.
    pub fn jobs_of(&self, instance: i64) -> Result<Vec<JobRow>, StoreError> {
        let sql = select("NULL") + " WHERE job.instance = ?1 ORDER BY job.id";
        self.all("list jobs", &sql, [instance], read_row)
    }
}

/// What is asked for one instance or one tenant reaches the application in the order KooGallery asked for it. An upload is no matter of the
/// application's: it neither waits nor is waited for.
const NOT_HELD_BACK: &str = "(job.task = 'license.upload' OR NOT (EXISTS (SELECT 1 FROM job AS earlier \
    WHERE earlier.instance = job.instance AND earlier.id < job.id AND earlier.state IN ('waiting', 'running') \
    AND earlier.task <> 'license.upload') OR EXISTS (SELECT 1 FROM job AS earlier \
    WHERE earlier.tenant = job.tenant AND earlier.id < job.id AND earlier.state IN ('waiting', 'running'))))";

/// A sealed event belongs to its subject and opens nowhere else.
fn sealed_in(subject: Subject) -> String {
    match subject {
        Subject::Operation { operation, .. } => format!("job.event:{operation}"),
        Subject::Tenant(tenant) => format!("job.event:tenant:{tenant}"),
        // Without events.
        Subject::Order => "job.event:order".to_owned(),
    }
}

pub(super) fn select(event: &str) -> String {
    format!(
        "SELECT job.id, job.instance, coalesce(instance.instance_id, tenant.tenant_id, job.order_id), job.operation, job.state, \
         job.task, {event}, job.change, job.attempt, job.run_at, job.last_error, job.trying_since, job.created_at, \
         job.tenant, job.order_id, job.order_line_id, job.order_product_id FROM job LEFT JOIN instance ON instance.id = job.instance LEFT JOIN tenant ON tenant.id = job.tenant"
    )
}

pub(super) fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<JobRow> {
    let subject = match (row.get(1)?, row.get(3)?) {
        (Some(instance), Some(operation)) => Subject::Operation { instance, operation },
        _ => row.get::<_, Option<i64>>(13)?.map_or(Subject::Order, Subject::Tenant),
    };
    let order = match row.get(14)? {
        Some(order_id) => Some(OrderWanted { order_id, order_line_id: row.get(15)?, product_id: row.get(16)? }),
        None => None,
    };
    Ok(JobRow {
        row: row.get(0)?,
        subject,
        subject_id: row.get(2)?,
        state: row.get(4)?,
        task: row.get(5)?,
        order,
        event_sealed: row.get(6)?,
        change: row.get(7)?,
        attempt: row.get(8)?,
        run_at: instant(row.get(9)?)?,
        last_error: row.get(10)?,
        trying_since: row.get::<_, Option<i64>>(11)?.map(instant).transpose()?,
        created_at: instant(row.get(12)?)?,
    })
}
