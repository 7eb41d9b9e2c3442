//! What the joint-operation kit brings: enterprises, their OAuth credentials, their authorised users and departments.
//!
//! One form for both generations of the kit, with the wire's many spellings resolved by whoever reads the calls.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exposed;
use crate::secret::Secret;

/// What a directory call (tenant, application, users, departments) wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncAction {
    /// Insert or update (flags 1 and 2).
    Upsert,
    /// Remove if present (flag 0).
    Remove,
    /// Take the authorisation and keep the user (flag 3, users only).
    Revoke,
}

/// `change` of `tenant.sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSync {
    /// What to do.
    pub action: SyncAction,
    /// The buyer's order; `null` while a credential is applied for.
    pub order_id: Option<String>,
    /// The enterprise.
    pub tenant_id: String,
    /// Its identifier in logins.
    pub tenant_code: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Base of its OAuth addresses, with scheme and without a trailing slash.
    pub domain_name: Option<String>,
}

/// `change` of `application.sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSync {
    /// What to do.
    pub action: SyncAction,
    /// The enterprise.
    pub tenant_id: String,
    /// The credential in the seller console.
    pub app_id: String,
    /// OAuth client id of this enterprise; `null` on removal.
    pub client_id: Option<String>,
    /// OAuth client secret of this enterprise; `null` on removal.
    #[serde(with = "exposed")]
    pub client_secret: Option<Secret<String>>,
}

/// `change` of `users.sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsersSync {
    /// What to do with all of them.
    pub action: SyncAction,
    /// The enterprise.
    pub tenant_id: String,
    /// The credential in the seller console.
    pub app_id: String,
    /// When KooGallery took the list.
    pub sync_time: Option<Timestamp>,
    /// The users.
    pub users: Vec<User>,
}

/// A user in `users.sync`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Account, unique in its enterprise only.
    pub user_name: String,
    /// Display name.
    pub name: Option<String>,
    /// Department.
    pub org_code: Option<String>,
    /// Job title.
    pub position: Option<String>,
    /// Staff number.
    pub employee_code: Option<String>,
    /// 1 regular, 2 intern, 3 labour dispatch, 4 outsourced.
    pub employee_type: Option<i64>,
    /// `user` or `admin`, who is to get administrator rights.
    pub role: Option<String>,
    /// Whether the account may be used.
    pub enabled: Option<bool>,
    /// Mobile number, if the buyer consented.
    #[serde(with = "exposed")]
    pub mobile: Option<Secret<String>>,
    /// E-mail address, if the buyer consented.
    #[serde(with = "exposed")]
    pub email: Option<Secret<String>>,
    /// Place of work.
    pub work_place: Option<String>,
    /// Hire date as KooGallery writes it: `yyyy-MM-d`.
    pub entry_date: Option<String>,
    /// What else the call's `extension` held.
    #[serde(default)]
    pub extension: BTreeMap<String, Value>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("user_name", &self.user_name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl User {
    /// What is known of the person beyond the account, which listings show, and the department.
    pub(super) fn private_values(&self) -> Vec<Cow<'_, str>> {
        let contact = [&self.mobile, &self.email].into_iter().flatten().map(|secret| secret.expose());
        let facts = [&self.name, &self.position, &self.employee_code, &self.work_place, &self.entry_date];
        let known = contact.chain(facts.into_iter().flatten()).map(|text| Cow::Borrowed(text.as_str()));
        let mut values: Vec<_> = known.collect();
        self.extension.values().for_each(|value| collect_leaves(value, &mut values));
        values
    }
}

/// The texts and numbers in a value, however deep: the form of an `extension` is open, and an application may quote any
/// part of it.
fn collect_leaves<'v>(value: &'v Value, leaves: &mut Vec<Cow<'v, str>>) {
    match value {
        Value::String(text) => leaves.push(Cow::Borrowed(text)),
        Value::Number(number) => leaves.push(Cow::Owned(number.to_string())),
        Value::Array(values) => values.iter().for_each(|value| collect_leaves(value, leaves)),
        Value::Object(members) => members.values().for_each(|value| collect_leaves(value, leaves)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// `change` of `departments.sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentsSync {
    /// What to do.
    pub action: SyncAction,
    /// These are all the departments the enterprise has.
    pub complete: bool,
    /// The enterprise.
    pub tenant_id: String,
    /// A flat list.
    pub departments: Vec<Department>,
}

/// A department in `departments.sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Department {
    /// Unique in its enterprise.
    pub org_code: String,
    /// Name; may change. `null` on removal.
    pub org_name: Option<String>,
    /// Parent; `null` at the top.
    pub parent_code: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_an_extension_holds_is_private_however_deep() {
        let extension = json!({
            "account": "A1000",
            "accountSet": { "ids": ["A1001", { "badge": 4711 }], "limit": 12.5 },
            "flag": true,
            "nothing": null,
        });
        let user = User { extension: serde_json::from_value(extension).unwrap(), ..User::default() };
        assert_eq!(user.private_values(), ["A1000", "A1001", "4711", "12.5"]);
    }
}
