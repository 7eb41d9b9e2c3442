//! How V1 requests are read: blanks, lost plus signs, repeated names, extension parameters, ages and time zones.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::{Answer, Application, KEY, text};
use crate::shop::{FIXED, FUTURE, FUTURE_SHOWN, Shop, instance_id};
use crate::token_get::{
    Get, assert_signed, call, encrypted, expire, purchase, query, release, renew, status, time_stamp, upgrade,
};

fn shop() -> Shop {
    Shop::with_products(Application::ready(), "", FIXED)
}

/// A GET with exactly this query.
fn get_raw(shop: &Shop, query: &str) -> Answer {
    let answer = shop.koogate.get(&format!("/saasproduce?{query}"));
    assert_signed(KEY, &answer);
    answer
}

#[test]
fn every_mandatory_parameter_that_is_missing_or_empty_is_000002_and_named() {
    let shop = shop();
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    let calls: [(Get, &[&str]); 7] = [
        (purchase("CS2"), &["customerId", "businessId", "orderId", "productId"]),
        (renew(&id, "CS3", FUTURE), &["instanceId", "orderId", "expireTime"]),
        (expire(&id, "CS1"), &["instanceId", "orderId"]),
        (status(&id, "NORMAL"), &["instanceId", "instanceStatus"]),
        (upgrade(&id, "CS4"), &["instanceId", "orderId", "productId", "skuCode"]),
        (query(&id), &["instanceId"]),
        (release(&id, "CS1"), &["instanceId"]),
    ];
    for (call, mandatory) in &calls {
        for name in *mandatory {
            for spoiled in [call.clone().without(name), call.clone().with(name, "")] {
                let answer = shop.get("000002", &spoiled).json();
                assert!(answer["resultMsg"].as_str().unwrap().contains(name), "{spoiled:?}: {answer}");
            }
        }
    }
    for (name, value) in [
        ("expireTime", "tomorrow"),
        ("expireTime", "20261301000000"),
        ("periodNumber", "one"),
        ("amount", "-1"),
        ("orderAmount", "12,78"),
    ] {
        let answer = shop.get("000002", &purchase("CS2").with(name, value)).json();
        assert!(answer["resultMsg"].as_str().unwrap().contains(name), "{name}={value}: {answer}");
    }
    assert_eq!(shop.count("instance"), 1);
    // Nothing else was wrong with them.
    for (call, _) in &calls {
        shop.get("000000", call);
    }
}

#[test]
fn blank_parameters_may_be_part_of_the_token_or_not() {
    let shop = shop();
    let with_blanks = purchase("CS1").with("userId", "").with("userName", " ");
    shop.get("000000", &with_blanks);
    let (signed, stamp) = (purchase("CS2"), time_stamp());
    let sent = signed.target_at(KEY, &stamp).replace("/saasproduce?", "userId=&userName=+&");
    assert_eq!(get_raw(&shop, &sent).code(), "000000");
}

#[test]
fn a_plus_sign_that_was_not_encoded_is_restored_in_token_and_encrypted_fields() {
    let application = Application::ready();
    let shop = Shop::with_products(Application::ready(), "", &application.product(""));
    // A phone number whose field holds a plus sign, and a token that does.
    let numbers = 13_800_138_000_u64..;
    let fields = numbers.map(|number| (number.to_string(), encrypted(KEY, "1", &number.to_string())));
    let (number, field) = fields.clone().find(|(_, field)| field.contains('+')).unwrap();
    let parameters = BASE64.encode(r#"[{"name":"a","value":"ÿ>?~~~"}]"#.as_bytes());
    assert!(parameters.contains('+'), "{parameters}");
    let call = purchase("CS1").with("mobilePhone", &field).with("saasExtendParams", &parameters);
    let target = (0..)
        .map(|milliseconds| call.target_at(KEY, &format!("20260101000000{milliseconds:03}")))
        .find(|target| target.split_once("authToken=").unwrap().1.contains("%2B"))
        .unwrap();
    let answer = shop.koogate.get(&target.replace("%2B", "+").replace("customerName", "x").replace('\n', ""));
    assert_eq!(answer.code(), "000001", "a name is part of the token");
    let plain = target.replace("%2B", "+");
    // The customer's name has a plus sign of its own, which is not base64 and must stay encoded.
    let name = target.split_once("customerName=").unwrap().1.split('&').next().unwrap();
    let plain = plain.replace(&name.replace("%2B", "+"), name);
    let answer = shop.koogate.get(&plain);
    assert_eq!(answer.code(), "000000", "{plain}: {}", answer.json());
    let event = application.events().pop().unwrap();
    assert_eq!((&event["buyer"]["mobilePhone"], &event["parameters"]["a"]), (&json!(number), &json!("ÿ>?~~~")));
    assert_eq!(event["buyer"]["customerName"], "测试 客户+A&B=");
}

#[test]
fn of_a_repeated_name_the_first_value_counts_and_unknown_ones_are_kept() {
    let shop = shop();
    let stamp = time_stamp();
    let call = purchase("CS1").with("currency", "CNY");
    let query = call.target_at(KEY, &stamp).replace("/saasproduce?", "");
    let answer = get_raw(&shop, &format!("{query}&orderId=CS9&currency=USD"));
    assert_eq!(answer.code(), "000000");
    assert_eq!(shop.instance(&instance_id(&answer))["orderId"], "CS1");
    // The other way round the token is over the other value.
    assert_eq!(shop.koogate.get(&format!("/saasproduce?orderId=CS9&{query}")).code(), "000001");
    let exchange = shop.scratch.run_ok(&["exchange", "show", "1", "--json"]);
    assert!(exchange.contains("currency=CNY") && exchange.contains("currency=USD"), "{exchange}");
}

#[test]
fn the_same_get_byte_for_byte_is_a_retry_like_any_other() {
    let shop = shop();
    let target = purchase("CS1").target(KEY);
    let first = shop.koogate.get(&target);
    assert_eq!(first.code(), "000000");
    for _ in 0..3 {
        assert_eq!(shop.koogate.get(&target).verbatim(), first.verbatim());
    }
    assert_eq!((shop.count("instance"), shop.count("exchange")), (1, 4));
}

#[test]
fn a_long_query_is_read_and_a_forged_or_unstamped_one_is_refused() {
    let shop = shop();
    shop.get("000000", &purchase("CS1").with("more", &"x".repeat(32 << 10)));
    let rows = shop.count("exchange");
    let good = purchase("CS2").target(KEY);
    let refused = [
        (good.replace("CS2", "CS3"), "000001"),
        (purchase("CS2").target("another-key"), "000001"),
        (good.split_once("&authToken").unwrap().0.to_owned(), "000001"),
        (good.replace("timeStamp", "stamp"), "000002"),
        (purchase("CS2").target_at(KEY, ""), "000002"),
        (good.replace("activity=newInstance", "activity=%FF"), "000002"),
    ];
    for (target, code) in refused {
        let answer = shop.koogate.get(&target);
        assert_eq!(answer.code(), code, "{target}");
        assert_signed(KEY, &answer);
    }
    assert_eq!((shop.count("instance"), shop.count("exchange")), (1, rows), "nothing on disk");
    shop.get("000002", &Get::new("newinstance", &[("orderId", "CS2")]));
}

#[test]
fn without_v1_max_age_any_time_stamp_is_taken_and_with_it_only_a_young_one() {
    let shop = shop();
    let old = "20200101000000000";
    for stamp in [old, "20990101000000000", "whenever"] {
        assert_eq!(shop.koogate.get(&query("x").target_at(KEY, stamp)).code(), "000003", "{stamp}");
    }
    shop.reload(&[KEY], "[signature]\nv1_max_age = \"15m\"\n", FIXED);
    for stamp in [old, "whenever"] {
        let answer = shop.koogate.get(&query("x").target_at(KEY, stamp));
        assert_eq!(answer.code(), "000002", "{stamp}");
        assert_signed(KEY, &answer);
    }
    shop.get("000003", &query("x"));
}

#[test]
fn v1_expire_time_zone_moves_the_dates_of_v1_only() {
    let sections = "[lifecycle]\nv1_expire_time_zone = \"UTC+8\"\n";
    let shop = Shop::with_products(Application::ready(), sections, FIXED);
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    assert_eq!(shop.instance(&id)["expireTime"], "2099-12-31T15:59:59Z");
    shop.get_thrice(&renew(&id, "CS2", "21000101000000"));
    assert_eq!(shop.instance(&id)["expireTime"], "2099-12-31T16:00:00Z");
    shop.expect("000000", &crate::shop::renewal(&id, "CS3", FUTURE));
    assert_eq!(shop.instance(&id)["expireTime"], FUTURE_SHOWN);
}

#[test]
fn a_field_that_cannot_be_decrypted_is_left_out_and_the_operator_is_told_which() {
    let application = Application::ready();
    let shop = Shop::with_products(Application::ready(), "", &application.product(""));
    let foreign = encrypted("another-access-key", "1", "13800138000");
    let call = purchase("CS1").with("mobilePhone", &foreign).with("email", "not-encrypted@example.com");
    let id = instance_id(&shop.get_thrice(&call));
    let buyer = application.events()[0]["buyer"].clone();
    assert_eq!((&buyer["mobilePhone"], &buyer["email"]), (&Value::Null, &Value::Null));
    let note = shop.instance(&id)["history"][0]["note"].as_str().unwrap().to_owned();
    let log = shop.koogate.stop();
    for said in [note, log] {
        assert!(said.contains("mobilePhone was left out") && said.contains("email was left out"), "{said}");
        assert!(!said.contains("not-encrypted") && !said.contains(&foreign), "{said}");
    }
}

#[test]
fn extension_parameters_that_cannot_be_read_are_refused_or_ignored_as_configured() {
    let bad = ["***".to_owned(), BASE64.encode(b"\xFF"), BASE64.encode(b"{}"), BASE64.encode(b"[{\"value\":\"v\"}]")];
    let shop = shop();
    for value in &bad {
        let answer = shop.get("000002", &purchase("CS1").with("saasExtendParams", value)).json();
        assert!(answer["resultMsg"].as_str().unwrap().contains("saasExtendParams"), "{answer}");
    }
    assert_eq!(shop.count("instance"), 0);
    let application = Application::ready();
    shop.reload(&[KEY], "[lifecycle]\nextend_params_error = \"ignore\"\n", &application.product(""));
    for (number, value) in bad.iter().enumerate() {
        let id = instance_id(&shop.get("000000", &purchase(&format!("CS{number}")).with("saasExtendParams", value)));
        let note = shop.instance(&id)["history"][0]["note"].clone();
        assert!(note.as_str().unwrap().contains("saasExtendParams was left out"), "{note}");
    }
    assert!(application.events().iter().all(|event| event["parameters"] == json!({})));
}

#[test]
fn a_repeat_with_other_content_keeps_its_answer_and_the_difference_is_shown() {
    let shop = shop();
    let first = shop.get("000000", &purchase("CS1"));
    let other = purchase("CS1").with("skuCode", "sku-9").with("mobilePhone", &encrypted(KEY, "1", "13800138000"));
    assert_eq!(call(&shop.koogate, &other).verbatim(), first.verbatim());
    let shown = shop.scratch.run_json(&["exchange", "show", "2", "--json"]).remove(0);
    assert_eq!(shown["difference"], json!({ "skuCode": ["sku-1", "sku-9"] }), "{shown}");
    assert!(text(shop.scratch.run(&["exchange", "list"]).stdout.as_slice()).contains("differs"));
}
