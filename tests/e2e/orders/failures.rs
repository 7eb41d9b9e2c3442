//! KooGallery that does not answer, refuses, or tells something else.

use super::*;
use crate::harness::eventually;
use crate::koogallery::{Behaviour, Reply};

/// The sections that lead to a mock with a line more in `[open_api]`.
fn sections(mock: &KooGallery, line: &str) -> String {
    format!("{IMPATIENT}{}{line}\n", mock.toml())
}

/// The same with an SK that is not right.
fn wrong(mock: &KooGallery) -> String {
    sections(mock, "").replace("not-a-real-secret-0001", "mistyped")
}

fn refused() -> Behaviour {
    Behaviour::Instead(Reply::result(401, "MKT.0150"))
}

/// What the one job of an instance complains of.
fn last_error(shop: &Shop, id: &str) -> String {
    let shown = shop.instance(id);
    shown["jobs"][0]["lastError"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn while_koogallery_does_not_answer_a_purchase_waits_and_then_tells_what_was_ordered() {
    let mock = KooGallery::down();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000004", &purchase));
    assert_eq!(instance_id(&shop.expect("000004", &retry(&purchase))), id);
    assert_eq!(shop.application.events(), Vec::<Value>::new());
    mock.come_up();
    let done = shop.koogate.call_until_success(&retry(&purchase));
    assert_eq!(instance_id(&done), id);
    assert_eq!(shop.expect("000000", &retry(&purchase)).verbatim(), done.verbatim());
    shop.told_only(&id, &["instance.create"]);
    let event = event(&shop, &id, "instance.create");
    assert_eq!((&event["product"]["productId"], &event["order"]["quantity"]), (&json!("P1"), &json!(20)));
}

#[test]
fn replies_that_say_nothing_final_are_asked_for_again() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    for behaviour in [
        Behaviour::Instead(Reply::result(500, "MKT.0999")),
        Behaviour::Instead(Reply::html(502)),
        Behaviour::Instead(Reply::broken_json()),
        Behaviour::LoseReply,
    ] {
        mock.next(Route::OrderQuery, 1, behaviour);
    }
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let id = instance_id(&shop.koogate.call_until_success(&new_instance("CS1")));
    shop.told_only(&id, &["instance.create"]);
    assert_eq!(mock.count(Route::OrderQuery), 5);
}

#[test]
fn a_wrong_key_costs_one_call_and_a_mended_one_goes_on_at_the_reload() {
    let mock = KooGallery::start();
    for id in ["CS1", "CS2", "CS3"] {
        mock.put_order(order(id, "NEW", product("P1", "basic", 20)));
    }
    let shop = Shop::with(Application::ready(), &wrong(&mock), "");
    let ids = ["CS1", "CS2", "CS3"].map(|order| instance_id(&shop.expect("000004", &new_instance(order))));
    for id in &ids {
        // Put off without counting as failures, until the key may be tried again.
        eventually(|| last_error(&shop, id).contains("APIGW.0301").then_some(()), || last_error(&shop, id));
    }
    assert_eq!((mock.count(Route::OrderQuery), mock.locked()), (1, false));
    assert_eq!(shop.count("job WHERE state = 'waiting' AND trying_since IS NULL"), 3);
    shop.reload(&[KEY], &sections(&mock, ""), &shop.application.product(""));
    for id in &ids {
        shop.scratch.wait_for_instance(id, |shown| shown["status"] == "active");
        assert_eq!(event(&shop, id, "instance.create")["product"]["productId"], "P1");
    }
    assert_eq!((mock.count(Route::OrderQuery), mock.locked()), (4, false));
}

#[test]
fn a_mended_key_goes_on_at_the_next_start_too() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = Shop::with(Application::ready(), &wrong(&mock), "");
    let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
    eventually(|| last_error(&shop, &id).contains("APIGW.0301").then_some(()), || last_error(&shop, &id));
    shop.scratch.configure(&[KEY], &sections(&mock, ""), &shop.application.product(""));
    let shop = shop.restarted(|koogate| drop(koogate.stop()));
    shop.scratch.wait_for_instance(&id, |shown| shown["status"] == "active");
    assert_eq!(mock.count(Route::OrderQuery), 2);
}

#[test]
fn throttled_calls_are_put_off_and_made() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    mock.next(Route::OrderQuery, 1, Behaviour::Instead(Reply::throttled()));
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let id = instance_id(&shop.koogate.call_until_success(&new_instance("CS1")));
    shop.told_only(&id, &["instance.create"]);
    assert_eq!(mock.count(Route::OrderQuery), 2);
}

#[test]
fn auto_goes_on_with_the_ids_when_koogallery_will_not_tell_the_order() {
    let mock = KooGallery::start();
    mock.always(Route::OrderQuery, refused());
    let shop = Shop::with(Application::ready(), &sections(&mock, "order_query = \"auto\""), "");
    let id = shop.buy("CS1");
    let event = event(&shop, &id, "instance.create");
    assert_eq!(event["order"]["orderId"], "CS1");
    assert_eq!((&event["order"]["quantity"], &event["product"]["productId"]), (&Value::Null, &Value::Null));
    assert!(event.get("buyer").is_none());
    let alerts = shop.koogate.log_text();
    let alerts: Vec<_> = alerts.lines().filter(|line| line.contains("ALERT")).collect();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].contains("MKT.0150") && alerts[0].contains("without what was ordered"), "{alerts:?}");
    shop.expect("000000", &upgrade(&id, "CS2"));
    shop.told(&id, &["instance.create", "instance.upgrade"]);
    assert_eq!(mock.count(Route::OrderQuery), 2);
}

#[test]
fn required_goes_on_with_nothing_but_the_order() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    mock.next(Route::OrderQuery, 2, refused());
    let shop = Shop::with(Application::ready(), &sections(&mock, "order_query = \"required\""), "");
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.koogate.call_until_success(&purchase));
    assert_eq!(event(&shop, &id, "instance.create")["product"]["productId"], "P1");
    assert_eq!(mock.count(Route::OrderQuery), 3);
}

#[test]
fn required_gives_up_after_its_time_and_a_later_call_works_on() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    mock.next(Route::OrderQuery, 1, refused());
    let jobs = "[jobs]\nfirst_retry = \"10m\"\nslowest_retry = \"10m\"\ngive_up_after = \"1m\"\n";
    let sections = format!("{}{jobs}", sections(&mock, "order_query = \"required\""));
    let shop = Shop::with(Application::ready(), &sections, "");
    let purchase = new_instance("CS1");
    shop.expect("000005", &purchase);
    shop.koogate.wait_for_log("ALERT job 1: instance.create for instance");
    let id = instance_id(&shop.expect("000000", &retry(&purchase)));
    shop.told_only(&id, &["instance.create"]);
    assert_eq!(event(&shop, &id, "instance.create")["product"]["productId"], "P1");
}

#[test]
fn off_asks_nobody() {
    let mock = KooGallery::start();
    let shop = Shop::with(Application::ready(), &sections(&mock, "order_query = \"off\""), "");
    let id = shop.buy("CS1");
    shop.expect("000000", &upgrade(&id, "CS2"));
    shop.expect("000000", &order_notify("CS3"));
    shop.told_only(&id, &["instance.create", "instance.upgrade"]);
    assert_eq!(mock.calls().len(), 0);
}

#[test]
fn a_purchase_goes_on_with_the_ids_once_orders_are_not_to_be_read_any_more() {
    let mock = KooGallery::down();
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
    shop.reload(&[KEY], &sections(&mock, "order_query = \"off\""), &shop.application.product(""));
    shop.scratch.wait_for_instance(&id, |shown| shown["status"] == "active");
    shop.told_only(&id, &["instance.create"]);
}

#[test]
fn a_line_that_the_order_does_not_have_yet_is_asked_for_again() {
    let mock = KooGallery::start();
    let mut early = order("CS1", "NEW", product("P1", "basic", 20));
    early["orderLine"][0]["orderLineId"] = "CS1-000002".into();
    mock.put_order(early);
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000004", &purchase));
    eventually(
        || last_error(&shop, &id).contains("the order has no line \"CS1-000001\"").then_some(()),
        || last_error(&shop, &id),
    );
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    assert_eq!(instance_id(&shop.koogate.call_until_success(&retry(&purchase))), id);
}

#[test]
fn a_release_takes_a_purchase_that_waits_for_its_order_back() {
    let mock = KooGallery::down();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop_with(&mock, Application::ready(), IMPATIENT, "");
    let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
    shop.expect("000000", &release(&id));
    mock.come_up();
    shop.told(&id, &["instance.release"]);
    // The application is told a moment before its answer is recorded.
    let open = || shop.count("job WHERE state IN ('waiting', 'running')");
    crate::harness::eventually(|| (open() == 0).then_some(()), || format!("{} jobs", open()));
    assert_eq!(mock.count(Route::OrderQuery), 0);
}

#[test]
fn what_the_order_tells_of_the_buyer_is_blanked_in_errors() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let application = Application::start(|event| {
        (
            200,
            json!({ "status": "refused", "resultCode": "000106", "message": event["buyer"]["mobilePhone"] })
                .to_string(),
        )
    });
    let shop = shop_with(&mock, application, PATIENT, "");
    let answer = shop.expect("000106", &new_instance("CS1"));
    assert!(!answer.json().to_string().contains(PHONE));
    assert!(!shop.koogate.log_text().contains(PHONE));
}

#[test]
fn what_the_gateway_minds_says_nothing_of_an_order() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    mock.next(Route::OrderQuery, 2, Behaviour::Instead(Reply::gateway(404, "APIGW.0101", "no such API")));
    let shop = Shop::with(Application::ready(), &sections(&mock, "order_query = \"auto\""), "");
    let id = instance_id(&shop.koogate.call_until_success(&new_instance("CS1")));
    assert_eq!(event(&shop, &id, "instance.create")["product"]["productId"], "P1");
    assert_eq!(mock.count(Route::OrderQuery), 3);
}

#[test]
fn auto_goes_on_with_the_ids_when_what_koogallery_tells_stays_of_no_use() {
    for (order_query, expected) in [("auto", "active"), ("required", "creating")] {
        let mock = KooGallery::start();
        let mut other_line = order("CS1", "NEW", product("P1", "basic", 20));
        other_line["orderLine"][0]["orderLineId"] = "CS1-000002".into();
        mock.put_order(other_line);
        mock.decide(Route::OrderQuery, |_, call| {
            let tells_nothing = call.request.query.iter().any(|(_, value)| value == "CS2");
            if tells_nothing { Behaviour::Instead(Reply::result(200, "MKT.0000")) } else { Behaviour::Normal }
        });
        let patient = "[jobs]\nfirst_retry = \"1h\"\nslowest_retry = \"1h\"\n";
        let sections = sections(&mock, &format!("order_query = \"{order_query}\"\n{patient}"));
        let shop = Shop::with(Application::ready(), &sections, "");
        let ids = ["CS1", "CS2"].map(|order| instance_id(&shop.expect("000004", &new_instance(order))));
        for (id, problem) in ids.iter().zip(["has no line", "tells no order"]) {
            eventually(|| last_error(&shop, id).contains(problem).then_some(()), || last_error(&shop, id));
        }
        let shop = shop.restarted_after(|scratch| {
            let database = rusqlite::Connection::open(scratch.path("koogate.db")).unwrap();
            database.execute("UPDATE job SET created_at = created_at - 7200000", []).unwrap();
            database.close().unwrap();
        });
        for id in &ids {
            let is_tried = |shown: &Value| shown["jobs"][0]["attempts"] == 2 && shown["jobs"][0]["state"] != "running";
            let shown = shop.scratch.wait_for_instance(id, is_tried);
            assert_eq!(shown["status"], expected, "{order_query}: {shown}");
        }
    }
}
