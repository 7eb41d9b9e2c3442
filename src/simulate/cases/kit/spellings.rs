//! Calls of the kit that differ from the usual ones in what they say or how they are written, and must succeed all the
//! same (spec 3-kit §3 to §6).

use serde_json::{Value, json};

use super::{DOMAIN, Entry, SECRET, better_taken, both, encrypted, succeed};
use crate::simulate::call::kit_post::{Form, KitPost};
use crate::simulate::kit::KitGeneration;
use crate::simulate::kit::wording::{ADD, Enterprise, MODIFY, REMOVE, REVOKE};
use crate::simulate::stage::Stage;

/// Chinese, a pair of surrogates, and what has a meaning in URLs and in the text that is signed.
const TEXT: &str = "测试 🚀 a+b&c=d% \"e\"\\";

/// At most so many users come in one call (§5.3).
const MOST_USERS: usize = 500;

pub(super) fn entries(generation: KitGeneration) -> Vec<Entry> {
    let mut entries: Vec<Entry> = vec![
        (both!("form-no-ids"), "实例与订单为空", no_ids),
        (both!("form-made-up-ids"), "示例实例与订单", made_up_ids),
        (both!("form-other-order"), "任意参数顺序", other_order),
        (both!("form-chinese-text"), "中文参数", chinese_text),
        (both!("form-unknown-member"), "未知参数", unknown_members),
        (both!("form-extension"), "扩展属性", extension),
        (both!("form-bare-domain"), "不带协议的域名", bare_domain),
        (both!("form-child-first"), "子组织先于父组织", child_first),
        (both!("form-empty-list"), "空组织列表", empty_list),
        (both!("form-500-users"), "批量授权上限", many_users),
        (both!("form-numbers-as-text"), "文本形式的数字", numbers_as_text),
        (both!("form-bare-removal"), "仅含标识的删除", bare_removal),
    ];
    match generation {
        KitGeneration::V1 => entries.extend([
            (both!("form-blanks-signed"), "空值参与签名", blanks_signed as fn(&mut Stage<'_>, KitGeneration)),
            (both!("form-flags-of-v2"), "V2的操作标识", flags_of_v2),
        ]),
        KitGeneration::V2 => entries.extend([
            (both!("form-null-signed"), "空值参与签名", null_signed as fn(&mut Stage<'_>, KitGeneration)),
            (both!("form-list-as-text"), "JSON文本列表", list_as_text),
            (both!("form-bare-names"), "名称不带引号的列表", bare_names),
        ]),
    }
    entries
}

fn bind(generation: KitGeneration) -> KitPost {
    Enterprise::of_tests(generation).tenant(ADD, DOMAIN)
}

/// "Empty" may mean three things (§4).
fn no_ids(stage: &mut Stage<'_>, generation: KitGeneration) {
    succeed(stage, "both left out", bind(generation).without(&["instanceId", "orderId"]));
    succeed(stage, "both null", bind(generation).with("instanceId", Value::Null).with("orderId", Value::Null));
}

/// Nobody has created the instance, and no call of the kit may ask for it (§6.1).
fn made_up_ids(stage: &mut Stage<'_>, generation: KitGeneration) {
    let (instance_id, order_id) = ("huaweiitest123456".to_owned(), "CS1906666666ABCDE".to_owned());
    let tests = Enterprise { instance_id, order_id, ..Enterprise::of_tests(generation) };
    let secret = encrypted(stage, SECRET);
    let users = || json!([tests.user("zhangsan01", "admin", true)]);
    for (what, flag) in [("add", ADD), ("remove", REMOVE)] {
        succeed(stage, &format!("tenantSync, {what}"), tests.tenant(flag, DOMAIN));
        succeed(stage, &format!("applicationSync, {what}"), tests.application(flag, &secret));
        succeed(stage, &format!("authSync, {what}"), tests.users(flag, users()));
        succeed(stage, &format!("singleOrgSync, {what}"), tests.department(flag, "10000", "开发部", ""));
    }
    succeed(stage, "allOrgSync", tests.departments(&[("10000", "开发部", "")]));
}

fn other_order(stage: &mut Stage<'_>, generation: KitGeneration) {
    succeed(stage, "ascending", bind(generation).form(Form::Sorted));
    succeed(stage, "with white space", bind(generation).form(Form::Indented));
}

fn chinese_text(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let mut user = tests.user("张三", "user", true);
    user["name"] = json!(TEXT);
    succeed(stage, "tenantSync", bind(generation).with("name", TEXT));
    succeed(stage, "authSync", tests.users(ADD, json!([user])));
    succeed(stage, "singleOrgSync", tests.department(ADD, "10000", TEXT, ""));
    succeed(stage, "allOrgSync", tests.departments(&[("10000", TEXT, "")]));
}

fn unknown_members(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let mut user = tests.user("zhangsan01", "user", true);
    user["memberOfTomorrow"] = json!([1, null]);
    succeed(stage, "of a call", bind(generation).with("memberOfTomorrow", "a=1&b=2"));
    succeed(stage, "of a user", tests.users(ADD, json!([user])));
}

/// The industrial cloud puts further items there (§5.3).
fn extension(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let mut user = tests.user("zhangsan01", "user", true);
    user["extension"] = json!({
        "entryDate": "2022-11-29", "employeeType": "1", "workPlace": "南京", "accountSet": {"ids": ["A1", "A2"]},
    });
    succeed(stage, "", tests.users(ADD, json!([user])));
}

/// A debugging call met in practice.
fn bare_domain(stage: &mut Stage<'_>, generation: KitGeneration) {
    succeed(stage, "", bind(generation).with("domainName", "example.tenantaccount.com"));
}

/// Neither order nor serial delivery is guaranteed (§6.2), and a parent may be missing from the list (§5.5).
fn child_first(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    succeed(stage, "singleOrgSync", tests.department(ADD, "30001", "子部门", "30000"));
    let all = [("30001", "子部门", "30000"), ("30000", "父部门", "265789314")];
    succeed(stage, "allOrgSync", tests.departments(&all));
}

/// An enterprise need not have departments.
fn empty_list(stage: &mut Stage<'_>, generation: KitGeneration) {
    succeed(stage, "", Enterprise::of_tests(generation).departments(&[]));
}

fn many_users(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let users = (1..=MOST_USERS).map(|number| tests.user(&format!("user-{number}"), "user", true)).collect();
    succeed(stage, "", tests.users(ADD, users));
}

fn numbers_as_text(stage: &mut Stage<'_>, generation: KitGeneration) {
    let why = "whole numbers come as text in other calls: read both";
    better_taken(stage, "", bind(generation).with("flag", "1").with("testFlag", "1"), why);
}

/// The tables ask for all members in a removal, too.
fn bare_removal(stage: &mut Stage<'_>, generation: KitGeneration) {
    let why = "a removal needs no more than what names the thing, and must never fail";
    let tests = Enterprise::of_tests(generation);
    let bare = tests.tenant(REMOVE, "").without(&["tenantCode", "name", "domainName"]);
    better_taken(stage, "tenantSync", bare, why);
    let bare = tests.application(REMOVE, "").without(&["clientId", "clientSecret"]);
    better_taken(stage, "applicationSync", bare, why);
    better_taken(stage, "authSync", tests.users(REMOVE, json!([{"userName": "zhangsan01"}])), why);
    let bare = tests.department(REMOVE, "10000", "", "").without(&["orgName", "parentCode"]);
    better_taken(stage, "singleOrgSync", bare, why);
}

/// The text says nothing of blank values, and only an example leaves them out (§3.1).
fn blanks_signed(stage: &mut Stage<'_>, generation: KitGeneration) {
    let why = "blank values may be signed or left out, the documents say neither: try both";
    better_taken(stage, "", bind(generation).form(Form::BlanksSigned), why);
}

/// Other products of Huawei send them in V1 (§4).
fn flags_of_v2(stage: &mut Stage<'_>, generation: KitGeneration) {
    let why = "other products of Huawei use this flag in V1, too";
    let (tests, secret) = (Enterprise::of_tests(generation), encrypted(stage, SECRET));
    better_taken(stage, "tenantSync, flag 2", tests.tenant(MODIFY, DOMAIN), why);
    better_taken(stage, "applicationSync, flag 2", tests.application(MODIFY, &secret), why);
    let users = json!([tests.user("zhangsan01", "user", true)]);
    better_taken(stage, "authSync, flag 3", tests.users(REVOKE, users), why);
}

fn null_signed(stage: &mut Stage<'_>, generation: KitGeneration) {
    let call = bind(generation).with("orderId", Value::Null).form(Form::NullsSigned);
    succeed(stage, "", call);
}

/// As V1 has it, and an older page of V2 (§5.5).
fn list_as_text(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let users = json!([tests.user("zhangsan01", "user", true)]).to_string();
    succeed(stage, "authSync", tests.users(ADD, Value::String(users)));
    let departments = json!([{"orgCode": "10000", "orgName": "开发部", "parentCode": ""}]).to_string();
    let call = tests.departments(&[]).with(tests.departments_member(), departments);
    succeed(stage, "allOrgSync", call);
}

/// The sample of the documentation, to the letter.
fn bare_names(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let sample = r#"[{orgCode:"00000001", orgName:"产品部", parentCode:"265789314" }]"#;
    let why = "the documentation's sample of the list is no JSON: its names have no quotation marks; read it, too";
    better_taken(stage, "", tests.departments(&[]).with(tests.departments_member(), sample), why);
}
