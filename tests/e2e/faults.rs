//! Faults of the machine: whatever a disk, a clock, the limits of a process or an application do, no answer is wrong, and
//! when the fault is over the server goes on by itself.
//!
//! The faults come from outside: koogate runs unmodified on top of a small library that fails the calls of libc a test
//! names (`shim`).

mod clock;
mod descriptors;
mod disk;
mod full;
mod hooks;
mod long;
pub mod shim;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::shim::Shim;
use crate::harness::{
    Answer, Application, KEY, Koogate, PATIENCE, Scratch, new_instance, nonce, query, ready_answer, release, renewal,
    status_change, text, upgrade,
};

/// What every configuration here begins with: answers leave after a second, the operator can look.
const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n\
    [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";

/// Answers at once, without an application.
const FIXED: &str =
    "[[product]]\nfulfilment = \"fixed\"\naccess = { front_end_url = \"https://app.example.com/{instanceId}\" }\n";

/// A server that faults are put under, with what it must still know when they are over.
struct Victim<'a> {
    scratch: &'a Scratch,
    shim: &'a Shim,
    koogate: Koogate,
    /// What was asked, and the success that was received.
    acknowledged: Vec<(Value, Answer)>,
    /// Lives played by sweeps.
    sweeps: u32,
    /// Answers that said "try again".
    refusals: u32,
}

impl<'a> Victim<'a> {
    fn start(scratch: &'a Scratch, shim: &'a Shim) -> Self {
        Self { scratch, shim, koogate: shim.serve(scratch), acknowledged: Vec::new(), sweeps: 0, refusals: 0 }
    }

    /// Calls as KooGallery does, until there is a success. Everything before must be a safe "try again".
    fn insist(&mut self, body: &Value) -> Answer {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.koogate.call(&again(body));
            match answer.code().as_str() {
                "000000" => {
                    self.acknowledged.push((body.clone(), answer.clone()));
                    return answer;
                }
                "000004" | "000005" => self.refusals += 1,
                _ => panic!("{body}: {}:\n{}", text(&answer.body), self.koogate.log_text()),
            }
            assert!(
                Instant::now() < until,
                "no success for {body}: {:?}\n{}",
                self.shim.hits(),
                self.koogate.log_text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A success, and the same bytes for the retry.
    fn insist_twice(&mut self, body: &Value) -> Answer {
        let first = self.insist(body);
        assert_eq!(self.insist(body).verbatim(), first.verbatim(), "{body}: {:?}", self.shim.hits());
        first
    }

    /// A purchase and everything that may follow it.
    fn live(&mut self, order: &str) {
        let bought = self.insist_twice(&new_instance(order));
        let id = bought.json()["instanceId"].as_str().unwrap().to_owned();
        for body in [
            renewal(&id, &format!("{order}-R"), 2031),
            status_change(&id, "FREEZE"),
            status_change(&id, "UNFREEZE"),
            upgrade(&id, &format!("{order}-U")),
        ] {
            self.insist_twice(&body);
        }
        self.insist(&query(&id));
        self.insist_twice(&release(&id));
    }

    /// kill -9 and, with `power`, the loss of everything unsynced. Then a server without faults knows every answer.
    fn die_and_rise(self, power: bool) -> Koogate {
        self.end_and_rise(|koogate, scratch, shim| {
            koogate.kill();
            if power {
                shim.cut_power(scratch);
            }
        })
    }

    /// A clean stop, and the loss of everything unsynced.
    fn stop_and_rise(self) -> Koogate {
        self.end_and_rise(|koogate, scratch, shim| {
            koogate.stop();
            shim.cut_power(scratch);
        })
    }

    fn end_and_rise(self, end: impl FnOnce(Koogate, &Scratch, &Shim)) -> Koogate {
        let Self { scratch, shim, koogate, acknowledged, .. } = self;
        let log = koogate.log_text();
        assert!(!log.contains("panicked"), "{log}");
        end(koogate, scratch, shim);
        let koogate = scratch.serve();
        assert!(acknowledged.len() > 1);
        for (body, answer) in &acknowledged {
            // Whether an instance is frozen, and what it is asked for, is another question when it has been released.
            if !["updateInstanceStatus", "queryInstance"].contains(&body["activity"].as_str().unwrap()) {
                assert_eq!(koogate.call(&again(body)).verbatim(), answer.verbatim(), "{body}\n{log}");
            }
        }
        scratch.run_ok(&["backup", "copy.db"]);
        scratch.run_ok(&["verify", "copy.db"]);
        std::fs::remove_file(scratch.path("copy.db")).unwrap();
        koogate
    }
}

/// A merchant's application, and a configuration that leads to it.
fn shop() -> (Application, Scratch) {
    let application = Application::start(|event| (200, ready_answer(event)));
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product(""));
    (application, scratch)
}

/// The same call as KooGallery repeats it: only the businessId is new.
fn again(body: &Value) -> Value {
    let mut body = body.clone();
    if !body["businessId"].is_null() {
        body["businessId"] = json!(format!("b-{}", nonce()));
    }
    body
}

/// The application was told each event of each instance under one operationId, however often.
fn assert_told_once(application: &Application) {
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for event in application.events() {
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        ids.entry((text("instanceId"), text("event"))).or_default().insert(text("operationId"));
    }
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
