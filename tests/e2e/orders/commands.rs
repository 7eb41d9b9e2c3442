//! `koogate order`.

use super::*;
use crate::harness::{Scratch, text};
use crate::koogallery::{Behaviour, Reply};

fn scratch(mock: &KooGallery) -> Scratch {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &mock.toml(), crate::shop::FIXED);
    scratch
}

#[test]
fn mock_orders_try_the_access_key_before_the_first_start() {
    let mock = KooGallery::start();
    let scratch = scratch(&mock);
    let shown = scratch.run_ok(&["order", "show", "MOCKPERIODYEARNEW"]);
    for part in
        ["MOCKPERIODYEARNEW (NEW)", "1 year", "PERIOD", "OFFI000000000000000001", "sku-mock-1", "20", "mock-customer"]
    {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let shown = &scratch.run_json(&["order", "show", "MOCKONDEMAND", "--json"])[0];
    assert_eq!(shown["orderLine"][0]["chargingMode"], "ON_DEMAND");
    assert_eq!(shown["createTime"], "2022-07-26T06:47:36Z");
    let listed = scratch.run_json(&["order", "list", "--json"]);
    let ids: Vec<_> = listed.iter().map(|order| order["orderId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["MOCKONDEMAND", "MOCKPERIODYEARNEW"], "those read last first");
}

#[test]
fn an_order_that_is_kept_is_shown_from_the_record_and_asked_for_on_demand() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let shop = shop(&mock, "");
    shop.buy("CS1");
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 30)));
    let quantity = |args: &[&str]| {
        let shown = shop.scratch.run_json(args);
        shown[0]["orderLine"][0]["productInfo"][0]["linearValue"].as_u64().unwrap()
    };
    assert_eq!(quantity(&["order", "show", "CS1", "--json"]), 20);
    assert_eq!(mock.count(Route::OrderQuery), 1);
    assert_eq!(quantity(&["order", "show", "--refresh", "CS1", "--json"]), 30);
    assert_eq!(quantity(&["order", "show", "CS1", "--json"]), 30, "the newer answer is kept");
}

#[test]
fn personal_data_is_masked_unless_it_is_asked_for() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    let scratch = scratch(&mock);
    for extra in [&[][..], &["--json"]] {
        let masked = scratch.run_ok(&[&["order", "show", "CS1"], extra].concat());
        assert!(!masked.contains(PHONE) && !masked.contains("b@example.com"), "{masked}");
        assert!(masked.contains("13***00"), "{masked}");
        let whole = scratch.run_ok(&[&["order", "show", "CS1", "--personal"], extra].concat());
        assert!(whole.contains(PHONE) && whole.contains("b@example.com"), "{whole}");
    }
    let listed = scratch.run_ok(&["order", "list"]) + &scratch.run_ok(&["order", "list", "--json"]);
    assert!(listed.contains("CS1") && !listed.contains("13***00") && !listed.contains("Shop"), "{listed}");
}

#[test]
fn a_command_tries_again_what_is_worth_it_and_says_why_it_failed() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 20)));
    mock.next(Route::OrderQuery, 1, Behaviour::Instead(Reply::html(502)));
    let scratch = scratch(&mock);
    scratch.run_ok(&["order", "show", "CS1"]);
    let failed = scratch.run(&["order", "show", "CS9"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("MKT.0150"), "{}", text(&failed.stderr));
    assert_eq!(mock.count(Route::OrderQuery), 3);
    scratch.configure(&[KEY], "", crate::shop::FIXED);
    let failed = scratch.run(&["order", "show", "CS9"]);
    assert!(text(&failed.stderr).contains("[open_api] is not configured"), "{}", text(&failed.stderr));
}
