//! The debugging cases of V1 (spec 2-basic-v1 §10): period products, one-time products, what is paid by use.

use serde_json::{Value, json};

use super::{Case, freeze_unfreeze, queries, succeed, test_order, test_subject};
use crate::protocol::extend_params;
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::reply_checks::Finding;
use crate::protocol::time;
use crate::simulate::Generation;
use crate::simulate::call::Order;
use crate::simulate::cases::repeats::differ;
use crate::simulate::reply::Reply;
use crate::simulate::stage::{Stage, days_ahead};
use crate::simulate::wording::{Charging, purchase_v1};

pub(super) fn cases() -> Vec<Case> {
    let (generation, subject) = (Generation::V1, test_subject());
    let mut cases = vec![
        Case::new("create-period", "包周期新购", |stage| create(stage, Charging::Period)),
        Case::new("create-one-time", "一次性新购", |stage| create(stage, Charging::OneTime)),
        Case::new("create-on-demand", "按需新购", on_demand),
        Case::new("create-package", "按需套餐包新购", |stage| create(stage, Charging::Package)),
        Case::new("create-trial", "试用开通", |stage| create_with(stage, "", &[("trialFlag", "1")])),
        Case::new("create-mobile-and-email", "手机号与邮箱加密", encrypted),
        Case::new("create-extend-params", "扩展参数", extended),
    ];
    cases.extend(queries());
    cases.extend([
        Case::new("refresh-renewal", "续费", |stage| refresh(stage, None, "99.5")),
        Case::new("refresh-trial-to-formal", "试用转商用", |stage| refresh(stage, Some("1"), "99.5")),
        Case::new("refresh-unsubscribe", "退续费", |stage| refresh(stage, None, "-99.5")),
        Case::succeeds("expire", "到期冻结", generation.freeze(&subject)),
    ]);
    cases.extend(freeze_unfreeze(generation));
    cases.extend(generation.upgrade(&subject, &test_order()).map(|upgrade| Case::succeeds("upgrade", "升级", upgrade)));
    cases.push(Case::succeeds("release", "释放", generation.release(&subject)));
    cases
}

fn create(stage: &mut Stage<'_>, charging: Charging) {
    let order = stage.new_order();
    created(stage, "", purchase_v1(&order, charging));
}

/// A purchase of a period product that says more.
fn create_with(stage: &mut Stage<'_>, what: &str, more: &[(&str, &str)]) {
    let mut members = purchase_v1(&stage.new_order(), Charging::Period);
    for (name, value) in more {
        members[*name] = json!(value);
    }
    created(stage, what, members);
}

/// KooGallery's debugger wants to see where the buyer signs in (spec 2-basic-v1 §6.1).
fn created(stage: &mut Stage<'_>, what: &str, members: Value) -> Option<Reply> {
    let reply = succeed(stage, what, members)?;
    if reply.app_info().is_none() {
        stage.add(what, Finding::fail("app-info", "there is no appInfo; the debugger demands appInfo.frontEndUrl"));
    }
    Some(reply)
}

/// One order that buys two products by use has an instance for each (§12 e).
fn on_demand(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let other = Order { product_id: format!("{}-2", order.product_id), ..order.clone() };
    let first = created(stage, "first product", purchase_v1(&order, Charging::OnDemand));
    let second = created(stage, "second product of the order", purchase_v1(&other, Charging::OnDemand));
    if let (Some(first), Some(second)) = (first, second) {
        differ(stage, "two products of one on-demand order", [&first, &second]);
    }
}

/// The seller chooses the algorithm in the console, and both have been met (§4.2).
fn encrypted(stage: &mut Stage<'_>) {
    for (what, encrypt_type) in [("AES-256", EncryptType::Aes256), ("AES-128", EncryptType::Aes128)] {
        let phone = stage.encrypted(encrypt_type, "13800138000");
        let email = stage.encrypted(encrypt_type, "zhang.san@example.com");
        create_with(stage, what, &[("mobilePhone", &phone), ("email", &email)]);
    }
}

fn extended(stage: &mut Stage<'_>) {
    let several = extend_params::render(&[("emailDomainName", "test.example.com"), ("idNum", "测试 1?>")]);
    create_with(stage, "two parameters", &[("saasExtendParams", &several)]);
    create_with(stage, "an empty list", &[("saasExtendParams", &extend_params::render(&[]))]);
    create_with(stage, "an empty parameter", &[("saasExtendParams", "")]);
}

/// Both `productId` empty and filled must pass (spec 2-basic-v1 §6.2).
fn refresh(stage: &mut Stage<'_>, conversion: Option<&str>, amount: &str) {
    for (what, product_id) in [("productId filled", true), ("productId empty", false)] {
        let expire_time = time::print_seconds(days_ahead(365));
        let mut members = stage.generation().renewal(&test_subject(), &test_order(), &expire_time);
        members["orderAmount"] = json!(amount);
        if let Some(conversion) = conversion {
            members["trialToFormal"] = json!(conversion);
        }
        if !product_id {
            members["productId"] = json!("");
        }
        succeed(stage, what, members);
    }
}
