//! The debugging cases of the seller console (spec 1-basic-v2 §8, 2-basic-v1 §10, 4-license §3.4, §4.5).
//!
//! All carry `testFlag` 1 and the made-up ids that arrive at every production address twice a day.

mod basic_v1;
mod licenses;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Case, succeed};
use crate::protocol::reply_checks::Finding;
use crate::protocol::time;
use crate::simulate::call::{Order, Subject};
use crate::simulate::reply::Reply;
use crate::simulate::stage::{Stage, days_ahead};
use crate::simulate::wording::{change_check, order_notify};
use crate::simulate::{Generation, PRODUCT};

/// An instance of the documentation's test calls. Nobody has ever created it.
pub(super) fn test_subject() -> Subject {
    Subject { id: "huaweitest123456".to_owned(), order: test_order() }
}

/// The order of the documentation's test calls.
pub(in crate::simulate) fn test_order() -> Order {
    // 2030: an end that is told in every call alike.
    Order::new("CS1906666666ABCDE".to_owned(), PRODUCT, Timestamp::constant(1_893_456_000, 0))
}

pub(super) fn cases(generation: Generation) -> Vec<Case> {
    match generation {
        Generation::V1 => basic_v1::cases(),
        Generation::V2 => basic_v2(),
        Generation::License => licenses::handed_out(),
        Generation::LicenseCode => licenses::codes(),
        Generation::LicenseOnline => licenses::online(),
    }
}

fn basic_v2() -> Vec<Case> {
    let mut cases = vec![Case::new("create", "新购", create)];
    cases.extend(queries());
    cases.extend(
        [
            ("refresh-trial-to-formal", "试用转商用", "TRIAL_TO_FORMAL"),
            ("refresh-renewal", "续费", "RENEWAL"),
            ("refresh-unsubscribe", "退续费", "UNSUBSCRIBE_RENEWAL_PERIOD"),
            ("refresh-renewal-change", "续费变更", "RENEWAL_CHANGE"),
        ]
        .map(|(name, title, scene)| Case::new(name, title, move |stage| refresh(stage, scene))),
    );
    let (subject, generation) = (test_subject(), Generation::V2);
    cases.extend(freeze_unfreeze(generation));
    cases.extend(generation.upgrade(&subject, &test_order()).map(|upgrade| Case::succeeds("upgrade", "升级", upgrade)));
    let product = json!({"skuCode": "sku-2", "productId": PRODUCT, "linearValue": 5});
    let text = Value::String(product.to_string());
    cases.extend(
        [
            ("release", "释放", generation.release(&subject)),
            ("change-check-object", "续费变更校验（对象）", change_check(&subject, &product)),
            ("change-check-text", "续费变更校验（文本）", change_check(&subject, &text)),
            ("order-notify", "订单通知", order_notify(&test_order())),
        ]
        .map(|(name, title, members)| Case::succeeds(name, title, members)),
    );
    cases
}

fn create(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    if let Some(purchase) = stage.generation().purchase(&order) {
        succeed(stage, "", purchase);
    }
}

fn queries() -> [Case; 2] {
    [
        Case::new("query", "查询", |stage| query(stage, &["huaweitest123456"])),
        Case::new("query-several", "批量查询", |stage| {
            query(stage, &["huaweitest-1", "huaweitest-2", "huaweitest-3"]);
        }),
    ]
}

fn query(stage: &mut Stage<'_>, instance_ids: &[&str]) {
    if let Some(asked) = stage.generation().query(&instance_ids.join(","))
        && let Some(reply) = succeed(stage, "", asked)
    {
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

/// A change of the date, in both forms of it: the table says 14 digits, the example has 17.
fn refresh(stage: &mut Stage<'_>, scene: &str) {
    for (what, expire_time) in [
        ("expireTime of 14 digits", time::print_seconds(days_ahead(365))),
        ("expireTime of 17 digits", time::print_milliseconds(days_ahead(365))),
    ] {
        let mut members = stage.generation().renewal(&test_subject(), &test_order(), &expire_time);
        members["scene"] = json!(scene);
        succeed(stage, what, members);
    }
}

fn freeze_unfreeze(generation: Generation) -> [Case; 2] {
    let subject = test_subject();
    let (freeze, unfreeze) = match generation {
        Generation::V1 | Generation::License => ("FREEZE", "NORMAL"),
        _ => ("FREEZE", "UNFREEZE"),
    };
    [
        Case::succeeds("freeze", "冻结", generation.set_status(&subject, freeze)),
        Case::succeeds("unfreeze", "解冻", generation.set_status(&subject, unfreeze)),
    ]
}
