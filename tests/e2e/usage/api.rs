//! `/api/v1/usage`: reports one by one and in lists, with what becomes of each, and the listing.

use serde_json::{Value, json};

use super::push::{ADMIN, TOKEN};
use super::{age, hour, on_demand, told};
use crate::harness::{Answer, Application, text};
use crate::shop::{FIXED, Shop, as_test, instance_id, new_item};

/// A shop with a local API and an on-demand instance three days old.
fn open() -> (Shop, String) {
    let shop = Shop::with_products(Application::ready(), ADMIN, FIXED);
    let used = instance_id(&shop.get("000000", &on_demand("CS1", "0")));
    age(&shop);
    (shop, used)
}

fn post(shop: &Shop, body: &str) -> Answer {
    shop.koogate.admin("POST", "/api/v1/usage", Some(TOKEN), body)
}

fn report(instance: &str, ago: i64, value: Value) -> Value {
    json!({ "instanceId": instance, "beginTime": hour(ago), "endTime": hour(ago - 1), "usageValue": value })
}

fn listed(shop: &Shop, query: &str) -> Vec<Value> {
    let answer = shop.koogate.admin("GET", &format!("/api/v1/usage{query}"), Some(TOKEN), "");
    assert_eq!(answer.status, 200, "{}", text(&answer.body));
    answer.json()["usage"].as_array().unwrap().clone()
}

#[test]
fn one_report_is_answered_alone_and_a_repeat_with_the_same_number() {
    let (shop, used) = open();
    let body = report(&used, 3, json!("1.5")).to_string();
    let first = post(&shop, &body);
    assert_eq!((first.status, &first.json()["state"]), (200, &json!("waiting")));
    for again in [body, report(&used, 3, json!(1.50)).to_string()] {
        let answer = post(&shop, &again);
        assert_eq!((answer.status, answer.json()), (200, first.json()));
    }
    let other = post(&shop, &report(&used, 3, json!("1.6")).to_string());
    assert_eq!(other.status, 400);
    assert!(other.json()["error"].as_str().unwrap().contains(first.json()["meteringSn"].as_str().unwrap()));
    assert_eq!(listed(&shop, "").len(), 1);
    assert_eq!(told(&shop, &used)[0]["usageValue"].to_string(), "1.5");
}

#[test]
fn in_a_list_each_report_is_judged_by_itself_and_told_in_its_place() {
    let (shop, used) = open();
    let test = instance_id(&shop.expect("000000", &as_test(new_item("CS2", "P1"))));
    let reports = json!({ "records": [
        report(&used, 9, json!("0.1")),
        report(&used, 8, json!(0)),
        report(&used, 7, json!(100_000)),
        report(&test, 7, json!(1)),
        report(&used, 9, json!("0.1")),
        report(&used, 6, json!("1.23456")),
        { "instanceId": used, "usageValue": [] },
        { "instanceId": used, "beginTime": hour(5), "endTime": hour(4), "usageValue": 1, "unit": "GB" },
        17,
        report(&used, 3, json!("99.1234")),
    ]});
    let answer = post(&shop, &reports.to_string());
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    let entries = answer["records"].as_array().unwrap();
    let errors: Vec<_> = entries.iter().map(|entry| entry["error"].as_str().unwrap_or("-")).collect();
    for (place, expected) in [
        (0, "-"),
        (1, "greater than 0"),
        (2, "-"),
        (3, "is a test instance"),
        (4, "-"),
        (5, "more than 4 decimals"),
        (6, "is missing"),
        (7, "unknown field `unit`"),
        (8, "not a usage record"),
        (9, "-"),
    ] {
        assert!(errors[place].contains(expected), "{place}: {errors:#?}");
    }
    assert_eq!((entries.len(), &entries[4]), (10, &entries[0]));
    assert_eq!(told(&shop, &used)[0]["usageValue"].to_string(), "100099.2234");
    let numbers: Vec<_> = listed(&shop, "").iter().map(|record| record["meteringSn"].clone()).collect();
    assert_eq!(numbers, [9, 2, 0].map(|place: usize| entries[place]["meteringSn"].clone()));
    assert_eq!(listed(&shop, &format!("?state=waiting&instance={used}&limit=2")).len(), 2);
    assert!(listed(&shop, "?state=accepted").is_empty() && listed(&shop, "?instance=nobody").is_empty());
}

#[test]
fn a_number_counts_with_the_digits_it_is_written_with() {
    let (shop, used) = open();
    let body = |value: &str| {
        let (begin, end) = (hour(3), hour(2));
        format!(r#"{{"instanceId":"{used}","beginTime":"{begin}","endTime":"{end}","usageValue":{value}}}"#)
    };
    for wrong in ["1e3", "-1", "0.00001", "null", "true", "\"1,5\"", "\" 1\"", "99999999999999999999"] {
        let answer = post(&shop, &body(wrong));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.json());
    }
    assert_eq!(post(&shop, &body("99999999.9999")).status, 200);
    assert_eq!(listed(&shop, "")[0]["usageValue"], "99999999.9999");
}

#[test]
fn a_body_that_is_no_request_records_nothing() {
    let (shop, used) = open();
    let many: Vec<_> = (0..1001).map(|_| report(&used, 3, json!(1))).collect();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, expected) in [
        (String::new(), "the body must be"),
        ("usage".to_owned(), "the body must be"),
        ("[]".to_owned(), "the body must be"),
        (deep.clone(), "the body must be"),
        ("{\"records\":17}".to_owned(), "the body must be"),
        ("{\"records\":[],\"more\":1}".to_owned(), "no other member"),
        ("{\"records\":[]}".to_owned(), "records is empty"),
        (json!({ "records": many }).to_string(), "there are 1001 records"),
        ("{}".to_owned(), "is missing"),
    ] {
        let answer = post(&shop, &body);
        assert_eq!(answer.status, 400, "{expected}");
        assert!(answer.json()["error"].as_str().unwrap().contains(expected), "{}", answer.json());
    }
    // Something in a list, but no report.
    let answer = post(&shop, &format!("{{\"records\":{deep}}}")).json();
    assert!(answer["records"][0]["error"].as_str().unwrap().contains("not a usage record"), "{answer}");
    assert!(listed(&shop, "").is_empty());
    let most = json!({ "records": many[1..] });
    let answer = post(&shop, &most.to_string()).json();
    assert_eq!((answer["records"].as_array().unwrap().len(), listed(&shop, "").len()), (1000, 1));
}
