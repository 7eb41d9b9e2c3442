//! Orders: calls that only name one are followed by the order query, and what KooGallery tells reaches the application.

mod announced;
mod commands;
mod crash;
mod failures;
mod products;

use serde_json::{Value, json};

use crate::harness::{Application, KEY, new_instance};
use crate::koogallery::{KooGallery, Route};
use crate::shop::{
    IMPATIENT, LATER, LATER_SHOWN, PATIENT, Shop, as_test, instance_id, new_item, order_notify, refresh, release,
    renewal, retry, upgrade, with,
};

const PHONE: &str = "13800138000";

/// An order of one line, for a period that ends in 2099, as KooGallery tells it.
pub fn order(id: &str, order_type: &str, product: Value) -> Value {
    json!({
        "orderId": id, "orderType": order_type, "createTime": "20220726064736",
        "orderLine": [{
            "orderLineId": format!("{id}-000001"), "chargingMode": "PERIOD", "periodType": "year", "periodNumber": 1,
            "expireTime": "20991231235959", "productInfo": [product],
        }],
        "buyerInfo": { "customerId": "c-1", "customerName": "Shop", "mobilePhone": PHONE, "email": "b@example.com" },
        "extendParams": [{ "name": "emailDomainName", "value": "test.xxxx.com" }],
    })
}

/// A specification of a product.
pub fn product(id: &str, sku: &str, quantity: u32) -> Value {
    json!({ "productId": id, "skuCode": sku, "linearValue": quantity, "productName": format!("Product {id}") })
}

/// A shop that calls this KooGallery and waits long enough for it.
fn shop(mock: &KooGallery, lines: &str) -> Shop {
    shop_with(mock, Application::ready(), PATIENT, lines)
}

fn shop_with(mock: &KooGallery, application: Application, sections: &str, lines: &str) -> Shop {
    Shop::with(application, &format!("{sections}{}", mock.toml()), lines)
}

/// The one event of this name about an instance.
fn event(shop: &Shop, id: &str, name: &str) -> Value {
    let events = shop.application.events();
    let mut found: Vec<_> =
        events.into_iter().filter(|event| event["instanceId"] == id && event["event"] == name).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_purchase_tells_product_order_buyer_and_parameters() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    let id = shop.buy("CS1");
    let event = event(&shop, &id, "instance.create");
    assert_eq!(event["product"], json!({ "productId": "P1", "skuCode": "basic", "name": "Product P1" }));
    assert_eq!(
        event["order"],
        json!({
            "orderId": "CS1", "orderLineId": "CS1-000001", "orderType": "NEW", "chargingMode": "PERIOD",
            "periodType": "year", "periodNumber": 1, "quantity": 20, "amount": null,
            "expireTime": "2099-12-31T23:59:59Z",
        })
    );
    assert_eq!(
        event["buyer"],
        json!({
            "customerId": "c-1", "customerName": "Shop", "userId": null, "userName": null, "mobilePhone": PHONE,
            "email": "b@example.com",
        })
    );
    assert_eq!(event["parameters"], json!({ "emailDomainName": "test.xxxx.com" }));
    let shown = shop.instance(&id);
    let facts = ["status", "productId", "skuCode", "expireTime"].map(|name| shown[name].clone());
    assert_eq!(facts, [json!("active"), json!("P1"), json!("basic"), json!("2099-12-31T23:59:59Z")]);
    assert_eq!(shop.history(&id), ["created", "described", "ready"]);
    assert_eq!((mock.count(Route::OrderQuery), mock.refusals()), (1, Vec::new()));
    // Nothing personal is logged or stands in the file in the clear.
    assert!(!shop.koogate.log_text().contains(PHONE));
    shop.scratch.run_ok(&["backup", "copy.db"]);
    let copy = std::fs::read(shop.scratch.path("copy.db")).unwrap();
    assert!(!copy.windows(PHONE.len()).any(|window| window == PHONE.as_bytes()));
}

#[test]
fn a_repeated_purchase_is_answered_with_the_same_bytes_and_asks_nobody() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    let purchase = new_instance("CS1");
    let first = shop.expect("000000", &purchase);
    assert_eq!(shop.expect("000000", &retry(&purchase)).verbatim(), first.verbatim());
    assert_eq!(mock.count(Route::OrderQuery), 1);
    shop.told_only(&instance_id(&first), &["instance.create"]);
}

#[test]
fn each_billing_item_of_an_on_demand_order_becomes_an_instance_of_its_product() {
    let mock = KooGallery::start();
    let mut items = order("CS1", "NEW", product("P1", "traffic", 1));
    items["orderLine"][0]["chargingMode"] = "ON_DEMAND".into();
    items["orderLine"][0]["productInfo"].as_array_mut().unwrap().push(product("P2", "storage", 2));
    mock.put_order(items);
    let shop = shop(&mock, "");
    for (product, sku, quantity) in [("P2", "storage", 2), ("P1", "traffic", 1)] {
        let id = instance_id(&shop.expect("000000", &new_item("CS1", product)));
        let event = event(&shop, &id, "instance.create");
        assert_eq!((&event["product"]["productId"], &event["product"]["skuCode"]), (&json!(product), &json!(sku)));
        assert_eq!(event["order"]["quantity"], quantity);
    }
    // The second of them finds the order that the first one has just read.
    assert_eq!(mock.count(Route::OrderQuery), 1);
}

#[test]
fn an_upgrade_tells_the_new_product_and_what_was_before() {
    let mock = KooGallery::start();
    for (id, kind, sku, quantity) in
        [("CS1", "NEW", "basic", 10), ("CS2", "CHANGE", "pro", 20), ("CS3", "CHANGE", "max", 30)]
    {
        mock.put_order(order(id, kind, product("P1", sku, quantity)));
    }
    let shop = shop(&mock, "");
    let id = shop.buy("CS1");
    for (order, sku, quantity, before) in [("CS2", "pro", 20, ("basic", 10)), ("CS3", "max", 30, ("pro", 20))] {
        shop.expect("000000", &upgrade(&id, order));
        let event = shop.application.events().pop().unwrap();
        assert_eq!((&event["event"], &event["product"]["skuCode"]), (&json!("instance.upgrade"), &json!(sku)));
        assert_eq!((&event["order"]["orderType"], &event["order"]["quantity"]), (&json!("CHANGE"), &json!(quantity)));
        let previous = json!({ "productId": "P1", "skuCode": before.0, "name": "Product P1" });
        assert_eq!(event["change"], json!({ "previousProduct": previous, "previousQuantity": before.1 }));
        assert_eq!(shop.instance(&id)["skuCode"], sku);
    }
    assert_eq!(shop.history(&id), ["created", "described", "ready", "upgraded", "upgraded"]);
}

#[test]
fn trials_that_are_bought_and_renewals_with_change_tell_the_new_product_whoever_waits() {
    for accept in ["at-once", "after"] {
        let mock = KooGallery::start();
        mock.put_order(order("CS1", "TRIAL", product("P0", "trial", 1)));
        mock.put_order(order("CS2", "TRIAL_TO_FORMAL", product("P1", "basic", 10)));
        mock.put_order(order("CS3", "RENEW", product("P2", "pro", 20)));
        let shop = shop(&mock, &format!("accept = \"{accept}\""));
        let id = shop.buy("CS1");
        for (order, scene, product, sku) in
            [("CS2", "TRIAL_TO_FORMAL", "P1", "basic"), ("CS3", "RENEWAL_CHANGE", "P2", "pro")]
        {
            shop.expect("000000", &refresh(&id, order, scene, LATER));
            shop.scratch.wait_for_instance(&id, |shown| shown["skuCode"] == sku && shown["productId"] == product);
        }
        shop.told(&id, &["instance.create", "instance.renew", "instance.renew"]);
        let event = shop.application.events().pop().unwrap();
        assert_eq!((&event["product"]["productId"], &event["product"]["skuCode"]), (&json!("P2"), &json!("pro")));
        assert_eq!((&event["order"]["orderType"], &event["order"]["quantity"]), (&json!("RENEW"), &json!(20)));
        // The date is the call's, whatever the order estimates.
        assert_eq!(event["change"]["expireTime"], LATER_SHOWN);
        assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN, "accept = {accept}");
        assert_eq!(mock.count(Route::OrderQuery), 3);
    }
}

#[test]
fn calls_that_tell_all_there_is_ask_for_no_order() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", LATER));
    shop.expect("000000", &refresh(&id, "CS2", "UNSUBSCRIBE_RENEWAL_PERIOD", LATER));
    // A release takes back what waits.
    shop.told(&id, &["instance.create", "instance.renew", "instance.renew"]);
    shop.expect("000000", &with(release(&id), "orderId", "CS3"));
    shop.told(&id, &["instance.create", "instance.renew", "instance.renew", "instance.release"]);
    assert_eq!(mock.count(Route::OrderQuery), 1, "{:?}", mock.calls());
}

#[test]
fn test_calls_ask_for_no_order_forwarded_or_not() {
    let mock = KooGallery::start();
    for lines in ["", "test_calls = \"forward\""] {
        let shop = shop(&mock, lines);
        let id = instance_id(&shop.expect("000000", &as_test(new_instance("CS1"))));
        shop.expect("000000", &as_test(upgrade(&id, "CS2")));
        shop.expect("000000", &as_test(refresh(&id, "CS3", "RENEWAL_CHANGE", LATER)));
        shop.expect("000000", &as_test(order_notify("CS4")));
        assert_eq!(shop.count("job WHERE order_id IS NOT NULL"), 0);
    }
    assert_eq!(mock.calls().len(), 0);
}

#[test]
fn an_online_licence_is_bought_by_order_too() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "cad", 5)));
    let shop = shop(&mock, "kind = \"license-online\"\nproduct_id = \"P1\"");
    let id = shop.buy("CS1");
    let event = event(&shop, &id, "instance.create");
    assert_eq!((&event["kind"], &event["product"]["productId"]), (&json!("license-online"), &json!("P1")));
}

#[test]
fn an_order_that_takes_its_time_is_answered_provisionally_with_the_id() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let gate = crate::harness::Gate::default();
    mock.next(Route::OrderQuery, 1, crate::koogallery::Behaviour::HoldReply(gate.clone()));
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000004", &purchase));
    assert_eq!(shop.koogate.call_with(KEY, &crate::shop::query(&id)).code(), "000004");
    gate.open();
    assert_eq!(instance_id(&shop.koogate.call_until_success(&retry(&purchase))), id);
    shop.told_only(&id, &["instance.create"]);
    assert_eq!(event(&shop, &id, "instance.create")["product"]["productId"], "P1");
}
