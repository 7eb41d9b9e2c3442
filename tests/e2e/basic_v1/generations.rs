//! Instances of one namespace: bought in one generation of the interface, and frozen, queried and released in the other.

use crate::harness::{Application, KEY, access_key, new_instance};
use crate::shop::{self, FUTURE, LATER, LATER_SHOWN, Shop, instance_id};
use crate::token_get::{decrypted, expire, purchase, query, release, renew, status};

#[test]
fn an_instance_bought_in_v1_is_frozen_queried_and_released_in_v2() {
    let shop = Shop::open("");
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    shop.expect("000000", &shop::freeze(&id));
    // The same freeze in the other words is its retry.
    shop.get_thrice(&expire(&id, "CS1"));
    shop.get_thrice(&status(&id, "FREEZE"));
    let v2 = shop.expect("000000", &shop::query(&id)).json();
    assert_eq!(v2["info"][0]["appInfo"]["password"], "p-1", "V2 encrypts nothing");
    let v1 = shop.get("000000", &query(&id)).json();
    assert_eq!(decrypted(KEY, "1", v1["info"][0]["appInfo"]["password"].as_str().unwrap()), "p-1");
    shop.expect("000000", &shop::renewal(&id, "CS2", LATER));
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
    let events = ["instance.create", "instance.freeze", "instance.renew", "instance.release"];
    // A release would cancel what is still on its way.
    shop.told(&id, &events[..3]);
    let released = shop.expect("000000", &shop::release(&id));
    assert_eq!(shop.get_thrice(&release(&id, "CS1")).verbatim(), released.verbatim());
    shop.told_only(&id, &events);
}

#[test]
fn an_instance_bought_in_v2_lives_on_in_v1_and_the_orders_of_both_are_apart() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    let other = instance_id(&shop.get("000000", &purchase("CS1")));
    assert_ne!(id, other, "an order line is no order");
    assert_eq!(shop.buy("CS1"), id);
    shop.get_thrice(&renew(&id, "CS2", FUTURE));
    shop.get_thrice(&expire(&id, "CS1"));
    assert_eq!(shop.status(&id), "frozen");
    shop.get_thrice(&release(&id, "CS1"));
    assert_eq!(shop.status(&other), "active");
}

#[test]
fn v1_answers_are_signed_even_where_v2_answers_are_not() {
    let sections = "[signature]\nbody_sign_v2 = false\n";
    let shop = Shop::with(Application::ready(), sections, "");
    let bought = shop.get_thrice(&purchase("CS1"));
    let id = instance_id(&bought);
    let v2 = |body: &serde_json::Value| {
        let answer = shop.koogate.try_call(KEY, body).unwrap();
        assert_eq!((answer.code().as_str(), answer.header("Body-Sign")), ("000000", None), "{body}");
    };
    v2(&new_instance("CS2"));
    v2(&shop::freeze(&id));
    shop.get_thrice(&expire(&id, "CS1"));
    v2(&shop::release(&id));
    // Recorded without a signature, and signed for the family that wants one.
    let retried = shop.get_thrice(&release(&id, "CS1"));
    let sign = retried.header("Body-Sign").unwrap();
    koogate::protocol::body_sign::verify_header(&access_key(KEY), "Body-Sign", sign, &retried.body).unwrap();
}

#[test]
fn a_password_that_v1_has_no_room_for_is_told_by_v2_and_never_sent_by_v1() {
    let long = "p".repeat(80);
    let given = long.clone();
    let application =
        Application::start(move |event| (200, crate::harness::ready_answer(event).replace("p-1", &given)));
    let shop = Shop::with(application, "", "");
    let id = shop.buy("CS1");
    assert_eq!(shop.expect("000000", &shop::query(&id)).json()["info"][0]["appInfo"]["password"], long);
    // V1 is answered without it, and the others of the query are not held up.
    let info = shop.get("000000", &query(&id)).json()["info"].clone();
    assert_eq!(info, serde_json::json!([{ "instanceId": id }]));
    let log = shop.koogate.stop();
    assert!(log.contains("ALERT") && log.contains("no room in V1") && !log.contains(&long), "{log}");
}
