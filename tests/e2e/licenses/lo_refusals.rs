//! LO: requests for a licence that are refused, by koogate or by the application, and what a retry does after it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::lo::{buy, open, product, request};
use super::{asked, licensed_answer, licensed_shop};
use crate::harness::Application;
use crate::shop::{FUTURE, PATIENT, Shop, as_test, freeze, release, renewal, unfreeze, with, without};

/// A shop with one instance that is paid until [`FUTURE`].
fn paid(lines: &str) -> (Shop, String) {
    let shop = open(lines);
    let id = buy(&shop, "CS1");
    shop.license_post("000000", &renewal(&id, "CS2", FUTURE));
    (shop, id)
}

#[test]
fn refusals_of_koogate_leave_nothing_behind_and_count_for_nothing() {
    let (shop, id) = paid("fingerprint = \"required\"\nmax_licenses = 2");
    let good = request(&id, "E1", "D1");
    let refused = [
        (request("unknown", "E1", "D1"), "000003"),
        (without(good.clone(), "expireTime"), "000902"),
        (with(good.clone(), "expireTime", ""), "000902"),
        (with(good.clone(), "expireTime", "2100-01-02 00:00:00 z"), "000901"),
        (with(good.clone(), "effectiveTime", "2100-01-02 00:00:00 z"), "000901"),
        (without(good.clone(), "deviceFingerprint"), "000903"),
        (with(good.clone(), "deviceFingerprint", ""), "000903"),
        (without(good.clone(), "eventId"), "000002"),
        (without(good.clone(), "effectiveTime"), "000002"),
        (without(good.clone(), "instanceId"), "000002"),
        (with(good.clone(), "effectiveTime", "27 October"), "000002"),
        (with(good.clone(), "expireTime", "2026-13-01 00:00:00 z"), "000002"),
    ];
    for _ in 0..2 {
        for (call, code) in &refused {
            shop.license_post(code, call);
        }
    }
    assert_eq!((shop.count("license"), asked(&shop.application, "license.issue")), (0, (0, 0)));
    // Only the end of a day is let pass beyond the order.
    shop.license_post("000004", &with(good, "expireTime", "2100-01-01 12:00:00 z"));
    shop.license_post("000004", &request(&id, "E1", "D2"));
    for _ in 0..2 {
        shop.license_post("000900", &request(&id, "E1", "D3"));
    }
    // A repeat is no further licence.
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!((shop.count("license"), asked(&shop.application, "license.issue")), (2, (2, 2)));
    // Other instances have a quota of their own.
    let other = buy(&shop, "CS9");
    shop.license_post("000004", &request(&other, "E1", "D1"));
}

#[test]
fn a_frozen_instance_gets_no_new_licence_until_it_is_unfrozen_and_a_released_one_never() {
    let (shop, id) = paid("");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    shop.license_post("000000", &freeze(&id));
    shop.license_post("000901", &request(&id, "E2", "D1"));
    shop.license_post("000004", &request(&id, "E1", "D1"));
    shop.license_post("000000", &unfreeze(&id));
    shop.license_post("000004", &request(&id, "E2", "D1"));
    shop.license_post("000000", &release(&id));
    for event in ["E1", "E2", "E3"] {
        shop.license_post("000003", &request(&id, event, "D1"));
    }
    assert_eq!(asked(&shop.application, "license.issue"), (2, 2));
}

#[test]
fn an_instance_without_an_end_needs_no_end_of_its_licences() {
    let shop = open("");
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &without(request(&id, "E1", "D1"), "expireTime"));
    shop.license_post("000004", &with(request(&id, "E2", "D1"), "expireTime", "2199-01-01 00:00:00 z"));
    assert_eq!(asked(&shop.application, "license.issue"), (2, 2));
}

#[test]
fn a_refusal_of_the_application_is_answered_as_it_said_and_the_retry_asks_it_again() {
    let refusal = Arc::new(Mutex::new(Some("000900")));
    let given = Arc::clone(&refusal);
    let application = Application::start(move |event| match *given.lock().unwrap() {
        Some(code) if event["event"] == "license.issue" => {
            (200, json!({ "status": "refused", "resultCode": code, "message": "not for you" }).to_string())
        }
        _ => (200, licensed_answer(event)),
    });
    let product = product(&application, "max_licenses = 1");
    let shop = licensed_shop(application, PATIENT, &product);
    let id = buy(&shop, "CS1");
    for (attempt, code) in ["000900", "000901", "000902", "000903", "000005", "000100"].into_iter().enumerate() {
        *refusal.lock().unwrap() = Some(code);
        let answer = shop.license_post(code, &request(&id, "E1", "D1")).json();
        assert_eq!(answer["resultMsg"], "not for you");
        assert_eq!(
            (shop.only_license()["state"].as_str(), asked(&shop.application, "license.issue")),
            (Some("refused"), (attempt + 1, 1))
        );
    }
    *refusal.lock().unwrap() = None;
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!(asked(&shop.application, "license.issue"), (7, 1), "always the same operation");
    assert_eq!(shop.only_license()["state"], "issued");
    // What was refused has used up nothing, what was made has.
    shop.license_post("000900", &request(&id, "E2", "D1"));
}

#[test]
fn a_refused_request_may_still_be_fulfilled_by_hand() {
    let refusal = json!({ "status": "refused", "resultCode": "000903" }).to_string();
    let application = Application::start(move |event| {
        (200, if event["event"] == "license.issue" { refusal.clone() } else { licensed_answer(event) })
    });
    let product = product(&application, "");
    let shop = licensed_shop(application, PATIENT, &product);
    let id = buy(&shop, "CS1");
    shop.license_post("000903", &request(&id, "E1", "D1"));
    std::fs::write(shop.scratch.path("given"), "GIVEN").unwrap();
    shop.scratch.run_ok(&["license", "issue", "1", "--text", "given"]);
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!((shop.license_content(1).as_str(), asked(&shop.application, "license.issue")), ("GIVEN", (1, 1)));
    // A test call makes no licence whatever it names.
    shop.license_post("000000", &as_test(request(&id, "E2", "D1")));
    let states: Vec<Value> = shop.scratch.run_json(&["license", "list", "--json"]);
    assert_eq!(states.len(), 1);
}

#[test]
fn the_operator_may_have_a_refused_request_tried_again_and_it_counts_again() {
    let refuses = Arc::new(Mutex::new(true));
    let given = Arc::clone(&refuses);
    let gate = Arc::new(crate::shop::Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        if event["event"] == "license.issue" && *given.lock().unwrap() {
            return (200, json!({ "status": "refused", "resultCode": "000900" }).to_string());
        }
        if event["event"] == "license.issue" {
            slow.pass();
        }
        (200, licensed_answer(event))
    });
    let product = product(&application, "max_licenses = 1");
    let shop = licensed_shop(application, crate::shop::IMPATIENT, &product);
    let id = buy(&shop, "CS1");
    shop.license_post("000900", &request(&id, "E1", "D1"));
    *refuses.lock().unwrap() = false;
    shop.scratch.run_ok(&["instance", "retry", &id]);
    // While it is being made, it is asked for: it takes its place, and nobody else gets it.
    assert_eq!(shop.only_license()["state"], "requested");
    shop.license_post("000900", &request(&id, "E2", "D1"));
    gate.open();
    crate::harness::eventually(
        || (shop.only_license()["state"] == "issued").then_some(()),
        || format!("{}", shop.instance(&id)),
    );
    assert_eq!(shop.count("license"), 1);
}

#[test]
fn what_was_asked_for_and_never_made_is_nothing_to_do_any_more_after_the_release() {
    let product = "[[product]]\nkind = \"license-online\"\nfulfilment = \"manual\"\n";
    let shop = licensed_shop(Application::ready(), PATIENT, product);
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    shop.license_post("000000", &release(&id));
    assert_eq!(shop.only_license()["state"], "refused");
}
