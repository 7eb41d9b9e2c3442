//! Reads the bodies of the five calls (spec 3-kit §4, §5). Both generations are read alike: where a member may stand
//! and how it may be written is taken from either.
//!
//! One pass over the tree that the body is, so time and memory go with its length.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::protocol::kit::calls::{
    Application, Department, DirectoryChange, DirectorySync, Tenant, User, Users, UsersChange,
};
use crate::protocol::kit::domain::Domain;
use crate::protocol::kit::{ZONE, loose_json};
use crate::protocol::members::{MemberFault, Members};
use crate::secret::Secret;

/// Which of the five it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Tenant,
    Application,
    Auth,
    SingleOrg,
    AllOrg,
}

impl Name {
    /// The word for it in the path.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenantSync",
            Self::Application => "applicationSync",
            Self::Auth => "authSync",
            Self::SingleOrg => "singleOrgSync",
            Self::AllOrg => "allOrgSync",
        }
    }
}

/// `flag`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Remove,
    Set,
    Revoke,
}

/// Reads a call. What could be left out goes into `remarks`, without values.
///
/// # Errors
/// Which member is missing or ill-formed.
pub(super) fn read(name: Name, members: Members<'_>, remarks: &mut Vec<String>) -> Result<DirectorySync, MemberFault> {
    let instance_id = members.optional("instanceId")?;
    let tenant_id = members.required("tenantId")?;
    // Its time matters to the token alone, but every call has one.
    members.required("timeStamp")?;
    Ok(DirectorySync {
        instance_id,
        tenant_id,
        change: match name {
            Name::Tenant => read_tenant(members, remarks)?,
            Name::Application => read_application(members)?,
            Name::Auth => DirectoryChange::Users(read_users(members, remarks)?),
            Name::SingleOrg => match flag(members, false)? {
                Flag::Remove => DirectoryChange::RemoveDepartment { org_code: members.required("orgCode")? },
                Flag::Set | Flag::Revoke => DirectoryChange::SetDepartment(read_department(members)?),
            },
            // It may have a flag, which says nothing.
            Name::AllOrg => DirectoryChange::AllDepartments(read_departments(members)?),
        },
    })
}

/// 1 and 2 are the same: whether a thing is new is for whoever keeps it to know (spec 3-kit §4). Only users may be
/// revoked.
fn flag(members: Members<'_>, may_revoke: bool) -> Result<Flag, MemberFault> {
    match (members.required("flag")?.as_str(), may_revoke) {
        ("0", _) => Ok(Flag::Remove),
        ("1" | "2", _) => Ok(Flag::Set),
        ("3", true) => Ok(Flag::Revoke),
        (_, true) => Err(ill_formed("flag", "must be 0, 1, 2 or 3")),
        (_, false) => Err(ill_formed("flag", "must be 0, 1 or 2")),
    }
}

/// Nothing depends on this time, so one that cannot be read is no reason to refuse a call.
fn read_sync_time(members: Members<'_>, remarks: &mut Vec<String>) -> Option<Timestamp> {
    members.time_at("currentSyncTime", ZONE).unwrap_or_else(|fault| {
        remarks.push(format!("currentSyncTime was left out: {fault}"));
        None
    })
}

fn read_tenant(members: Members<'_>, remarks: &mut Vec<String>) -> Result<DirectoryChange, MemberFault> {
    let order_id = members.optional("orderId")?;
    if flag(members, false)? == Flag::Remove {
        return Ok(DirectoryChange::UnbindTenant { order_id });
    }
    let domain = match Domain::parse(&members.required("domainName")?) {
        Ok(domain) => Some(domain),
        // Debugging calls carry any value the seller typed (spec 3-kit §9.4), and nothing is sent there.
        Err(fault) if members.is_test() => {
            remarks.push(format!("domainName {fault}: a real call is refused for it"));
            None
        }
        Err(fault) => return Err(ill_formed("domainName", fault.to_string())),
    };
    Ok(DirectoryChange::BindTenant(Tenant {
        order_id,
        tenant_code: members.required("tenantCode")?,
        name: members.required("name")?,
        domain,
    }))
}

fn read_application(members: Members<'_>) -> Result<DirectoryChange, MemberFault> {
    let app_id = members.required("appId")?;
    if flag(members, false)? == Flag::Remove {
        return Ok(DirectoryChange::RemoveApplication { app_id });
    }
    Ok(DirectoryChange::SetApplication(Application {
        app_id,
        client_id: members.required("clientId")?,
        encrypted_secret: Secret::new(members.required("clientSecret")?),
    }))
}

/// Of a user without authorisation only the name matters, and nothing else is looked at.
fn read_users(members: Members<'_>, remarks: &mut Vec<String>) -> Result<Users, MemberFault> {
    let list = "userList";
    let app_id = members.required("appId")?;
    let flag = flag(members, true)?;
    let value = listed(members, list).ok_or(MemberFault::Missing(list))?;
    let change = if flag == Flag::Set {
        let mut unreadable = 0;
        let users = elements(list, value, |user| read_user(user, &mut unreadable))?;
        if unreadable > 0 {
            remarks.push(format!("employeeType was left out for {unreadable} users: it is no whole number"));
        }
        UsersChange::Set(last_of_each(users, |user| &user.user_name))
    } else {
        let names = elements(list, value, |user| user.required("userName"))?;
        let names = last_of_each(names, |name| name);
        if flag == Flag::Remove { UsersChange::Remove(names) } else { UsersChange::Revoke(names) }
    };
    Ok(Users { app_id, sync_time: read_sync_time(members, remarks), change })
}

/// `unreadable` counts the employee types that are none.
fn read_user(members: Members<'_>, unreadable: &mut usize) -> Result<User, MemberFault> {
    let extension = read_extension(members)?;
    let extended = Members(&extension);
    // These stand beside the others in V2 and in `extension` in V1 (spec 3-kit §5.3).
    let either = |name| members.optional(name)?.map_or_else(|| extended.optional(name), |value| Ok(Some(value)));
    let employee_type = either("employeeType")?.and_then(|text| {
        let number = text.parse().ok();
        *unreadable += usize::from(number.is_none());
        number
    });
    Ok(User {
        user_name: members.required("userName")?,
        name: members.optional("name")?,
        org_code: members.optional("orgCode")?,
        position: members.optional("position")?,
        employee_code: members.optional("employeeCode")?,
        employee_type,
        role: members.optional("role")?.unwrap_or_else(|| "user".to_owned()),
        enabled: members.text("enable")?.map_or(Ok(true), |text| read_enable(&text))?,
        mobile: members.optional("mobile")?.map(Secret::new),
        email: members.optional("email")?.map(Secret::new),
        work_place: either("workPlace")?,
        entry_date: either("entryDate")?,
        extension: extension.into_iter().filter(|(name, _)| !EXTENDED.contains(&name.as_str())).collect(),
    })
}

/// The members of a user that may stand in `extension`.
const EXTENDED: [&str; 3] = ["employeeType", "workPlace", "entryDate"];

/// An object, or a text that holds one; empty when there is none.
fn read_extension(members: Members<'_>) -> Result<Map<String, Value>, MemberFault> {
    let name = "extension";
    match listed(members, name).map(resolved) {
        None => Ok(Map::new()),
        Some(Some(Cow::Borrowed(Value::Object(extension)))) => Ok(extension.clone()),
        Some(Some(Cow::Owned(Value::Object(extension)))) => Ok(extension),
        Some(_) => Err(ill_formed(name, "must be an object or a text that holds one as JSON")),
    }
}

/// An account must not be open because a word was not understood.
fn read_enable(text: &str) -> Result<bool, MemberFault> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ill_formed("enable", "must be true or false")),
    }
}

fn read_departments(members: Members<'_>) -> Result<Vec<Department>, MemberFault> {
    let (v1, v2) = ("orgInfo", "orgInfoList");
    let list = if listed(members, v2).is_none() && listed(members, v1).is_some() { v1 } else { v2 };
    let value = listed(members, list).ok_or(MemberFault::Missing(list))?;
    let departments = elements(list, value, read_department)?;
    Ok(last_of_each(departments, |department| &department.org_code))
}

/// The name has three spellings (spec 3-kit §5.5).
fn read_department(members: Members<'_>) -> Result<Department, MemberFault> {
    let mut org_name = None;
    for spelling in ["orgName", "name", "OrgName"] {
        org_name = org_name.or(members.optional(spelling)?);
    }
    Ok(Department {
        org_code: members.required("orgCode")?,
        org_name: org_name.ok_or(MemberFault::Missing("orgName"))?,
        parent_code: members.optional("parentCode")?,
    })
}

/// A member that is there and neither `null` nor empty.
fn listed<'m>(members: Members<'m>, name: &str) -> Option<&'m Value> {
    members.0.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

/// A value, or what a text holds as JSON; `None` when that is no JSON.
fn resolved(value: &Value) -> Option<Cow<'_, Value>> {
    match value {
        Value::String(text) => loose_json::parse(text).map(Cow::Owned),
        other => Some(Cow::Borrowed(other)),
    }
}

/// Reads each element of a list of objects, or of a text that holds one.
fn elements<T>(
    list: &'static str,
    value: &Value,
    mut read: impl FnMut(Members<'_>) -> Result<T, MemberFault>,
) -> Result<Vec<T>, MemberFault> {
    let value = resolved(value);
    let Some(Value::Array(elements)) = value.as_deref() else {
        return Err(ill_formed(list, "must be a list or a text that holds one as JSON"));
    };
    let read = |(index, element): (usize, &Value)| match element {
        Value::Object(members) => {
            let located = |fault| ill_formed(list, format!("element {}: {fault}", index + 1));
            read(Members(members)).map_err(located)
        }
        _ => Err(ill_formed(list, format!("element {}: must be an object", index + 1))),
    };
    elements.iter().enumerate().map(read).collect()
}

/// Of several elements with one key the last stays (spec 3-kit §6.1: values of a later one win).
fn last_of_each<T>(elements: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    let mut seen = HashSet::with_capacity(elements.len());
    let mut stays: Vec<bool> = elements.iter().rev().map(|element| seen.insert(key(element))).collect();
    // The keys are borrowed from the elements.
    drop(seen);
    elements.into_iter().filter(|_| stays.pop().unwrap_or(true)).collect()
}

fn ill_formed(name: &'static str, expected: impl Into<String>) -> MemberFault {
    MemberFault::IllFormed { name, expected: expected.into() }
}

#[cfg(test)]
mod tests;
