//! The events that tell the merchant's application what a call asks for.

use serde_json::Value;

use crate::fulfilment::event::{
    Buyer, Change as EventChange, ChangeTarget, Event, InstanceFacts, LicenseRequest as EventLicenseRequest, Order,
    Product, RenewScene, Renewal, Upgrade,
};
use crate::instance::{Change, Request};
use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::call::{self, Call, LicenseRequest, Terms};
use crate::store::InstanceRow;

/// `instance.create`; for a licence that is handed out in the reply, `license.issue`.
pub(super) fn creation(call: &Call, instance: &InstanceRow, operation_id: &str) -> Event {
    let kind = match call.kind {
        Kind::License => EventChange::LicenseIssue(EventLicenseRequest {
            expire_time: instance.life.expire_time,
            ..EventLicenseRequest::default()
        }),
        _ => EventChange::InstanceCreate,
    };
    let event = head(call, instance, operation_id, kind);
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
    let kind = match change {
        // No request leads to these; `creation`, `issue` and `supervision` tell them, and an upload nobody does.
        Change::Ready => EventChange::InstanceCreate,
        Change::License | Change::Upload => EventChange::LicenseIssue(EventLicenseRequest::default()),
        Change::Renew { expire_time, .. } | Change::Supervise { expire_time, .. } => {
            EventChange::InstanceRenew(Renewal {
                scene: renew_scene(scene, request),
                expire_time: *expire_time,
                previous_expire_time: instance.life.expire_time,
                terms: Terms::new(),
            })
        }
        Change::Freeze => EventChange::InstanceFreeze,
        Change::Unfreeze => EventChange::InstanceUnfreeze,
        Change::Upgrade { .. } => EventChange::InstanceUpgrade(Upgrade {
            previous_product: Some(product(instance, None)),
            previous_quantity: None,
        }),
        Change::Release => EventChange::InstanceRelease,
    };
    changed(call, instance, change, kind, operation_id)
}

/// `instance.renew` for a repeated purchase call that carries other dates.
pub(super) fn supervision(
    call: &Call,
    instance: &InstanceRow,
    change: &Change,
    terms: &Terms,
    operation_id: &str,
) -> Event {
    let kind = EventChange::InstanceRenew(Renewal {
        scene: RenewScene::ServiceSupervision,
        expire_time: instance.life.after(change).expire_time,
        previous_expire_time: instance.life.expire_time,
        terms: terms.clone(),
    });
    changed(call, instance, change, kind, operation_id)
}

/// `license.issue` for a device.
pub(super) fn issue(call: &Call, instance: &InstanceRow, request: &LicenseRequest, operation_id: &str) -> Event {
    let kind = EventChange::LicenseIssue(EventLicenseRequest {
        event_id: Some(request.event_id.clone()),
        effective_time: Some(request.effective_time),
        expire_time: request.expire_time,
        device_fingerprint: request.device_fingerprint.clone(),
    });
    changed(call, instance, &Change::License, kind, operation_id)
}

/// An event about an instance as it is once `change` is done.
fn changed(call: &Call, instance: &InstanceRow, change: &Change, kind: EventChange, operation_id: &str) -> Event {
    let after = instance.life.after(change);
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

fn head(call: &Call, instance: &InstanceRow, operation_id: &str, change: EventChange) -> Event {
    Event {
        change,
        operation_id: operation_id.to_owned(),
        attempt: 1,
        test: call.environment == Environment::Test,
        kind: call.kind,
        instance_id: Some(instance.instance_id.clone()),
        product: None,
        order: call.order.as_ref().map(order),
        buyer: call.buyer.clone().map(Buyer::from),
        instance: None,
        parameters: call.parameters.clone(),
    }
}

fn order(told: &call::Order) -> Order {
    let told = told.clone();
    Order {
        order_id: told.order_id,
        order_line_id: told.order_line_id,
        order_type: told.order_type.map(str::to_owned),
        charging_mode: told.charging_mode,
        period_type: told.period_type,
        period_number: told.period_number,
        quantity: told.quantity,
        disk_size: told.disk_size,
        band_width: told.band_width,
        amount: told.amount,
        expire_time: told.expire_time,
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
