//! Tenants of joint-operation products, and one of them.

use super::list::{self, ROWS};
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::tenants::{self, Shown};
use crate::page::trouble::Trouble;
use crate::page::{form, place, text};
use crate::store::StoreError;
use crate::store::pages::Next;
use crate::view;

/// `GET /tenants`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let after: Option<i64> = list::place(visit)?;
    let (rows, has_more) = visit.context.store.read(|tx| {
        let mut tenants = tx.tenants(after, ROWS + 1)?;
        let has_more = cut(&mut tenants);
        let lines = tenants
            .into_iter()
            .map(|tenant| Ok((tx.directory_size(tenant.row)?, tx.dead_jobs_of_tenant(tenant.row)?, tenant)));
        let lines = lines.collect::<Result<Vec<_>, StoreError>>()?;
        Ok((lines.into_iter().map(|(size, dead, tenant)| (tenant, size, dead)).collect::<Vec<_>>(), has_more))
    })?;
    let next = rows.last().filter(|_| has_more).map_or(Next::End, |(tenant, ..)| Next::More(tenant.row));
    let next = list::continued(visit, &next, |more| form::address("/tenants", more));
    Ok(visit.page(Some(place::TENANTS), &tenants::TITLE, |view| tenants::body(view, &rows, &next)))
}

/// `GET /tenants/{tenant}`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let id = visit.path("tenant");
    let users_after: Option<(String, String, String)> = list::place_in(visit, "users")?;
    let departments_after: Option<(String, String)> = list::place_in(visit, "departments")?;
    let path = format!("/tenants/{}", form::segment(id));
    let shown = visit.context.store.read(|tx| {
        let Some(tenant) = tx.tenant(id)? else { return Ok(None) };
        let mut users = tx.users_of(tenant.row, users_after.as_ref(), ROWS + 1)?;
        let more_users = cut(&mut users);
        let mut departments = tx.departments_of(tenant.row, departments_after.as_ref(), ROWS + 1)?;
        let more_departments = cut(&mut departments);
        let users_next = users.last().filter(|_| more_users).map(|last| {
            let key = (last.user_name.clone(), last.instance_id.clone(), last.app_id.clone());
            form::address(&path, &[("users", &list::cursor(&key))]) + "#users"
        });
        let departments_next = departments.last().filter(|_| more_departments).map(|last| {
            let key = (last.instance_id.clone(), last.org_code.clone());
            form::address(&path, &[("departments", &list::cursor(&key))]) + "#departments"
        });
        Ok(Some(Shown {
            size: tx.directory_size(tenant.row)?,
            bindings: tx.bindings_of(tenant.row)?,
            applications: tx.applications_of(tenant.row)?,
            jobs: tx.jobs_of_tenant(tenant.row, view::tenant::SHOWN_JOBS)?,
            users: (users, users_next),
            departments: (departments, departments_next),
            tenant,
        }))
    })?;
    let shown = shown.ok_or(Trouble::NotFound)?;
    let title = text("租户详情", "Tenant");
    Ok(visit.page(Some(place::TENANTS), &title, |view| tenants::one(view, &shown)))
}

/// Takes what is too much for a page; whether there was any.
fn cut<T>(rows: &mut Vec<T>) -> bool {
    let most = usize::try_from(ROWS).unwrap_or(0);
    let has_more = rows.len() > most;
    rows.truncate(most);
    has_more
}
