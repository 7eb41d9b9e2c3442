//! L2: codes are KooGallery's; koogate keeps book of what becomes of them, known or not, and tells the application.

use serde_json::{Value, json};

use super::{LICENSE_KEY, crowd, licensed_shop};
use crate::harness::{Application, KEY, nonce};
use crate::shop::{FUTURE, FUTURE_SHOWN, LATER, LATER_SHOWN, PAST_SHOWN, PATIENT, Shop, as_test, with, without};

const PAST: &str = crate::shop::PAST;

fn open() -> Shop {
    let application = Application::ready();
    let product = application.product("kind = \"license-code\"");
    licensed_shop(application, PATIENT, &product)
}

fn refresh(code: &str, order: &str, scene: &str, expire_time: &str) -> Value {
    json!({
        "activity": "refreshLicenseCode", "license": code, "orderId": order, "orderLineId": format!("{order}-000001"),
        "scene": scene, "expireTime": expire_time, "testFlag": "0",
    })
}

fn renew(code: &str, order: &str, expire_time: &str) -> Value {
    refresh(code, order, "RENEWAL", expire_time)
}

fn status(code: &str, status: &str) -> Value {
    json!({ "activity": "updateLicenseCodeStatus", "license": code, "status": status, "testFlag": "0" })
}

fn release(code: &str) -> Value {
    json!({ "activity": "releaseLicenseCode", "license": code, "testFlag": "0" })
}

#[test]
fn a_code_nobody_has_heard_of_begins_its_record_with_the_first_call_about_it() {
    let shop = open();
    let calls = [
        ("PL1", renew("PL1", "CS1", FUTURE), "active", json!(FUTURE_SHOWN), &["instance.renew"][..]),
        ("PL2", renew("PL2", "CS1", PAST), "active", json!(PAST_SHOWN), &["instance.renew"]),
        ("PL3", status("PL3", "FREEZE"), "frozen", Value::Null, &["instance.freeze"]),
        ("PL4", status("PL4", "UNFREEZE"), "active", Value::Null, &[]),
        ("PL5", release("PL5"), "released", Value::Null, &["instance.release"]),
        (
            "PL6",
            refresh("PL6", "CS1", "UNSUBSCRIBE_RENEWAL_PERIOD", FUTURE),
            "active",
            json!(FUTURE_SHOWN),
            &["instance.renew"],
        ),
    ];
    for (code, call, status, expires, events) in &calls {
        shop.license_post_thrice(call);
        let shown = shop.instance(code);
        let found = (&shown["kind"], shown["status"].as_str().unwrap(), &shown["expireTime"]);
        assert_eq!(found, (&json!("license-code"), *status, expires), "{call}");
        assert_eq!(shown["history"][0]["note"], "first heard of by this call");
        assert_eq!(shown["orderId"], Value::Null, "the order is not the one that bought it");
        shop.told_only(code, events);
    }
    let event = &shop.application.events()[0];
    assert_eq!(
        (&event["kind"], &event["instanceId"], &event["order"]["orderId"]),
        (&json!("license-code"), &json!("PL1"), &json!("CS1"))
    );
    assert_eq!(
        (&event["change"]["scene"], &event["instance"]["expireTime"]),
        (&json!("RENEWAL"), &json!(FUTURE_SHOWN))
    );
    assert_eq!(shop.scratch.run_json(&["license", "list", "--kind", "license-code", "--json"]).len(), calls.len());
}

#[test]
fn a_code_nobody_has_heard_of_is_000003_where_that_is_configured_and_known_ones_go_on() {
    let application = Application::ready();
    let product = application.product("kind = \"license-code\"");
    let shop = licensed_shop(application, PATIENT, &product);
    shop.license_post("000000", &renew("PL1", "CS1", FUTURE));
    super::configure(&shop.scratch, &format!("{PATIENT}[lifecycle]\nl2_unknown_code = \"reject\"\n"), &product);
    shop.koogate.signal("HUP");
    shop.koogate.wait_for_log("the configuration was reloaded");
    for call in [renew("PL2", "CS1", FUTURE), status("PL2", "FREEZE"), release("PL2")] {
        for _ in 0..2 {
            shop.license_post("000003", &call);
        }
        shop.license_post("000000", &as_test(call));
    }
    assert_eq!((shop.count("instance"), shop.count("operation")), (1, 1));
    shop.license_post_thrice(&status("PL1", "FREEZE"));
    shop.license_post_thrice(&release("PL1"));
}

#[test]
fn a_life_with_a_retry_at_every_step() {
    let shop = open();
    let code = "PL1";
    shop.license_post_thrice(&renew(code, "CS2", FUTURE));
    // Frozen, unfrozen and frozen again: every change is executed, every retry is not.
    for _ in 0..2 {
        shop.license_post_thrice(&status(code, "FREEZE"));
        assert_eq!(shop.status(code), "frozen");
        shop.license_post_thrice(&status(code, "UNFREEZE"));
        assert_eq!(shop.status(code), "active");
    }
    shop.license_post_thrice(&status(code, "FREEZE"));
    shop.license_post_thrice(&renew(code, "CS3", LATER));
    assert_eq!(shop.status(code), "active", "a renewal unfreezes");
    // The cancellation may carry the renewal's order; a late retry of the renewal does not bring its date back.
    shop.license_post_thrice(&refresh(code, "CS3", "UNSUBSCRIBE_RENEWAL_PERIOD", FUTURE));
    shop.license_post_thrice(&renew(code, "CS3", LATER));
    assert_eq!(shop.instance(code)["expireTime"], FUTURE_SHOWN);
    shop.license_post_thrice(&status(code, "FREEZE"));
    shop.license_post_thrice(&refresh(code, "CS4", "UNSUBSCRIBE_RENEWAL_PERIOD", LATER));
    assert_eq!((shop.status(code).as_str(), &shop.instance(code)["expireTime"]), ("frozen", &json!(LATER_SHOWN)));
    let events =
        ["renew", "freeze", "unfreeze", "freeze", "unfreeze", "freeze", "renew", "renew", "freeze", "renew", "release"];
    let events = events.map(|name| format!("instance.{name}"));
    let events = events.each_ref().map(String::as_str);
    // A release would cancel what is still on its way.
    shop.told(code, &events[..10]);
    let released = shop.license_post_thrice(&with(with(release(code), "orderId", "CS9"), "orderLineId", "CS9-1"));

    assert_eq!(shop.license_post("000000", &release(code)).verbatim(), released.verbatim());
    shop.license_post_thrice(&renew(code, "CS3", LATER));
    for new in [renew(code, "CS3", "21011231235959"), status(code, "FREEZE"), status(code, "UNFREEZE")] {
        shop.license_post("000003", &new);
    }
    shop.told_only(code, &events);
    assert_eq!((shop.status(code).as_str(), shop.count("instance")), ("released", 1));
}

#[test]
fn the_basic_key_opens_nothing_and_what_is_wrong_is_named() {
    let shop = open();
    let call = renew("PL1", "CS1", FUTURE);
    for key in [KEY, "wrong"] {
        let refused = shop.koogate.try_call(key, &call).unwrap();
        assert_eq!(refused.code(), "000001");
        crate::token_get::assert_signed(LICENSE_KEY, &refused);
    }
    let mandatory = ["license", "orderId", "orderLineId", "scene", "expireTime"].map(|name| (call.clone(), name));
    let more = [(status("PL1", "FREEZE"), "license"), (status("PL1", "FREEZE"), "status"), (release("PL1"), "license")];
    for (call, name) in mandatory.into_iter().chain(more) {
        for spoiled in [without(call.clone(), name), with(call.clone(), name, "")] {
            let answer = shop.license_post("000002", &spoiled).json();
            assert!(answer["resultMsg"].as_str().unwrap().contains(name), "{spoiled}: {answer}");
            shop.license_post("000002", &as_test(spoiled));
        }
    }
    shop.license_post("000002", &refresh("PL1", "CS1", "RENEWAL_", FUTURE));
    assert_eq!((shop.count("instance"), shop.count("job")), (0, 0));
}

#[test]
fn test_calls_succeed_with_any_code_and_change_nothing() {
    let shop = open();
    shop.license_post("000000", &renew("PL1", "CS1", FUTURE));
    for code in ["PL1", "PL-made-up"] {
        for call in [renew(code, "CS2", LATER), status(code, "FREEZE"), status(code, "UNFREEZE"), release(code)] {
            shop.license_post("000000", &as_test(call));
        }
    }
    assert_eq!((shop.status("PL1").as_str(), &shop.instance("PL1")["expireTime"]), ("active", &json!(FUTURE_SHOWN)));
    assert_eq!(shop.count("instance"), 1);
    shop.told_only("PL1", &["instance.renew"]);
}

#[test]
fn parallel_duplicates_about_an_unknown_code_are_one_record_and_one_change() {
    for accept in ["at-once", "after"] {
        let application = Application::ready();
        let product = application.product(&format!("kind = \"license-code\"\naccept = \"{accept}\""));
        let shop = licensed_shop(application, PATIENT, &product);
        for call in [renew("PL1", "CS1", FUTURE), status("PL2", "FREEZE"), release("PL3")] {
            let answer = crowd(|| shop.koogate.call_with(LICENSE_KEY, &call));
            assert_eq!(answer.code(), "000000", "{call}");
        }
        for (code, event) in [("PL1", "instance.renew"), ("PL2", "instance.freeze"), ("PL3", "instance.release")] {
            shop.told_only(code, &[event]);
        }
        assert_eq!((shop.count("instance"), shop.count("operation")), (3, 3));
    }
}

#[test]
fn a_code_and_an_instance_of_the_same_name_have_nothing_to_do_with_each_other() {
    let application = Application::ready();
    let products = format!("{}{}", application.product("kind = \"license-code\""), application.product(""));
    let shop = licensed_shop(application, PATIENT, &products);
    let name = format!("PL-{}", nonce());
    shop.expect("000000", &with(crate::harness::new_instance("CS1"), "businessId", name.clone()));
    shop.license_post("000000", &status(&name, "FREEZE"));
    shop.expect("000000", &crate::shop::release(&name));
    let shown = shop.scratch.run_json(&["instance", "show", &name, "--json"]);
    let mut found: Vec<_> =
        shown.iter().map(|one| (one["kind"].as_str().unwrap(), one["status"].as_str().unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, [("license-code", "frozen"), ("saas", "released")]);
}
