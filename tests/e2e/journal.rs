//! The journal: each authenticated call is one row with its facts, without gaps and without passwords.

mod commands;

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Application, KEY, Koogate, Scratch, Signed, files_in, new_instance, ready_answer, text};
use crate::shop::{
    FIXED, FUTURE, Shop, as_test, change_check, freeze, order_notify, query, release, renewal, retry, upgrade, with,
    without,
};

/// Found nowhere by chance.
const PASSWORD: &str = "Zq7-extremely-secret";
const USER_NAME: &str = "user-of-the-buyer";

/// What `exchange list --json` says, oldest first.
fn rows(shop: &Shop, filter: &[&str]) -> Vec<Value> {
    let mut rows = shop.scratch.run_json(&[&["exchange", "list", "--json", "--limit", "1000000"], filter].concat());
    rows.reverse();
    rows
}

/// The numbers of the calls that a filter leaves, oldest first.
fn ids(shop: &Shop, filter: &[&str]) -> Vec<u64> {
    rows(shop, filter).iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

fn shop() -> Shop {
    Shop::with_products(Application::ready(), "", FIXED)
}

// What is recorded.

#[test]
fn every_authenticated_call_is_one_row_with_its_facts_and_nobody_elses_call_is_one() {
    let shop = shop();
    let id = shop.buy("CS1");
    let calls = [
        new_instance("CS1"),
        query(&id),
        query(&format!("{id},unknown")),
        renewal(&id, "CS2", FUTURE),
        with(renewal(&id, "CS2", FUTURE), "productId", "P2"),
        freeze(&id),
        freeze(&id),
        change_check(&id, json!({ "productId": "P2" })),
        order_notify("CS3"),
        freeze("unknown"),
        as_test(freeze(&id)),
        without(freeze(&id), "status"),
        as_test(without(freeze(&id), "status")),
        json!({ "activity": "unknown" }),
        release(&id),
    ];
    for call in &calls {
        shop.koogate.call(call);
        shop.koogate.try_call("another key", call).unwrap();
    }
    let (id, none) = (json!(id), Value::Null);
    let facts = ["activity", "resultCode", "replayed", "orderId", "instanceId", "environment"];
    let expected = [
        json!(["newInstance", "000000", false, "CS1", id, "real"]),
        json!(["newInstance", "000000", true, "CS1", id, "real"]),
        json!(["queryInstance", "000000", false, none, id, "real"]),
        json!(["queryInstance", "000000", false, none, none, "real"]),
        json!(["refreshInstance", "000000", false, "CS2", id, "real"]),
        json!(["refreshInstance", "000000", true, "CS2", id, "real"]),
        json!(["updateInstanceStatus", "000000", false, none, id, "real"]),
        json!(["updateInstanceStatus", "000000", true, none, id, "real"]),
        json!(["changeInstanceCheck", "000000", false, none, id, "real"]),
        json!(["orderNotify", "000000", false, "CS3", none, "real"]),
        json!(["updateInstanceStatus", "000003", false, none, "unknown", "real"]),
        json!(["updateInstanceStatus", "000000", false, none, id, "test"]),
        json!(["updateInstanceStatus", "000002", false, none, none, "real"]),
        json!(["updateInstanceStatus", "000002", false, none, none, "test"]),
        json!([none, "000002", false, none, none, "real"]),
        json!(["releaseInstance", "000000", false, none, id, "real"]),
    ];
    let rows = rows(&shop, &[]);
    assert_eq!(rows.len(), expected.len());
    for (number, (row, expected)) in rows.iter().zip(expected).enumerate() {
        assert_eq!(json!(facts.map(|fact| &row[fact])), expected, "{row}");
        assert_eq!(row["id"], number + 1);
        assert_eq!((&row["family"], &row["peer"]), (&json!("basic-v2"), &json!("127.0.0.1")));
        assert!(row["durationMs"].as_f64().is_some_and(|ms| (0.0..60_000.0).contains(&ms)), "{row}");
        assert!(row["receivedAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{row}");
    }
}

#[test]
fn a_row_names_its_operation_and_the_first_call_of_it() {
    let shop = shop();
    let id = shop.buy("CS1");
    for call in [freeze(&id), query(&id), freeze(&id), new_instance("CS1"), as_test(new_instance("CS1"))] {
        shop.expect("000000", &call);
    }
    let create = json!(["real", "saas", "create", "CS1", "CS1-000001"]);
    let test = json!(["test", "saas", "create", "CS1", "CS1-000001"]);
    let rows = rows(&shop, &[]);
    let found: Vec<_> = rows.iter().map(|row| json!([row["operation"], row["firstExchange"]])).collect();
    let frozen = &rows[1]["operation"];
    assert_eq!((&frozen[2], &frozen[3]), (&json!("freeze"), &json!(id)));
    let expected = [
        json!([create, 1]),
        json!([frozen, 2]),
        json!([null, null]),
        json!([frozen, 2]),
        json!([create, 1]),
        json!([test, 6]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn request_and_answer_are_recorded_byte_for_byte() {
    let shop = shop();
    let body =
        "{ \"activity\" : \"newInstance\",\r\n\t\"businessId\":\"调-1\", \"orderId\":\"CS1\", \"orderLineId\":\"1\" }";
    let target = format!("/saasproduce/?{}&extra=%41+b", Signed::now(KEY, body.as_bytes()).query());
    let sent = shop.koogate.post(&target, body.as_bytes()).unwrap();
    let again = shop.koogate.call(&retry(&serde_json::from_str(body).unwrap()));
    assert_eq!(again.body, sent.body);
    let rows = rows(&shop, &[]);
    assert_eq!(rows[0]["request"], format!("POST {target}"));
    assert_eq!(rows[0]["requestBody"], body);
    for row in rows {
        assert_eq!(row["answer"], text(&sent.body), "first and repeat show what was sent");
    }
}

#[test]
fn numbers_have_no_gaps_under_a_crowd_and_across_kill_9() {
    let mut shop = shop();
    for round in 0..3 {
        let koogate = &shop.koogate;
        thread::scope(|scope| {
            for caller in 0..8 {
                scope.spawn(move || {
                    for number in 0..10 {
                        // Purchases, repeats of them and bad calls side by side.
                        koogate.call(&new_instance(&format!("CS{}", caller % 4 * 100 + number)));
                        koogate.call(&json!({ "activity": "unknown", "round": round }));
                    }
                });
            }
        });
        shop = shop.restarted(Koogate::kill);
    }
    let expected: Vec<u64> = (1..=3 * 8 * 10 * 2).collect();
    assert_eq!(ids(&shop, &[]), expected);
    assert_eq!(shop.count("instance"), 40);
    assert_eq!(shop.count("exchange WHERE replayed"), 3 * 80 - 40);
}

// Secrets.

#[test]
fn passwords_stand_nowhere_in_the_clear_neither_in_the_files_nor_in_listings() {
    let application = Application::start(|event| {
        let answer = ready_answer(event).replace("p-1", PASSWORD).replace("\"admin\"", &format!("{USER_NAME:?}"));
        (200, answer)
    });
    let shop = Shop::with(application, "", "");
    let id = shop.buy("CS1");
    let told = shop.koogate.call(&query(&id)).json()["info"][0]["appInfo"].clone();
    assert_eq!((&told["userName"], &told["password"]), (&json!(USER_NAME), &json!(PASSWORD)));
    shop.expect("000000", &new_instance("CS1"));
    shop.expect("000000", &upgrade(&id, "CS2"));

    let answer: Value = serde_json::from_str(rows(&shop, &[])[1]["answer"].as_str().unwrap()).unwrap();
    let blanked = &answer["info"][0]["appInfo"];
    assert_eq!((&blanked["userName"], &blanked["password"]), (&json!("***"), &json!("***")));
    assert_eq!(blanked["frontEndUrl"], told["frontEndUrl"]);

    shop.scratch.run_ok(&["backup", "copy.db"]);
    let commands: [&[&str]; 9] = [
        &["exchange", "list"],
        &["exchange", "list", "--json"],
        &["exchange", "show", "2"],
        &["exchange", "show", "2", "--json"],
        &["exchange", "export"],
        &["exchange", "export", "--form", "csv"],
        &["instance", "list", "--json"],
        &["instance", "show", &id],
        &["instance", "show", &id, "--json"],
    ];
    for args in commands {
        let out = shop.scratch.run_ok(args);
        assert!(!out.contains(PASSWORD) && !out.contains(USER_NAME), "{args:?}: {out}");
        assert!(out.contains(&id), "{args:?} shows something: {out}");
    }
    check_files(&shop.scratch, &["koogate.db", "koogate.db-wal", "copy.db"]);
    let Shop { koogate, scratch, .. } = shop;
    koogate.stop();
    check_files(&scratch, &["koogate.db", "koogate.snapshot.db"]);
}

/// No file of the folder holds a secret; these are there.
fn check_files(scratch: &Scratch, present: &[&str]) {
    let names = files_in(&scratch.path(""));
    for name in &names {
        let content = text(&std::fs::read(scratch.path(name)).unwrap());
        let leaks: Vec<_> = [PASSWORD, USER_NAME].into_iter().filter(|secret| content.contains(secret)).collect();
        assert!(leaks.is_empty(), "{name}: {leaks:?}");
        // The configuration is where the keys stand.
        assert!(*name == "koogate.toml" || !content.contains(KEY), "{name} holds the access key");
    }
    for name in present {
        assert!(names.iter().any(|there| there == name), "no {name} in {names:?}");
    }
}
