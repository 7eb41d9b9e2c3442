//! What an order adds to the event it caused, for calls that name the order and tell nothing of it.
//!
//! Ids are never replaced: they are what the call, and koogate's own records, go by. For the rest the call has the first
//! word, the order the second.

use super::{Buyer, Change, Event, Order, Product};
use crate::protocol::call;
use crate::protocol::open_api::order;

/// An order, from the point of view of a call: with the line and the billing item that the call is about.
#[derive(Debug, Clone, Copy)]
pub struct OrderTold<'o> {
    /// The whole order.
    pub order: &'o order::Order,
    /// The line.
    pub line: &'o order::OrderLine,
    /// The billing item; `None`: the line tells none, or not the one that the call names.
    pub product: Option<&'o order::Product>,
}

impl Event {
    /// The same event with what its order tells. `earlier` are the last events of the instance that were told, the newest
    /// first: an upgrade says what was before. Adding the same order again changes nothing.
    #[must_use]
    pub fn with_order(mut self, told: OrderTold<'_>, earlier: &[Event]) -> Self {
        let OrderTold { order, line, product } = told;
        if let Some(product) = product {
            let known = self.product.take().unwrap_or_default();
            let sku_code = product.sku_code.clone().or(known.sku_code);
            let product_id = product.product_id.clone().or(known.product_id);
            self.product = Some(Product { product_id, sku_code, name: product.name.clone().or(known.name) });
        }
        let known = self.order.take().unwrap_or_default();
        self.order = Some(Order {
            order_id: if known.order_id.is_empty() { order.order_id.clone() } else { known.order_id },
            order_line_id: known.order_line_id.or_else(|| line.order_line_id.clone()),
            order_type: known.order_type.or_else(|| order.order_type.clone()),
            charging_mode: known.charging_mode.or_else(|| line.charging_mode.clone()),
            period_type: known.period_type.or_else(|| line.period_type.clone()),
            period_number: known.period_number.or(line.period_number),
            quantity: known.quantity.or_else(|| product.and_then(|product| product.quantity)),
            expire_time: known.expire_time.or(line.expire_time),
            ..known
        });
        self.buyer = self.buyer.or_else(|| buyer(&order.buyer));
        // What stands at the line is closer to what was bought.
        for (name, value) in line.parameters.iter().chain(&order.parameters) {
            self.parameters.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if let Change::InstanceUpgrade(upgrade) = &mut self.change {
            let quantity = |event: &Event| event.order.as_ref().and_then(|order| order.quantity);
            upgrade.previous_quantity = upgrade.previous_quantity.or_else(|| earlier.iter().find_map(quantity));
            if let Some(previous) = &mut upgrade.previous_product {
                previous.add_name(earlier);
            }
        }
        self
    }
}

impl Product {
    /// Adds the name that an earlier event had for the same product.
    fn add_name(&mut self, earlier: &[Event]) {
        let products = earlier.iter().filter_map(|event| event.product.as_ref());
        let named =
            products.filter(|product| product.product_id == self.product_id).find_map(|product| product.name.clone());
        self.name = self.name.take().or(named);
    }
}

/// Who bought; `None` when the order does not say.
fn buyer(told: &call::Buyer) -> Option<Buyer> {
    Some(told).filter(|told| **told != call::Buyer::default()).cloned().map(Buyer::from)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told() -> order::Order {
        let info = json!({
            "orderId": "CS2", "orderType": "CHANGE", "createTime": "20220726064736",
            "orderLine": [{
                "orderLineId": "CS2-000001", "chargingMode": "PERIOD", "periodType": "year", "periodNumber": 1,
                "expireTime": "20230726155959", "extendParams": [{"name": "seat", "value": "line"}],
                "productInfo": [
                    {"productId": "P1", "skuCode": "s1", "linearValue": 20, "productName": "Mail"},
                    {"productId": "P2", "skuCode": "s2"},
                ],
            }],
            "buyerInfo": {"customerId": "c-1", "mobilePhone": "13800138000"},
            "extendParams": [{"name": "seat", "value": "order"}, {"name": "domain", "value": "a.example"}],
        });
        order::Order::read(Some(&info), "CS2").unwrap()
    }

    fn event(json: Value) -> Event {
        let mut whole = json!({ "operationId": "o", "attempt": 1, "test": false, "kind": "saas", "instanceId": "i" });
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn enriched(event: &Event, product_id: Option<&str>, earlier: &[Event]) -> Event {
        let order = told();
        let line = order.line(Some("CS2-000001")).unwrap();
        let told = OrderTold { order: &order, line, product: line.product(product_id) };
        let once = event.clone().with_order(told, earlier);
        assert_eq!(once.clone().with_order(told, earlier), once, "the same order again changes nothing");
        once
    }

    fn as_json(event: &Event) -> Value {
        serde_json::from_str(&event.to_json()).unwrap()
    }

    #[test]
    fn a_creation_gets_product_order_buyer_and_parameters() {
        let creation = event(json!({
            "event": "instance.create", "product": {"productId": null, "skuCode": null, "name": null},
            "order": {"orderId": "CS2", "orderLineId": "CS2-000001"},
        }));
        let event = as_json(&enriched(&creation, None, &[]));
        assert_eq!(event["product"], json!({ "productId": "P1", "skuCode": "s1", "name": "Mail" }));
        assert_eq!(
            event["order"],
            json!({
                "orderId": "CS2", "orderLineId": "CS2-000001", "orderType": "CHANGE", "chargingMode": "PERIOD",
                "periodType": "year", "periodNumber": 1, "quantity": 20, "amount": null,
                "expireTime": "2023-07-26T15:59:59Z",
            })
        );
        assert_eq!(event["buyer"]["customerId"], "c-1");
        assert_eq!(event["buyer"]["mobilePhone"], "13800138000");
        assert_eq!(event["parameters"], json!({ "seat": "line", "domain": "a.example" }));
    }

    #[test]
    fn what_the_call_has_told_and_its_ids_stay() {
        let creation = event(json!({
            "event": "instance.create", "product": {"productId": "P2", "skuCode": null, "name": null},
            "order": {"orderId": "CS1", "orderLineId": "other", "orderType": "NEW", "quantity": 3, "amount": "1.00"},
            "buyer": {"customerId": "c-9", "customerName": null, "userId": null, "userName": null,
                      "mobilePhone": null, "email": null},
            "parameters": {"seat": "call"},
        }));
        let event = as_json(&enriched(&creation, Some("P2"), &[]));
        assert_eq!(event["product"], json!({ "productId": "P2", "skuCode": "s2", "name": null }));
        let order = &event["order"];
        assert_eq!((&order["orderId"], &order["orderLineId"]), (&json!("CS1"), &json!("other")));
        assert_eq!(
            (&order["orderType"], &order["quantity"], &order["amount"]),
            (&json!("NEW"), &json!(3), &json!("1.00"))
        );
        assert_eq!(event["buyer"]["customerId"], "c-9");
        assert_eq!(event["parameters"], json!({ "seat": "call", "domain": "a.example" }));
    }

    #[test]
    fn a_billing_item_that_the_order_does_not_know_keeps_what_the_call_told() {
        let creation = event(json!({
            "event": "instance.create", "product": {"productId": "P3", "skuCode": null, "name": null},
            "order": {"orderId": "CS2", "orderLineId": "CS2-000001"},
        }));
        let event = as_json(&enriched(&creation, Some("P3"), &[]));
        assert_eq!(event["product"], json!({ "productId": "P3", "skuCode": null, "name": null }));
        assert_eq!(event["order"]["quantity"], Value::Null, "another item's quantity is not this one's");
    }

    #[test]
    fn an_upgrade_says_what_was_before_as_the_last_event_that_told_it() {
        let upgrade = event(json!({
            "event": "instance.upgrade", "product": {"productId": "P0", "skuCode": "s0", "name": null},
            "order": {"orderId": "CS2", "orderLineId": "CS2-000001"},
            "change": {"previousProduct": {"productId": "P0", "skuCode": "s0", "name": null}, "previousQuantity": null},
        }));
        let renewed = event(json!({ "event": "instance.release", "order": {"orderId": "CS-R"} }));
        let bought = event(json!({
            "event": "instance.create", "product": {"productId": "P0", "skuCode": "s0", "name": "Small mail"},
            "order": {"orderId": "CS1", "quantity": 10},
        }));
        let event = as_json(&enriched(&upgrade, None, &[renewed, bought]));
        assert_eq!(event["product"]["productId"], "P1");
        assert_eq!(event["order"]["quantity"], 20);
        assert_eq!(event["change"]["previousQuantity"], 10);
        let before = json!({ "productId": "P0", "skuCode": "s0", "name": "Small mail" });
        assert_eq!(event["change"]["previousProduct"], before);
    }
}
