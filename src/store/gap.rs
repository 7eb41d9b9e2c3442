//! What a gap report asks of databases: of the lost one what came after the copy, of the copy what it knows.

use std::collections::HashSet;

use super::{InstanceFilter, StoreError, Subject, Tx, instant};
use crate::gap::{Instances, Known, LostCall, OpenJob, Standing};
use crate::store::job;

/// Rows read at a time.
const PIECE: i64 = 1000;

impl Tx<'_> {
    /// Which database this is, copies and the live one alike.
    pub fn ancestry(&self) -> Result<Vec<u8>, StoreError> {
        // Sealed with a nonce of its own when the database was made.
        let found = self.first("read which database it is", "SELECT sealing_check FROM meta", [], |row| row.get(0))?;
        Ok(found.unwrap_or_default())
    }

    /// The last number that the journal has given.
    pub fn last_exchange(&self) -> Result<i64, StoreError> {
        Ok(self.next_exchange()? - 1)
    }

    /// When the first call with a higher number came in.
    pub fn first_call_after(&self, exchange: i64) -> Result<Option<jiff::Timestamp>, StoreError> {
        let sql = "SELECT received_at FROM exchange WHERE id > ?1 ORDER BY id LIMIT 1";
        self.first("look for newer calls", sql, [exchange], |row| instant(row.get(0)?))
    }

    /// Real calls with a higher number, oldest first.
    pub fn calls_after(&self, exchange: i64) -> Result<Vec<LostCall>, StoreError> {
        let sql = "SELECT exchange.id, received_at, activity, exchange.order_id, \
                   coalesce(exchange.instance_id, instance.instance_id), exchange.result_code, replayed \
                   FROM exchange LEFT JOIN operation ON operation.id = exchange.operation \
                   LEFT JOIN instance ON instance.id = operation.instance \
                   WHERE exchange.id > ?1 AND exchange.environment = 'real' ORDER BY exchange.id";
        self.all("list the calls after the copy", sql, [exchange], |row| {
            Ok(LostCall {
                exchange: row.get(0)?,
                received_at: instant(row.get(1)?)?,
                activity: row.get(2)?,
                order_id: row.get(3)?,
                instance_id: row.get(4)?,
                result_code: row.get(5)?,
                replayed: row.get(6)?,
            })
        })
    }

    /// How all instances stand.
    pub fn standings(&self) -> Result<Instances, StoreError> {
        let mut all = Instances::new();
        let mut before = None;
        loop {
            let rows = self.instances(&InstanceFilter::default(), before, PIECE)?;
            let Some(last) = rows.last() else { return Ok(all) };
            before = Some(last.row);
            all.extend(rows.into_iter().map(|row| {
                let key = (row.environment.as_str().to_owned(), row.kind.as_str().to_owned(), row.instance_id);
                let status = row.life.status.as_str().to_owned();
                (key, Standing { status, expire_time: row.life.expire_time, order_id: row.order_id })
            }));
        }
    }

    /// What is known of an operationId and the instance it is said to be about. `told` are those that stand in events
    /// alone ([`Tx::told_without_operation`]).
    pub fn known_of_event(
        &self,
        operation_id: &str,
        instance_id: Option<&str>,
        told: &HashSet<String>,
    ) -> Result<Known, StoreError> {
        let sql = "SELECT operation.state FROM operation WHERE operation_id = ?1 ORDER BY state LIMIT 1";
        let state: Option<String> = self.first("look for the operation", sql, [operation_id], |row| row.get(0))?;
        if let Some(state) = state {
            return Ok(if state == "open" { Known::Open } else { Known::Done });
        }
        if told.contains(operation_id) {
            return Ok(Known::Done);
        }
        Ok(match instance_id {
            Some(id) if !self.instances_named(id)?.is_empty() => Known::InstanceOnly,
            _ => Known::Nothing,
        })
    }

    /// The operationIds of events that are about no operation: those of tenants and announced orders.
    pub fn told_without_operation(&self) -> Result<HashSet<String>, StoreError> {
        let mut all = HashSet::new();
        let mut after = 0;
        loop {
            let sql = job::select("job.event_sealed")
                + " WHERE job.operation IS NULL AND job.event_sealed IS NOT NULL AND job.id > ?1 ORDER BY job.id LIMIT ?2";
            let jobs = self.all("list told events", &sql, (after, PIECE), job::read_row)?;
            let Some(last) = jobs.last() else { return Ok(all) };
            after = last.row;
            for row in &jobs {
                let event: serde_json::Value = serde_json::from_str(&self.event_of(row)?).unwrap_or_default();
                all.extend(event["operationId"].as_str().map(str::to_owned));
            }
        }
    }

    /// Jobs that are not at their end, oldest first.
    pub fn open_jobs(&self) -> Result<Vec<OpenJob>, StoreError> {
        let sql = job::select("NULL") + " WHERE job.state IN ('waiting', 'running') ORDER BY job.id";
        let jobs = self.all("list open jobs", &sql, [], job::read_row)?;
        let open = |row: job::JobRow| {
            let operation = match row.subject {
                Subject::Operation { operation, .. } => self.operation(operation)?,
                Subject::Tenant(_) | Subject::Order => None,
            };
            let operation_id = operation.map(|operation| operation.operation_id);
            Ok(OpenJob { job: row.row, task: row.task, operation_id, subject_id: row.subject_id })
        };
        jobs.into_iter().map(open).collect()
    }
}
