//! The life of an instance: the protocol's status table end to end, and the traps of the life-cycle (a) to (h).

mod questions;
mod release;
mod renewals;
mod test_calls;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::harness::{Application, new_instance, ready_answer};
use crate::shop::{
    FIXED, FUTURE, FUTURE_SHOWN, PAST, PATIENT, Shop, change_check, freeze, instance_id, new_item, query, refresh,
    release, renewal, unfreeze, upgrade, with,
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
    let mut events = vec!["instance.create"];
    events.extend(["instance.freeze", "instance.unfreeze"].repeat(3));
    shop.told_only(&id, &events);
    assert_eq!(shop.count("operation"), 7, "retries are no operations of their own");
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
    // The unfreeze after the renewal found nothing to do.
    shop.told_only(&id, &["instance.create", "instance.freeze", "instance.renew", "instance.freeze"]);
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
    let history = shown["history"].as_array().unwrap();
    let told = |entry: &Value| json!([entry["change"], entry["status"], entry["exchange"]]);
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
    assert_eq!(history.iter().map(told).collect::<Vec<_>>(), expected.map(|entry| json!(entry)));

    let text = shop.scratch.run_ok(&["instance", "show", &id]);
    for part in [&id, "released", "CS1-000001", "frozen though paid beyond today", "exchange 4", FUTURE_SHOWN] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

fn ready_ids(shop: &Shop, asked: &str) -> Vec<String> {
    let answer = shop.expect("000000", &query(asked)).json();
    answer["info"].as_array().unwrap().iter().map(|info| info["instanceId"].as_str().unwrap().to_owned()).collect()
}

fn last_of(list: &Value) -> &Value {
    list.as_array().unwrap().last().unwrap()
}
