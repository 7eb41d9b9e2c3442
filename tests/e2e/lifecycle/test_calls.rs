//! Trap (g): test calls live in a world of their own, always succeed, and are complete.

use serde_json::{Value, json};

use super::ready_ids;
use crate::harness::new_instance;
use crate::shop::{
    FUTURE, Shop, as_test, change_check, freeze, instance_id, order_notify, query, release, renewal, unfreeze, upgrade,
    with, without,
};

#[test]
fn test_calls_never_touch_real_data_even_with_a_real_instances_id() {
    let shop = Shop::open("");
    let order = new_instance("CS1");
    let id = instance_id(&shop.expect("000000", &order));
    let before = shop.instance(&id);
    for call in every_call(&id) {
        shop.expect("000000", &as_test(call));
    }
    assert_eq!(shop.instance(&id), before);
    assert_eq!(shop.application.events().len(), 1, "only the real purchase");
    assert_eq!((shop.count("job"), shop.count("instance WHERE environment = 'real'")), (1, 1));
    assert_eq!(shop.count("exchange WHERE environment = 'test'"), every_call("").len() as i64);

    // The same calls for real are no repeats of the tests.
    for call in every_call(&id) {
        shop.expect("000000", &call);
    }
    let real = shop.scratch.run_json(&["instance", "list", "--json"]);
    let statuses: Vec<_> = real.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["active", "released"], "{real:?}");
}

#[test]
fn test_calls_with_made_up_ids_always_succeed() {
    let shop = Shop::open("");
    for id in ["huaweitest123456", "huaiweitest123456", "00301-666666-0--0"] {
        for flag in [json!("1"), json!(1)] {
            for call in every_call(id) {
                shop.expect("000000", &with(call, "testFlag", flag.clone()));
            }
        }
    }
    assert!(shop.application.events().is_empty());
}

#[test]
fn only_a_test_flag_of_one_makes_a_test() {
    let shop = Shop::open("");
    for flag in [json!("0"), json!(0), json!(""), json!(null), json!("2"), json!("true"), json!(true)] {
        shop.expect("000003", &with(freeze("huaweitest123456"), "testFlag", flag));
    }
    shop.expect("000003", &without(freeze("huaweitest123456"), "testFlag"));
}

#[test]
fn a_test_purchase_keeps_its_id_and_leaves_the_order_to_the_real_one() {
    let shop = Shop::open("");
    let test = as_test(new_instance("CS1"));
    let test_id = instance_id(&shop.expect("000000", &test));
    assert_eq!(test_id, test["businessId"]);
    assert_eq!(instance_id(&shop.expect("000000", &as_test(new_instance("CS1")))), test_id);
    shop.expect("000003", &query(&test_id));

    // The real purchase may even bring the same businessId.
    let real = with(test, "testFlag", "0");
    assert_eq!(instance_id(&shop.expect("000000", &real)), test_id);
    assert_eq!(ready_ids(&shop, &test_id), [test_id]);
    assert_eq!((shop.count("instance"), shop.application.events().len()), (2, 1));
}

#[test]
fn test_queries_get_complete_demonstrations_and_nothing_of_a_real_instance() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    let asked = [id.as_str(), "huaweitest123456", "made-up"];
    let answer = shop.expect("000000", &as_test(query(&asked.join(",")))).json();
    let info = answer["info"].as_array().unwrap();
    let ids: Vec<_> = info.iter().map(|info| info["instanceId"].as_str().unwrap()).collect();
    assert_eq!(ids, asked);
    for info in info {
        for member in ["frontEndUrl", "adminUrl", "userName", "password", "memo"] {
            assert!(info["appInfo"][member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {info}");
        }
        let usage = info["usageInfo"].as_array().unwrap();
        assert_eq!((usage.len(), &usage[0]["usageValue"]), (1, &json!(0)));
        let time = usage[0]["statisticalTime"].as_str().unwrap();
        assert!(time.len() == 17 && time.bytes().all(|byte| byte.is_ascii_digit()), "{time}");
    }
    assert!(!answer.to_string().contains("p-1"), "the real password: {answer}");
}

#[test]
fn forwarded_test_calls_reach_the_application_marked_as_tests() {
    let shop = Shop::open("test_calls = \"forward\"");
    let id = instance_id(&shop.expect("000000", &as_test(new_instance("CS1"))));
    shop.expect("000000", &as_test(freeze(&id)));
    shop.told(&id, &["instance.create", "instance.freeze"]);
    assert!(shop.application.events().iter().all(|event| event["test"] == true));
    let real = shop.buy("CS1");
    assert_eq!(shop.application.wait_for(3).last().unwrap()["test"], false);
    assert_eq!(shop.status(&real), "active");
}

/// One call of every activity; those on an instance in an order in which they all succeed.
fn every_call(id: &str) -> Vec<Value> {
    vec![
        with(new_instance("CS-other"), "productId", format!("for-{id}")),
        query(id),
        renewal(id, "CS-renewal", FUTURE),
        freeze(id),
        unfreeze(id),
        upgrade(id, "CS-upgrade"),
        change_check(id, json!({ "productId": "P2" })),
        order_notify("CS-other"),
        release(id),
    ]
}
