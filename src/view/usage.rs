//! Usage records.

use serde_json::{Value, json};

use super::time;
use crate::store::UsageRow;
use crate::usage::advice;

/// A record as `koogate usage list --json` shows it.
pub fn to_json(row: &UsageRow) -> Value {
    let code = row.result_code.as_deref();
    json!({
        "meteringSn": row.metering_sn,
        "instanceId": row.instance_id,
        "beginTime": time(row.window.begin),
        "endTime": time(row.window.end),
        "usageValue": row.value.to_string(),
        "relatePkgInstance": row.package,
        "state": row.state.as_str(),
        "recordTime": time(row.record_time),
        "dueTime": time(row.due_at),
        "sent": row.sent,
        "finishedTime": row.finished_at.map(time),
        "resultCode": code,
        "resultMsg": row.message,
        "whatToDo": code.map(advice::what_to_do),
        "data": row.data,
    })
}
