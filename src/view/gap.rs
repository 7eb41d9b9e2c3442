//! The report about the gap that a restore leaves.

use serde_json::{Value, json};

use super::{time, time_ms};
use crate::gap::{Finding, Gap};

/// The first line: from when to when.
pub fn head(gap: &Gap) -> Value {
    json!({
        "what": "gap",
        "copyAt": gap.copy_at.map(time),
        "restoredAt": gap.restored_at.map(time),
        "lastExchange": gap.last_exchange,
        "lastExchangeAt": gap.last_exchange_at.map(time_ms),
    })
}

/// A line for each finding.
pub fn finding(finding: &Finding) -> Value {
    json!({
        "what": finding.what.as_str(),
        "id": finding.id,
        "receivedAt": finding.at.map(time_ms),
        "name": finding.name,
        "instanceId": finding.instance_id,
        "orderId": finding.order_id,
        "resultCode": finding.result_code,
        "found": finding.found,
        "mend": finding.mend,
    })
}
