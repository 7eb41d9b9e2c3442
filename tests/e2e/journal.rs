//! The journal: each authenticated call is one row with its facts, without gaps and without passwords; and the commands
//! that show it, beside a running server too.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Application, KEY, Koogate, Scratch, Signed, eventually, new_instance, ready_answer, text};
use crate::shop::{
    FIXED, FUTURE, PATIENT, Shop, as_test, change_check, count, freeze, instance_id, order_notify, query, release,
    renewal, retry, upgrade, with, without,
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
    let create = json!(["real", "basic", "create", "CS1", "CS1-000001"]);
    let test = json!(["test", "basic", "create", "CS1", "CS1-000001"]);
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
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(scratch.path("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let content = text(&std::fs::read(&path).unwrap());
        let leaks: Vec<_> = [PASSWORD, USER_NAME].into_iter().filter(|secret| content.contains(secret)).collect();
        assert!(leaks.is_empty(), "{name}: {leaks:?}");
        // The configuration is where the keys stand.
        assert!(name == "koogate.toml" || !content.contains(KEY), "{name} holds the access key");
        names.insert(name);
    }
    for name in present {
        assert!(names.contains(*name), "no {name} in {names:?}");
    }
}

// The commands.

#[test]
fn a_list_is_newest_first_bounded_by_its_limit_and_narrowed_by_its_filters() {
    let shop = shop();
    let id = shop.buy("CS1"); // 1
    shop.expect("000000", &renewal(&id, "CS2", FUTURE)); // 2
    shop.expect("000003", &freeze("unknown")); // 3
    shop.expect("000002", &json!({ "activity": "unknown" })); // 4
    shop.expect("000000", &as_test(new_instance("CS1"))); // 5
    shop.expect("000000", &query(&id)); // 6

    let newest = shop.scratch.run_json(&["exchange", "list", "--json", "--limit", "2"]);
    assert_eq!(newest.iter().map(|row| &row["id"]).collect::<Vec<_>>(), [6, 5]);

    let all = rows(&shop, &[]);
    let received = |number: usize| all[number - 1]["receivedAt"].as_str().unwrap();
    let cases: [(&[&str], &[u64]); 12] = [
        (&[], &[1, 2, 3, 4, 5, 6]),
        (&["--order", "CS1"], &[1, 5]),
        (&["--order", "CS9"], &[]),
        (&["--instance", &id], &[1, 2, 6]),
        (&["--instance", "unknown"], &[3]),
        (&["--result", "000000"], &[1, 2, 5, 6]),
        (&["--result", "failed"], &[3, 4]),
        (&["--test"], &[5]),
        (&["--real"], &[1, 2, 3, 4, 6]),
        (&["--order", "CS1", "--real"], &[1]),
        (&["--until", "2020-01-01T00:00:00Z"], &[]),
        (&["--since", "2020-01-01T00:00:00Z"], &[1, 2, 3, 4, 5, 6]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&shop, filter), expected, "{filter:?}");
    }
    // "Since" includes its instant, "until" does not: together they miss nothing and count nothing twice.
    let (before, after) = (ids(&shop, &["--until", received(4)]), ids(&shop, &["--since", received(4)]));
    assert!(after.contains(&4) && !before.contains(&4));
    assert_eq!([before, after].concat(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_members_of_json_rows_are_named_as_on_the_wire() {
    let shop = shop();
    let id = shop.buy("CS1");
    shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    let members = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let row = rows(&shop, &[]).remove(0);
    for member in ["id", "activity", "orderId", "instanceId", "resultCode", "replayed", "requestBody", "answer"] {
        assert!(members(&row).contains(member), "{member}: {row}");
    }
    let shown = shop.scratch.run_json(&["exchange", "show", "1", "--json"]);
    assert_eq!(shown, [row], "a list and a show tell the same");

    let listed = shop.scratch.run_json(&["instance", "list", "--json"]).remove(0);
    let wanted = json!({
        "instanceId": id, "status": "active", "expireTime": "2099-12-31T23:59:59Z", "orderId": "CS1",
        "orderLineId": "CS1-000001",
    });
    for (member, value) in wanted.as_object().unwrap() {
        assert_eq!(&listed[member], value, "{listed}");
    }
}

#[test]
fn a_table_and_a_show_are_for_people() {
    let shop = shop();
    let id = shop.buy("CS1");
    shop.expect("000000", &new_instance("CS1"));
    let table = shop.scratch.run_ok(&["exchange", "list"]);
    for part in ["received", "newInstance", "CS1", "000000", "yes", &id] {
        assert!(table.contains(part), "no {part:?} in\n{table}");
    }
    let shown = shop.scratch.run_ok(&["exchange", "show", "2"]);
    for part in
        ["exchange     2", "request      POST /saasproduce?", "\"resultCode\":\"000000\"", "create", "exchange 1"]
    {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    let nothing = shop.scratch.run_ok(&["exchange", "list", "--order", "CS9"]);
    assert_eq!(nothing, "(nothing to show)\n");
    assert_eq!(shop.scratch.run_ok(&["exchange", "list", "--order", "CS9", "--json"]), "");
}

#[test]
fn an_export_holds_every_call_in_either_form_and_overwrites_nothing() {
    let shop = shop();
    let body = with(new_instance("CS1"), "memo", "a comma, a \"quote\",\nand a line");
    let id = instance_id(&shop.expect("000000", &body));
    for call in [&retry(&body), &with(retry(&body), "memo", "other"), &query(&id), &json!({ "activity": "unknown" })] {
        shop.koogate.call(call);
    }
    let scratch = &shop.scratch;
    scratch.run_ok(&["exchange", "export", "out.json"]);
    let content = std::fs::read_to_string(scratch.path("out.json")).unwrap();
    let exported: Vec<Value> = content.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut listed = rows(&shop, &[]);
    listed.reverse();
    assert_eq!(exported, listed);
    assert_eq!(scratch.run_ok(&["exchange", "export"]), content, "stdout gets the same");

    scratch.run_ok(&["exchange", "export", "out.csv", "--form", "csv"]);
    let mut sheet = csv::Reader::from_path(scratch.path("out.csv")).unwrap();
    let header = sheet.headers().unwrap().clone();
    let lines: Vec<_> = sheet.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), listed.len());
    for (line, row) in lines.iter().zip(&listed) {
        for (name, cell) in header.iter().zip(line) {
            let expected = match &row[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, expected, "{name}");
        }
    }

    let refused = scratch.run(&["exchange", "export", "out.json"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("out.json"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read_to_string(scratch.path("out.json")).unwrap(), content);
    assert_eq!(scratch.run_ok(&["exchange", "export", "--result", "failed"]).lines().count(), 1);
}

#[test]
fn an_export_of_more_than_a_thousand_calls_is_complete() {
    let shop = shop();
    let koogate = &shop.koogate;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..260).for_each(|_| drop(koogate.call(&order_notify("CS1")))));
        }
    });
    let exported = shop.scratch.run_ok(&["exchange", "export"]);
    let numbers: Vec<u64> =
        exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=4 * 260).rev().collect::<Vec<_>>());
}

#[test]
fn exit_codes_are_0_done_1_failed_2_wrong_usage() {
    let shop = shop();
    let id = shop.buy("CS1");
    let cases: [(&[&str], i32); 16] = [
        (&["exchange", "list"], 0),
        (&["exchange", "show", "1"], 0),
        (&["instance", "show", &id], 0),
        (&["exchange", "--help"], 0),
        (&["exchange", "show", "2"], 1),
        (&["instance", "show", "unknown"], 1),
        (&["instance", "retry", &id], 1),
        (&["instance", "ready", &id], 1),
        (&["exchange", "list", "--config", "missing.toml"], 1),
        (&["exchange", "export", "no-folder/out.json"], 1),
        (&["exchange"], 2),
        (&["exchange", "show", "x"], 2),
        (&["exchange", "list", "--limit", "0"], 2),
        (&["exchange", "list", "--since", "yesterday"], 2),
        (&["exchange", "list", "--test", "--real"], 2),
        (&["instance", "list", "--status", "sleeping"], 2),
    ];
    for (args, code) in cases {
        let Output { status, stdout, stderr } = shop.scratch.run(args);
        assert_eq!(status.code(), Some(code), "{args:?}: {}", text(&stderr));
        assert_eq!(stdout.is_empty(), code != 0, "{args:?}: results go to stdout, complaints do not");
        assert_eq!(stderr.is_empty(), code == 0, "{args:?}: {}", text(&stderr));
    }
}

#[test]
fn commands_work_beside_a_running_server_that_is_writing() {
    let application = Application::ready();
    let shop = Shop::with(application, PATIENT, "");
    let koogate = &shop.koogate;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                scope.spawn(move || {
                    for number in 0..25 {
                        assert_eq!(koogate.call(&new_instance(&format!("CS{writer}-{number}"))).code(), "000000");
                    }
                })
            })
            .collect();
        // What a list shows has no holes, however much is written meanwhile.
        let mut seen = 0;
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let ids = ids(&shop, &[]);
            assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
            assert!(ids.len() >= seen);
            seen = ids.len();
        }
    });
    assert_eq!(ids(&shop, &[]).len(), 100);
    // And a command may write beside it.
    let output = shop.scratch.run(&["instance", "retry", "unknown"]);
    assert_eq!(output.status.code(), Some(1));
    shop.expect("000000", &new_instance("CS-last"));
}

#[test]
fn the_journal_can_be_read_when_no_server_runs() {
    let shop = shop();
    shop.buy("CS1");
    let Shop { koogate, scratch, .. } = shop;
    koogate.stop();
    assert_eq!(scratch.run_json(&["exchange", "list", "--json"]).len(), 1);
    assert_eq!(count(&scratch, "exchange"), 1);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    eventually(|| (count(&scratch, "exchange") == 2).then_some(()), || koogate.log_text());
}

#[test]
fn a_closed_pipe_is_no_error() {
    let shop = shop();
    let id = shop.buy("CS1");
    let commands: [&[&str]; 6] = [
        &["exchange", "list"],
        &["exchange", "list", "--json"],
        &["exchange", "show", "1"],
        &["exchange", "export"],
        &["exchange", "export", "--form", "csv"],
        &["instance", "show", &id],
    ];
    for args in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = shop.scratch.command(args).stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{args:?}");
    }
}
