//! Service supervision: a purchase call that comes again with other dates is answered from the record, and its dates are
//! applied once (the traps of the life-cycle, d).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::crowd;
use crate::harness::{Application, ready_answer};
use crate::shop::{FIXED, FUTURE, FUTURE_SHOWN, IMPATIENT, LATER, LATER_SHOWN, PATIENT, Shop, instance_id};
use crate::token_get::{Get, call, expire, purchase, release, renew};

/// The three calls: ordered, delivered, accepted.
fn three_calls(order: &str) -> [Get; 3] {
    let ordered = purchase(order).with("provisionType", "1");
    let delivered = ordered.clone().with("expireTime", LATER);
    let accepted = delivered.clone().with("expireTime", "21011231235959").with("acceptanceTime", "20260101000000");
    [ordered, delivered, accepted]
}

/// What the application was told of new dates: scene, new date, date before, terms.
fn told(shop: &Shop) -> Vec<Value> {
    let events = shop.application.events();
    let renewals = events.iter().filter(|event| event["event"] == "instance.renew").map(|event| &event["change"]);
    renewals.map(|change| json!([change["scene"], change["previousExpireTime"], change["expireTime"]])).collect()
}

#[test]
fn the_three_calls_get_the_same_bytes_and_each_change_of_dates_reaches_the_application_once() {
    let shop = Shop::open("");
    let calls = three_calls("CS1");
    let first = shop.get_thrice(&calls[0]);
    let id = instance_id(&first);
    let dates = [FUTURE_SHOWN, LATER_SHOWN, "2101-12-31T23:59:59Z"];
    for (call, date) in calls.iter().zip(dates) {
        assert_eq!(shop.get_thrice(call).verbatim(), first.verbatim());
        assert_eq!(shop.instance(&id)["expireTime"], date);
    }
    shop.told_only(&id, &["instance.create", "instance.renew", "instance.renew"]);
    let scene = "SERVICE_SUPERVISION";
    assert_eq!(told(&shop), [json!([scene, dates[0], dates[1]]), json!([scene, dates[1], dates[2]])]);
    let terms = &shop.application.events()[2]["change"]["terms"];
    let expected = json!({
        "expireTime": "21011231235959", "periodType": "year", "periodNumber": "1", "provisionType": "1",
        "acceptanceTime": "20260101000000",
    });
    assert_eq!(*terms, expected);
    assert_eq!(shop.history(&id), ["created", "ready", "supervised", "supervised"]);
    assert_eq!((shop.count("instance"), shop.count("operation")), (1, 3));
}

#[test]
fn a_renewal_and_a_release_have_the_last_word_on_dates() {
    let shop = Shop::open("");
    let [ordered, delivered, accepted] = three_calls("CS1");
    let first = shop.get("000000", &ordered);
    let id = instance_id(&first);
    shop.get("000000", &delivered);
    shop.get("000000", &renew(&id, "CS2", "20981231235959"));
    for call in [&ordered, &delivered, &accepted] {
        assert_eq!(shop.get_thrice(call).verbatim(), first.verbatim());
    }
    assert_eq!(shop.instance(&id)["expireTime"], "2098-12-31T23:59:59Z");

    let [ordered, delivered, _] = three_calls("CS3");
    let other = instance_id(&shop.get("000000", &ordered));
    shop.get("000000", &release(&other, "CS3"));
    shop.get_thrice(&delivered);
    assert_eq!(shop.instance(&other)["expireTime"], FUTURE_SHOWN);
    shop.told_only(&id, &["instance.create", "instance.renew", "instance.renew"]);
    shop.told_only(&other, &["instance.create", "instance.release"]);
}

#[test]
fn new_dates_do_not_unfreeze() {
    let shop = Shop::with_products(Application::ready(), "", FIXED);
    let [ordered, delivered, _] = three_calls("CS1");
    let first = shop.get("000000", &ordered);
    let id = instance_id(&first);
    shop.get("000000", &expire(&id, "CS1"));
    assert_eq!(shop.get_thrice(&delivered).verbatim(), first.verbatim());
    let shown = shop.instance(&id);
    assert_eq!((&shown["status"], &shown["expireTime"]), (&json!("frozen"), &json!(LATER_SHOWN)));
}

#[test]
fn dates_the_application_does_not_take_are_000005_and_applied_at_the_next_repeat() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let application = Application::start(move |event| {
        let refused = json!({ "status": "refused", "resultCode": "000005", "message": "busy" }).to_string();
        let refuses = event["event"] == "instance.renew" && broken.load(Ordering::SeqCst);
        (200, if refuses { refused } else { ready_answer(event) })
    });
    let shop = Shop::with(application, PATIENT, "accept = \"after\"");
    let [ordered, delivered, _] = three_calls("CS1");
    let first = shop.get_thrice(&ordered);
    let id = instance_id(&first);
    for _ in 0..2 {
        shop.get("000005", &delivered);
        assert_eq!(shop.instance(&id)["expireTime"], FUTURE_SHOWN, "nothing is applied");
    }
    is_broken.store(false, Ordering::SeqCst);
    assert_eq!(shop.get_thrice(&delivered).verbatim(), first.verbatim());
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
    let events = shop.application.events();
    let renewals: Vec<_> = events.iter().filter(|event| event["event"] == "instance.renew").collect();
    assert_eq!(renewals.len(), 3);
    assert!(renewals.iter().all(|event| event["operationId"] == renewals[0]["operationId"]), "{renewals:?}");
    assert_eq!(shop.history(&id), ["created", "ready", "supervised"]);
}

#[test]
fn dates_the_application_is_slow_to_take_are_000005_and_applied_without_another_attempt() {
    let gate = Arc::new(crate::shop::Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        if event["event"] == "instance.renew" {
            slow.pass();
        }
        (200, ready_answer(event))
    });
    let shop = Shop::with(application, IMPATIENT, "accept = \"after\"");
    let [ordered, delivered, accepted] = three_calls("CS1");
    let first = shop.get("000000", &ordered);
    let id = instance_id(&first);
    shop.get("000005", &delivered);
    shop.get("000005", &delivered);
    // Other dates wait their turn.
    shop.get("000005", &accepted);
    gate.open();
    shop.scratch.wait_for_instance(&id, |instance| instance["expireTime"] == LATER_SHOWN);
    assert_eq!(shop.get_thrice(&delivered).verbatim(), first.verbatim());
    assert_eq!(shop.get_thrice(&accepted).verbatim(), first.verbatim());
    shop.told_only(&id, &["instance.create", "instance.renew", "instance.renew"]);
}

#[test]
fn parallel_calls_with_new_dates_apply_them_once() {
    for accept in ["at-once", "after"] {
        let shop = Shop::with(Application::ready(), PATIENT, &format!("accept = \"{accept}\""));
        let [ordered, delivered, accepted] = three_calls("CS1");
        let first = shop.get("000000", &ordered);
        for new in [delivered, accepted] {
            assert_eq!(crowd(&shop.koogate, &new).verbatim(), first.verbatim());
        }
        shop.told_only(&instance_id(&first), &["instance.create", "instance.renew", "instance.renew"]);
    }
}
#[test]
fn dates_that_come_only_with_a_later_call_are_applied_too() {
    let shop = Shop::open("");
    let [.., accepted] = three_calls("CS1");
    let bare = ["expireTime", "periodType", "periodNumber", "provisionType"]
        .into_iter()
        .fold(purchase("CS1"), |call, name| call.without(name));
    let first = shop.get_thrice(&bare);
    let id = instance_id(&first);
    assert_eq!(shop.instance(&id)["expireTime"], Value::Null);
    assert_eq!(shop.get_thrice(&accepted).verbatim(), first.verbatim());
    assert_eq!(shop.instance(&id)["expireTime"], "2101-12-31T23:59:59Z");
    // What is absent says nothing.
    shop.get_thrice(&bare);
    assert_eq!(shop.instance(&id)["expireTime"], "2101-12-31T23:59:59Z");
    shop.told_only(&id, &["instance.create", "instance.renew"]);
}
#[test]
fn the_same_date_in_another_spelling_is_no_new_date() {
    let shop = Shop::open("");
    let first = shop.get("000000", &purchase("CS1"));
    let again = purchase("CS1").with("expireTime", &format!("{FUTURE}000"));
    assert_eq!(call(&shop.koogate, &again).verbatim(), first.verbatim());
    shop.told_only(&instance_id(&first), &["instance.create"]);
}
#[test]
fn dates_that_came_while_the_purchase_failed_are_those_of_the_instance() {
    let product = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\n";
    let shop = Shop::with_products(Application::ready(), "", product);
    let [ordered, delivered, _] = three_calls("CS1");
    shop.get("000100", &ordered);
    std::fs::write(shop.scratch.path("a.csv"), "front_end_url\nhttps://app.example.com/1\n").unwrap();
    shop.scratch.run_ok(&["stock", "import", "accounts", "a.csv"]);
    let id = instance_id(&shop.get("000000", &delivered));
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
}
