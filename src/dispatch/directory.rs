//! Directory calls of the joint-operation kit: applied to the tables in one transaction with their journal row and the job
//! that tells the application, and answered (spec 3-kit §6).
//!
//! There are no operations: every call is an insert-or-update or a remove-if-present, and the last one has the last word.
//! The one costly step, opening a client secret, is done before, outside the transaction and a few at a time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::config::MissingDepartments;
use crate::fulfilment::event::{
    ApplicationSync, Change as EventChange, Department as EventDepartment, DepartmentsSync, Event, SyncAction,
    TenantSync, User as EventUser, UsersSync,
};
use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::kit::calls::{Department, DirectoryChange, DirectorySync, User, UsersChange};
use crate::protocol::kit::domain::Domain;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::{Directory, NewJob, NewTenant, NewUser, StoreError, Subject, Tx};

/// Applies a real call; `client_secret` is that of [`DirectoryChange::SetApplication`], opened. Returns whether a job was
/// added.
pub(super) fn apply(
    tx: &Tx<'_>,
    settings: &Settings,
    sync: &DirectorySync,
    client_secret: Option<&Secret<String>>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let tenant = tx.tenant_row(&sync.tenant_id, now)?;
    let directory = Directory { tenant, instance_id: sync.instance_id.as_deref().unwrap_or_default() };
    match &sync.change {
        DirectoryChange::BindTenant(told) => {
            let new = NewTenant {
                tenant_id: &sync.tenant_id,
                tenant_code: &told.tenant_code,
                name: &told.name,
                domain_name: told.domain.as_ref().map(Domain::as_str),
            };
            tx.put_tenant(&new, now)?;
            tx.bind_tenant(directory, told.order_id.as_deref(), now)?;
        }
        // Never asks whether the instance exists: it may be gone, and the removal must succeed.
        DirectoryChange::UnbindTenant { .. } => tx.unbind_tenant(directory)?,
        DirectoryChange::SetApplication(told) => {
            if let Some(secret) = client_secret {
                tx.put_application(tenant, &told.app_id, &told.client_id, secret, now)?;
            }
        }
        DirectoryChange::RemoveApplication { app_id } => tx.remove_application(tenant, app_id)?,
        DirectoryChange::Users(told) => apply_users(tx, directory, &told.app_id, &told.change, now)?,
        DirectoryChange::SetDepartment(told) => {
            put_department(tx, directory, told, now)?;
            told.parent_code.iter().try_for_each(|parent| tx.put_parent(directory, parent, now))?;
        }
        DirectoryChange::RemoveDepartment { org_code } => tx.remove_department(directory, org_code)?,
        DirectoryChange::AllDepartments(all) => apply_all(tx, settings, directory, all, now)?,
    }
    tell(tx, settings, sync, tenant, client_secret, now)
}

fn apply_users(
    tx: &Tx<'_>,
    directory: Directory<'_>,
    app_id: &str,
    change: &UsersChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    match change {
        UsersChange::Set(users) => users.iter().try_for_each(|user| {
            let new = NewUser {
                user_name: &user.user_name,
                org_code: user.org_code.as_deref(),
                role: Some(&user.role),
                enabled: user.enabled,
                details: &details(user),
            };
            tx.put_user(directory, app_id, &new, now)
        }),
        UsersChange::Remove(names) => names.iter().try_for_each(|name| tx.remove_user(directory, app_id, name)),
        UsersChange::Revoke(names) => names.iter().try_for_each(|name| tx.revoke_user(directory, app_id, name, now)),
    }
}

fn apply_all(
    tx: &Tx<'_>,
    settings: &Settings,
    directory: Directory<'_>,
    all: &[Department],
    now: Timestamp,
) -> Result<(), StoreError> {
    if settings.missing_departments != MissingDepartments::Keep {
        tx.mark_departments_stale(directory)?;
    }
    all.iter().try_for_each(|department| put_department(tx, directory, department, now))?;
    if settings.missing_departments == MissingDepartments::Delete {
        tx.remove_stale_departments(directory)?;
    }
    // Last: what is missing from the list may be named in it as a parent.
    let parents: BTreeSet<&str> = all.iter().filter_map(|department| department.parent_code.as_deref()).collect();
    parents.into_iter().try_for_each(|parent| tx.put_parent(directory, parent, now))
}

fn put_department(tx: &Tx<'_>, directory: Directory<'_>, told: &Department, now: Timestamp) -> Result<(), StoreError> {
    tx.put_department(directory, (&told.org_code, Some(&told.org_name), told.parent_code.as_deref()), now)
}

/// What of a user is for the application's eyes only, as it is sealed.
fn details(user: &User) -> Secret<String> {
    let exposed = |secret: &Option<Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
    let details = json!({
        "name": user.name, "position": user.position, "employeeCode": user.employee_code,
        "employeeType": user.employee_type, "mobile": exposed(&user.mobile), "email": exposed(&user.email),
        "workPlace": user.work_place, "entryDate": user.entry_date, "extension": user.extension,
    });
    Secret::new(details.to_string())
}

/// Adds the job that tells the application, in order per tenant; `false` where the product has none.
fn tell(
    tx: &Tx<'_>,
    settings: &Settings,
    sync: &DirectorySync,
    tenant: i64,
    client_secret: Option<&Secret<String>>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let instance = match &sync.instance_id {
        Some(id) => tx.instance(Environment::Real, Kind::Saas, id)?,
        None => None,
    };
    let product = settings.product_of_directory(instance.as_ref());
    if product.and_then(|product| product.application()).is_none() {
        return Ok(false);
    }
    let event = Event {
        change: event_change(sync, client_secret),
        operation_id: Uuid::new_v4().to_string(),
        attempt: 1,
        test: false,
        kind: Kind::Saas,
        instance_id: sync.instance_id.clone(),
        product: None,
        order: None,
        buyer: None,
        instance: None,
        parameters: BTreeMap::new(),
    };
    let (task, event) = (event.name().as_str(), event.to_json());
    tx.insert_job(
        &NewJob { subject: Subject::Tenant(tenant), task, order: None, event: Some(&event), change: None },
        now,
    )?;
    Ok(true)
}

fn event_change(sync: &DirectorySync, client_secret: Option<&Secret<String>>) -> EventChange {
    let tenant_id = sync.tenant_id.clone();
    let departments = |action, complete, departments: Vec<EventDepartment>| {
        EventChange::DepartmentsSync(DepartmentsSync { action, complete, tenant_id: tenant_id.clone(), departments })
    };
    match &sync.change {
        DirectoryChange::BindTenant(told) => EventChange::TenantSync(TenantSync {
            action: SyncAction::Upsert,
            order_id: told.order_id.clone(),
            tenant_id,
            tenant_code: Some(told.tenant_code.clone()),
            name: Some(told.name.clone()),
            domain_name: told.domain.as_ref().map(Domain::to_string),
        }),
        DirectoryChange::UnbindTenant { order_id } => EventChange::TenantSync(TenantSync {
            action: SyncAction::Remove,
            order_id: order_id.clone(),
            tenant_id,
            tenant_code: None,
            name: None,
            domain_name: None,
        }),
        DirectoryChange::SetApplication(told) => EventChange::ApplicationSync(ApplicationSync {
            action: SyncAction::Upsert,
            tenant_id,
            app_id: told.app_id.clone(),
            client_id: Some(told.client_id.clone()),
            client_secret: client_secret.cloned(),
        }),
        DirectoryChange::RemoveApplication { app_id } => EventChange::ApplicationSync(ApplicationSync {
            action: SyncAction::Remove,
            tenant_id,
            app_id: app_id.clone(),
            client_id: None,
            client_secret: None,
        }),
        DirectoryChange::Users(told) => {
            let named = |names: &[String]| {
                let user = |name: &String| EventUser { user_name: name.clone(), ..EventUser::default() };
                names.iter().map(user).collect()
            };
            let (action, users) = match &told.change {
                UsersChange::Set(users) => (SyncAction::Upsert, users.iter().map(event_user).collect()),
                UsersChange::Remove(names) => (SyncAction::Remove, named(names)),
                UsersChange::Revoke(names) => (SyncAction::Revoke, named(names)),
            };
            let (app_id, sync_time) = (told.app_id.clone(), told.sync_time);
            EventChange::UsersSync(UsersSync { action, tenant_id, app_id, sync_time, users })
        }
        DirectoryChange::SetDepartment(told) => departments(SyncAction::Upsert, false, vec![event_department(told)]),
        DirectoryChange::RemoveDepartment { org_code } => {
            let removed = EventDepartment { org_code: org_code.clone(), org_name: None, parent_code: None };
            departments(SyncAction::Remove, false, vec![removed])
        }
        DirectoryChange::AllDepartments(all) => {
            departments(SyncAction::Upsert, true, all.iter().map(event_department).collect())
        }
    }
}

fn event_user(told: &User) -> EventUser {
    let told = told.clone();
    EventUser {
        user_name: told.user_name,
        name: told.name,
        org_code: told.org_code,
        position: told.position,
        employee_code: told.employee_code,
        employee_type: told.employee_type,
        role: Some(told.role),
        enabled: Some(told.enabled),
        mobile: told.mobile,
        email: told.email,
        work_place: told.work_place,
        entry_date: told.entry_date,
        extension: told.extension,
    }
}

fn event_department(told: &Department) -> EventDepartment {
    let Department { org_code, org_name, parent_code } = told.clone();
    EventDepartment { org_code, org_name: Some(org_name), parent_code }
}
