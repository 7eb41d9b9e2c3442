//! Crashes: whatever instant the process dies at, nothing answered is missing or different and nothing happens twice.

mod kills;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Application, Koogate, PATIENCE, Scratch, nonce, release, renewal, status_change, upgrade,
};

/// A key of its own: a port that a dead server left may be another test's server by the time of the retry.
const KEY: &str = "cccccccc-1111-2222-3333-444444444444";

/// A life has fewer passages of every point; each is tried, with a server that dies there.
const PASSAGES: u32 = 60;

#[test]
fn every_fault_point_of_the_source_is_tried_by_a_test() {
    fn collect(folder: &Path, points: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, points);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("fault::point(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
            points.extend(names);
        }
    }
    let mut points = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut points);
    let here = include_str!("crash.rs");
    // Starts, stops and restores have points of their own, with tests of their own.
    let storage = [include_str!("storage/database.rs"), include_str!("storage/restores.rs")].concat();
    for point in &points {
        let tried = here.contains(&format!("die_at(\"{point}\")")) || storage.contains(&format!("\"{point}\""));
        assert!(tried, "no test dies at {point}");
    }
    assert!(points.len() >= 6, "{points:?}");
}

#[test]
fn a_death_before_a_commit_loses_nothing_that_was_answered() {
    die_at("commit");
}

#[test]
fn a_death_after_a_commit_and_before_the_answer_changes_no_answer() {
    die_at("committed");
}

#[test]
fn a_death_between_the_passes_of_a_call_changes_no_answer() {
    die_at("pass");
}

#[test]
fn a_death_after_a_job_was_claimed_does_not_lose_the_job() {
    die_at("claimed");
}

#[test]
fn a_death_after_the_application_answered_repeats_the_event_with_its_operation_id() {
    die_at("attempted");
}

#[test]
fn a_death_after_an_attempt_was_recorded_changes_no_answer() {
    die_at("recorded");
}

/// Plays a life with a server that dies at the first passage of a point, at the second, and so on until it is not
/// reached any more.
fn die_at(point: &str) {
    let mut reached = 0;
    for passage in 1..=PASSAGES {
        let fault = format!("{point}:{passage}");
        let died = live_through(&fault);
        if !died {
            break;
        }
        reached = passage;
    }
    assert!((3..PASSAGES).contains(&reached), "{point} was passed {reached} times");
}

/// Plays the life of an instance against a server with a fault and then, after its death, against servers without;
/// checks every invariant. Returns whether it died.
fn live_through(fault: &str) -> bool {
    let application = Application::ready();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], "", &application.product(""));
    let mut gallery = Gallery { fault, scratch: &scratch, koogate: None, starts: 0, acknowledged: Vec::new() };

    let created = gallery.succeed_twice(&crate::harness::new_instance("CS1"));
    let id = created.json()["instanceId"].as_str().unwrap().to_owned();
    for body in [renewal(&id, "CS2", 2099), status_change(&id, "FREEZE"), upgrade(&id, "CS3"), release(&id)] {
        gallery.succeed_twice(&body);
    }
    // A freeze of a released instance is another question; everything else is answered for ever.
    for (body, answer) in gallery.acknowledged.clone() {
        if body["status"] != "FREEZE" {
            assert_eq!(gallery.succeed(&body).verbatim(), answer.verbatim(), "{fault}: {body}");
        }
    }
    let died = gallery.starts > 1;
    check_application(fault, &application, &id);
    check_records(fault, &scratch, &id, &gallery.acknowledged);
    died
}

/// KooGallery as it deals with a seller's server that dies: it calls again until it is satisfied.
struct Gallery<'a> {
    fault: &'a str,
    scratch: &'a Scratch,
    koogate: Option<Koogate>,
    starts: u32,
    /// What was asked, and the success that was received.
    acknowledged: Vec<(Value, Answer)>,
}

impl Gallery<'_> {
    /// Calls until there is a success, and once more: the retry must get the same bytes, whatever died in between.
    fn succeed_twice(&mut self, body: &Value) -> Answer {
        let first = self.succeed(body);
        assert_eq!(self.succeed(body).verbatim(), first.verbatim(), "{}: {body}", self.fault);
        first
    }

    fn succeed(&mut self, body: &Value) -> Answer {
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            match self.running().try_call(KEY, &again(body)) {
                Ok(answer) if answer.code() == "000000" => {
                    self.acknowledged.push((body.clone(), answer.clone()));
                    return answer;
                }
                Ok(answer) => {
                    last = answer.json().to_string();
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => self.bury(),
            }
        }
        panic!("{}: no success for {body}: {last}", self.fault);
    }

    /// The server; started with the fault first, without it after a death.
    fn running(&mut self) -> &Koogate {
        while self.koogate.is_none() {
            let environment = if self.starts == 0 { &[("KOOGATE_FAULT", self.fault)][..] } else { &[] };
            self.starts += 1;
            match self.scratch.try_serve_with(environment) {
                Ok(koogate) => self.koogate = Some(koogate),
                Err(ended) => assert!(ended.code.is_none() && self.starts == 1, "{}: {}", self.fault, ended.log),
            }
        }
        self.koogate.as_ref().unwrap()
    }

    fn bury(&mut self) {
        let mut dead = self.koogate.take().unwrap();
        assert_eq!(dead.wait(), None, "{}: it was to be killed: {}", self.fault, dead.log_text());
        assert_eq!(self.starts, 1, "{}: it died a second time: {}", self.fault, dead.log_text());
    }
}

/// The same call as KooGallery repeats it: only the businessId is new.
fn again(body: &Value) -> Value {
    let mut body = body.clone();
    if !body["businessId"].is_null() {
        body["businessId"] = json!(format!("b-{}", nonce()));
    }
    body
}

/// The application saw every operation, and each under one operationId.
fn check_application(fault: &str, application: &Application, id: &str) {
    let kinds = ["instance.create", "instance.freeze", "instance.release", "instance.renew", "instance.upgrade"];
    let operation_ids = || {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in application.events() {
            assert_eq!(event["instanceId"], id, "{fault}");
            let text = |member: &str| event[member].as_str().unwrap().to_owned();
            ids.entry(text("event")).or_default().insert(text("operationId"));
        }
        ids
    };
    crate::harness::eventually(
        || operation_ids().contains_key("instance.release").then_some(()),
        || format!("{fault}: the release never came"),
    );
    let ids = operation_ids();
    assert_eq!(ids.keys().collect::<Vec<_>>(), kinds, "{fault}");
    for (event, operation_ids) in &ids {
        assert_eq!(operation_ids.len(), 1, "{fault}: {event}: {operation_ids:?}");
    }
}

/// One instance, a journal without gaps that knows every answer that was received, and a whole backup.
fn check_records(fault: &str, scratch: &Scratch, id: &str, acknowledged: &[(Value, Answer)]) {
    let instances = scratch.run_json(&["instance", "list", "--json"]);
    assert_eq!(instances.len(), 1, "{fault}: {instances:?}");
    assert_eq!((&instances[0]["instanceId"], &instances[0]["status"]), (&json!(id), &json!("released")), "{fault}");
    check_journal(scratch, acknowledged.iter().map(|(body, _)| &body["activity"]));
    scratch.run_ok(&["backup", "copy.db"]);
    scratch.run_ok(&["verify", "copy.db"]);
}

/// The journal is numbered without gaps and holds as many successes of each activity as were received, at least.
fn check_journal<'a>(scratch: &Scratch, received: impl Iterator<Item = &'a Value>) {
    let exchanges = scratch.run_json(&["exchange", "list", "--limit", "1000000", "--json"]);
    let numbers: Vec<_> = exchanges.iter().rev().map(|exchange| exchange["id"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let mut missing: BTreeMap<String, i64> = BTreeMap::new();
    for activity in received {
        *missing.entry(activity.as_str().unwrap().to_owned()).or_default() += 1;
    }
    for exchange in exchanges.iter().filter(|exchange| exchange["resultCode"] == "000000") {
        *missing.entry(exchange["activity"].as_str().unwrap().to_owned()).or_default() -= 1;
    }
    assert!(missing.values().all(|count| *count <= 0), "answered and not in the journal: {missing:?}");
}
