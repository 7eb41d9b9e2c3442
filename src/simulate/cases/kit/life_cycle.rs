//! The life of an enterprise that is no test, from its binding to its removal (spec 3-kit §5, §6). Its id is made up and its
//! calls name no instance, as when a credential is applied for, so nothing is looked up. What it leaves it removes.

use serde_json::json;

use super::{DOMAIN, Entry, SECRET, both, encrypted, succeed};
use crate::protocol::reply_checks::Finding;
use crate::simulate::ObservedDirectory;
use crate::simulate::call::Mode;
use crate::simulate::call::kit_post::KitPost;
use crate::simulate::kit::KitGeneration;
use crate::simulate::kit::wording::{ADD, Enterprise, MODIFY, REMOVE, REVOKE};
use crate::simulate::stage::{Stage, new_business_id};

const OTHER_DOMAIN: &str = "https://moved.tenantaccount.com";

pub(super) fn entries() -> Vec<Entry> {
    vec![
        (both!("real-tenant"), "真实租户绑定", tenant),
        (both!("real-application"), "真实应用同步", application),
        (both!("real-departments"), "真实组织同步", departments),
        (both!("real-users"), "真实授权同步", users),
        (both!("real-test-calls"), "调试不影响生产数据", test_calls),
        (both!("real-removal"), "真实解绑", removal),
        (both!("real-bound-again"), "重新绑定", bound_again),
        (both!("real-unknown-removal"), "删除不存在的数据", unknown_removal),
    ]
}

/// The enterprise of this run.
fn enterprise(stage: &Stage<'_>, generation: KitGeneration) -> Enterprise {
    let tenant_id = format!("simulate-{}-{generation:?}", stage.world.run);
    Enterprise::new(generation, Mode::Real, tenant_id)
}

/// The flag by which something known is told anew.
fn anew(generation: KitGeneration) -> u8 {
    if generation == KitGeneration::V1 { ADD } else { MODIFY }
}

/// A call that must succeed, and must have done this, which an observer sees.
fn does(
    stage: &mut Stage<'_>,
    what: &str,
    (call, of): (KitPost, &Enterprise),
    seen: impl Fn(&ObservedDirectory) -> bool,
    expected: &str,
) {
    if succeed(stage, what, call).is_none() {
        return;
    }
    let directory = stage.options.observer.and_then(|observer| observer.directory(&of.tenant_id, &of.app_id));
    if directory.is_some_and(|directory| !seen(&directory)) {
        stage.add(what, Finding::fail("directory", format!("answered 000000, but {expected}")));
    }
}

fn tenant(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    for (what, flag, domain) in
        [("add", ADD, DOMAIN), ("add again", ADD, DOMAIN), ("told anew", anew(generation), OTHER_DOMAIN)]
    {
        let is_there = |seen: &ObservedDirectory| seen.domain.as_deref() == Some(domain);
        let expected = "the enterprise is not bound with the domain that was told last";
        does(stage, what, (real.tenant(flag, domain), &real), is_there, expected);
    }
}

fn application(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    let other = format!("{SECRET}-测试");
    for (what, flag, secret) in
        [("add", ADD, SECRET), ("add again", ADD, SECRET), ("told anew", anew(generation), other.as_str())]
    {
        let call = real.application(flag, &encrypted(stage, secret));
        let is_there =
            |seen: &ObservedDirectory| seen.client_secret.as_ref().is_some_and(|found| found.expose() == secret);
        let expected = "the client secret is not the one that was told last: logins of buyers will fail";
        does(stage, what, (call, &real), is_there, expected);
    }
}

fn departments(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    let under = |code: &'static str, parent: Option<&'static str>| {
        move |seen: &ObservedDirectory| seen.departments.get(code).is_some_and(|found| found.as_deref() == parent)
    };
    let wrong = "the department is not there, or not where it was told to be";
    let child = real.department(ADD, "30001", "子部门", "30000");
    does(stage, "a child before its parent", (child, &real), under("30001", Some("30000")), wrong);
    let parent = real.department(ADD, "30000", "父部门", "");
    does(stage, "its parent", (parent, &real), under("30000", None), wrong);
    let all =
        real.departments(&[("30002", "孙部门", "30001"), ("30001", "子部门", ""), ("30000", "父部门", "265789314")]);
    does(stage, "all", (all.clone(), &real), under("30001", None), wrong);
    does(stage, "all again", (all, &real), under("30002", Some("30001")), wrong);
    let moved = real.department(MODIFY, "30002", "新名称", "30000");
    does(stage, "moved and renamed", (moved, &real), under("30002", Some("30000")), wrong);
    for what in ["removed", "removed again"] {
        let call = real.department(REMOVE, "30002", "新名称", "30000");
        let is_gone = |seen: &ObservedDirectory| !seen.departments.contains_key("30002");
        does(stage, what, (call, &real), is_gone, "the department is still there");
    }
}

fn users(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    let both = |admin_enabled: bool| {
        real.users(ADD, json!([real.user("zhangsan01", "admin", admin_enabled), real.user("李四", "user", true)]))
    };
    let are = |admin: Option<bool>, user: Option<bool>| {
        move |seen: &ObservedDirectory| {
            [("zhangsan01", admin), ("李四", user)].iter().all(|(name, may)| seen.users.get(*name) == may.as_ref())
        }
    };
    let wrong = "the users are not there, or may not do what was told last";
    does(stage, "add", (both(true), &real), are(Some(true), Some(true)), wrong);
    does(stage, "add again", (both(true), &real), are(Some(true), Some(true)), wrong);
    let disabled = real.users(MODIFY, json!([real.user("zhangsan01", "admin", false)]));
    does(stage, "one disabled", (disabled, &real), are(Some(false), Some(true)), wrong);
    let user = || json!([real.user("李四", "user", true)]);
    if generation == KitGeneration::V2 {
        // Whether the user stays is left open by the documents; what ends is the authorisation.
        let ended = |seen: &ObservedDirectory| seen.users.get("李四").is_none_or(|may| !may);
        let revoked = real.users(REVOKE, user());
        does(stage, "one revoked", (revoked, &real), ended, "the user may still use the application");
    }
    for what in ["one removed", "one removed again"] {
        does(stage, what, (real.users(REMOVE, user()), &real), are(Some(false), None), wrong);
    }
}

/// Calls with `testFlag` 1 come twice a day and must not touch what is real (§9.6).
fn test_calls(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    let test = Enterprise { mode: Mode::Test, ..real.clone() };
    let secret = encrypted(stage, "of a test");
    let users = || json!([real.user("zhangsan01", "admin", true)]);
    let untouched = |seen: &ObservedDirectory| {
        let has_secret = seen.client_secret.as_ref().is_some_and(|found| found.expose() != "of a test");
        let may = seen.users.get("zhangsan01");
        seen.domain.as_deref() == Some(OTHER_DOMAIN) && has_secret && may == Some(&false)
    };
    for (what, call) in [
        ("tenantSync", test.tenant(ADD, DOMAIN)),
        ("applicationSync", test.application(ADD, &secret)),
        ("authSync", test.users(ADD, users())),
        ("authSync, removal", test.users(REMOVE, users())),
        ("applicationSync, removal", test.application(REMOVE, &secret)),
        ("tenantSync, removal", test.tenant(REMOVE, DOMAIN)),
    ] {
        does(stage, what, (call, &real), untouched, "a debugging call has changed what is real");
    }
}

fn removal(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    let secret = encrypted(stage, SECRET);
    for code in ["30000", "30001", "265789314"] {
        succeed(stage, code, real.department(REMOVE, code, "部门", ""));
    }
    succeed(stage, "authSync", real.users(REMOVE, json!([real.user("zhangsan01", "admin", true)])));
    for what in ["applicationSync", "applicationSync again"] {
        let call = real.application(REMOVE, &secret);
        let is_gone = |seen: &ObservedDirectory| seen.client_secret.is_none();
        does(stage, what, (call, &real), is_gone, "the client secret is still there");
    }
    for what in ["tenantSync", "tenantSync again"] {
        let is_gone = |seen: &ObservedDirectory| *seen == ObservedDirectory::default();
        does(stage, what, (real.tenant(REMOVE, OTHER_DOMAIN), &real), is_gone, "something of it is still there");
    }
}

/// Also what "Client ID mismatch" leads to (§6.2).
fn bound_again(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = enterprise(stage, generation);
    let is_there = |seen: &ObservedDirectory| seen.domain.as_deref() == Some(DOMAIN);
    does(stage, "", (real.tenant(ADD, DOMAIN), &real), is_there, "the enterprise is not bound");
    let is_gone = |seen: &ObservedDirectory| seen.domain.is_none();
    does(stage, "removal", (real.tenant(REMOVE, DOMAIN), &real), is_gone, "the enterprise is still bound");
}

/// A removal never fails because the thing, or the instance, is not there (§6.1).
fn unknown_removal(stage: &mut Stage<'_>, generation: KitGeneration) {
    let real = Enterprise { instance_id: new_business_id(), ..enterprise(stage, generation) };
    let secret = encrypted(stage, SECRET);
    for (what, call) in [
        ("singleOrgSync", real.department(REMOVE, "90000", "部门", "")),
        ("authSync", real.users(REMOVE, json!([real.user("wangwu", "user", true)]))),
        ("applicationSync", real.application(REMOVE, &secret)),
        ("tenantSync", real.tenant(REMOVE, DOMAIN)),
    ] {
        succeed(stage, what, call);
    }
}
