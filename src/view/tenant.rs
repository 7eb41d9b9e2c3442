//! A tenant of joint-operation products, its users and its departments.

use serde_json::{Value, json};

use super::{job, time};
use crate::store::{ApplicationRow, BindingRow, DepartmentRow, JobRow, TenantRow, UserRow};

/// So many jobs of a tenant are shown, the newest.
pub const SHOWN_JOBS: i64 = 200;

/// In a listing, with how many users are authorised and how many departments known.
pub fn listed(row: &TenantRow, (users, departments): (i64, i64)) -> Value {
    let mut object = tenant(row);
    object["users"] = users.into();
    object["departments"] = departments.into();
    object
}

/// By itself.
pub fn shown(row: &TenantRow, bindings: &[BindingRow], applications: &[ApplicationRow], jobs: &[JobRow]) -> Value {
    let mut object = tenant(row);
    object["bindings"] = bindings.iter().map(binding).collect();
    object["applications"] = applications.iter().map(application).collect();
    object["jobs"] = jobs.iter().map(job::listed).collect();
    object
}

/// A user, without the personal data, which stay in the database.
pub fn user(user: &UserRow) -> Value {
    json!({
        "userName": user.user_name,
        "appId": user.app_id,
        "instanceId": user.instance_id,
        "orgCode": user.org_code,
        "role": user.role,
        "enabled": user.enabled,
        "authorised": user.authorised,
        "updatedAt": time(user.updated_at),
    })
}

/// A department.
pub fn department(row: &DepartmentRow) -> Value {
    json!({
        "orgCode": row.org_code,
        "orgName": row.org_name,
        "parentCode": row.parent_code,
        "instanceId": row.instance_id,
        "stale": row.stale,
    })
}

fn tenant(row: &TenantRow) -> Value {
    json!({
        "tenantId": row.tenant_id,
        "tenantCode": row.tenant_code,
        "name": row.name,
        "domainName": row.domain_name,
        "updatedAt": time(row.updated_at),
    })
}

fn binding(row: &BindingRow) -> Value {
    json!({ "instanceId": row.instance_id, "orderId": row.order_id, "boundAt": time(row.bound_at) })
}

fn application(row: &ApplicationRow) -> Value {
    json!({ "appId": row.app_id, "clientId": row.client_id, "updatedAt": time(row.updated_at) })
}
