//! The commands that show the journal, beside a running server too: what they list, how they end.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::{ids, rows, shop};
use crate::harness::{Application, eventually, new_instance, ready_answer, text};
use crate::shop::{
    FUTURE, IMPATIENT, PATIENT, Shop, as_test, count, freeze, instance_id, order_notify, query, renewal, retry, with,
};

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

/// A freeze is the same whichever order it names, and while it is under way nobody says how its calls differ.
#[test]
fn a_call_is_listed_by_the_order_it_names_whichever_its_operation_began_with() {
    let application = Application::start(|event| match event["event"].as_str() {
        Some("instance.freeze") => (500, "not yet".to_owned()),
        _ => (200, ready_answer(event)),
    });
    let shop = Shop::with(application, IMPATIENT, "accept = \"after\"");
    let id = shop.buy("CS1"); // 1
    let of_order = |order: &str| with(freeze(&id), "orderId", order);
    shop.expect("000005", &freeze(&id)); // 2
    shop.expect("000005", &of_order("CS2")); // 3
    shop.expect("000000", &new_instance("CS1")); // 4
    assert_eq!(shop.count("exchange WHERE operation = 2 AND difference IS NULL"), 2);
    assert_eq!((ids(&shop, &["--order", "CS1"]), ids(&shop, &["--order", "CS2"])), (vec![1, 4], vec![3]));
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
