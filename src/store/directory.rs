//! Rows of the directory that joint-operation products get: `tenant`, `tenant_binding`, `application`, `user` and
//! `department`.
//!
//! Everything is insert-or-update or remove-if-present: calls come in any order and any number (spec 3-kit §6.1). What a
//! tenant is named in before it has been told of itself makes a row without a name. What people are shown is in
//! `listings`.

mod listings;

use jiff::Timestamp;

use super::{StoreError, Tx, millis};
use crate::secret::Secret;

/// A tenant.
#[derive(Debug, Clone)]
pub struct TenantRow {
    /// Row id.
    pub row: i64,
    /// Its id on the wire.
    pub tenant_id: String,
    /// Directs a login to its domain.
    pub tenant_code: Option<String>,
    /// Its name; `None`: others have named it, and it has not been told.
    pub name: Option<String>,
    /// Base of its OAuth addresses.
    pub domain_name: Option<String>,
    /// When it was told last.
    pub updated_at: Timestamp,
}

/// A tenant as it is told.
#[derive(Debug, Clone, Copy)]
pub struct NewTenant<'a> {
    /// Its id on the wire.
    pub tenant_id: &'a str,
    /// Directs a login to its domain.
    pub tenant_code: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Base of its OAuth addresses.
    pub domain_name: Option<&'a str>,
}

/// An instance that a tenant has bound; empty while the seller applies for a credential.
#[derive(Debug, Clone)]
pub struct BindingRow {
    /// Its id on the wire.
    pub instance_id: String,
    /// The order that bought it.
    pub order_id: Option<String>,
    /// When it was bound first.
    pub bound_at: Timestamp,
}

/// The OAuth credential of a tenant for an application. Its secret is read apart ([`Tx::client_of`]).
#[derive(Debug, Clone)]
pub struct ApplicationRow {
    /// The credential in the seller console.
    pub app_id: String,
    /// OAuth client id.
    pub client_id: String,
    /// When it was told last.
    pub updated_at: Timestamp,
}

/// An authorised user.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// The instance it may use.
    pub instance_id: String,
    /// The credential in the seller console.
    pub app_id: String,
    /// Account, unique within the tenant.
    pub user_name: String,
    /// Department.
    pub org_code: Option<String>,
    /// `user` or `admin`.
    pub role: Option<String>,
    /// Whether the account may be used.
    pub enabled: bool,
    /// Whether it is authorised still.
    pub authorised: bool,
    /// Name, mobile number, e-mail address and the rest, JSON.
    pub details: Secret<String>,
    /// When it was told last.
    pub updated_at: Timestamp,
}

/// A user as it is told.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    /// Account, unique within the tenant.
    pub user_name: &'a str,
    /// Department.
    pub org_code: Option<&'a str>,
    /// `user` or `admin`.
    pub role: Option<&'a str>,
    /// Whether the account may be used.
    pub enabled: bool,
    /// Name, mobile number, e-mail address and the rest, JSON.
    pub details: &'a Secret<String>,
}

/// A department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepartmentRow {
    /// The instance under which it was told.
    pub instance_id: String,
    /// Unique within the tenant.
    pub org_code: String,
    /// Its name; `None`: only named as a parent so far.
    pub org_name: Option<String>,
    /// Its parent; `None`: at the top.
    pub parent_code: Option<String>,
    /// It was missing from the last full list.
    pub stale: bool,
}

/// Whose directory is written: a tenant's row, and the instance under which it is told (empty: none yet).
#[derive(Debug, Clone, Copy)]
pub struct Directory<'a> {
    /// Row of the tenant.
    pub tenant: i64,
    /// The instance's id on the wire.
    pub instance_id: &'a str,
}

impl Tx<'_> {
    /// The row of a tenant, new if nobody has named it before.
    pub fn tenant_row(&self, tenant_id: &str, now: Timestamp) -> Result<i64, StoreError> {
        let sql = "SELECT id FROM tenant WHERE tenant_id = ?1";
        if let Some(row) = self.first("look up the tenant", sql, [tenant_id], |row| row.get(0))? {
            return Ok(row);
        }
        let sql = "INSERT INTO tenant (tenant_id, created_at, updated_at) VALUES (?1, ?2, ?2)";
        self.insert("record the tenant", sql, (tenant_id, millis(now)))
    }

    /// Records what is told of a tenant; returns its row.
    pub fn put_tenant(&self, new: &NewTenant<'_>, now: Timestamp) -> Result<i64, StoreError> {
        let row = self.tenant_row(new.tenant_id, now)?;
        self.execute(
            "record the tenant",
            "UPDATE tenant SET tenant_code = ?2, name = ?3, domain_name = ?4, updated_at = ?5 WHERE id = ?1",
            (row, new.tenant_code, new.name, new.domain_name, millis(now)),
        )?;
        Ok(row)
    }

    /// Binds an instance to a tenant.
    pub fn bind_tenant(&self, to: Directory<'_>, order_id: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "bind the tenant",
            "INSERT INTO tenant_binding (tenant, instance_id, order_id, bound_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET order_id = coalesce(excluded.order_id, order_id)",
            (to.tenant, to.instance_id, order_id, millis(now)),
        )
        .map(drop)
    }

    /// Ends a tenant's use of an instance: its users and departments under the instance go, and with the last binding its
    /// credentials.
    pub fn unbind_tenant(&self, from: Directory<'_>) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM tenant_binding WHERE tenant = ?1 AND instance_id = ?2",
            "DELETE FROM user WHERE tenant = ?1 AND instance_id = ?2",
            "DELETE FROM department WHERE tenant = ?1 AND instance_id = ?2",
        ] {
            self.execute("unbind the tenant", sql, (from.tenant, from.instance_id))?;
        }
        let sql = "DELETE FROM application WHERE tenant = ?1 \
                   AND NOT EXISTS (SELECT 1 FROM tenant_binding WHERE tenant = ?1)";
        self.execute("unbind the tenant", sql, [from.tenant]).map(drop)
    }

    /// Records a tenant's credential for an application, the secret sealed.
    pub fn put_application(
        &self,
        tenant: i64,
        app_id: &str,
        client_id: &str,
        client_secret: &Secret<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sealed = self.sealing.seal(&secret_in(tenant, app_id), client_secret.expose().as_bytes())?;
        self.execute(
            "record the application",
            "INSERT INTO application (tenant, app_id, client_id, client_secret_sealed, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET client_id = excluded.client_id, \
             client_secret_sealed = excluded.client_secret_sealed, updated_at = excluded.updated_at",
            (tenant, app_id, client_id, sealed, millis(now)),
        )
        .map(drop)
    }

    /// Removes a tenant's credential for an application.
    pub fn remove_application(&self, tenant: i64, app_id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM application WHERE tenant = ?1 AND app_id = ?2";
        self.execute("remove the application", sql, (tenant, app_id)).map(drop)
    }

    /// Client id and secret of a tenant for an application.
    pub fn client_of(&self, tenant: i64, app_id: &str) -> Result<Option<(String, Secret<String>)>, StoreError> {
        let sql = "SELECT client_id, client_secret_sealed FROM application WHERE tenant = ?1 AND app_id = ?2";
        let found: Option<(String, Vec<u8>)> =
            self.first("read the application", sql, (tenant, app_id), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((client_id, sealed)) = found else { return Ok(None) };
        let secret = self.open_text(&secret_in(tenant, app_id), Some(sealed))?;
        Ok(secret.map(|secret| (client_id, secret)))
    }

    /// Records an authorised user, personal data sealed.
    pub fn put_user(
        &self,
        directory: Directory<'_>,
        app_id: &str,
        new: &NewUser<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let context = details_in(directory, app_id, new.user_name);
        let sealed = self.sealing.seal(&context, new.details.expose().as_bytes())?;
        self.execute(
            "record the user",
            "INSERT INTO user (tenant, instance_id, app_id, user_name, org_code, role, enabled, authorised, \
             details_sealed, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9) ON CONFLICT DO UPDATE SET \
             org_code = excluded.org_code, role = excluded.role, enabled = excluded.enabled, authorised = 1, \
             details_sealed = excluded.details_sealed, updated_at = excluded.updated_at",
            rusqlite::params![
                directory.tenant,
                directory.instance_id,
                app_id,
                new.user_name,
                new.org_code,
                new.role,
                new.enabled,
                sealed,
                millis(now),
            ],
        )
        .map(drop)
    }

    /// Removes a user from an application.
    pub fn remove_user(&self, directory: Directory<'_>, app_id: &str, user_name: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM user WHERE tenant = ?1 AND instance_id = ?2 AND app_id = ?3 AND user_name = ?4";
        let values = (directory.tenant, directory.instance_id, app_id, user_name);
        self.execute("remove the user", sql, values).map(drop)
    }

    /// Takes a user's authorisation and keeps the user.
    pub fn revoke_user(
        &self,
        directory: Directory<'_>,
        app_id: &str,
        user_name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE user SET authorised = 0, updated_at = ?5 \
                   WHERE tenant = ?1 AND instance_id = ?2 AND app_id = ?3 AND user_name = ?4";
        let values = (directory.tenant, directory.instance_id, app_id, user_name, millis(now));
        self.execute("revoke the user", sql, values).map(drop)
    }

    /// Whether a user may use an application of a tenant: authorised and enabled in one of its instances at least. `None`:
    /// no such user is known, in none of them.
    pub fn may_use(&self, tenant: i64, app_id: &str, user_name: &str) -> Result<Option<bool>, StoreError> {
        let sql = "SELECT max(authorised AND enabled) FROM user WHERE tenant = ?1 AND app_id = ?2 AND user_name = ?3";
        let found = self.first("look up the authorisation", sql, (tenant, app_id, user_name), |row| row.get(0))?;
        Ok(found.flatten())
    }

    /// Records a department. Its parent is made by [`Tx::put_parent`].
    pub fn put_department(
        &self,
        directory: Directory<'_>,
        (org_code, org_name, parent_code): (&str, Option<&str>, Option<&str>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "record the department",
            "INSERT INTO department (tenant, instance_id, org_code, org_name, parent_code, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET org_name = excluded.org_name, \
             parent_code = excluded.parent_code, stale = 0, updated_at = excluded.updated_at",
            (directory.tenant, directory.instance_id, org_code, org_name, parent_code, millis(now)),
        )
        .map(drop)
    }

    /// Removes a department.
    pub fn remove_department(&self, directory: Directory<'_>, org_code: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM department WHERE tenant = ?1 AND instance_id = ?2 AND org_code = ?3";
        self.execute("remove the department", sql, (directory.tenant, directory.instance_id, org_code)).map(drop)
    }

    /// Makes a nameless row for a parent that has none: a child may be told before its parent. While its children are
    /// told, such a row is not missing.
    pub fn put_parent(&self, directory: Directory<'_>, org_code: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "record the parent",
            "INSERT INTO department (tenant, instance_id, org_code, updated_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET stale = 0 WHERE org_name IS NULL AND stale = 1",
            (directory.tenant, directory.instance_id, org_code, millis(now)),
        )
        .map(drop)
    }

    /// Marks all departments of a directory as missing; those that are recorded afterwards are not.
    pub fn mark_departments_stale(&self, directory: Directory<'_>) -> Result<(), StoreError> {
        let sql = "UPDATE department SET stale = 1 WHERE tenant = ?1 AND instance_id = ?2";
        self.execute("mark departments", sql, (directory.tenant, directory.instance_id)).map(drop)
    }

    /// Removes the departments that are marked as missing.
    pub fn remove_stale_departments(&self, directory: Directory<'_>) -> Result<(), StoreError> {
        let sql = "DELETE FROM department WHERE tenant = ?1 AND instance_id = ?2 AND stale = 1";
        self.execute("remove departments", sql, (directory.tenant, directory.instance_id)).map(drop)
    }
}

/// A sealed client secret belongs to its tenant and application and opens nowhere else.
fn secret_in(tenant: i64, app_id: &str) -> String {
    format!("application.client_secret:{tenant}:{app_id}")
}

/// Sealed personal data belongs to its user and opens nowhere else.
fn details_in(directory: Directory<'_>, app_id: &str, user_name: &str) -> String {
    let Directory { tenant, instance_id } = directory;
    // A JSON array, so that no choice of names runs into another.
    format!("user.details:{}", serde_json::json!([tenant, instance_id, app_id, user_name]))
}
