//! The seller console's debugging cases and KooGallery's twice-daily probes: answered in full, without any effect, also
//! where they name real instances.

use serde_json::json;

use crate::harness::KEY;
use crate::shop::{FUTURE, LATER, Shop, instance_id, look_up};
use crate::token_get::{Get, call, decrypted, expire, purchase, query, refund, release, renew, status, upgrade};

fn all_calls(id: &str, order: &str) -> Vec<Get> {
    let mut calls = vec![
        purchase(order),
        purchase(order).with("chargingMode", "0").without("expireTime"),
        purchase(order).with("chargingMode", "3").without("expireTime"),
        renew(id, order, LATER),
        renew(id, order, LATER).with("productId", "").with("trialToFormal", ""),
        renew(id, order, LATER).with("productId", "P2").with("trialToFormal", "1"),
        refund(id, order, FUTURE),
        expire(id, order),
        status(id, "FREEZE"),
        status(id, "NORMAL"),
        upgrade(id, order),
        query(id),
        release(id, order),
    ];
    for call in &mut calls {
        *call = call.as_test();
    }
    calls
}

/// Everything of real instances that a call could change.
fn real(shop: &Shop) -> String {
    let sql = "SELECT json_array((SELECT json_group_array(json_array(instance_id, status, status_serial, expire_time, \
        product_id, terms)) FROM instance WHERE environment = 'real'), (SELECT count(*) FROM operation WHERE identity \
        LIKE '[\"real\"%'), (SELECT count(*) FROM job), (SELECT count(*) FROM stock_entry))";
    look_up(&shop.scratch, sql)
}

#[test]
fn test_calls_succeed_complete_and_without_effect_whatever_they_name() {
    let shop = Shop::open("");
    let bought = shop.get("000000", &purchase("CS1"));
    let id = instance_id(&bought);
    shop.told(&id, &["instance.create"]);
    let before = real(&shop);
    for (instance, order) in [(id.as_str(), "CS1"), ("huaweitest123456", "CS1906666666ABCDE")] {
        for test in all_calls(instance, order).iter().chain(&all_calls(instance, order)) {
            shop.get("000000", test);
        }
    }
    assert_eq!(real(&shop), before);
    assert_eq!(shop.application.events().len(), 1);
    assert_eq!(call(&shop.koogate, &purchase("CS1")).verbatim(), bought.verbatim());
    shop.get("000000", &expire(&id, "CS1"));
    assert_eq!(shop.status(&id), "frozen");
}

#[test]
fn a_test_purchase_has_the_first_business_id_and_encrypted_demonstration_access() {
    for (lines, size) in [("", "1"), ("encrypt_type = \"2\"", "2")] {
        let shop = Shop::open(lines);
        let test = purchase("CS1").as_test();
        let answer = shop.get_thrice(&test).json();
        assert_eq!((&answer["instanceId"], &answer["encryptType"]), (&json!(test.value("businessId")), &json!(size)));
        let info = shop.get("000000", &query("a,b").as_test()).json();
        assert_eq!((&info["encryptType"], info["info"].as_array().map(Vec::len)), (&json!(size), Some(2)));
        assert_eq!(info["info"][1]["usageInfo"].as_array().map(Vec::len), Some(1));
        for app_info in [&answer["appInfo"], &info["info"][0]["appInfo"], &info["info"][1]["appInfo"]] {
            assert!(app_info["frontEndUrl"].as_str().unwrap().starts_with("https://"), "{app_info}");
            for member in ["userName", "password"] {
                assert!(!decrypted(KEY, size, app_info[member].as_str().unwrap()).is_empty(), "{app_info}");
            }
        }
    }
}

#[test]
fn test_calls_are_validated_and_authenticated_like_real_ones() {
    let shop = Shop::open("");
    shop.get("000002", &purchase("CS1").without("customerId").as_test());
    shop.get("000002", &status("x", "FROZEN").as_test());
    let forged = purchase("CS1").as_test().target("wrong-key");
    assert_eq!(shop.koogate.get(&forged).code(), "000001");
    assert_eq!(shop.count("instance"), 0);
}

#[test]
fn test_calls_that_are_forwarded_reach_the_application_as_tests_and_real_ones_are_untouched() {
    let shop = Shop::open("test_calls = \"forward\"");
    let real_id = instance_id(&shop.get("000000", &purchase("CS1")));
    let before = real(&shop);
    let test = purchase("CS1").as_test();
    let id = instance_id(&shop.get_thrice(&test));
    assert_eq!(id, test.value("businessId"));
    for call in [renew(&id, "CS2", LATER), expire(&id, "CS1"), upgrade(&id, "CS3"), release(&id, "CS1")] {
        shop.get_thrice(&call.as_test());
    }
    let names = ["create", "renew", "freeze", "upgrade", "release"].map(|name| format!("instance.{name}"));
    shop.told(&id, &names.each_ref().map(String::as_str));
    let events = shop.application.events();
    assert!(events.iter().all(|event| event["test"] == (event["instanceId"] == id.as_str())), "{events:?}");
    // What is real is nobody's test, and what is made up is answered.
    for call in all_calls(&real_id, "CS-none").iter().chain(&all_calls("made-up", "CS-none")).skip(3) {
        if call.value("activity") != "newInstance" {
            shop.get("000000", call);
        }
    }
    let jobs = shop.count(&format!("job_view WHERE instance_id = '{real_id}'"));
    assert_eq!((jobs, shop.status(&real_id).as_str()), (1, "active"));
    let after = real(&shop);
    let instances = |text: &str| text.split("]]").next().unwrap().to_owned();
    assert_eq!(instances(&after), instances(&before));
}
