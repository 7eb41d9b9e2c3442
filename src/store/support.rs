//! What a support bundle tells of the database: how much there is of everything, and nothing that is in it. A person asks for it; it
//! may walk tables.

use jiff::Timestamp;

use super::{StoreError, Tx, millis};

/// The tables. All there are but `meta`, which has one row.
const TABLES: [&str; 25] = [
    "restore",
    "instance",
    "instance_history",
    "operation",
    "exchange",
    "answer",
    "job",
    "order_info",
    "license",
    "tenant",
    "tenant_binding",
    "application",
    "user",
    "department",
    "login_session",
    "stock_entry",
    "usage_record",
    "license_heartbeat",
    "usage_total",
    "open_api_refusal",
    "alert",
    "alert_told",
    "alert_webhook",
    "operator_action",
    "test_call_calendar",
];

/// Calls of one kind on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCount {
    /// UTC, `2026-11-26`.
    pub day: String,
    /// `real` or `test`.
    pub environment: String,
    /// The family's name.
    pub family: String,
    /// The activity.
    pub activity: Option<String>,
    /// The result code; `None`: not answered.
    pub result_code: Option<String>,
    /// How many.
    pub calls: i64,
    /// So many of them were answered from the record.
    pub replayed: i64,
    /// The longest time until an answer was ready, in microseconds.
    pub slowest_us: Option<i64>,
}

/// Jobs of one task in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCount {
    /// `waiting`, `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// The event, or what else is done.
    pub task: String,
    /// How many.
    pub jobs: i64,
    /// The most attempts that one of them has taken.
    pub most_attempts: i64,
    /// When the oldest was made, Unix milliseconds.
    pub oldest_ms: i64,
}

/// A job that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedJob {
    /// Its number.
    pub id: i64,
    /// `waiting` or `dead`.
    pub state: String,
    /// The event, or what else is done.
    pub task: String,
    /// Attempts begun.
    pub attempt: i64,
    /// What it is about; `None`: no instance.
    pub instance_id: Option<String>,
    /// Why the last attempt failed. It may quote an application.
    pub last_error: Option<String>,
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
}

impl Tx<'_> {
    /// How many rows each table has.
    pub fn table_counts(&self) -> Result<Vec<(&'static str, i64)>, StoreError> {
        let count = |table: &'static str| {
            let sql = format!("SELECT count(*) FROM {table}");
            let counted = self.first("count the rows", &sql, [], |row| row.get(0))?;
            Ok((table, counted.unwrap_or(0)))
        };
        TABLES.into_iter().map(count).collect()
    }

    /// The calls since then, by day, family, activity and result.
    pub fn call_counts(&self, since: Timestamp) -> Result<Vec<CallCount>, StoreError> {
        self.all(
            "count the calls",
            "SELECT date(received_at / 1000, 'unixepoch'), environment, family, activity, result_code, count(*), \
             sum(replayed), max(duration_us) FROM exchange INDEXED BY exchange_by_time WHERE received_at >= ?1 \
             GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
            [millis(since)],
            |row| {
                Ok(CallCount {
                    day: row.get(0)?,
                    environment: row.get(1)?,
                    family: row.get(2)?,
                    activity: row.get(3)?,
                    result_code: row.get(4)?,
                    calls: row.get(5)?,
                    replayed: row.get(6)?,
                    slowest_us: row.get(7)?,
                })
            },
        )
    }

    /// All jobs by state and task.
    pub fn job_counts(&self) -> Result<Vec<JobCount>, StoreError> {
        self.all(
            "count the jobs",
            "SELECT state, task, count(*), max(attempt), min(created_at) FROM job GROUP BY 1, 2 ORDER BY 1, 2",
            [],
            |row| {
                Ok(JobCount {
                    state: row.get(0)?,
                    task: row.get(1)?,
                    jobs: row.get(2)?,
                    most_attempts: row.get(3)?,
                    oldest_ms: row.get(4)?,
                })
            },
        )
    }

    /// The newest jobs that are dead or wait after a failure, at most `limit`.
    pub fn failed_jobs(&self, limit: i64) -> Result<Vec<FailedJob>, StoreError> {
        self.all(
            "list the failed jobs",
            "SELECT job.id, job.state, job.task, job.attempt, instance.instance_id, job.last_error, job.created_at \
             FROM job LEFT JOIN instance ON instance.id = job.instance \
             WHERE (job.state = 'dead' OR job.state = 'waiting') AND job.last_error IS NOT NULL \
             ORDER BY job.id DESC LIMIT ?1",
            [limit],
            |row| {
                Ok(FailedJob {
                    id: row.get(0)?,
                    state: row.get(1)?,
                    task: row.get(2)?,
                    attempt: row.get(3)?,
                    instance_id: row.get(4)?,
                    last_error: row.get(5)?,
                    created_ms: row.get(6)?,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::TABLES;

    #[test]
    fn every_table_of_the_schema_is_counted() {
        let schema = include_str!("../../schema.sql");
        let names = schema.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split(' ').next());
        let mut all: Vec<_> = names.filter(|name| *name != "meta").collect();
        let mut counted = TABLES.to_vec();
        all.sort_unstable();
        counted.sort_unstable();
        assert_eq!(counted, all);
    }
}
