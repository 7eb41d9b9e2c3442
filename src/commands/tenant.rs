//! `koogate tenant`: the directory of joint-operation products.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use super::instance::job_lines;
use super::output;
use crate::fulfilment::retell;
use crate::store::{Store, TenantRow};
use crate::view;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List tenants, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one tenant with its instances, applications and jobs
    Show {
        /// Its id
        tenant_id: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// List the users of a tenant
    Users {
        /// The tenant's id
        tenant_id: String,
        /// At most so many
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// List the departments of a tenant
    Departments {
        /// The tenant's id
        tenant_id: String,
        /// At most so many
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Try again at once what failed or waits for its next attempt 重试
    Retry {
        /// The tenant's id
        tenant_id: String,
    },
}

pub(super) fn run(config: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    super::with_store(config, |store| {
        match command {
            Command::List { limit, json } => list(store, *limit, *json)?,
            Command::Show { tenant_id, json } => show(store, &found(store, tenant_id)?, *json)?,
            Command::Users { tenant_id, limit, json } => users(store, &found(store, tenant_id)?, *limit, *json)?,
            Command::Departments { tenant_id, limit, json } => {
                departments(store, &found(store, tenant_id)?, *limit, *json)?;
            }
            Command::Retry { tenant_id } => retry(store, &found(store, tenant_id)?)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn found(store: &Store, tenant_id: &str) -> anyhow::Result<TenantRow> {
    match store.read(|tx| tx.tenant(tenant_id))? {
        Some(tenant) => Ok(tenant),
        None => bail!("there is no tenant {tenant_id}"),
    }
}

fn list(store: &Store, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| {
        let tenants = tx.tenants(None, limit)?;
        tenants.into_iter().map(|tenant| Ok((tx.directory_size(tenant.row)?, tenant))).collect::<Result<Vec<_>, _>>()
    })?;
    let header = ["tenant", "name", "domain", "users", "departments", "told"];
    let table = rows.iter().map(|((users, departments), tenant)| {
        vec![
            tenant.tenant_id.clone(),
            output::or_dash(tenant.name.as_deref()),
            output::or_dash(tenant.domain_name.as_deref()),
            users.to_string(),
            departments.to_string(),
            output::time(tenant.updated_at),
        ]
    });
    let objects = rows.iter().map(|(size, tenant)| view::tenant::listed(tenant, *size));
    output::listing(json, &header, table, objects)
}

fn show(store: &Store, tenant: &TenantRow, json: bool) -> anyhow::Result<()> {
    let (bindings, applications, jobs) = store.read(|tx| {
        Ok((
            tx.bindings_of(tenant.row)?,
            tx.applications_of(tenant.row)?,
            tx.jobs_of_tenant(tenant.row, view::tenant::SHOWN_JOBS)?,
        ))
    })?;
    if json {
        let object = view::tenant::shown(tenant, &bindings, &applications, &jobs);
        return output::line(&object.to_string());
    }
    let shown = |text: Option<&str>| output::harmless(&output::or_dash(text));
    output::line(&format!("tenant    {}", output::harmless(&tenant.tenant_id)))?;
    let (name, code) = (shown(tenant.name.as_deref()), shown(tenant.tenant_code.as_deref()));
    output::line(&format!("name      {name}, code {code}"))?;
    output::line(&format!("domain    {}", output::or_dash(tenant.domain_name.as_deref())))?;
    let lines = bindings.iter().map(|row| {
        let instance = if row.instance_id.is_empty() { "(credential)" } else { &row.instance_id };
        vec![instance.to_owned(), output::or_dash(row.order_id.as_deref()), output::time(row.bound_at)]
    });
    output::listing(false, &["instance", "order", "bound"], lines, [])?;
    let lines =
        applications.iter().map(|row| vec![row.app_id.clone(), row.client_id.clone(), output::time(row.updated_at)]);
    output::listing(false, &["application", "client id", "told"], lines, [])?;
    job_lines(&jobs)
}

fn users(store: &Store, tenant: &TenantRow, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.users_of(tenant.row, None, limit))?;
    let header = ["user", "application", "instance", "department", "role", "state", "told"];
    let table = rows.iter().map(|user| {
        let state = match (user.authorised, user.enabled) {
            (true, true) => "authorised",
            (true, false) => "disabled",
            (false, _) => "revoked",
        };
        vec![
            user.user_name.clone(),
            user.app_id.clone(),
            output::or_dash(Some(user.instance_id.as_str()).filter(|id| !id.is_empty())),
            output::or_dash(user.org_code.as_deref()),
            output::or_dash(user.role.as_deref()),
            state.to_owned(),
            output::time(user.updated_at),
        ]
    });
    output::listing(json, &header, table, rows.iter().map(view::tenant::user))
}

fn departments(store: &Store, tenant: &TenantRow, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.departments_of(tenant.row, None, limit))?;
    let table = rows.iter().map(|row| {
        vec![
            row.org_code.clone(),
            output::or_dash(row.org_name.as_deref()),
            output::or_dash(row.parent_code.as_deref()),
            output::or_dash(Some(row.instance_id.as_str()).filter(|id| !id.is_empty())),
            if row.stale { "stale".to_owned() } else { String::new() },
        ]
    });
    let objects = rows.iter().map(view::tenant::department);
    output::listing(json, &["department", "name", "parent", "instance", ""], table, objects)
}

fn retry(store: &Store, tenant: &TenantRow) -> anyhow::Result<()> {
    let row = tenant.row;
    match store.write(None, move |tx| retell::retry(tx, row, Timestamp::now()))? {
        0 => bail!("tenant {} has nothing to try again", tenant.tenant_id),
        count => output::line(&format!("jobs of tenant {} that are due now: {count}", tenant.tenant_id)),
    }
}
