//! Calls that change nothing and are answered afresh each time: queries, change checks, order notifications.

use serde_json::{Value, json};

use super::{fixed_and_manual, instance_in, ready_ids};
use crate::harness::{Application, KEY, ready_answer};
use crate::shop::{PATIENT, Shop, as_test, change_check, order_notify, query, without};

#[test]
fn a_query_returns_the_ready_instances_in_the_order_asked_and_leaves_the_others_out() {
    let shop = fixed_and_manual();
    let one = instance_in(&shop, "active", "CS1");
    let two = instance_in(&shop, "frozen", "CS2");
    let three = instance_in(&shop, "active", "CS3");
    let creating = instance_in(&shop, "creating", "CS4");
    let released = instance_in(&shop, "released", "CS5");
    let asked = [three.as_str(), &creating, "unknown", &two, &released, &one].join(",");
    assert_eq!(ready_ids(&shop, &asked), [three, two, one.clone()]);
    let info = shop.expect("000000", &query(&one)).json()["info"][0].clone();
    let access = json!({ "frontEndUrl": format!("https://app.example.com/{one}"), "userName": "CS1" });
    assert_eq!(info, json!({ "instanceId": one, "appInfo": access }));
}

#[test]
fn a_query_of_nothing_ready_says_processing_and_of_nothing_known_that_it_does_not_exist() {
    let shop = fixed_and_manual();
    let creating = instance_in(&shop, "creating", "CS1");
    let released = instance_in(&shop, "released", "CS2");
    for (asked, code) in [
        (creating.clone(), "000004"),
        (format!("unknown,{released},{creating}"), "000004"),
        (released.clone(), "000003"),
        ("unknown".to_owned(), "000003"),
        (format!("{released},unknown"), "000003"),
    ] {
        assert_eq!(shop.expect(code, &query(&asked)).json()["info"], json!([]), "{asked}");
    }
    // What the operator makes ready is served from then on.
    shop.scratch.run_ok(&["instance", "ready", &creating, "--front-end-url", "https://app.example.com/1"]);
    assert_eq!(ready_ids(&shop, &creating), [creating]);
}

#[test]
fn a_query_takes_a_hundred_ids_after_blanks_empty_items_and_repeats_are_dropped() {
    let shop = fixed_and_manual();
    let id = instance_in(&shop, "active", "CS1");
    let ids = |count: usize| (0..count).map(|number| format!("unknown-{number}")).collect::<Vec<_>>().join(",");
    assert_eq!(ready_ids(&shop, &format!("{},{id}", ids(99))), [id.as_str()]);
    shop.expect("000002", &query(&format!("{},{id}", ids(100))));
    shop.expect("000002", &as_test(query(&ids(101))));

    let untidy = format!(",, {id} ,{},{id},  , {},{id},", ids(99), ids(99));
    assert_eq!(ready_ids(&shop, &untidy), [id]);
    shop.expect("000002", &query(" , ,"));
}

#[test]
fn a_change_is_allowed_without_asking_unless_the_product_says_otherwise() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &change_check(&id, json!({ "productId": "P2" })));
    assert_eq!(shop.application.names_for(&id), ["instance.create"]);
}

#[test]
fn the_application_is_asked_about_a_change_whether_product_info_is_an_object_or_a_text() {
    let shop = Shop::with(Application::ready(), PATIENT, "change_check = \"ask\"");
    let id = shop.buy("CS1");
    let info = json!({ "productId": "P2", "skuCode": "small", "linearValue": 5, "productName": "Mail" });
    for product_info in [info.clone(), json!(info.to_string()), json!([info])] {
        shop.expect("000000", &change_check(&id, product_info));
    }
    let asked: Vec<_> = shop.application.events().into_iter().skip(1).collect();
    assert_eq!(asked.len(), 3);
    for event in &asked {
        assert_eq!(event["event"], "instance.check_change");
        assert_eq!(event["change"]["product"], json!({ "productId": "P2", "skuCode": "small", "name": "Mail" }));
        assert_eq!(event["change"]["quantity"], 5);
    }
    assert_ne!(asked[0]["operationId"], asked[1]["operationId"], "every check is asked afresh");
    assert_eq!(shop.history(&id), ["created", "ready"], "a question changes nothing");
}

#[test]
fn a_refused_change_is_answered_with_the_configured_code_and_the_applications_reason() {
    let refusal = json!({ "status": "refused", "resultCode": "000100", "message": "quota in use" }).to_string();
    let answer = move |event: &Value| match event["event"].as_str() {
        Some("instance.check_change") => (200, refusal.clone()),
        _ => (200, ready_answer(event)),
    };
    let shop = Shop::with(Application::start(answer), PATIENT, "change_check = \"ask\"");
    let id = shop.buy("CS1");
    let refused = shop.expect("000005", &change_check(&id, json!({ "productId": "P2" })));
    assert_eq!(refused.json()["resultMsg"], "quota in use");

    let sections = format!("{PATIENT}[lifecycle]\nchange_check_refusal_code = \"000104\"\n");
    shop.reload(&[KEY], &sections, &shop.application.product("change_check = \"ask\""));
    shop.expect("000104", &change_check(&id, json!({ "productId": "P2" })));
}

#[test]
fn a_change_is_000005_while_the_application_is_down() {
    let shop = Shop::open("change_check = \"ask\"");
    let id = shop.buy("CS1");
    let Shop { koogate, application, scratch } = shop;
    drop(application);
    assert_eq!(koogate.call(&change_check(&id, json!({ "productId": "P2" }))).code(), "000005");
    // Test calls ask nobody.
    assert_eq!(koogate.call(&as_test(change_check(&id, json!({ "productId": "P2" })))).code(), "000000");
    drop(scratch);
}

#[test]
fn an_order_notification_is_taken_with_and_without_line_and_flag() {
    let shop = Shop::open("");
    let full = order_notify("CS1");
    for call in [full.clone(), without(full.clone(), "orderLineId"), without(full.clone(), "testFlag")] {
        shop.expect("000000", &call);
    }
    shop.expect("000000", &json!({ "activity": "orderNotify", "orderId": "CS1" }));
    assert_eq!((shop.count("instance"), shop.count("operation"), shop.count("exchange")), (0, 0, 4));
}
