//! `koogate restore --report`: what a copy lacks, from the lost database, from the application, and from its own jobs.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::harness::{Application, Scratch, new_instance, ready_answer, text};
use crate::shop::{Shop, freeze, instance_id, query, release, renewal, unfreeze};
use crate::token_get::purchase;

const FUTURE: &str = crate::shop::FUTURE;

/// The lines of a report, and the exit code.
fn report(scratch: &Scratch, args: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output = scratch.run(&[&["restore", "--report", "--json"], args].concat());
    let lines = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(text(&output.stderr), "", "{args:?}");
    (lines, output.status.code())
}

/// What stands in some members of the findings of a kind.
fn found(lines: &[Value], what: &str, members: &[&str]) -> Vec<Vec<String>> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of = |line: &Value| members.iter().map(|member| plain(&line[*member])).collect();
    lines.iter().filter(|line| line["what"] == what).map(of).collect()
}

/// A shop with one instance in `copy.db`, that has gone on: the ids of the old instance and of one bought since.
fn gone_on() -> (Shop, String, String) {
    let shop = Shop::open("");
    let old = shop.buy("CS1");
    shop.scratch.run_ok(&["backup", "copy.db"]);
    let new = shop.buy("CS2");
    shop.expect("000000", &renewal(&old, "CS1-R", FUTURE));
    shop.expect("000000", &freeze(&old));
    shop.expect("000000", &query(&old));
    shop.expect("000000", &new_instance("CS1"));
    shop.expect("000003", &release("nobody-knows-it"));
    shop.told(&old, &["instance.create", "instance.renew", "instance.freeze"]);
    (shop, old, new)
}

fn with_stdin(scratch: &Scratch, args: &[&str], stdin: &str) -> Output {
    let mut command = scratch.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn where_the_lost_database_can_be_read_every_call_and_instance_is_named() {
    let (shop, old, new) = gone_on();
    let Shop { koogate, scratch, application: _application } = shop;
    koogate.kill();
    // Before and after it is restored.
    for restored in [false, true] {
        if restored {
            scratch.run_ok(&["restore", "copy.db"]);
        }
        let (lines, code) = report(&scratch, if restored { &[] } else { &["copy.db"] });
        assert_eq!((lines[0]["lastExchange"].as_i64(), lines[0]["restoredAt"].is_null()), (Some(1), !restored));
        let calls = found(&lines, "call", &["id", "name", "instanceId", "orderId", "resultCode"]);
        let expected = [
            ["2", "newInstance", &new, "CS2", "000000"],
            ["3", "refreshInstance", &old, "CS1-R", "000000"],
            ["4", "updateInstanceStatus", &old, "null", "000000"],
            ["7", "releaseInstance", "nobody-knows-it", "null", "000003"],
        ];
        assert_eq!(calls, expected.map(|call| call.map(str::to_owned).to_vec()), "{lines:#?}");
        let instances = found(&lines, "instance", &["instanceId", "found"]);
        let told = |id: &str| instances.iter().find(|row| row[0] == id).map(|row| row[1].clone()).unwrap_or_default();
        assert_eq!(told(&new), "it was active, the copy does not know it");
        assert_eq!(told(&old), "it was frozen until 2099-12-31T23:59:59Z, in the copy it is active");
        assert!(instances.len() == 2 && code == Some(1), "{instances:?} {code:?}");
        let told = text(
            &scratch
                .run(
                    &["restore", "--report"]
                        .iter()
                        .copied()
                        .chain((!restored).then_some("copy.db"))
                        .collect::<Vec<_>>(),
                )
                .stdout,
        );
        for part in
            ["things that stand only there: 6", "loses less than the copy", "生产接口消息", "calls again by itself"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

#[test]
fn what_the_application_was_told_says_which_instances_and_changes_the_copy_lacks() {
    let (shop, old, new) = gone_on();
    let Shop { koogate, scratch, application } = shop;
    koogate.kill();
    // The machine is gone.
    for name in ["koogate.db", "koogate.db-wal", "koogate.db-shm", "koogate.db.lock", "koogate.snapshot.db"] {
        let _ = fs::remove_file(scratch.path(name));
    }
    scratch.run_ok(&["restore", "copy.db"]);
    let events = application.events();
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    fs::write(scratch.path("events.jsonl"), lines.join("\n")).unwrap();
    let (lines, code) = report(&scratch, &["--events", "events.jsonl"]);
    let told = found(&lines, "event", &["name", "instanceId", "found"]);
    let expected = [
        ["instance.create", &new, "the copy does not know the instance"],
        ["instance.renew", &old, "the copy does not know it"],
        ["instance.freeze", &old, "the copy does not know it"],
    ];
    assert_eq!(told, expected.map(|event| event.map(str::to_owned).to_vec()), "{lines:#?}");
    assert_eq!(code, Some(1));

    let ids: Vec<&str> = events.iter().map(|event| event["operationId"].as_str().unwrap()).collect();
    let output = with_stdin(&scratch, &["restore", "--report", "--json", "--events", "-"], &ids.join("\n"));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let unknown: Vec<String> = found(&lines, "event", &["id"]).concat();
    assert_eq!(unknown, ids[1..], "all but that of the copy");

    let output = with_stdin(&scratch, &["restore", "--report", "--events", "-"], "one two\n");
    assert!(text(&output.stderr).contains("line 1: an operationId has no blanks"), "{}", text(&output.stderr));
}

#[test]
fn jobs_that_were_under_way_in_the_copy_are_named_with_their_operation_ids() {
    let application = Application::start(|event| match event["event"].as_str() {
        Some("instance.freeze") => (500, String::new()),
        _ => (200, ready_answer(event)),
    });
    let shop = Shop::with(application, "", "");
    let id = shop.buy("CS1");
    shop.expect("000000", &freeze(&id));
    shop.told(&id, &["instance.create", "instance.freeze"]);
    let operation_id = shop.application.events()[1]["operationId"].as_str().unwrap().to_owned();
    shop.scratch.run_ok(&["backup", "copy.db"]);
    let (lines, code) = report(&shop.scratch, &["copy.db", "--lost", "copy.db"]);
    let jobs = found(&lines, "job", &["name", "instanceId", "found"]);
    let again = format!("your application is told again, with operationId {operation_id}");
    assert_eq!(jobs, [["instance.freeze".to_owned(), id, again]]);
    assert_eq!((lines.len(), code), (2, Some(0)), "nothing to mend: {lines:?}");
}

#[test]
fn a_copy_that_lacks_nothing_is_told_so() {
    let shop = Shop::open("");
    shop.buy("CS1");
    let Shop { koogate, scratch, application } = shop;
    koogate.stop();
    scratch.run_ok(&["restore", "koogate.snapshot.db"]);
    let events: Vec<String> = application.events().iter().map(Value::to_string).collect();
    fs::write(scratch.path("events.jsonl"), events.join("\n")).unwrap();
    let (lines, code) = report(&scratch, &["--events", "events.jsonl"]);
    assert_eq!((lines.len(), code), (1, Some(0)), "{lines:?}");
    // Beside the running server, too.
    let koogate = scratch.serve();
    assert_eq!(report(&scratch, &[]).1, Some(0));
    koogate.stop();
}

#[test]
fn what_cannot_be_told_is_said() {
    let (shop, ..) = gone_on();
    let Shop { koogate, scratch, application: _application } = shop;
    let told = |args: &[&str]| text(&scratch.run(&[&["restore", "--report"], args].concat()).stderr);
    assert!(told(&[]).contains("no copy has ever taken the place of koogate.db"), "{}", told(&[]));
    koogate.stop();
    scratch.run_ok(&["restore", "copy.db"]);
    let names = crate::harness::files_in(&scratch.path(""));
    let kept = names.iter().find(|name| name.contains(".replaced-")).unwrap();
    fs::write(scratch.path(kept), "precious notes\n".repeat(1000)).unwrap();
    let output = scratch.run(&["restore", "--report"]);
    assert!(text(&output.stdout).contains("tells nothing"), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "nobody could look");
    assert!(told(&["--lost", kept]).contains("file is not a database"), "{}", told(&["--lost", kept]));
    // Somebody else's.
    let other = Scratch::new(crate::shop::FIXED);
    other.serve().stop();
    fs::copy(other.path("koogate.db"), scratch.path("other.db")).unwrap();
    let told = told(&["--lost", "other.db"]);
    assert!(told.contains("it is another database than the copy was taken of"), "{told}");
    let usage = scratch.run(&["restore", "copy.db", "--events", "x"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_status_that_the_copy_has_otherwise_is_told_with_what_koogate_will_not_tell() {
    let shop = Shop::open("");
    let (frozen, thawed) = (shop.buy("CS1"), shop.buy("CS2"));
    shop.expect("000000", &freeze(&thawed));
    shop.scratch.run_ok(&["backup", "copy.db"]);
    shop.expect("000000", &freeze(&frozen));
    shop.expect("000000", &unfreeze(&thawed));
    let released = instance_id(&shop.expect("000000", &new_instance("CS3")));
    shop.expect("000000", &release(&released));
    let (lines, _) = report(&shop.scratch, &["copy.db"]);
    let mend = |id: &str| {
        let of = |line: &&Value| line["what"] == "instance" && line["instanceId"] == id;
        lines.iter().find(of).map_or(Value::Null, |line| line["mend"].clone())
    };
    assert!(mend(&frozen).as_str().unwrap().contains("Unfreeze it there by hand"), "{lines:?}");
    assert!(mend(&thawed).as_str().unwrap().contains("Freeze it there by hand"), "{lines:?}");
    assert!(mend(&released).is_null());
}

#[test]
fn a_purchase_that_only_the_application_knows_is_taken_over_and_opens_nothing_twice() {
    let shop = Shop::open("");
    shop.buy("CS1");
    shop.scratch.run_ok(&["backup", "copy.db"]);
    let lost = shop.expect("000000", &new_instance("CS2"));
    let lost_v1 = shop.get("000000", &purchase("CS3"));
    let (id, id_v1) = (instance_id(&lost), instance_id(&lost_v1));
    let events = shop.application.wait_for(3);
    let shop = shop.restarted_after(|scratch| {
        fs::remove_file(scratch.path("koogate.db")).unwrap();
        scratch.run_ok(&["restore", "copy.db"]);
        let lines: Vec<String> = events.iter().map(Value::to_string).collect();
        fs::write(scratch.path("events.jsonl"), lines.join("\n")).unwrap();
        assert_eq!(report(scratch, &["--events", "events.jsonl"]).1, Some(1));
        let told = scratch.run_ok(&["restore", "--adopt", "events.jsonl"]);
        assert_eq!(told.matches("is taken over").count(), 2, "{told}");
        assert_eq!(scratch.run_ok(&["restore", "--adopt", "events.jsonl"]).matches("is known").count(), 3);
        assert_eq!(report(scratch, &["--events", "events.jsonl"]).1, Some(0));
    });
    // The application is told again, under the same operationId, and KooGallery's calls find what it knows.
    for (event, id) in [(&events[1], &id), (&events[2], &id_v1)] {
        shop.told(id, &["instance.create", "instance.create"]);
        let again = shop.application.events().into_iter().filter(|told| told["instanceId"] == **id).nth(1).unwrap();
        assert_eq!(again["operationId"], event["operationId"]);
        let opened = shop.scratch.wait_for_instance(id, |instance| instance["status"] == "active");
        assert!(opened["history"].as_array().unwrap().iter().all(|change| change["exchange"].is_null()), "{opened}");
    }
    assert_eq!(instance_id(&shop.expect("000000", &new_instance("CS2"))), id);
    assert_eq!(instance_id(&shop.get("000000", &purchase("CS3"))), id_v1);
    shop.expect("000000", &renewal(&id, "CS2-R", FUTURE));
    shop.expect("000000", &freeze(&id_v1));
    assert_eq!(shop.scratch.run_json(&["instance", "list", "--json"]).len(), 3);
}

#[test]
fn a_purchase_is_not_taken_over_where_its_order_was_opened_anew() {
    let shop = Shop::open("");
    shop.buy("CS1");
    shop.scratch.run_ok(&["backup", "copy.db"]);
    shop.buy("CS2");
    let event = shop.application.wait_for(2)[1].to_string();
    let shop = shop.restarted_after(|scratch| drop(scratch.run_ok(&["restore", "copy.db"])));
    let other = shop.buy("CS2");
    // Beside the running server.
    let output = with_stdin(&shop.scratch, &["restore", "--adopt", "-"], &event);
    let told = text(&output.stdout);
    assert!(output.status.code() == Some(1) && told.contains(&format!("another one here, {other}")), "{told}");
    let output = with_stdin(&shop.scratch, &["restore", "--adopt", "-"], "{}\n");
    assert!(text(&output.stderr).contains("-:1: no event"), "{}", text(&output.stderr));
}
