//! A job, as it is listed with what it is about.

use serde_json::{Value, json};

use super::time;
use crate::store::JobRow;

/// Without its event, which may hold personal data.
pub fn listed(job: &JobRow) -> Value {
    json!({
        "id": job.row,
        "task": job.task,
        "state": job.state,
        "attempts": job.attempt,
        "runAt": time(job.run_at),
        "lastError": job.last_error,
    })
}
