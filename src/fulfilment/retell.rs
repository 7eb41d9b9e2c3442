//! What a retry tells the application of a tenant's directory: of each dead job what no later one has told.
//!
//! A directory call is about single things (users, departments, a credential), and the last word about each counts. So a
//! dead event whose things were all told later is cancelled, and one whose things were told in part tells the rest. The
//! end of a binding is no word about one thing: it takes everything told under the binding, so what was told under it
//! since is told once more.

use std::collections::HashSet;

use jiff::Timestamp;

use super::event::{Change, Department, Event, SyncAction};
use super::stored_event;
use crate::store::{StoreError, Tx};

/// Makes jobs of a tenant due at once: those that wait, and the dead ones with something left to tell. Returns how many.
///
/// # Errors
/// When the rows cannot be read or written.
pub fn retry(tx: &Tx<'_>, tenant: i64, now: Timestamp) -> Result<usize, StoreError> {
    let mut retried = tx.hasten_tenant_jobs(tenant, now)?;
    // Those that wait come after what is revived all the same: a tenant's jobs are done in order.
    let jobs = tx.jobs_since_first_dead(tenant)?;
    let events = jobs.iter().map(|job| stored_event(tx, job)).collect::<Result<Vec<_>, _>>()?;
    let credentials: HashSet<_> = tx.applications_of(tenant)?.into_iter().map(|row| row.app_id).collect();
    let mut once_more = HashSet::new();
    for (index, (job, event)) in jobs.iter().zip(&events).enumerate() {
        if job.state != "dead" {
            continue;
        }
        // What runs is told, too, or it is tried again.
        let told = jobs.iter().zip(&events).skip(index + 1).filter(|(later, _)| later.state != "dead");
        let rest = untold(event.clone(), told.clone().map(|(_, event)| event));
        // With an enterprise's last binding its credentials went.
        let rest = rest.filter(|rest| match &rest.change {
            Change::ApplicationSync(told) => told.action == SyncAction::Remove || credentials.contains(&told.app_id),
            _ => true,
        });
        let Some(rest) = rest else {
            tx.end_job(job.row, "cancelled", Some("later calls have told it"), now)?;
            continue;
        };
        if ends_binding(&rest) {
            let under_it = told.filter(|(_, told)| told.instance_id == rest.instance_id).map(|(job, _)| job);
            // What runs cannot be put behind it. The next retry finds it done.
            if under_it.clone().any(|job| job.state == "running") {
                continue;
            }
            once_more.extend(under_it.map(|job| job.row));
        }
        let changed = (rest != *event).then(|| rest.to_json());
        tx.revive_tenant_job(job, changed.as_deref(), now)?;
        retried += 1;
    }
    for job in jobs.iter().filter(|job| once_more.contains(&job.row)) {
        tx.revive_tenant_job(job, None, now)?;
        retried += 1;
    }
    Ok(retried)
}

fn ends_binding(event: &Event) -> bool {
    matches!(&event.change, Change::TenantSync(told) if told.action == SyncAction::Remove)
}

/// What is left of an event after later ones of its tenant were told; `None`: nothing.
fn untold<'e>(mut dead: Event, later: impl Iterator<Item = &'e Event>) -> Option<Event> {
    for told in later {
        let same_instance = dead.instance_id == told.instance_id;
        match (&mut dead.change, &told.change) {
            (Change::ApplicationSync(dead), Change::ApplicationSync(told)) if dead.app_id == told.app_id => {
                return None;
            }
            (Change::TenantSync(dead), Change::TenantSync(told))
                if same_instance && (dead.action == SyncAction::Upsert || told.action == SyncAction::Remove) =>
            {
                return None;
            }
            (Change::UsersSync(_) | Change::DepartmentsSync(_), Change::TenantSync(told))
                if same_instance && told.action == SyncAction::Remove =>
            {
                return None;
            }
            (Change::UsersSync(dead), Change::UsersSync(told)) if same_instance && dead.app_id == told.app_id => {
                let names: HashSet<_> = told.users.iter().map(|user| &user.user_name).collect();
                dead.users.retain(|user| !names.contains(&user.user_name));
                if dead.users.is_empty() {
                    return None;
                }
            }
            (Change::DepartmentsSync(_), Change::DepartmentsSync(told)) if same_instance && told.complete => {
                return None;
            }
            (Change::DepartmentsSync(dead), Change::DepartmentsSync(told)) if same_instance => {
                let complete = dead.complete;
                without(&mut dead.departments, &told.departments);
                // The full list is told as it would be now: what is not in it counts as gone.
                if complete && told.action == SyncAction::Upsert {
                    dead.departments.extend(told.departments.iter().cloned());
                }
                if dead.departments.is_empty() && !complete {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(dead)
}

fn without(departments: &mut Vec<Department>, told: &[Department]) {
    let codes: HashSet<_> = told.iter().map(|department| &department.org_code).collect();
    departments.retain(|department| !codes.contains(&department.org_code));
}
