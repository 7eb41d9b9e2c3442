//! The events that tell the merchant's application what a call asks for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fulfilment::event::{
    Change as EventChange, ChangeTarget, Event, InstanceFacts, Order, Product, RenewScene, Renewal, Upgrade,
};
use crate::instance::{Change, Request};
use crate::operation::Environment;
use crate::protocol::call::Call;
use crate::store::InstanceRow;

/// `instance.create`.
pub(super) fn creation(call: &Call, instance: &InstanceRow, operation_id: &str) -> Event {
    let event = head(call, instance, operation_id, EventChange::InstanceCreate);
    Event { product: Some(product(instance, None)), ..event }
}

/// The event of a change to an instance.
pub(super) fn of_change(
    call: &Call,
    instance: &InstanceRow,
    request: &Request,
    change: &Change,
    scene: Option<&str>,
    operation_id: &str,
) -> Event {
    let after = instance.life.after(change);
    let kind = match change {
        Change::Ready => EventChange::InstanceCreate,
        Change::Renew { expire_time, .. } => EventChange::InstanceRenew(Renewal {
            scene: renew_scene(scene, request),
            expire_time: *expire_time,
            previous_expire_time: instance.life.expire_time,
        }),
        Change::Freeze => EventChange::InstanceFreeze,
        Change::Unfreeze => EventChange::InstanceUnfreeze,
        Change::Upgrade { .. } => EventChange::InstanceUpgrade(Upgrade {
            previous_product: Some(product(instance, None)),
            previous_quantity: None,
        }),
        Change::Release => EventChange::InstanceRelease,
    };
    let facts = InstanceFacts { status: after.status, expire_time: after.expire_time };
    let event = head(call, instance, operation_id, kind);
    Event { product: Some(product(instance, Some(change))), instance: Some(facts), ..event }
}

/// `instance.check_change`.
pub(super) fn check_change(call: &Call, instance: &InstanceRow, product_info: &Value, operation_id: &str) -> Event {
    // The order query prints productInfo as a list of one; both forms are accepted.
    let first = product_info.as_array().and_then(|list| list.first()).unwrap_or(product_info);
    let text = |name: &str| first.get(name).and_then(Value::as_str).map(str::to_owned);
    let quantity = first.get("linearValue").and_then(|value| match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    });
    let wanted = Product { product_id: text("productId"), sku_code: text("skuCode"), name: text("productName") };
    let target = ChangeTarget { product: wanted, quantity, product_info: product_info.clone() };
    let facts = InstanceFacts { status: instance.life.status, expire_time: instance.life.expire_time };
    let event = head(call, instance, operation_id, EventChange::InstanceCheckChange(target));
    Event { product: Some(product(instance, None)), instance: Some(facts), ..event }
}

/// The text in which a change waits in a job row.
pub(super) fn stored_change(change: &Change) -> String {
    // A plain enum of texts and times always has a JSON form; one without would be refused when the job ends.
    serde_json::to_string(change).unwrap_or_default()
}

fn head(call: &Call, instance: &InstanceRow, operation_id: &str, change: EventChange) -> Event {
    let order = call.order.as_ref().map(|order| Order {
        order_id: order.order_id.clone(),
        order_line_id: order.order_line_id.clone(),
        ..Order::default()
    });
    Event {
        change,
        operation_id: operation_id.to_owned(),
        attempt: 1,
        test: call.environment == Environment::Test,
        instance_id: Some(instance.instance_id.clone()),
        product: None,
        order,
        buyer: None,
        instance: None,
        parameters: BTreeMap::new(),
    }
}

/// The product of an instance, after a change if one is given.
fn product(instance: &InstanceRow, change: Option<&Change>) -> Product {
    let life = change.map_or_else(|| instance.life.clone(), |change| instance.life.after(change));
    Product { product_id: life.product_id, sku_code: life.sku_code, name: None }
}

/// The families let only known scenes through; a family without scenes tells a cancellation by other means.
fn renew_scene(scene: Option<&str>, request: &Request) -> RenewScene {
    match scene {
        Some("TRIAL_TO_FORMAL") => RenewScene::TrialToFormal,
        Some("RENEWAL_CHANGE") => RenewScene::RenewalChange,
        Some("UNSUBSCRIBE_RENEWAL_PERIOD") => RenewScene::UnsubscribeRenewalPeriod,
        _ if matches!(request, Request::Renew { cancels_renewal: true, .. }) => RenewScene::UnsubscribeRenewalPeriod,
        _ => RenewScene::Renewal,
    }
}
