//! A licence and the instance it is of. What is in the licence is not shown.

use serde_json::{Value, json};

use super::{job, time, time_ms};
use crate::store::{JobRow, LicenseRow, LicensedRow};

/// In a listing. Of an instance whose licence nobody has asked for, or whose code is KooGallery's own, the members about
/// the licence are left out.
pub fn listed(row: &LicensedRow) -> Value {
    let mut object = row.license.as_ref().map_or_else(|| json!({}), license);
    object["kind"] = row.kind.as_str().into();
    object["instanceId"] = row.instance_id.as_str().into();
    object["status"] = row.status.as_str().into();
    object["instanceExpireTime"] = row.expire_time.map(time).into();
    object
}

/// By itself, with the jobs that make and upload it.
pub fn shown(row: &LicensedRow, jobs: &[JobRow]) -> Value {
    let mut object = listed(row);
    object["jobs"] = jobs.iter().map(job::listed).collect();
    object
}

fn license(license: &LicenseRow) -> Value {
    json!({
        "license": license.row,
        "state": license.state,
        "eventId": license.event_id,
        "deviceFingerprint": license.device_fingerprint,
        "effectiveTime": license.effective_time.map(time),
        "expireTime": license.expire_time.map(time),
        "fileName": license.file_name,
        "requestedAt": time_ms(license.requested_at),
        "issuedAt": license.issued_at.map(time_ms),
        "uploadedAt": license.uploaded_at.map(time_ms),
    })
}
