//! Every mandatory member in turn is left out, and once sent empty, which means the same (spec README §7.3).

use serde_json::{Value, json};

use super::{GUESS, PARAMETER, refuse, test_order, test_subject};
use crate::simulate::Generation;
use crate::simulate::stage::Stage;
use crate::simulate::wording::{change_check, order_notify};

pub(super) fn missing_members(stage: &mut Stage<'_>) {
    for (members, mandatory) in complete(stage.generation()) {
        let activity = members["activity"].as_str().unwrap_or_default().to_owned();
        for name in mandatory {
            let mut without = members.clone();
            if let Some(without) = without.as_object_mut() {
                without.remove(*name);
            }
            let call = stage.test(without);
            refuse(stage, &format!("{activity} without {name}"), &call, PARAMETER, GUESS);
        }
        if let Some(name) = mandatory.first() {
            let mut empty = members.clone();
            empty[*name] = json!("");
            let call = stage.test(empty);
            refuse(stage, &format!("{activity} with empty {name}"), &call, PARAMETER, GUESS);
        }
    }
}

/// Calls with all they need, and what of it is mandatory.
fn complete(generation: Generation) -> Vec<(Value, &'static [&'static str])> {
    let (subject, order) = (test_subject(), test_order());
    let renewal = generation.renewal(&subject, &order, "20300101000000");
    let (freeze, release) = (generation.freeze(&subject), generation.release(&subject));
    let (purchase, query) = (generation.purchase(&order), generation.query(&subject.id));
    let (upgrade, issue) = (generation.upgrade(&subject, &order), generation.issue(&subject, "event"));
    let change_check = change_check(&subject, &json!({"productId": order.product_id}));
    let calls: Vec<(Option<Value>, &'static [&'static str])> = match generation {
        Generation::V2 => vec![
            (purchase, &["orderId", "orderLineId", "businessId"]),
            (query, &["instanceId"]),
            (Some(renewal), &["instanceId", "orderId", "orderLineId", "scene", "expireTime"]),
            (Some(freeze), &["instanceId", "status"]),
            (upgrade, &["instanceId", "orderId", "orderLineId"]),
            (Some(release), &["instanceId"]),
            (Some(change_check), &["instanceId", "productInfo"]),
            (Some(order_notify(&order)), &["orderId"]),
        ],
        Generation::V1 => vec![
            (purchase, &["orderId", "customerId", "businessId", "productId"]),
            (query, &["instanceId"]),
            (Some(renewal), &["instanceId", "orderId", "expireTime"]),
            (Some(freeze), &["instanceId", "orderId"]),
            (Some(generation.set_status(&subject, "FREEZE")), &["instanceId", "instanceStatus"]),
            (upgrade, &["instanceId", "orderId", "skuCode", "productId"]),
            (Some(release), &["instanceId", "orderId"]),
        ],
        Generation::License => vec![
            (purchase, &["orderId", "customerId", "businessId", "productId"]),
            (Some(renewal), &["instanceId", "orderId", "expireTime"]),
            (Some(freeze), &["instanceId", "orderId"]),
            (Some(release), &["instanceId", "orderId"]),
        ],
        Generation::LicenseCode => vec![
            (Some(renewal), &["license", "orderId", "orderLineId", "scene", "expireTime"]),
            (Some(freeze), &["license", "status"]),
            (Some(release), &["license"]),
        ],
        Generation::LicenseOnline => vec![
            (purchase, &["orderId", "orderLineId", "businessId"]),
            (Some(renewal), &["instanceId", "orderId", "orderLineId", "scene", "expireTime"]),
            (Some(freeze), &["instanceId", "status"]),
            (Some(release), &["instanceId"]),
            (issue, &["instanceId", "effectiveTime", "eventId"]),
        ],
    };
    calls.into_iter().filter_map(|(members, mandatory)| members.map(|members| (members, mandatory))).collect()
}
