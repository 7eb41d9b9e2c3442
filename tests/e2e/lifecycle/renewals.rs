//! Trap (b): renewals, their cancellation, and the dates and products they set.

use serde_json::{Value, json};

use crate::harness::Application;
use crate::shop::{
    FIXED, FUTURE, FUTURE_SHOWN, LATER, LATER_SHOWN, PAST, PAST_SHOWN, Shop, freeze, refresh, renewal, upgrade, with,
    without,
};

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
fn each_field_of_an_identity_alone_makes_another_operation_and_no_other_field_does() {
    let shop = Shop::with_products(Application::ready(), "", FIXED);
    let id = shop.buy("CS1");
    let (renewal, upgrade) = (renewal(&id, "CS2", FUTURE), upgrade(&id, "CS3"));
    let calls = [
        // The cancellation may bring order and date of the renewal.
        (&renewal, "scene", "UNSUBSCRIBE_RENEWAL_PERIOD", true),
        (&renewal, "expireTime", LATER, true),
        (&renewal, "orderId", "CS4", true),
        (&renewal, "orderLineId", "CS2-000002", true),
        (&renewal, "productId", "P2", false),
        (&renewal, "businessId", "b-2", false),
        (&upgrade, "orderId", "CS4", true),
        (&upgrade, "orderLineId", "CS3-000002", true),
        (&upgrade, "businessId", "b-2", false),
    ];
    for call in [&renewal, &upgrade] {
        shop.expect("000000", call);
    }
    for (call, member, value, is_new) in calls {
        let before = shop.history(&id).len();
        shop.expect("000000", &with(call.clone(), member, value));
        assert_eq!(shop.history(&id).len() - before, usize::from(is_new), "{member} = {value} in {call}");
    }
}

#[test]
fn a_cancelled_renewal_with_a_past_date_sets_the_date_and_nothing_else() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    shop.expect("000000", &refresh(&id, "CS2", "UNSUBSCRIBE_RENEWAL_PERIOD", PAST));
    let shown = shop.instance(&id);
    assert_eq!((&shown["status"], &shown["expireTime"]), (&json!("active"), &json!(PAST_SHOWN)));
    shop.told_only(&id, &["instance.create", "instance.renew", "instance.renew"]);
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
