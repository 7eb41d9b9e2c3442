//! The debugging cases of the licence families (spec 4-license §3.4, §4.5, §5).

use serde_json::json;

use super::{Case, create, freeze_unfreeze, refresh, succeed, test_order, test_subject};
use crate::protocol::reply_checks::Finding;
use crate::protocol::time;
use crate::simulate::Generation;
use crate::simulate::cases::{PROCESSING, SUCCESS};
use crate::simulate::stage::{Stage, days_ahead, new_business_id};
use crate::simulate::wording::order_notify;

/// L1.
pub(super) fn handed_out() -> Vec<Case> {
    let (generation, subject) = (Generation::License, test_subject());
    vec![
        Case::new("create", "获取授权码", create),
        Case::new("refresh-renewal", "更新授权码", |stage| {
            let expire_time = time::print_seconds(days_ahead(365));
            let mut members = stage.generation().renewal(&test_subject(), &test_order(), &expire_time);
            succeed(stage, "productId filled", members.clone());
            members["productId"] = json!("");
            succeed(stage, "productId empty", members);
        }),
        Case::succeeds("expire", "授权码到期", generation.freeze(&subject)),
        Case::succeeds("release", "释放授权码", generation.release(&subject)),
    ]
}

/// L2. The codes are made up, and test calls succeed with any.
pub(super) fn codes() -> Vec<Case> {
    let generation = Generation::LicenseCode;
    let mut cases = vec![
        Case::new("refresh-renewal", "更新授权码有效期（续费）", |stage| refresh(stage, "RENEWAL")),
        Case::new("refresh-unsubscribe", "更新授权码有效期（退续费）", |stage| {
            refresh(stage, "UNSUBSCRIBE_RENEWAL_PERIOD");
        }),
    ];
    cases.extend(freeze_unfreeze(generation));
    let mut unsubscribed = generation.release(&test_subject());
    unsubscribed["orderId"] = json!(test_order().order_id);
    unsubscribed["orderLineId"] = json!(test_order().order_line_id);
    cases.extend([
        Case::succeeds("release", "释放授权码", generation.release(&test_subject())),
        Case::succeeds("release-unsubscribed", "退订释放授权码", unsubscribed),
    ]);
    cases
}

/// LO.
pub(super) fn online() -> Vec<Case> {
    let generation = Generation::LicenseOnline;
    let mut cases = vec![
        Case::new("create", "新购", create),
        Case::new("refresh-renewal", "续费", |stage| refresh(stage, "RENEWAL")),
        Case::new("refresh-trial-to-formal", "试用转商用", |stage| refresh(stage, "TRIAL_TO_FORMAL")),
        Case::new("refresh-unsubscribe", "退续费", |stage| refresh(stage, "UNSUBSCRIBE_RENEWAL_PERIOD")),
    ];
    cases.extend(freeze_unfreeze(generation));
    cases.extend([
        Case::succeeds("release", "释放", generation.release(&test_subject())),
        Case::new("get-license", "异步申请License", issue),
        Case::succeeds("order-notify", "订单通知", order_notify(&test_order())),
    ]);
    cases
}

/// A test makes no licence, so there is nothing to wait for (§4.5); KooGallery takes "processing" as well.
fn issue(stage: &mut Stage<'_>) {
    let Some(members) = stage.generation().issue(&test_subject(), &new_business_id()) else { return };
    for what in ["with a device", "without a device"] {
        let mut members = members.clone();
        if what == "without a device" {
            members["deviceFingerprint"] = json!("");
        }
        let call = stage.test(members);
        if let Some(reply) = stage.expect_one_of(what, &call, &[SUCCESS, PROCESSING])
            && reply.code == PROCESSING
        {
            let text = "answered 000004, so the licence is yet to come; a test makes none: answer 000000";
            stage.add(what, Finding::warn("processing", text));
        }
    }
}
