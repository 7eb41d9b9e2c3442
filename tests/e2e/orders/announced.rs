//! Orders that are read without anything being bought: announcements, and purchases that are repeated later.

use rusqlite::Connection;

use super::*;
use crate::harness::eventually;

#[test]
fn an_order_that_was_announced_is_read_and_kept() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    shop.expect("000000", &order_notify("CS1"));
    mock.wait_for(Route::OrderQuery, 1);
    eventually(|| (shop.count("order_info") == 1 && shop.count("job") == 0).then_some(()), || shop.koogate.log_text());
    // The purchase that follows finds it.
    let id = shop.buy("CS1");
    assert_eq!(event(&shop, &id, "instance.create")["order"]["quantity"], 20);
    assert_eq!(mock.count(Route::OrderQuery), 1);
    // A second announcement is about what the order is by then.
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 30)));
    shop.expect("000000", &order_notify("CS1"));
    mock.wait_for(Route::OrderQuery, 2);
    assert_eq!(shop.application.events().len(), 1, "the application is not told");
}

#[test]
fn an_announced_order_that_cannot_be_read_costs_nothing_else() {
    let mock = KooGallery::start();
    let shop = shop(&mock, "");
    shop.expect("000000", &order_notify("CS9"));
    shop.koogate.wait_for_log("order \"CS9\" was announced, but cannot be read");
    eventually(|| (shop.count("job") == 0).then_some(()), || shop.koogate.log_text());
    assert!(!shop.koogate.log_text().contains("ALERT"), "{}", shop.koogate.log_text());
}

/// Moves what is remembered of orders two hours back, while nobody runs.
fn two_hours_pass(shop: Shop) -> Shop {
    shop.restarted_after(|shop| {
        let database = Connection::open(shop.path("koogate.db")).unwrap();
        let back = 2 * 3_600_000;
        database.execute("UPDATE order_info SET fetched_at = fetched_at - ?1", [back]).unwrap();
        database.execute("UPDATE job SET created_at = created_at - ?1", [back]).unwrap();
        database.close().unwrap();
    })
}

fn moved(id: &str, end: &str) -> Value {
    let mut info = order(id, "NEW", product("P1", "basic", 20));
    info["orderLine"][0]["expireTime"] = end.into();
    info
}

#[test]
fn a_purchase_that_is_repeated_later_reads_the_order_again_and_applies_its_new_date() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    let purchase = new_instance("CS1");
    let first = shop.expect("000000", &purchase);
    let id = instance_id(&first);

    let shop = two_hours_pass(shop);
    mock.put_order(moved("CS1", LATER));
    for _ in 0..3 {
        assert_eq!(shop.expect("000000", &retry(&purchase)).verbatim(), first.verbatim());
    }
    shop.told(&id, &["instance.create", "instance.renew"]);
    let event = event(&shop, &id, "instance.renew");
    let change = &event["change"];
    assert_eq!((&change["scene"], &change["expireTime"]), (&json!("SERVICE_SUPERVISION"), &json!(LATER_SHOWN)));
    assert_eq!(change["previousExpireTime"], "2099-12-31T23:59:59Z");
    assert_eq!(event["instance"], json!({ "status": "active", "expireTime": LATER_SHOWN }));
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
    assert_eq!(mock.count(Route::OrderQuery), 2, "once an hour at most");

    // The same dates again: nobody is told.
    let shop = two_hours_pass(shop);
    shop.expect("000000", &retry(&purchase));
    mock.wait_for(Route::OrderQuery, 3);
    eventually(|| (shop.count("job WHERE state <> 'done'") == 0).then_some(()), || shop.koogate.log_text());
    assert_eq!(shop.application.events().len(), 2);
    assert_eq!(shop.history(&id), ["created", "described", "ready", "supervised"]);
}

#[test]
fn after_a_renewal_a_repeated_purchase_changes_no_date() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000000", &purchase));
    shop.expect("000000", &renewal(&id, "CS2", LATER));
    shop.told(&id, &["instance.create", "instance.renew"]);
    let shop = two_hours_pass(shop);
    mock.put_order(moved("CS1", "20980101000000"));
    shop.expect("000000", &retry(&purchase));
    assert_eq!(shop.count("job WHERE state <> 'done'"), 0);
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
    assert_eq!(mock.count(Route::OrderQuery), 1);
}
