//! Taking a purchase over from the application, after a restore of a copy that does not know it.
//!
//! The event `instance.create` holds what koogate had recorded: the instance's id, the order, the operationId. Recorded
//! again as it was, with its job, it goes its usual way: the application is asked once more, knows the operationId and
//! answers as before; KooGallery's calls find the instance, and a repeated purchase opens no other one.

use jiff::Timestamp;

use super::completion;
use super::event::{Event, EventName};
use crate::gap::Known;
use crate::instance::Change;
use crate::kind::Kind;
use crate::operation::{Environment, Identity, State};
use crate::store::{Cause, NewInstance, NewJob, NewOperation, StoreError, Subject, Tx};

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The instance is recorded and its job is due.
    Adopted,
    /// The copy had it.
    Known,
    /// It is no purchase, or a debugging one.
    NoPurchase,
    /// The order has another instance here.
    OrderHas(String),
    /// It does not tell what is needed.
    Unfit(&'static str),
}

/// Records the purchase that an event told, unless it is known.
///
/// # Errors
/// When the rows cannot be written.
pub fn adopt(tx: &Tx<'_>, event: &Event, now: Timestamp) -> Result<Adopted, StoreError> {
    if event.name() != EventName::InstanceCreate || event.test {
        return Ok(Adopted::NoPurchase);
    }
    let Some(instance_id) = event.instance_id.as_deref() else { return Ok(Adopted::Unfit("it names no instance")) };
    let Some(order) = &event.order else { return Ok(Adopted::Unfit("it names no order")) };
    if !matches!(event.kind, Kind::Saas | Kind::LicenseOnline) {
        return Ok(Adopted::Unfit("a licence is not bought by this event"));
    }
    let known = tx.known_of_event(&event.operation_id, Some(instance_id), &Default::default())?;
    if known != Known::Nothing {
        return Ok(Adopted::Known);
    }
    let Some(identity) = identity_of(event) else { return Ok(Adopted::Unfit("it names no product")) };
    if let Some(other) = tx.operation_of(&identity, "")? {
        return Ok(Adopted::OrderHas(other.instance_id));
    }
    let product = event.product.as_ref();
    let new = NewInstance {
        environment: Environment::Real,
        kind: event.kind,
        instance_id,
        order_id: Some(&order.order_id),
        order_line_id: order.order_line_id.as_deref(),
        product_id: product.and_then(|product| product.product_id.as_deref()),
        sku_code: product.and_then(|product| product.sku_code.as_deref()),
        expire_time: order.expire_time,
        charging_mode: order.charging_mode.as_deref(),
        encrypts_credentials: order.order_line_id.is_none(),
        terms: None,
        is_ready: false,
    };
    let cause = Cause { note: Some("koogate restore --adopt: from the application's event"), ..Cause::default() };
    let instance = tx.insert_instance(&new, cause, now)?;
    let operation = NewOperation {
        identity: &identity,
        operation_id: event.operation_id.clone(),
        instance: instance.row,
        state: State::Open,
        // Of the first request nothing is known any more.
        content_digest: [0; 16],
        first_exchange: 0,
        order_id: Some(&order.order_id),
    };
    let operation = tx.insert_operation(&operation, now)?;
    let change = completion::change_to_store(&Change::Ready);
    let job = NewJob {
        subject: Subject::Operation { instance: instance.row, operation },
        task: event.name().as_str(),
        order: None,
        event: Some(&event.to_json()),
        change: Some(&change),
    };
    tx.insert_job(&job, now)?;
    Ok(Adopted::Adopted)
}

/// What the purchase's call was identified by (spec 1-basic-v2 §3, 2-basic-v1 §6.1). `None`: the event lacks it.
fn identity_of(event: &Event) -> Option<Identity> {
    let order = event.order.as_ref()?;
    let product = event.product.as_ref().and_then(|product| product.product_id.as_deref());
    let is_whole_order = matches!(order.charging_mode.as_deref(), Some("PERIOD" | "ONE_TIME"));
    let order_id = order.order_id.as_str();
    let parts = match (order.order_line_id.as_deref(), is_whole_order, product) {
        // V1: the empty element stands where V2 has the line.
        (None, true, _) => vec![order_id],
        (None, false, product) => vec![order_id, "", product?],
        // Nobody has told how it is charged, and yet the product is known: the call named it.
        (Some(line), false, Some(product)) => vec![order_id, line, product],
        (Some(line), _, _) => vec![order_id, line],
    };
    Some(Identity::new(Environment::Real, event.kind, "create", parts))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(line: Value, mode: Value, product: Value, expected: Option<&str>) {
        let event = json!({
            "event": "instance.create", "operationId": "op", "attempt": 1, "test": false, "kind": "saas",
            "instanceId": "i-1", "product": { "productId": product, "skuCode": null, "name": null },
            "order": {
                "orderId": "CS1", "orderLineId": line, "orderType": null, "chargingMode": mode, "periodType": null,
                "periodNumber": null, "quantity": null, "amount": null, "expireTime": null,
            },
        });
        let event: Event = serde_json::from_value(event).unwrap();
        let found = identity_of(&event);
        let expected = expected.map(|parts| format!("[\"real\",\"saas\",\"create\",{parts}]"));
        assert_eq!(found.as_ref().map(Identity::as_str), expected.as_deref());
    }

    #[test]
    fn a_purchase_has_the_identity_that_its_call_had() {
        let (none, line) = (Value::Null, json!("L1"));
        check(none.clone(), json!("PERIOD"), json!("P"), Some(r#""CS1""#));
        check(none.clone(), json!("ONE_TIME"), json!("P"), Some(r#""CS1""#));
        check(none.clone(), json!("ON_DEMAND"), json!("P"), Some(r#""CS1","","P""#));
        check(none.clone(), json!("ON_DEMAND"), Value::Null, None);
        check(line.clone(), json!("PERIOD"), json!("P"), Some(r#""CS1","L1""#));
        check(line.clone(), Value::Null, Value::Null, Some(r#""CS1","L1""#));
        check(line.clone(), Value::Null, json!("P"), Some(r#""CS1","L1","P""#));
        check(line, json!("ON_DEMAND"), json!("P"), Some(r#""CS1","L1","P""#));
    }
}
