//! An authorisation code, as KooGallery says it stands.

use serde_json::{Value, json};

use super::{time, time_ms};
use crate::codes::{Activated, Heartbeat};

/// A heartbeat's answer.
pub fn heartbeat(heartbeat: &Heartbeat) -> Value {
    let Heartbeat { license, info, checked_at, stale } = heartbeat;
    json!({
        "license": license,
        "status": info.status,
        "activateTime": info.activate_time.map(time),
        "expireTime": info.expire_time.map(time),
        "productName": info.product_name,
        "productId": info.product_id,
        "checkedAt": time_ms(*checked_at),
        "stale": stale,
    })
}

/// A code that is active. Of several that were activated together KooGallery says nothing more.
pub fn activated(activated: &Activated) -> Value {
    let Activated { license, already_active, info } = activated;
    json!({
        "license": license,
        "alreadyActive": already_active,
        "status": info.status,
        "expireTime": info.expire_time.map(time),
        "productId": info.product_id,
        "orderId": info.order_id,
        "amount": info.amount,
    })
}
