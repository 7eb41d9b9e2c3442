//! What `koogate tenant` shows of the directory.

use super::{ApplicationRow, BindingRow, DepartmentRow, Directory, TenantRow, UserRow, details_in};
use crate::secret::Secret;
use crate::store::{StoreError, Tx, instant};

impl Tx<'_> {
    /// A tenant by its id.
    pub fn tenant(&self, tenant_id: &str) -> Result<Option<TenantRow>, StoreError> {
        self.first("look up the tenant", &format!("{TENANT} WHERE tenant_id = ?1"), [tenant_id], read_tenant)
    }

    /// Tenants, newest first, at most `limit`; with `before` only those that are older than this row.
    pub fn tenants(&self, before: Option<i64>, limit: i64) -> Result<Vec<TenantRow>, StoreError> {
        let sql = format!("{TENANT} WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
        self.all("list tenants", &sql, (before.unwrap_or(i64::MAX), limit), read_tenant)
    }

    /// The instances a tenant has bound.
    pub fn bindings_of(&self, tenant: i64) -> Result<Vec<BindingRow>, StoreError> {
        let sql = "SELECT instance_id, order_id, bound_at FROM tenant_binding WHERE tenant = ?1 ORDER BY instance_id";
        self.all("list bindings", sql, [tenant], |row| {
            Ok(BindingRow { instance_id: row.get(0)?, order_id: row.get(1)?, bound_at: instant(row.get(2)?)? })
        })
    }

    /// The credentials of a tenant.
    pub fn applications_of(&self, tenant: i64) -> Result<Vec<ApplicationRow>, StoreError> {
        let sql = "SELECT app_id, client_id, updated_at FROM application WHERE tenant = ?1 ORDER BY app_id";
        self.all("list applications", sql, [tenant], |row| {
            Ok(ApplicationRow { app_id: row.get(0)?, client_id: row.get(1)?, updated_at: instant(row.get(2)?)? })
        })
    }

    /// The users of a tenant by name, at most `limit`; with `after` only those that come after this name, instance and
    /// application.
    pub fn users_of(
        &self,
        tenant: i64,
        after: Option<&(String, String, String)>,
        limit: i64,
    ) -> Result<Vec<UserRow>, StoreError> {
        let sql = "SELECT instance_id, app_id, user_name, org_code, role, enabled, authorised, details_sealed, \
                   updated_at FROM user WHERE tenant = ?1 \
                   AND (?3 IS NULL OR (user_name, instance_id, app_id) > (?3, ?4, ?5)) \
                   ORDER BY user_name, instance_id, app_id LIMIT ?2";
        let name = after.map(|(name, ..)| name);
        let (instance, app) = after.map(|(_, instance, app)| (instance, app)).unzip();
        let sealed = self.all("list users", sql, (tenant, limit, name, instance, app), |row| {
            let user = UserRow {
                instance_id: row.get(0)?,
                app_id: row.get(1)?,
                user_name: row.get(2)?,
                org_code: row.get(3)?,
                role: row.get(4)?,
                enabled: row.get(5)?,
                authorised: row.get(6)?,
                details: Secret::new(String::new()),
                updated_at: instant(row.get(8)?)?,
            };
            Ok((user, row.get::<_, Vec<u8>>(7)?))
        })?;
        let open = |(user, sealed): (UserRow, Vec<u8>)| {
            let directory = Directory { tenant, instance_id: &user.instance_id };
            let details = self.open_text(&details_in(directory, &user.app_id, &user.user_name), Some(sealed))?;
            Ok(UserRow { details: details.unwrap_or_else(|| Secret::new(String::new())), ..user })
        };
        sealed.into_iter().map(open).collect()
    }

    /// The departments of a tenant by instance and code, at most `limit`; with `after` only those that come after these.
    pub fn departments_of(
        &self,
        tenant: i64,
        after: Option<&(String, String)>,
        limit: i64,
    ) -> Result<Vec<DepartmentRow>, StoreError> {
        let sql = "SELECT instance_id, org_code, org_name, parent_code, stale FROM department WHERE tenant = ?1 \
                   AND (?3 IS NULL OR (instance_id, org_code) > (?3, ?4)) ORDER BY instance_id, org_code LIMIT ?2";
        let (instance, code) = after.map(|(instance, code)| (instance, code)).unzip();
        self.all("list departments", sql, (tenant, limit, instance, code), |row| {
            Ok(DepartmentRow {
                instance_id: row.get(0)?,
                org_code: row.get(1)?,
                org_name: row.get(2)?,
                parent_code: row.get(3)?,
                stale: row.get(4)?,
            })
        })
    }

    /// How many users are authorised and departments known under a tenant.
    pub fn directory_size(&self, tenant: i64) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT (SELECT count(*) FROM user WHERE tenant = ?1 AND authorised = 1), \
                   (SELECT count(*) FROM department WHERE tenant = ?1 AND stale = 0)";
        let found = self.first("count the directory", sql, [tenant], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.unwrap_or_default())
    }
}

const TENANT: &str = "SELECT id, tenant_id, tenant_code, name, domain_name, updated_at FROM tenant";

fn read_tenant(row: &rusqlite::Row<'_>) -> rusqlite::Result<TenantRow> {
    Ok(TenantRow {
        row: row.get(0)?,
        tenant_id: row.get(1)?,
        tenant_code: row.get(2)?,
        name: row.get(3)?,
        domain_name: row.get(4)?,
        updated_at: instant(row.get(5)?)?,
    })
}
