//! What a directory call says, with the wire's many spellings resolved: an enterprise, its OAuth client, its authorised
//! users or its departments (spec 3-kit §4, §5).
//!
//! How it is read from a body stands in `read`. Nothing of a person is shown by `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::protocol::kit::domain::Domain;
use crate::secret::Secret;

/// An authenticated, well-formed directory call.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectorySync {
    /// The instance made by the basic interfaces; `None` while a credential is applied for and debugged.
    pub instance_id: Option<String>,
    /// The enterprise.
    pub tenant_id: String,
    /// What becomes of what.
    pub change: DirectoryChange,
}

/// What a directory call wants done. To set is to insert or update, to remove is to remove if present.
#[derive(Debug, Clone, PartialEq)]
pub enum DirectoryChange {
    /// `tenantSync`: the enterprise uses the application.
    BindTenant(Tenant),
    /// `tenantSync`, flag 0.
    UnbindTenant {
        /// The buyer's order.
        order_id: Option<String>,
    },
    /// `applicationSync`: the enterprise's client credentials.
    SetApplication(Application),
    /// `applicationSync`, flag 0.
    RemoveApplication {
        /// The credential in the seller console.
        app_id: String,
    },
    /// `authSync`: users and their authorisation.
    Users(Users),
    /// `singleOrgSync`.
    SetDepartment(Department),
    /// `singleOrgSync`, flag 0.
    RemoveDepartment {
        /// Unique in its enterprise.
        org_code: String,
    },
    /// `allOrgSync`: these are all. A parent need not be among them, nor stand before its children.
    AllDepartments(Vec<Department>),
}

/// An enterprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The buyer's order; `None` while a credential is applied for and debugged.
    pub order_id: Option<String>,
    /// Its identifier in logins.
    pub tenant_code: String,
    /// Its name.
    pub name: String,
    /// Base of its OAuth addresses; `None` only where a debugging call carries none that could be used.
    pub domain: Option<Domain>,
}

/// An enterprise's client credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The credential in the seller console.
    pub app_id: String,
    /// OAuth client id of this enterprise.
    pub client_id: String,
    /// OAuth client secret of this enterprise as received: encrypted, for [`super::client_secret`].
    pub encrypted_secret: Secret<String>,
}

/// Users of an application, in the order received, each once.
#[derive(Debug, Clone, PartialEq)]
pub struct Users {
    /// The credential in the seller console.
    pub app_id: String,
    /// `currentSyncTime`, if it is there and could be read.
    pub sync_time: Option<Timestamp>,
    /// What becomes of them.
    pub change: UsersChange,
}

/// What becomes of users.
#[derive(Clone, PartialEq)]
pub enum UsersChange {
    /// They are authorised (flags 1 and 2).
    Set(Vec<User>),
    /// Authorisation and users go (flag 0). Their user names.
    Remove(Vec<String>),
    /// The authorisation goes, the users stay (flag 3). Their user names.
    Revoke(Vec<String>),
}

/// An authorised user.
#[derive(Clone, PartialEq)]
pub struct User {
    /// Account, unique in its enterprise only.
    pub user_name: String,
    /// Display name.
    pub name: Option<String>,
    /// Department; need not be known.
    pub org_code: Option<String>,
    /// Job title.
    pub position: Option<String>,
    /// Staff number.
    pub employee_code: Option<String>,
    /// 1 regular, 2 intern, 3 labour dispatch, 4 outsourced.
    pub employee_type: Option<i64>,
    /// `user`, which is what an absent one means, or `admin`; or what else was said.
    pub role: String,
    /// Whether the account may be used; an absent one means yes.
    pub enabled: bool,
    /// Mobile number, if the buyer consented.
    pub mobile: Option<Secret<String>>,
    /// E-mail address, if the buyer consented.
    pub email: Option<Secret<String>>,
    /// Place of work.
    pub work_place: Option<String>,
    /// Hire date as KooGallery writes it: `yyyy-MM-d`.
    pub entry_date: Option<String>,
    /// What else `extension` held.
    pub extension: BTreeMap<String, Value>,
}

/// A department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Department {
    /// Unique in its enterprise.
    pub org_code: String,
    /// Unique on its level; may change.
    pub org_name: String,
    /// Parent; `None` at the top.
    pub parent_code: Option<String>,
}

impl fmt::Debug for UsersChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(users) => write!(f, "Set({} users)", users.len()),
            Self::Remove(names) => write!(f, "Remove({} users)", names.len()),
            Self::Revoke(names) => write!(f, "Revoke({} users)", names.len()),
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("role", &self.role).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_counts_persons_and_does_not_name_them() {
        let user = User {
            user_name: "zhangsan".to_owned(),
            name: Some("张三".to_owned()),
            org_code: None,
            position: None,
            employee_code: None,
            employee_type: None,
            role: "admin".to_owned(),
            enabled: true,
            mobile: Some(Secret::new("13800000000".to_owned())),
            email: None,
            work_place: None,
            entry_date: None,
            extension: BTreeMap::new(),
        };
        assert_eq!(format!("{user:?}"), r#"User { role: "admin", enabled: true, .. }"#);
        let names = || vec!["zhangsan".to_owned(), "lisi".to_owned()];
        assert_eq!(format!("{:?}", UsersChange::Set(vec![user])), "Set(1 users)");
        assert_eq!(format!("{:?}", UsersChange::Remove(names())), "Remove(2 users)");
        assert_eq!(format!("{:?}", UsersChange::Revoke(names())), "Revoke(2 users)");
    }
}
