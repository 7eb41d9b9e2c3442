//! `/api/v1/tenants`: the directory of joint-operation products.

use super::call::Call;
use super::page::Piece;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::store::{DepartmentRow, TenantRow, UserRow};
use crate::view;

/// `GET /api/v1/tenants`: newest first.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let piece = Piece::<i64>::read(call, 50, "before")?;
    let rows = call.context.store.read(|tx| {
        let tenants = tx.tenants(piece.from, piece.rows())?;
        tenants.into_iter().map(|tenant| Ok((tx.directory_size(tenant.row)?, tenant))).collect::<Result<Vec<_>, _>>()
    })?;
    piece.reply("tenants", &rows, |(_, tenant)| tenant.row, |(size, tenant)| view::tenant::listed(tenant, *size))
}

/// `GET /api/v1/tenants/{tenantId}`: one with its instances, applications and jobs.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let tenant = found(call)?;
    let (bindings, applications, jobs) = call.context.store.read(|tx| {
        Ok((
            tx.bindings_of(tenant.row)?,
            tx.applications_of(tenant.row)?,
            tx.jobs_of_tenant(tenant.row, view::tenant::SHOWN_JOBS)?,
        ))
    })?;
    Ok(reply::ok(&view::tenant::shown(&tenant, &bindings, &applications, &jobs)))
}

/// `GET /api/v1/tenants/{tenantId}/users`: by name.
pub(super) fn users(call: &Call<'_>) -> Result<Reply, Problem> {
    let piece = Piece::<(String, String, String)>::read(call, 200, "after")?;
    let tenant = found(call)?;
    let rows = call.context.store.read(|tx| tx.users_of(tenant.row, piece.from.as_ref(), piece.rows()))?;
    let key = |user: &UserRow| (user.user_name.clone(), user.instance_id.clone(), user.app_id.clone());
    piece.reply("users", &rows, key, view::tenant::user)
}

/// `GET /api/v1/tenants/{tenantId}/departments`: by instance and code.
pub(super) fn departments(call: &Call<'_>) -> Result<Reply, Problem> {
    let piece = Piece::<(String, String)>::read(call, 200, "after")?;
    let tenant = found(call)?;
    let rows = call.context.store.read(|tx| tx.departments_of(tenant.row, piece.from.as_ref(), piece.rows()))?;
    let key = |department: &DepartmentRow| (department.instance_id.clone(), department.org_code.clone());
    piece.reply("departments", &rows, key, view::tenant::department)
}

fn found(call: &Call<'_>) -> Result<TenantRow, Problem> {
    let tenant = call.context.store.read(|tx| tx.tenant(call.path("tenantId")))?;
    tenant.ok_or_else(|| Problem::not_found("no such tenant"))
}
