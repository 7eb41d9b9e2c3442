//! LO: the life of an instance of online licences, and how it is told from a SaaS instance on the same address.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{LICENSE_KEY, crowd, licensed_answer, licensed_shop, licensing_application};
use crate::harness::{Application, KEY, eventually, new_instance};
use crate::shop::{
    self, FUTURE, FUTURE_SHOWN, Gate, IMPATIENT, LATER, LATER_SHOWN, PATIENT, Shop, as_test, freeze, instance_id,
    refresh, release, renewal, unfreeze,
};

/// A product entry of the kind that leads to this application.
pub fn product(application: &Application, lines: &str) -> String {
    application.product(&format!("kind = \"license-online\"\n{lines}"))
}

/// A shop whose application makes a licence for every request.
pub fn open(lines: &str) -> Shop {
    let application = licensing_application();
    let product = product(&application, lines);
    licensed_shop(application, PATIENT, &product)
}

/// getLicenseAsync for a device, until [`FUTURE`].
pub fn request(instance: &str, event: &str, device: &str) -> Value {
    json!({
        "activity": "getLicenseAsync", "instanceId": instance, "eventId": event, "deviceFingerprint": device,
        "effectiveTime": "2026-10-27 10:30:15 z", "expireTime": "2099-12-31 23:59:59 z", "testFlag": "0",
    })
}

/// A purchase; the instance's id.
pub fn buy(shop: &Shop, order: &str) -> String {
    instance_id(&shop.license_post("000000", &new_instance(order)))
}

#[test]
fn a_life_with_a_retry_at_every_step() {
    let shop = open("");
    let bought = shop.license_post_thrice(&new_instance("CS1"));
    let id = instance_id(&bought);
    assert_eq!(bought.json().as_object().unwrap().len(), 3, "no access data: {}", bought.json());
    shop.license_post_thrice(&renewal(&id, "CS2", FUTURE));
    for _ in 0..2 {
        shop.license_post_thrice(&freeze(&id));
        assert_eq!(shop.status(&id), "frozen");
        shop.license_post_thrice(&unfreeze(&id));
    }
    shop.license_post_thrice(&freeze(&id));
    shop.license_post_thrice(&renewal(&id, "CS3", LATER));
    assert_eq!((shop.status(&id).as_str(), &shop.instance(&id)["expireTime"]), ("active", &json!(LATER_SHOWN)));
    shop.license_post_thrice(&refresh(&id, "CS3", "UNSUBSCRIBE_RENEWAL_PERIOD", FUTURE));
    shop.license_post_thrice(&renewal(&id, "CS3", LATER));
    assert_eq!(shop.instance(&id)["expireTime"], FUTURE_SHOWN);
    let events = ["create", "renew", "freeze", "unfreeze", "freeze", "unfreeze", "freeze", "renew", "renew", "release"];
    let events = events.map(|name| format!("instance.{name}"));
    let events = events.each_ref().map(String::as_str);
    // A release would cancel what is still on its way.
    shop.told(&id, &events[..9]);
    let released = shop.license_post_thrice(&release(&id));
    assert_eq!(shop.license_post_thrice(&new_instance("CS1")).verbatim(), bought.verbatim());
    assert_eq!(shop.license_post("000000", &release(&id)).verbatim(), released.verbatim());
    for new in [renewal(&id, "CS9", FUTURE), freeze(&id), unfreeze(&id), request(&id, "E1", "D1")] {
        shop.license_post("000003", &new);
    }
    shop.told_only(&id, &events);
    assert!(shop.application.events().iter().all(|event| event["kind"] == "license-online"));
}

#[test]
fn a_slow_creation_is_000004_with_the_instance_and_then_000000_with_the_same() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        slow.pass();
        (200, licensed_answer(event))
    });
    let product = product(&application, "");
    let shop = licensed_shop(application, IMPATIENT, &product);
    let id = instance_id(&shop.license_post("000004", &new_instance("CS1")));
    assert_eq!(instance_id(&shop.license_post("000004", &new_instance("CS1"))), id);
    shop.license_post("000005", &request(&id, "E1", "D1"));
    gate.open();
    eventually(|| (shop.status(&id) == "active").then_some(()), || shop.koogate.log_text());
    assert_eq!(instance_id(&shop.license_post_thrice(&new_instance("CS1"))), id);
    shop.told_only(&id, &["instance.create"]);
}

#[test]
fn parallel_duplicates_of_a_purchase_are_one_instance() {
    let shop = open("");
    let answer = crowd(|| shop.koogate.call_with(LICENSE_KEY, &new_instance("CS1")));
    assert_eq!(answer.code(), "000000");
    shop.told_only(&instance_id(&answer), &["instance.create"]);
    assert_eq!(shop.count("instance"), 1);
}

#[test]
fn saas_and_online_licences_share_an_address_and_are_told_apart_by_the_key() {
    let application = licensing_application();
    let products = format!("{}{}", application.product(""), product(&application, ""));
    let shop = licensed_shop(application, PATIENT, &products);
    let saas = shop.expect("000000", &new_instance("CS1"));
    let online = shop.license_post("000000", &new_instance("CS1"));
    let (saas_id, online_id) = (instance_id(&saas), instance_id(&online));
    assert_ne!(saas_id, online_id);
    // Neither kind knows the other's ids.
    shop.license_post("000003", &freeze(&saas_id));
    shop.expect("000003", &freeze(&online_id));
    shop.license_post("000000", &freeze(&online_id));
    assert_eq!((shop.status(&saas_id).as_str(), shop.status(&online_id).as_str()), ("active", "frozen"));
    // Only SaaS is queried and upgraded; orders are announced with either key.
    shop.expect("000000", &shop::query(&saas_id));
    shop.license_post("000002", &shop::query(&online_id));
    shop.expect("000000", &shop::order_notify("CS1"));
    shop.license_post("000000", &shop::order_notify("CS1"));
    let shown = |id: &str| shop.instance(id)["kind"].clone();
    assert_eq!((shown(&saas_id), shown(&online_id)), (json!("saas"), json!("license-online")));
    let refused = shop.koogate.try_call("wrong", &new_instance("CS1")).unwrap();
    assert_eq!(refused.code(), "000001");
}

#[test]
fn where_only_online_licences_are_sold_the_basic_key_buys_them_too() {
    let shop = open("");
    let id = instance_id(&shop.koogate.call_with(KEY, &new_instance("CS1")));
    assert_eq!(shop.instance(&id)["kind"], "license-online");
    shop.license_post_thrice(&freeze(&id));
}

#[test]
fn test_calls_succeed_without_any_effect_whatever_they_name() {
    let shop = open("");
    let id = buy(&shop, "CS1");
    let test = as_test(new_instance("CS1"));
    let answer = shop.license_post_thrice(&test);
    assert_eq!(answer.json()["instanceId"], test["businessId"]);
    for instance in [id.as_str(), "made-up"] {
        let calls = [
            renewal(instance, "CS2", LATER),
            freeze(instance),
            unfreeze(instance),
            request(instance, "E1", "D1"),
            release(instance),
        ];
        for call in calls {
            shop.license_post("000000", &as_test(call));
        }
    }
    assert_eq!(shop.status(&id), "active");
    assert_eq!((shop.count("license"), shop.count("job")), (0, 1));
    shop.told_only(&id, &["instance.create"]);
}
