//! The server as a process: how it starts, refuses to start, answers while the disk is slow, and ends.

mod commands;
mod kit_keys;

use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::harness::{
    Application, Ended, Gate, KEY, Koogate, SEALING_KEY, Scratch, eventually, files_in, new_instance, ready_answer,
    send, text,
};

const FIXED: &str =
    "[[product]]\nfulfilment = \"fixed\"\naccess = { front_end_url = \"https://app.example.com/{instanceId}\" }\n";

/// A server that must not come up; how it ended.
fn fails_to_serve(scratch: &Scratch) -> Ended {
    match scratch.try_serve_with(&[]) {
        Ok(koogate) => panic!("it serves:\n{}", koogate.log_text()),
        Err(ended) => ended,
    }
}

/// Expects exit code 1 and all these words.
fn check_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    for word in words {
        assert!(ended.log.contains(word), "{word:?} is missing in\n{}", ended.log);
    }
}

/// What a clean stop leaves behind: one database file without a WAL, and the snapshot of it.
fn check_clean_stop(scratch: &Scratch) {
    let left = files_in(&scratch.path("."));
    assert_eq!(left, ["koogate.db", "koogate.db.lock", "koogate.snapshot.db", "koogate.toml"]);
    for file in ["koogate.db", "koogate.snapshot.db"] {
        scratch.run_ok(&["verify", file]);
    }
}

fn exchanges_in(scratch: &Scratch, file: &str) -> i64 {
    scratch.run_json(&["verify", "--json", file])[0]["exchanges"].as_i64().unwrap()
}

fn check_stop_answers_what_is_in_flight(signal: &str) {
    let gate = Gate::default();
    let application = held_up_by(&gate);
    let scratch = patient_scratch(&application);
    let mut koogate = scratch.serve();
    thread::scope(|scope| {
        let call = scope.spawn(|| send_new_instance(&koogate, "CS1"));
        application.wait_for(1);
        koogate.signal(signal);
        koogate.wait_for_log("stopping");
        gate.open();
        assert_eq!(call.join().unwrap(), "000000");
    });
    assert_eq!(koogate.wait(), Some(0), "{}", koogate.log_text());
    check_clean_stop(&scratch);
    assert_eq!(exchanges_in(&scratch, "koogate.snapshot.db"), 1);
}

/// An application that answers nothing before the gate is open.
fn held_up_by(gate: &Gate) -> Application {
    let gate = gate.clone();
    Application::start(move |event| {
        gate.pass();
        (200, ready_answer(event))
    })
}

/// Calls wait long for the application, however slow the machine is.
fn patient_scratch(application: &Application) -> Scratch {
    let scratch = Scratch::new("");
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"15s\"\n";
    scratch.configure(&[KEY], server, &application.product(""));
    scratch
}

fn send_new_instance(koogate: &Koogate, order: &str) -> String {
    koogate.call(&new_instance(order)).code()
}

#[test]
fn sigterm_answers_what_is_in_flight_and_leaves_one_database_and_its_snapshot() {
    check_stop_answers_what_is_in_flight("TERM");
}

#[test]
fn sigint_does_the_same() {
    check_stop_answers_what_is_in_flight("INT");
}

#[test]
fn a_stopping_server_takes_no_new_connections() {
    let gate = Gate::default();
    let application = held_up_by(&gate);
    let scratch = patient_scratch(&application);
    let koogate = scratch.serve();
    thread::scope(|scope| {
        let call = scope.spawn(|| send_new_instance(&koogate, "CS1"));
        application.wait_for(1);
        koogate.signal("TERM");
        koogate.wait_for_log("stopping");
        eventually(
            || send(koogate.address, "GET", "/healthz", &[], b"").is_err().then_some(()),
            || "it still answers".to_owned(),
        );
        gate.open();
        assert_eq!(call.join().unwrap(), "000000");
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::default();
    let application = held_up_by(&gate);
    let scratch = patient_scratch(&application);
    let mut koogate = scratch.serve();
    thread::scope(|scope| {
        let call = scope.spawn(|| koogate.try_call(KEY, &new_instance("CS1")));
        application.wait_for(1);
        koogate.signal("TERM");
        koogate.wait_for_log("a second signal ends at once");
        koogate.signal("TERM");
        assert!(call.join().unwrap().is_err());
    });
    assert_eq!(koogate.wait(), Some(1), "{}", koogate.log_text());
    gate.open();
    // Nothing is lost by it.
    let koogate = scratch.serve();
    koogate.call_until_success(&new_instance("CS1"));
}

#[test]
fn an_idle_server_stops_and_starts_again_and_again() {
    let scratch = Scratch::new(FIXED);
    for _ in 0..3 {
        let koogate = scratch.serve();
        assert_eq!(send_new_instance(&koogate, "CS1"), "000000");
        koogate.stop();
        check_clean_stop(&scratch);
    }
    assert_eq!(exchanges_in(&scratch, "koogate.db"), 3);
}

#[test]
fn a_second_server_on_the_same_database_is_refused_and_told_which_process_has_it() {
    let scratch = Scratch::new(FIXED);
    let koogate = scratch.serve();
    let ended = fails_to_serve(&scratch);
    check_refused(&ended, &["koogate.db is in use by another koogate", &format!("(process {})", koogate.pid())]);
    assert_eq!(send_new_instance(&koogate, "CS1"), "000000");
}

#[test]
fn a_start_with_the_wrong_sealing_key_is_refused() {
    let scratch = Scratch::new(FIXED);
    scratch.serve().stop();
    let file = scratch.path("koogate.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace(SEALING_KEY, &"ab".repeat(32))).unwrap();
    let ended = fails_to_serve(&scratch);
    check_refused(&ended, &["keys.sealing_key", "is not the one", "koogate.db was made with"]);
    assert!(!ended.log.contains(&"ab".repeat(32)), "{}", ended.log);
    std::fs::write(&file, right).unwrap();
    assert_eq!(send_new_instance(&scratch.serve(), "CS1"), "000000");
}

#[test]
fn every_error_of_the_configuration_is_told_at_once() {
    let scratch = Scratch::new("");
    let text = "[server]\nlisten = \"nowhere\"\nanswer_in = \"4s\"\n\
        [keys]\nbasic = \"\"\nsealing_key = \"short\"\n\
        [[product]]\nfulfilment = \"fixed\"\n";
    std::fs::write(scratch.path("koogate.toml"), text).unwrap();
    let ended = fails_to_serve(&scratch);
    let faults = ["server.listen", "answer_in", "answer_within", "keys.basic", "keys.sealing_key", "access"];
    check_refused(&ended, &faults);
    assert!(!scratch.path("koogate.db").exists());
}

#[test]
fn without_a_key_or_a_configuration_there_is_no_start() {
    let scratch = Scratch::new(FIXED);
    scratch.configure(&[], "", FIXED);
    check_refused(&fails_to_serve(&scratch), &["keys.basic"]);
    std::fs::remove_file(scratch.path("koogate.toml")).unwrap();
    check_refused(&fails_to_serve(&scratch), &["koogate.toml", "`koogate init` writes one"]);
}

/// The bug: jobs were started and the database was left open before the address turned out to be taken.
#[test]
fn a_port_in_use_is_named_and_nothing_has_happened() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let scratch = Scratch::new("");
    for sections in [
        format!("[server]\nlisten = \"{address}\"\n"),
        format!("[admin]\nlisten = \"{address}\"\ntoken = \"a-token-of-the-tests\"\n"),
    ] {
        scratch.configure(&[KEY], &sections, FIXED);
        check_refused(&fails_to_serve(&scratch), &[&format!("cannot listen on {address}"), "in use"]);
        assert_eq!(files_in(&scratch.path(".")), ["koogate.db", "koogate.db.lock", "koogate.toml"]);
    }
    scratch.configure(&[KEY], "", FIXED);
    let log = scratch.serve().stop();
    assert!(!log.contains("was not closed by its server"), "{log}");
}

#[test]
fn a_folder_that_cannot_be_written_or_is_missing_is_named() {
    let scratch = Scratch::new("");
    // Nobody can write there, root included.
    for path in ["/proc/koogate.db", "missing/koogate.db"] {
        scratch.configure(&[KEY], &format!("[database]\npath = \"{path}\"\n"), FIXED);
        check_refused(&fails_to_serve(&scratch), &["cannot open", path]);
    }
}

#[test]
fn health_is_public_and_readiness_is_for_the_operator() {
    let scratch = Scratch::new("");
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";
    scratch.configure(&[KEY], admin, FIXED);
    let koogate = scratch.serve();
    let healthy = koogate.get("/healthz");
    assert_eq!((healthy.status, text(&healthy.body)), (200, "ok\n".to_owned()));
    assert_eq!(koogate.get("/readyz").status, 404);
    for (target, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = koogate.admin("GET", target, None, "");
        assert_eq!((answer.status, text(&answer.body)), (200, body.to_owned()), "{target}");
    }
    assert_eq!(koogate.admin("GET", "/api/v1/instances/x/ready", None, "").status, 401);
    assert_eq!(koogate.admin("GET", "/api/v1/refused", None, "").status, 401);
    assert!(scratch.run_json(&["exchange", "list", "--json"]).is_empty());
}

/// A sale while every commit takes longer than an answer may.
fn check_slow_disk(product: &str) {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n", product);
    let koogate = scratch.serve_with(&[("KOOGATE_FAULT_DELAY", "commit:1500")]);
    // Signed, as `call` checks. Had it waited for the disk, it would be a success.
    assert_eq!(send_new_instance(&koogate, "CS1"), "000005");
    koogate.wait_for_log("answered 000005 without a record");
    let list = || scratch.run_json(&["instance", "list", "--json"]);
    eventually(
        || list().first().is_some_and(|instance| instance["status"] == "active").then_some(()),
        || format!("no active instance:\n{}", koogate.log_text()),
    );
    koogate.kill();
    let koogate = scratch.serve();
    assert_eq!(send_new_instance(&koogate, "CS1"), "000000");
    assert_eq!(list().len(), 1);
}

#[test]
fn a_slow_disk_is_answered_000005_in_time_and_the_retry_finds_the_operation_done_once() {
    check_slow_disk(FIXED);
}

#[test]
fn a_slow_disk_does_not_make_the_application_do_it_twice() {
    let application = Application::ready();
    check_slow_disk(&application.product(""));
    assert_eq!(application.events().len(), 1);
}

/// The path of a file in a folder as the command line takes it.
fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_operator_sees_who_was_turned_away_and_why_and_no_body() {
    let scratch = Scratch::new("");
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";
    scratch.configure(&[KEY], admin, FIXED);
    let koogate = scratch.serve();
    let body = b"{\"canary\":\"not to be shown\"}";
    for _ in 0..3 {
        let query = crate::harness::Signed::now("another access key", body).query();
        assert_eq!(koogate.post(&format!("/saasproduce?{query}"), body).unwrap().code(), "000001");
    }
    let answer = koogate.admin("GET", "/api/v1/refused", Some("a-token-of-the-tests"), "");
    let seen = answer.json();
    assert_eq!(seen["total"], 3);
    let last = &seen["last"][0];
    assert_eq!((last["peer"].as_str(), last["family"].as_str()), (Some("127.0.0.1"), Some("basic-v2")));
    assert!(last["reason"].as_str().unwrap().contains("fits none of the configured access keys"), "{last}");
    assert!(!crate::harness::text(&answer.body).contains("canary"));
}
