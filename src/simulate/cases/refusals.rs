//! Calls that must be refused, each with the code of its step (spec 1-basic-v2 §2.4), always with HTTP 200 and signed.
//!
//! All carry `testFlag` 1, so that a server which takes them does no harm.

use serde_json::{Value, json};

use super::Case;
use super::debugging::{TEST_INSTANCE, test_order};
use crate::protocol::reply_checks::Finding;
use crate::simulate::call::{self, Call, Mode, Spoil};
use crate::simulate::stage::{Stage, new_business_id};

const AUTHENTICATION: &str = "000001";
const PARAMETER: &str = "000002";
/// Outside the window of 60 s, whatever the call takes.
const OUTSIDE_MS: i64 = 120_000;

const ANYBODY: &str = "anybody who knows the address can order, freeze and release";
const REPLAY: &str = "whoever has seen a call can repeat it later";
const GUESS: &str = "the server acts on a call it cannot have understood";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = authentication();
    cases.extend(bodies());
    cases.push(Case::new("refuse-repeated-nonce", "重复随机数", repeated_nonce));
    cases.push(Case::new("refuse-future", "时间戳超前", future));
    cases.push(Case::new("refuse-missing-member", "缺少必填参数", missing_members));
    cases
}

fn refused(name: &'static str, title: &'static str, call: Call, code: &'static str, danger: &'static str) -> Case {
    Case::new(name, title, move |stage| refuse(stage, "", &call, code, danger))
}

fn refuse(stage: &mut Stage<'_>, what: &str, call: &Call, code: &str, danger: &str) {
    let Some(reply) = stage.call(what, call) else { return };
    if reply.code == "000000" {
        stage.add(what, Finding::fail("accepted", format!("taken as good; must be refused with {code}: {danger}")));
    } else {
        stage.judge(what, &reply, &[code]);
    }
}

fn freeze() -> Value {
    call::update_status(Mode::Test, TEST_INSTANCE, "FREEZE")
}

fn authentication() -> Vec<Case> {
    let spoiled = |spoil| Call::new(&freeze()).spoiled(spoil);
    let changed = Call::new(&freeze()).changed_to(&call::update_status(Mode::Test, TEST_INSTANCE, "UNFREEZE"));
    vec![
        refused("refuse-wrong-key", "错误密钥", spoiled(Spoil::WrongKey), AUTHENTICATION, ANYBODY),
        refused("refuse-no-signature", "缺少签名", spoiled(Spoil::NoSignature), AUTHENTICATION, ANYBODY),
        refused("refuse-short-signature", "签名格式错误", spoiled(Spoil::ShortSignature), AUTHENTICATION, ANYBODY),
        refused("refuse-changed-body", "报文被篡改", changed, AUTHENTICATION, ANYBODY),
        refused("refuse-no-nonce", "缺少随机数", spoiled(Spoil::NoNonce), PARAMETER, REPLAY),
        refused("refuse-no-timestamp", "缺少时间戳", spoiled(Spoil::NoTimestamp), PARAMETER, REPLAY),
        refused("refuse-text-timestamp", "时间戳格式错误", spoiled(Spoil::TextTimestamp), PARAMETER, REPLAY),
        refused("refuse-stale", "时间戳过期", spoiled(Spoil::Off(-OUTSIDE_MS)), PARAMETER, REPLAY),
    ]
}

fn bodies() -> Vec<Case> {
    let scene = call::refresh_instance(Mode::Test, TEST_INSTANCE, &test_order(), "NO_SUCH_SCENE", "20300101000000");
    let date = call::refresh_instance(Mode::Test, TEST_INSTANCE, &test_order(), "RENEWAL", "20301301000000");
    let status = call::update_status(Mode::Test, TEST_INSTANCE, "MELT");
    let ids: Vec<String> = (1..=101).map(|number| format!("huaweitest-{number}")).collect();
    let ids = call::query_instance(Mode::Test, &ids.join(","));
    let unknown = call::members(Mode::Test, json!({"activity": "noSuchActivity", "instanceId": TEST_INSTANCE}));
    let none = call::members(Mode::Test, json!({"instanceId": TEST_INSTANCE}));
    let malformed = r#"{"activity":"releaseInstance","instanceId":"huaweitest123456","testFlag":"1""#;
    let parameter = |name, title, call| refused(name, title, call, PARAMETER, GUESS);
    vec![
        parameter("refuse-malformed-json", "JSON格式错误", Call::raw(malformed)),
        parameter("refuse-array", "报文不是对象", Call::raw("[]")),
        parameter("refuse-unknown-activity", "未知接口", Call::new(&unknown)),
        parameter("refuse-no-activity", "缺少接口标识", Call::new(&none)),
        parameter("refuse-scene", "未知场景", Call::new(&scene)),
        parameter("refuse-status", "未知状态", Call::new(&status)),
        parameter("refuse-expire-time", "过期时间错误", Call::new(&date)),
        parameter("refuse-101-ids", "超出批量上限", Call::new(&ids)),
    ]
}

/// Remembering nonces is recommended, not required (spec 1-basic-v2 §2.5).
fn repeated_nonce(stage: &mut Stage<'_>) {
    let Some(reply) = stage.call_twice(&Call::new(&freeze())) else { return };
    if reply.code == "000000" {
        let text = format!("the same call was taken twice within its 60 s; remember nonces for 120 s: {REPLAY}");
        stage.add("", Finding::warn("accepted", text));
    } else {
        stage.judge("second call", &reply, &[AUTHENTICATION]);
    }
}

/// The documents say "differ by no more than 60 s"; Huawei's sample refuses old stamps only.
fn future(stage: &mut Stage<'_>) {
    let call = Call::new(&freeze()).spoiled(Spoil::Off(OUTSIDE_MS));
    let Some(reply) = stage.call("", &call) else { return };
    if reply.code == "000000" {
        let text = format!("a time stamp 120 s ahead is taken as good; refuse it with {PARAMETER}: {REPLAY}");
        stage.add("", Finding::warn("accepted", text));
    } else {
        stage.judge("", &reply, &[PARAMETER]);
    }
}

/// Every mandatory member in turn is left out, and once sent empty, which means the same (spec README §7.3).
fn missing_members(stage: &mut Stage<'_>) {
    let order = test_order();
    let complete = [
        (call::new_instance(Mode::Test, &order, &new_business_id()), &["orderId", "orderLineId", "businessId"][..]),
        (call::query_instance(Mode::Test, TEST_INSTANCE), &["instanceId"]),
        (
            call::refresh_instance(Mode::Test, TEST_INSTANCE, &order, "RENEWAL", "20300101000000"),
            &["instanceId", "orderId", "orderLineId", "scene", "expireTime"],
        ),
        (freeze(), &["instanceId", "status"]),
        (call::upgrade_instance(Mode::Test, TEST_INSTANCE, &order), &["instanceId", "orderId", "orderLineId"]),
        (call::release_instance(Mode::Test, TEST_INSTANCE), &["instanceId"]),
        (call::change_check(Mode::Test, TEST_INSTANCE, &json!({"productId": "p"})), &["instanceId", "productInfo"]),
        (call::order_notify(Mode::Test, &order), &["orderId"]),
    ];
    for (members, mandatory) in complete {
        let activity = members["activity"].as_str().unwrap_or_default().to_owned();
        for name in mandatory {
            let mut without = members.clone();
            if let Some(without) = without.as_object_mut() {
                without.remove(*name);
            }
            refuse(stage, &format!("{activity} without {name}"), &Call::new(&without), PARAMETER, GUESS);
        }
        if let Some(name) = mandatory.first() {
            let mut empty = members.clone();
            empty[*name] = json!("");
            refuse(stage, &format!("{activity} with empty {name}"), &Call::new(&empty), PARAMETER, GUESS);
        }
    }
}
