//! Crashes: whatever instant the process dies at, nothing answered is missing or different and nothing happens twice.

mod kills;
pub mod ledger;
mod lives;
pub mod market;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::lives::{LIVES, Life};
use crate::harness::{Answer, Application, Koogate, PATIENCE, Scratch, Signed, nonce, send};
use crate::token_get::{Get, assert_signed};

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
    // Starts, stops, restores, migrations, orders and pushes have points of their own, with tests of their own.
    let elsewhere = [
        include_str!("alerts/delivery.rs"),
        include_str!("storage/database.rs"),
        include_str!("storage/restores.rs"),
        include_str!("orders/crash.rs"),
        include_str!("usage/push/deaths.rs"),
        include_str!("recovery/migration.rs"),
    ]
    .concat();
    for point in &points {
        let named = [format!("\"{point}\""), format!("\"{point}:{{")];
        let tried = here.contains(&format!("die_at(\"{point}\")")) || named.iter().any(|name| elsewhere.contains(name));
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

/// Plays every life with a server that dies at the first passage of a point, at the second, and so on until it is not
/// reached any more.
fn die_at(point: &str) {
    for life in &LIVES {
        let mut reached = 0;
        for passage in 1..=PASSAGES {
            let died = live_through(life, &format!("{point}:{passage}"));
            if !died {
                break;
            }
            reached = passage;
        }
        assert!((3..PASSAGES).contains(&reached), "{}: {point} was passed {reached} times", life.name);
    }
}

/// Plays a life against a server with a fault and then, after its death, against servers without; checks every
/// invariant. Returns whether it died.
fn live_through(life: &Life, fault: &str) -> bool {
    let application = lives::application();
    let scratch = Scratch::new("");
    let jobs = "[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1h\"\n";
    scratch.configure(&[KEY], jobs, &application.product(&format!("kind = \"{}\"", life.kind)));
    let fault = format!("{}, {fault}", life.name);
    let mut gallery = Gallery { fault: &fault, scratch: &scratch, koogate: None, starts: 0, acknowledged: Vec::new() };

    let id = (life.play)(&mut gallery);
    gallery.repeat_everything();
    (life.check)(&mut gallery, &id);
    check_application(&mut gallery, &application, &id, life);
    if gallery.dies_stopping() {
        gallery.repeat_everything();
    }
    check_records(&fault, &scratch, &id, life.status, &gallery.acknowledged);
    gallery.starts > 1
}

/// A call, in either generation.
#[derive(Debug, Clone)]
enum Ask {
    Post(Value),
    Get(Get),
}

impl Ask {
    /// As KooGallery repeats it: only the businessId is new. An error: the server died.
    fn send(&self, address: SocketAddr) -> std::io::Result<Answer> {
        match self {
            Self::Post(body) => {
                let body = again(body).to_string();
                let target = format!("/saasproduce?{}", Signed::now(KEY, body.as_bytes()).query());
                send(address, "POST", &target, &[], body.as_bytes())
            }
            Self::Get(get) => send(address, "GET", &get.again().target(KEY), &[], b""),
        }
    }

    /// Whether this is the success it wanted, which must be rightly signed. Another test's server may answer, too.
    fn is_satisfied_by(&self, answer: &Answer) -> bool {
        let satisfied = answer.code() == self.wants();
        if satisfied {
            assert_signed(KEY, answer);
        }
        satisfied
    }

    fn activity(&self) -> &str {
        match self {
            Self::Post(body) => body["activity"].as_str().unwrap(),
            Self::Get(get) => get.value("activity"),
        }
    }

    fn freezes(&self) -> bool {
        matches!(self.activity(), "updateInstanceStatus" | "expireInstance" | "expireLicense")
    }

    /// The answer that satisfies KooGallery: a licence is acknowledged before it is uploaded.
    fn wants(&self) -> &'static str {
        if self.activity() == "getLicenseAsync" { "000004" } else { "000000" }
    }
}

/// KooGallery as it deals with a seller's server that dies: it calls again until it is satisfied.
struct Gallery<'a> {
    fault: &'a str,
    scratch: &'a Scratch,
    koogate: Option<Koogate>,
    starts: u32,
    /// What was asked, and the success that was received.
    acknowledged: Vec<(Ask, Answer)>,
}

impl Gallery<'_> {
    /// Calls until there is a success, and once more: the retry must get the same bytes, whatever died in between.
    fn succeed_twice(&mut self, ask: &Ask) -> Answer {
        let first = self.succeed(ask);
        assert_eq!(self.succeed(ask).verbatim(), first.verbatim(), "{}: {ask:?}", self.fault);
        first
    }

    fn succeed(&mut self, ask: &Ask) -> Answer {
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            match ask.send(self.running().address) {
                Ok(answer) if ask.is_satisfied_by(&answer) => {
                    self.acknowledged.push((ask.clone(), answer.clone()));
                    return answer;
                }
                Ok(answer) => {
                    last = answer.json().to_string();
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => self.bury(),
            }
        }
        panic!("{}: no success for {ask:?}: {last}", self.fault);
    }

    /// Everything acknowledged is answered again, with the same bytes.
    fn repeat_everything(&mut self) {
        for (ask, answer) in self.acknowledged.clone() {
            // A freeze of a released instance is another question; everything else is answered for ever.
            if !ask.freezes() {
                assert_eq!(self.succeed(&ask).verbatim(), answer.verbatim(), "{}: {ask:?}", self.fault);
            }
        }
    }

    /// Stops the server, which first records what is under way; whether it died in doing so.
    fn dies_stopping(&mut self) -> bool {
        let mut stopping = self.koogate.take().unwrap();
        stopping.signal("TERM");
        let died = stopping.wait().is_none();
        assert!(!died || self.starts == 1, "{}: it died a second time: {}", self.fault, stopping.log_text());
        died
    }

    /// The server; started with the fault first, without it after a death.
    fn running(&mut self) -> &Koogate {
        let point = self.fault.rsplit(' ').next().unwrap();
        while self.koogate.is_none() {
            let environment = if self.starts == 0 { &[("KOOGATE_FAULT", point)][..] } else { &[] };
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
fn check_application(gallery: &mut Gallery<'_>, application: &Application, id: &str, life: &Life) {
    let operation_ids = || {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in application.events() {
            assert_eq!(event["instanceId"], id);
            let text = |member: &str| event[member].as_str().unwrap().to_owned();
            ids.entry(text("event")).or_default().insert(text("operationId"));
        }
        ids.into_iter().map(|(event, ids)| (event, ids.len())).collect::<Vec<_>>()
    };
    let wanted: Vec<_> = life.events.iter().map(|(event, count)| ((*event).to_owned(), *count)).collect();
    let (purchase, until) = (gallery.acknowledged[0].0.clone(), Instant::now() + PATIENCE);
    while operation_ids() != wanted {
        assert!(Instant::now() < until, "{}: {:?} instead of {wanted:?}", gallery.fault, operation_ids());
        // A server that has died meanwhile is started again.
        gallery.succeed(&purchase);
    }
}

/// One instance, a journal without gaps that knows every answer that was received, and a whole backup.
fn check_records(fault: &str, scratch: &Scratch, id: &str, status: &str, acknowledged: &[(Ask, Answer)]) {
    let instances = scratch.run_json(&["instance", "list", "--json"]);
    assert_eq!(instances.len(), 1, "{fault}: {instances:?}");
    assert_eq!((&instances[0]["instanceId"], &instances[0]["status"]), (&json!(id), &json!(status)), "{fault}");
    check_journal(scratch, acknowledged.iter().map(|(ask, _)| (ask.activity(), ask.wants())));
    scratch.run_ok(&["backup", "copy.db"]);
    scratch.run_ok(&["verify", "copy.db"]);
}

/// The journal is numbered without gaps and holds as many answers of each activity and code as were received, at least.
fn check_journal<'a>(scratch: &Scratch, received: impl Iterator<Item = (&'a str, &'a str)>) {
    let exchanges = scratch.run_json(&["exchange", "list", "--limit", "1000000", "--json"]);
    let numbers: Vec<_> = exchanges.iter().rev().map(|exchange| exchange["id"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let mut missing: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (activity, code) in received {
        *missing.entry((activity.to_owned(), code.to_owned())).or_default() += 1;
    }
    for exchange in &exchanges {
        let text = |member: &str| exchange[member].as_str().unwrap_or_default().to_owned();
        *missing.entry((text("activity"), text("resultCode"))).or_default() -= 1;
    }
    assert!(missing.values().all(|count| *count <= 0), "answered and not in the journal: {missing:?}");
}
