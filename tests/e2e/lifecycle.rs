//! The life of an instance: the protocol's status table end to end, every trap of the life-cycle (a) to (h), queries,
//! change checks, order notifications and test calls.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Application, KEY, eventually, new_instance, ready_answer};
use crate::shop::{
    FIXED, FUTURE, FUTURE_SHOWN, Gate, IMPATIENT, LATER, LATER_SHOWN, PAST, PAST_SHOWN, PATIENT, Shop, as_test,
    change_check, freeze, instance_id, new_item, order_notify, query, refresh, release, renewal, unfreeze, upgrade,
    with, without,
};

const NEVER: &str = "[lifecycle]\nrefresh_unfreezes = \"never\"\n";

/// Instances of the product MANUAL wait for the operator, all others are ready at once.
fn fixed_and_manual() -> Shop {
    let products = format!("[[product]]\nproduct_id = \"MANUAL\"\nfulfilment = \"manual\"\n{FIXED}");
    Shop::with_products(Application::ready(), "", &products)
}

// The status table.

/// What a new operation answers to an instance in each status, and the status it leaves behind.
#[test]
fn every_operation_does_to_every_status_what_the_table_says() {
    type Row = (&'static str, fn(&str) -> Value, [(&'static str, &'static str); 4]);
    let table: [Row; 11] = [
        // name, call, then (code, status afterwards) for creating, active, frozen, released
        (
            "refresh",
            |id| renewal(id, "R1", FUTURE),
            [("000005", "creating"), ("000000", "active"), ("000000", "active"), ("000003", "released")],
        ),
        (
            "refresh into the past",
            |id| renewal(id, "R2", PAST),
            [("000005", "creating"), ("000000", "active"), ("000000", "frozen"), ("000003", "released")],
        ),
        (
            "trial to formal",
            |id| refresh(id, "R3", "TRIAL_TO_FORMAL", FUTURE),
            [("000005", "creating"), ("000000", "active"), ("000000", "active"), ("000003", "released")],
        ),
        (
            "renewal change",
            |id| refresh(id, "R4", "RENEWAL_CHANGE", FUTURE),
            [("000005", "creating"), ("000000", "active"), ("000000", "active"), ("000003", "released")],
        ),
        (
            "cancelled renewal",
            |id| refresh(id, "R5", "UNSUBSCRIBE_RENEWAL_PERIOD", FUTURE),
            [("000005", "creating"), ("000000", "active"), ("000000", "frozen"), ("000003", "released")],
        ),
        (
            "freeze",
            freeze,
            [("000005", "creating"), ("000000", "frozen"), ("000000", "frozen"), ("000003", "released")],
        ),
        (
            "unfreeze",
            unfreeze,
            [("000005", "creating"), ("000000", "active"), ("000000", "active"), ("000003", "released")],
        ),
        (
            "upgrade",
            |id| upgrade(id, "U1"),
            [("000005", "creating"), ("000000", "active"), ("000000", "frozen"), ("000003", "released")],
        ),
        (
            "release",
            release,
            [("000000", "released"), ("000000", "released"), ("000000", "released"), ("000000", "released")],
        ),
        ("query", query, [("000004", "creating"), ("000000", "active"), ("000000", "frozen"), ("000003", "released")]),
        (
            "change check",
            |id| change_check(id, json!({ "productId": "P2" })),
            [("000005", "creating"), ("000000", "active"), ("000000", "frozen"), ("000003", "released")],
        ),
    ];
    let shop = fixed_and_manual();
    let mut expected = HashMap::new();
    for (number, (name, call, results)) in table.into_iter().enumerate() {
        for (status, (code, after)) in ["creating", "active", "frozen", "released"].into_iter().zip(results) {
            let id = instance_in(&shop, status, &format!("CS{number}-{status}"));
            let answer = shop.koogate.call(&call(&id));
            assert_eq!(answer.code(), code, "{name} on {status}: {}", answer.json());
            expected.insert(id, (format!("{name} on {status}"), after));
        }
    }
    for listed in shop.scratch.run_json(&["instance", "list", "--json", "--limit", "100"]) {
        let (what, after) = expected.remove(listed["instanceId"].as_str().unwrap()).unwrap();
        assert_eq!(listed["status"], after, "{what}");
    }
    assert!(expected.is_empty(), "{expected:?}");
}

/// The row "repeat of recorded newInstance" of the table; the other repeats are in `replay`.
#[test]
fn a_repeated_new_instance_is_answered_from_the_record_in_every_status() {
    let shop = fixed_and_manual();
    for status in ["creating", "active", "frozen", "released"] {
        let order = format!("CS-{status}");
        let id = instance_in(&shop, status, &order);
        let (product, code) = if status == "creating" { ("MANUAL", "000004") } else { ("P1", "000000") };
        let again = shop.expect(code, &new_item(&order, product));
        assert_eq!((instance_id(&again), shop.status(&id).as_str()), (id, status));
    }
    assert_eq!(shop.count("instance"), 4);
}

fn instance_in(shop: &Shop, status: &str, order: &str) -> String {
    if status == "creating" {
        return instance_id(&shop.expect("000004", &new_item(order, "MANUAL")));
    }
    let id = instance_id(&shop.expect("000000", &new_item(order, "P1")));
    match status {
        "frozen" => drop(shop.expect("000000", &freeze(&id))),
        "released" => drop(shop.expect("000000", &release(&id))),
        _ => {}
    }
    id
}

#[test]
fn ids_that_were_never_issued_are_000003() {
    let shop = Shop::open("");
    let id = "never-issued";
    for call in [
        renewal(id, "CS1", FUTURE),
        freeze(id),
        unfreeze(id),
        upgrade(id, "CS1"),
        release(id),
        change_check(id, json!({ "productId": "P2" })),
        query(id),
    ] {
        shop.expect("000003", &call);
    }
    assert_eq!((shop.count("instance"), shop.count("operation"), shop.count("job")), (0, 0, 0));
}

// Trap (a): freeze, unfreeze, freeze again.

#[test]
fn every_freeze_after_an_unfreeze_is_executed_and_every_retry_has_no_effect() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    for _ in 0..3 {
        for call in [freeze(&id), unfreeze(&id)] {
            let first = shop.expect("000000", &call);
            assert_eq!(shop.koogate.call(&call).verbatim(), first.verbatim());
        }
    }
    shop.expect("000000", &release(&id));
    let mut events = vec!["instance.create"];
    events.extend(["instance.freeze", "instance.unfreeze"].repeat(3));
    events.push("instance.release");
    shop.told(&id, &events);
    assert_eq!(shop.count("operation"), 8, "retries are no operations of their own");
}

#[test]
fn a_renewal_of_a_frozen_instance_unfreezes_it_and_the_next_freeze_is_executed() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &freeze(&id));
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    assert_eq!(shop.status(&id), "active");
    shop.expect("000000", &unfreeze(&id));
    shop.expect("000000", &freeze(&id));
    assert_eq!(shop.status(&id), "frozen");
    shop.expect("000000", &release(&id));
    // The unfreeze after the renewal found nothing to do.
    shop.told(&id, &["instance.create", "instance.freeze", "instance.renew", "instance.freeze", "instance.release"]);
    let renewed = shop.application.events().into_iter().find(|event| event["event"] == "instance.renew").unwrap();
    assert_eq!(renewed["instance"], json!({ "status": "active", "expireTime": FUTURE_SHOWN }));
}

#[test]
fn with_refresh_unfreezes_never_a_renewed_instance_stays_frozen_until_the_unfreeze() {
    let shop = Shop::with(Application::ready(), NEVER, "");
    let id = shop.buy("CS1");
    shop.expect("000000", &freeze(&id));
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    assert_eq!((shop.status(&id).as_str(), &shop.instance(&id)["expireTime"]), ("frozen", &json!(FUTURE_SHOWN)));
    shop.expect("000000", &unfreeze(&id));
    assert_eq!(shop.status(&id), "active");
}

#[test]
fn a_freeze_that_the_application_did_not_accept_leaves_the_status_and_its_retry_is_executed() {
    let application = Application::start(|event| match event["event"].as_str() {
        Some("instance.freeze") => {
            (200, json!({ "status": "refused", "resultCode": "000005", "message": "busy" }).to_string())
        }
        _ => (200, ready_answer(event)),
    });
    let shop = Shop::with(application, PATIENT, "accept = \"after\"");
    let id = shop.buy("CS1");
    for _ in 0..2 {
        shop.expect("000005", &freeze(&id));
        assert_eq!(shop.status(&id), "active");
    }
    assert_eq!(shop.application.names_for(&id), ["instance.create", "instance.freeze", "instance.freeze"]);
}

#[test]
fn a_freeze_though_paid_is_obeyed_and_alerted() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    shop.expect("000000", &freeze(&id));
    assert_eq!(shop.status(&id), "frozen");
    shop.koogate.wait_for_log(&format!("ALERT instance {id} was frozen though it is paid beyond today"));
    assert_eq!(last_of(&shop.instance(&id)["history"])["note"], "frozen though paid beyond today");
}

#[test]
fn a_freeze_at_expiry_is_nothing_to_alert() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", PAST));
    shop.expect("000000", &freeze(&id));
    assert_eq!(last_of(&shop.instance(&id)["history"])["note"], Value::Null);
    let log = shop.koogate.stop();
    assert!(!log.contains("ALERT"), "{log}");
}

// Trap (b): renewals and their cancellation.

#[test]
fn a_cancelled_renewal_with_the_order_of_the_renewal_is_executed_and_a_late_retry_of_the_renewal_is_not() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    let second = shop.expect("000000", &renewal(&id, "CS3", LATER));
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);

    let cancellation = refresh(&id, "CS3", "UNSUBSCRIBE_RENEWAL_PERIOD", FUTURE);
    shop.expect("000000", &cancellation);
    assert_eq!(shop.instance(&id)["expireTime"], FUTURE_SHOWN);

    assert_eq!(shop.koogate.call(&renewal(&id, "CS3", LATER)).verbatim(), second.verbatim());
    shop.expect("000000", &cancellation);
    assert_eq!(shop.instance(&id)["expireTime"], FUTURE_SHOWN, "the longer date is not set again");
    assert_eq!(shop.history(&id), ["created", "ready", "renewed", "renewed", "renewed"]);
}

#[test]
fn a_cancelled_renewal_with_a_past_date_sets_the_date_and_nothing_else() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    shop.expect("000000", &refresh(&id, "CS2", "UNSUBSCRIBE_RENEWAL_PERIOD", PAST));
    let shown = shop.instance(&id);
    assert_eq!((&shown["status"], &shown["expireTime"]), (&json!("active"), &json!(PAST_SHOWN)));
    shop.told(&id, &["instance.create", "instance.renew", "instance.renew"]);
}

#[test]
fn a_cancelled_renewal_with_a_future_date_does_not_unfreeze() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &freeze(&id));
    shop.expect("000000", &refresh(&id, "CS2", "UNSUBSCRIBE_RENEWAL_PERIOD", FUTURE));
    assert_eq!((shop.status(&id).as_str(), &shop.instance(&id)["expireTime"]), ("frozen", &json!(FUTURE_SHOWN)));
}

#[test]
fn the_expiry_date_is_set_and_never_added_to_whether_it_has_14_or_17_digits() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    assert_eq!(shop.instance(&id)["expireTime"], Value::Null);
    let dates = [
        ("20991231235959", "2099-12-31T23:59:59Z"),
        ("20981124023618256", "2098-11-24T02:36:18Z"),
        ("20200131000000", "2020-01-31T00:00:00Z"),
    ];
    for (number, (wire, shown)) in dates.into_iter().enumerate() {
        shop.expect("000000", &renewal(&id, &format!("R{number}"), wire));
        assert_eq!(shop.instance(&id)["expireTime"], shown, "{wire}");
    }
    shop.told(&id, &["instance.create", "instance.renew", "instance.renew", "instance.renew"]);
    let second = &shop.application.events()[2]["change"];
    assert_eq!(second["expireTime"], "2098-11-24T02:36:18.256Z", "RFC 3339 whatever the wire said");
    assert_eq!(second["previousExpireTime"], FUTURE_SHOWN);
}

#[test]
fn every_scene_keeps_the_instance_and_puts_a_new_product_in_force() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    let scenes = ["TRIAL_TO_FORMAL", "RENEWAL", "RENEWAL_CHANGE"];
    for scene in scenes {
        let call = with(refresh(&id, &format!("CS-{scene}"), scene, FUTURE), "productId", format!("P-{scene}"));
        shop.expect("000000", &call);
        assert_eq!(shop.instance(&id)["productId"], format!("P-{scene}"));
        // Without a product the old one stays.
        shop.expect("000000", &without(with(call, "orderId", format!("CS-{scene}-2")), "productId"));
        assert_eq!(shop.instance(&id)["productId"], format!("P-{scene}"));
    }
    shop.told(&id, &[&["instance.create"], &["instance.renew"; 6][..]].concat());
    let told: Vec<_> = shop.application.events().iter().skip(1).map(|event| event["change"]["scene"].clone()).collect();
    assert_eq!(told, scenes.map(|scene| [scene, scene]).concat());
    assert_eq!(shop.count("instance"), 1);
}

// Trap (e): on-demand orders.

#[test]
fn calls_of_one_order_line_that_name_different_products_get_different_instances() {
    let shop = Shop::open("");
    let items = ["P1", "P2", "P3"];
    let mut first: Vec<_> =
        items.iter().map(|item| instance_id(&shop.expect("000000", &new_item("CS1", item)))).collect();
    let again: Vec<_> = items.iter().map(|item| instance_id(&shop.expect("000000", &new_item("CS1", item)))).collect();
    assert_eq!(again, first);
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 3);
    assert_eq!(shop.application.events().len(), 3);
}

#[test]
fn calls_of_one_order_that_name_different_lines_get_different_instances() {
    let shop = Shop::open("");
    let one = shop.buy("CS1");
    let two = instance_id(&shop.expect("000000", &with(new_instance("CS1"), "orderLineId", "CS1-000002")));
    assert_ne!(one, two);
}

#[test]
fn a_business_id_that_is_taken_does_not_become_a_second_instances_id() {
    let shop = Shop::open("");
    let first = new_instance("CS1");
    let one = instance_id(&shop.expect("000000", &first));
    let second = with(new_instance("CS2"), "businessId", first["businessId"].clone());
    let two = instance_id(&shop.expect("000000", &second));
    assert_ne!(one, two);
    assert_eq!(instance_id(&shop.expect("000000", &new_instance("CS2"))), two);
}

#[test]
fn a_business_id_that_could_not_be_queried_does_not_become_an_instance_id() {
    let shop = Shop::open("");
    for (number, business_id) in ["a,b", " blank", "blank ", &"x".repeat(65)].into_iter().enumerate() {
        let call = with(new_instance(&format!("CS{number}")), "businessId", business_id);
        let id = instance_id(&shop.expect("000000", &call));
        assert_eq!(ready_ids(&shop, &id), [id], "{business_id:?}");
    }
}

// Trap (g): test calls.

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

// Trap (h): release.

#[test]
fn a_retried_release_succeeds_and_a_late_new_instance_replays_and_never_creates_again() {
    let shop = Shop::open("");
    let bought = shop.expect("000000", &new_instance("CS1"));
    let id = instance_id(&bought);
    let renewed = shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    let released = shop.expect("000000", &release(&id));
    let refund = with(release(&id), "orderId", "CS-refund");
    for call in [release(&id), refund] {
        assert_eq!(shop.koogate.call(&call).verbatim(), released.verbatim());
    }
    assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), bought.verbatim());
    assert_eq!(shop.koogate.call(&renewal(&id, "CS2", FUTURE)).verbatim(), renewed.verbatim());
    shop.expect("000003", &query(&id));
    shop.told(&id, &["instance.create", "instance.renew", "instance.release"]);
    assert_eq!((shop.count("instance"), shop.status(&id).as_str()), (1, "released"));
    assert_eq!(shop.application.events().len(), 3);
}

#[test]
fn a_release_of_a_creating_instance_cancels_the_creation_and_deletes() {
    let shop = fixed_and_manual();
    let id = instance_in(&shop, "creating", "CS1");
    shop.expect("000000", &release(&id));
    assert_eq!(shop.history(&id), ["created", "released"]);
    let output = shop.scratch.run(&["instance", "ready", &id, "--front-end-url", "https://app.example.com/"]);
    assert_eq!(output.status.code(), Some(1), "released is final");
    shop.expect("000005", &new_item("CS1", "MANUAL"));
    assert_eq!((shop.status(&id).as_str(), shop.count("instance")), ("released", 1), "never created again");
}

#[test]
fn a_creation_that_ends_after_the_release_does_not_count_and_the_application_is_told_of_the_release() {
    let (gate, application) = gated_application(|event| (200, ready_answer(event)));
    let shop = Shop::with(application, IMPATIENT, "");
    let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
    shop.expect("000000", &release(&id));
    gate.open();
    shop.told(&id, &["instance.create", "instance.release"]);
    assert_eq!(shop.history(&id), ["created", "released"]);
}

#[test]
fn a_creation_that_fails_after_the_release_is_not_tried_again() {
    for answer in [(500, "broken".to_owned()), (200, "{\"status\":\"pending\"}".to_owned())] {
        let (gate, application) = gated_application(move |event| match event["event"].as_str() {
            Some("instance.create") => answer.clone(),
            _ => (200, ready_answer(event)),
        });
        let shop = Shop::with(application, IMPATIENT, "");
        let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
        shop.expect("000000", &release(&id));
        gate.open();
        shop.told(&id, &["instance.create", "instance.release"]);
        let jobs = shop.instance(&id)["jobs"].clone();
        eventually(
            || (shop.count("job WHERE state IN ('waiting', 'running')") == 0).then_some(()),
            || jobs.to_string(),
        );
        assert_eq!(shop.application.names_for(&id).len(), 2);
    }
}

/// Holds the first event up until the gate is opened.
fn gated_application(answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> (Arc<Gate>, Application) {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let application = Application::start(move |event| {
        held.pass();
        answer(event)
    });
    (gate, application)
}

// Queries.

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

fn ready_ids(shop: &Shop, asked: &str) -> Vec<String> {
    let answer = shop.expect("000000", &query(asked)).json();
    answer["info"].as_array().unwrap().iter().map(|info| info["instanceId"].as_str().unwrap().to_owned()).collect()
}

// Change checks.

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

// Order notifications.

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

// What an operator sees of it.

#[test]
fn instance_show_tells_the_history_with_the_exchange_that_caused_each_change() {
    let shop = Shop::with(Application::ready(), PATIENT, "");
    let id = shop.buy("CS1");
    let calls =
        [renewal(&id, "CS2", FUTURE), query(&id), freeze(&id), unfreeze(&id), upgrade(&id, "CS3"), release(&id)];
    for call in &calls {
        shop.expect("000000", call);
    }
    let shown = shop.instance(&id);
    let history: Vec<_> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["change"].as_str().unwrap(), entry["status"].as_str().unwrap(), &entry["exchange"]))
        .collect();
    // Exchange 3 was the query.
    let expected = [
        ("created", "creating", 1),
        ("ready", "active", 1),
        ("renewed", "active", 2),
        ("frozen", "frozen", 4),
        ("unfrozen", "active", 5),
        ("upgraded", "active", 6),
        ("released", "released", 7),
    ];
    assert_eq!(
        history,
        expected.each_ref().map(|(change, status, exchange)| (*change, *status, &json!(*exchange))).to_vec()
    );

    let text = shop.scratch.run_ok(&["instance", "show", &id]);
    for part in [&id, "released", "CS1-000001", "frozen though paid beyond today", "exchange 4", FUTURE_SHOWN] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

fn last_of(list: &Value) -> &Value {
    list.as_array().unwrap().last().unwrap()
}
