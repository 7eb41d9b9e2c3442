//! The debugging cases of the seller console (spec 1-basic-v2 §8), and the spellings a call may come in (§2.3).
//!
//! All carry `testFlag` 1 and the made-up ids that arrive at every production address twice a day.

use serde_json::{Value, json};

use super::Case;
use crate::protocol::canonical_json::Nulls;
use crate::protocol::reply_checks::Finding;
use crate::protocol::time;
use crate::simulate::call::{self, Call, Mode, Order};
use crate::simulate::stage::{Reply, Stage, days_ahead, new_business_id};

/// An id of the documentation's test calls. Nobody has ever created this instance.
pub(super) const TEST_INSTANCE: &str = "huaweitest123456";
const SUCCESS: &str = "000000";

pub(super) fn test_order() -> Order {
    Order::new("CS1906666666ABCDE".to_owned())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("create", "新购", create),
        Case::new("query", "查询", |stage| query(stage, &[TEST_INSTANCE])),
        Case::new("query-several", "批量查询", |stage| {
            query(stage, &["huaweitest-1", "huaweitest-2", "huaweitest-3"])
        }),
    ];
    cases.extend(
        [
            ("refresh-trial-to-formal", "试用转商用", "TRIAL_TO_FORMAL"),
            ("refresh-renewal", "续费", "RENEWAL"),
            ("refresh-unsubscribe", "退续费", "UNSUBSCRIBE_RENEWAL_PERIOD"),
            ("refresh-renewal-change", "续费变更", "RENEWAL_CHANGE"),
        ]
        .map(|(name, title, scene)| Case::new(name, title, move |stage| refresh(stage, scene))),
    );
    cases.extend(single_calls());
    cases.extend(spellings());
    cases
}

fn create(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    stage.expect("", &Call::new(&call::new_instance(Mode::Test, &order, &new_business_id())), SUCCESS);
}

fn query(stage: &mut Stage<'_>, instance_ids: &[&str]) {
    let asked = Call::new(&call::query_instance(Mode::Test, &instance_ids.join(",")));
    if let Some(reply) = stage.expect("", &asked, SUCCESS) {
        must_hold(stage, &reply, instance_ids);
    }
}

/// Every id asked for must come back: KooGallery shows the buyer what it finds under the id.
fn must_hold(stage: &mut Stage<'_>, reply: &Reply, instance_ids: &[&str]) {
    let missing: Vec<&str> = instance_ids.iter().copied().filter(|id| reply.info(id).is_none()).collect();
    if !missing.is_empty() {
        let text = format!(
            "info lacks {}; a test query must return an entry for each id asked for, though nobody created it",
            missing.join(", ")
        );
        stage.add("", Finding::fail("info", text));
    }
}

fn refresh(stage: &mut Stage<'_>, scene: &str) {
    // The table says 14 digits, the example has 17: both occur.
    for (what, expire_time) in [
        ("expireTime of 14 digits", time::print_seconds(days_ahead(365))),
        ("expireTime of 17 digits", time::print_milliseconds(days_ahead(365))),
    ] {
        let members = call::refresh_instance(Mode::Test, TEST_INSTANCE, &test_order(), scene, &expire_time);
        stage.expect(what, &Call::new(&members), SUCCESS);
    }
}

/// The cases that are one call each and succeed.
fn single_calls() -> Vec<Case> {
    let product = json!({"skuCode": "sku-2", "productId": "OFFI461867333479178240", "linearValue": 5});
    let text = Value::String(product.to_string());
    [
        ("freeze", "冻结", call::update_status(Mode::Test, TEST_INSTANCE, "FREEZE")),
        ("unfreeze", "解冻", call::update_status(Mode::Test, TEST_INSTANCE, "UNFREEZE")),
        ("upgrade", "升级", call::upgrade_instance(Mode::Test, TEST_INSTANCE, &test_order())),
        ("release", "释放", call::release_instance(Mode::Test, TEST_INSTANCE)),
        ("change-check-object", "续费变更校验（对象）", call::change_check(Mode::Test, TEST_INSTANCE, &product)),
        ("change-check-text", "续费变更校验（文本）", call::change_check(Mode::Test, TEST_INSTANCE, &text)),
        ("order-notify", "订单通知", call::order_notify(Mode::Test, &test_order())),
    ]
    .map(|(name, title, members)| succeeds(name, title, Call::new(&members)))
    .into()
}

/// Calls that differ from the usual ones in how they are written or signed, and must succeed all the same.
fn spellings() -> Vec<Case> {
    let freeze = call::update_status(Mode::Test, TEST_INSTANCE, "FREEZE");
    let with = |name: &str, value: Value| {
        let mut members = freeze.clone();
        members[name] = value;
        members
    };
    let unsorted =
        r#"{"testFlag":"1","status":"FREEZE","instanceId":"huaweitest123456","activity":"updateInstanceStatus"}"#;
    let pretty = "{\n  \"activity\" : \"releaseInstance\",\n  \"instanceId\" : \"huaweitest123456\",\n  \"testFlag\" : \"1\"\n}\n";
    let null = r#"{"orderId":null,"activity":"releaseInstance","instanceId":"huaweitest123456","testFlag":"1"}"#;
    let escaped =
        r#"{"note":"\u6d4b\u8bd5 a\/b","instanceId":"huaweitest123456","activity":"releaseInstance","testFlag":"1"}"#;
    let hundred: Vec<String> = (1..=100).map(|number| format!("huaweitest-{number}")).collect();
    let hundred = call::query_instance(Mode::Test, &hundred.join(","));
    vec![
        succeeds("form-integer-test-flag", "整数调试标识", Call::new(&with("testFlag", json!(1)))),
        succeeds("form-upper-case-signature", "大写签名", Call::new(&freeze).upper_case()),
        succeeds("form-unsorted", "乱序参数", Call::raw(unsorted)),
        succeeds("form-signed-sorted", "排序后签名", Call::raw(unsorted).signed_sorted(Nulls::Drop)),
        succeeds("form-pretty-printed", "带空白的报文", Call::raw(pretty).signed_sorted(Nulls::Drop)),
        succeeds("form-null-left-out", "空值不参与签名", Call::raw(null).signed_sorted(Nulls::Drop)),
        succeeds("form-null-signed", "空值参与签名", Call::raw(null).signed_sorted(Nulls::Keep)),
        succeeds("form-escaped-text", "转义字符", Call::raw(escaped).signed_sorted(Nulls::Drop)),
        succeeds("form-chinese-text", "中文参数", Call::new(&with("remark", json!("测试企业 🚀 a+b&c=d%")))),
        succeeds("form-unknown-member", "未知参数", Call::new(&with("memberOfTomorrow", json!({"b": [1.50, null]})))),
        succeeds("form-hundred-ids", "批量查询上限", Call::new(&hundred)),
    ]
}

fn succeeds(name: &'static str, title: &'static str, call: Call) -> Case {
    Case::new(name, title, move |stage| {
        stage.expect("", &call, SUCCESS);
    })
}
