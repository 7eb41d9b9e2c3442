//! Usage of on-demand instances: the commands that report it, and `queryInstance`, which tells the totals. In `api` the
//! local API, in `push` the way to KooGallery.

mod api;
pub mod push;

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::text;
use crate::shop::{FIXED, LATER, PATIENT, Shop, instance_id, look_up, new_item};
use crate::token_get::{Get, purchase, query, release, renew};

/// A full hour that is over, so many hours before the last one.
fn hour(ago: i64) -> String {
    /// The same for the whole run, even if the hour turns.
    static NOW: OnceLock<i64> = OnceLock::new();

    let now = *NOW.get_or_init(|| Timestamp::now().as_second());
    Timestamp::from_second(now - now.rem_euclid(3600) - 3600 * ago).unwrap().to_string()
}

/// An on-demand purchase of V1, or of a package (`"5"`).
fn on_demand(order: &str, mode: &str) -> Get {
    purchase(order).with("chargingMode", mode).without("expireTime")
}

/// A shop, an on-demand instance in it and a package, both ordered three days ago.
fn open() -> (Shop, String, String) {
    let shop = Shop::open("");
    let used = instance_id(&shop.get("000000", &on_demand("CS1", "0")));
    let package = instance_id(&shop.get("000000", &on_demand("CS2", "5")));
    age(&shop);
    (shop, used, package)
}

/// Makes all instances three days older: a report must not begin before the order.
fn age(shop: &Shop) {
    let database = rusqlite::Connection::open(shop.scratch.path("koogate.db")).unwrap();
    database.busy_timeout(crate::harness::PATIENCE).unwrap();
    database.execute("UPDATE instance SET created_at = created_at - ?1", [3 * 86_400_000_i64]).unwrap();
}

/// `koogate usage record` with these values; its output where it succeeds, else its complaint.
fn record(shop: &Shop, instance: &str, begin: &str, end: &str, value: &str, more: &[&str]) -> Result<String, String> {
    let mut args = vec!["usage", "record", "--instance", instance, "--begin", begin, "--end", end, "--value", value];
    args.extend(more);
    let output = shop.scratch.run(&args);
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// What `queryInstance` tells of the usage of an instance.
fn told(shop: &Shop, id: &str) -> Value {
    let answer = shop.get("000000", &query(id));
    let info = answer.json();
    assert_eq!(info["info"][0]["instanceId"], id);
    info["info"][0]["usageInfo"].clone()
}

#[test]
fn totals_are_told_per_instance_and_per_package_as_exact_numbers() {
    let (shop, used, package) = open();
    for id in [&used, &package] {
        let nothing = told(&shop, id);
        assert_eq!((nothing[0]["usageValue"].to_string(), nothing.as_array().map(Vec::len)), ("0".to_owned(), Some(1)));
        assert_eq!(nothing[0]["statisticalTime"].as_str().map(str::len), Some(17));
    }
    record(&shop, &used, &hour(5), &hour(4), "0.1", &[]).unwrap();
    record(&shop, &used, &hour(4), &hour(3), "0.2000", &["--package", &package]).unwrap();
    record(&shop, &used, &hour(3), &hour(2), "99999.9999", &["--package", &package]).unwrap();
    let bytes = text(&shop.get("000000", &query(&used)).body);
    assert!(bytes.contains("\"usageValue\":100000.2999,"), "{bytes}");
    let own = told(&shop, &used);
    assert_eq!((own.as_array().map(Vec::len), &own[0]["relatedInstanceId"]), (Some(1), &Value::Null));
    let up_to: Timestamp = hour(2).parse().unwrap();
    assert_eq!(own[0]["statisticalTime"], up_to.strftime("%Y%m%d%H%M%S000").to_string());
    let of_package = told(&shop, &package);
    assert_eq!(of_package[0]["relatedInstanceId"], used.as_str());
    assert_eq!(of_package[0]["usageValue"].to_string(), "100000.1999");
    // Both generations name the same instances.
    let v2 = shop.expect("000000", &crate::shop::query(&format!("{used},{package}"))).json();
    assert_eq!(v2["info"][0]["usageInfo"], own);
    assert_eq!(v2["info"][1]["usageInfo"], of_package);
    // What is paid beforehand has no usage.
    let period = instance_id(&shop.get("000000", &purchase("CS3")));
    assert_eq!(told(&shop, &period), Value::Null);
    shop.get("000000", &release(&used, "CS1"));
    shop.get("000003", &query(&used));
}

#[test]
fn an_instance_whose_charging_is_not_told_may_have_usage() {
    let shop = Shop::with_products(crate::harness::Application::ready(), PATIENT, FIXED);
    let id = instance_id(&shop.expect("000000", &new_item("CS1", "P1")));
    age(&shop);
    assert_eq!(told(&shop, &id), Value::Null);
    record(&shop, &id, &hour(2), &hour(1), "7", &[]).unwrap();
    assert_eq!(told(&shop, &id)[0]["usageValue"].to_string(), "7");
}

#[test]
fn a_trial_that_becomes_on_demand_may_have_usage_from_then_on() {
    let shop = Shop::with_products(crate::harness::Application::ready(), "", FIXED);
    let id = instance_id(&shop.get("000000", &purchase("CS1").with("trialFlag", "1")));
    age(&shop);
    let refused = record(&shop, &id, &hour(2), &hour(1), "7", &[]).unwrap_err();
    assert!(refused.contains("charged as PERIOD"), "{refused}");
    shop.get("000000", &renew(&id, "CS2", LATER).with("trialToFormal", "2"));
    record(&shop, &id, &hour(2), &hour(1), "7", &[]).unwrap();
}

#[test]
fn a_report_is_recorded_once_and_told_with_its_number() {
    let (shop, used, _) = open();
    let (begin, end) = (hour(2), hour(1));
    let said = record(&shop, &used, &begin, &end, "1.50", &[]).unwrap();
    let sn = said.split(' ').next().unwrap().to_owned();
    assert!(sn.len() == 32 && sn.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
    let again = record(&shop, &used, &begin, &end, "1.5", &[]).unwrap();
    assert!(again.starts_with(&sn) && again.contains("recorded before"), "{again}");
    let other = record(&shop, &used, &begin, &end, "1.6", &[]).unwrap_err();
    assert!(other.contains(&sn) && other.contains("counts a time once"), "{other}");
    let listed = shop.scratch.run_json(&["usage", "list", "--waiting", "--instance", &used, "--json"]);
    assert_eq!(listed.len(), 1);
    let expected = json!({
        "meteringSn": sn, "instanceId": used, "beginTime": begin, "endTime": end, "usageValue": "1.5",
        "relatePkgInstance": null, "state": "waiting", "sent": 0, "dueTime": listed[0]["recordTime"], "finishedTime": null,
        "resultCode": null, "resultMsg": null, "whatToDo": null, "data": null, "recordTime": listed[0]["recordTime"],
    });
    assert_eq!(listed[0], expected);
    for filter in ["--accepted", "--rejected"] {
        assert!(shop.scratch.run_json(&["usage", "list", filter, "--json"]).is_empty());
    }
    assert!(shop.scratch.run_ok(&["usage", "list"]).contains(&sn));
    assert!(shop.scratch.run_ok(&["usage", "reject", &sn]).contains("counts no more"));
    let rejected = shop.scratch.run_json(&["usage", "list", "--rejected", "--json"]);
    assert!(rejected[0]["whatToDo"].as_str().unwrap().contains("report its time again"), "{rejected:?}");
    assert!(shop.scratch.run_ok(&["usage", "list", "--rejected"]).contains("what to do"));
    record(&shop, &used, &begin, &end, "1.6", &[]).unwrap();
    assert_eq!(told(&shop, &used)[0]["usageValue"].to_string(), "1.6");
}

#[test]
fn what_is_wrong_with_a_report_is_said_and_nothing_recorded() {
    let (shop, used, package) = open();
    let (begin, end) = (hour(2), hour(1));
    let future = (Timestamp::now() + SignedDuration::from_hours(1)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    for (outcome, expected) in [
        (record(&shop, "nobody", &begin, &end, "1", &[]), "there is no instance \"nobody\""),
        (record(&shop, &package, &begin, &end, "1", &[]), "name this package as relatePkgInstance"),
        (record(&shop, &used, &begin, &end, "1", &["--package", &used]), "is the instance itself"),
        (record(&shop, &used, &begin, &future, "1", &[]), "check the clocks"),
        (record(&shop, &used, &end, &begin, "1", &[]), "is after endTime"),
        (record(&shop, &used, &hour(100), &end, "1", &[]), "before the instance was ordered"),
        (record(&shop, &used, &begin, &end, "-1", &[]), "greater than 0"),
        (record(&shop, &used, &begin, &end, "1.00001", &[]), "more than 4 decimals"),
        (record(&shop, &used, "today", &end, "1", &[]), "write it with its offset"),
    ] {
        let complaint = outcome.unwrap_err();
        assert!(complaint.contains(expected), "{complaint}");
    }
    assert_eq!(shop.count("usage_record"), 0);
    let unknown = shop.scratch.run(&["usage", "reject", "sn"]);
    assert_eq!(unknown.status.code(), Some(1));
    for wrong in [&["usage", "record"][..], &["usage", "record", "--csv", "-", "--value", "1"]] {
        assert_eq!(shop.scratch.run(wrong).status.code(), Some(2));
    }
}

#[test]
fn a_file_is_recorded_line_by_line_and_may_be_repeated() {
    let (shop, used, package) = open();
    let mut file = "instance_id,begin_time,end_time,usage_value,relate_pkg_instance\n".to_owned();
    for ago in (2..60).rev() {
        file.push_str(&format!("{used},{},{},{ago}.5,{package}\n", hour(ago), hour(ago - 1)));
    }
    file.push_str(&format!("{used},{},{},1.00001,\n", hour(1), hour(0)));
    file.push_str(&format!("nobody\u{1b}[31m,{},{},1,\n", hour(1), hour(0)));
    std::fs::write(shop.scratch.path("usage.csv"), &file).unwrap();
    let import = || {
        let output = shop.scratch.run(&["usage", "record", "--csv", "usage.csv"]);
        assert_eq!(output.status.code(), Some(1));
        (text(&output.stdout), text(&output.stderr))
    };
    let (out, err) = import();
    assert!(out.contains("58 recorded, 0 were there already, 2 refused"), "{out}");
    assert!(err.contains("line 60: usageValue \"1.00001\"") && err.contains("line 61: there is no instance"), "{err}");
    assert!(!err.contains('\u{1b}'), "{err:?}");
    let before = told(&shop, &used);
    assert!(import().0.contains("0 recorded, 58 were there already, 2 refused"));
    assert_eq!(told(&shop, &used), before);
    assert_eq!(shop.count("usage_record WHERE state = 'waiting'"), 58);
    // Nothing wrong: 0.
    let mut command = shop.scratch.command(&["usage", "record", "--csv", "-"]);
    let good = format!("instance_id,begin_time,end_time,usage_value\n{used},{},{},1\n", hour(1), hour(0));
    std::fs::write(shop.scratch.path("good.csv"), good).unwrap();
    command.stdin(std::fs::File::open(shop.scratch.path("good.csv")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains("1 recorded"), "{output:?}");
}

#[test]
fn a_push_makes_everything_due_at_once() {
    let (shop, used, _) = open();
    let now = Timestamp::now();
    let end = |seconds: i64| (now - SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    record(&shop, &used, &hour(2), &hour(1), "1", &[]).unwrap();
    record(&shop, &used, &end(4), &end(3), "1", &[]).unwrap();
    let due = |shop: &Shop| -> i64 {
        look_up(
            &shop.scratch,
            &format!("SELECT count(*) FROM usage_record WHERE due_at <= {}", crate::harness::now_ms()),
        )
    };
    let before = due(&shop);
    let said = shop.scratch.run_ok(&["usage", "push"]);
    assert!(said.contains("2 wait to be sent"), "{said}");
    assert!(before <= 2 && due(&shop) == 2, "{before}");
    assert!(shop.scratch.run_ok(&["usage", "push"]).starts_with("0 records were made due"));
}
