//! An instance or authorisation code.

use serde_json::{Value, json};

use super::{job, time, time_ms};
use crate::store::{HistoryRow, InstanceRow, JobRow};

/// In a listing.
pub fn listed(row: &InstanceRow) -> Value {
    json!({
        "instanceId": row.instance_id,
        "environment": row.environment.as_str(),
        "kind": row.kind.as_str(),
        "status": row.life.status.as_str(),
        "expireTime": row.life.expire_time.map(time),
        "orderId": row.order_id,
        "orderLineId": row.order_line_id,
        "productId": row.life.product_id,
        "skuCode": row.life.sku_code,
        "frontEndUrl": row.front_end_url,
        "createdAt": time_ms(row.created_at),
        "readyAt": row.ready_at.map(time_ms),
    })
}

/// By itself, with all that happened to it.
pub fn shown(row: &InstanceRow, history: &[HistoryRow], jobs: &[JobRow]) -> Value {
    let mut object = listed(row);
    object["history"] = history.iter().map(entry).collect();
    object["jobs"] = jobs.iter().map(job::listed).collect();
    object
}

fn entry(row: &HistoryRow) -> Value {
    json!({
        "at": time_ms(row.at),
        "change": row.change,
        "status": row.status,
        "expireTime": row.expire_time.map(time),
        "exchange": row.exchange,
        "job": row.job,
        "note": row.note,
    })
}
