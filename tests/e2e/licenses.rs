//! The licence families end to end: L1 hands a licence out in its reply, L2 keeps book of KooGallery's codes, LO makes
//! licences for devices and leaves their upload to a job.

mod codes;
mod commands;
mod l1;
mod l2;
mod lo;
mod lo_licenses;
mod lo_refusals;
mod lo_uploads;

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Application, KEY, SEALING_KEY, Scratch, ready_answer};
use crate::shop::Shop;
use crate::token_get::{Get, call_with};

/// The access key of the licence interfaces.
pub const LICENSE_KEY: &str = "77777777-aaaa-bbbb-cccc-dddddddddddd";

/// So many duplicates at the same time.
const CROWD: usize = 8;

/// An upload that was looked at once is not looked at again while a test runs.
const JOBS: &str = "[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1h\"\n";

/// A shop with both keys; `sections` may hold any but [keys] and [jobs].
pub fn licensed_shop(application: Application, sections: &str, products: &str) -> Shop {
    let scratch = Scratch::new("");
    configure(&scratch, sections, products);
    Shop { koogate: scratch.serve(), application, scratch }
}

fn configure(scratch: &Scratch, sections: &str, products: &str) {
    let server = if sections.contains("[server]") { "" } else { "[server]\nlisten = \"127.0.0.1:0\"\n" };
    let keys = format!("[keys]\nbasic = \"{KEY}\"\nlicense = \"{LICENSE_KEY}\"\nsealing_key = \"{SEALING_KEY}\"\n");
    std::fs::write(scratch.path("koogate.toml"), format!("{server}{JOBS}{keys}{sections}\n{products}\n")).unwrap();
}

/// An application that answers each request for a licence with another one, and everything else with "ready".
fn licensing_application() -> Application {
    Application::start(|event| (200, licensed_answer(event)))
}

/// "Ready", with the licence `L-<operationId>-<attempt>` where one is asked for.
fn licensed_answer(event: &Value) -> String {
    if event["event"] != "license.issue" {
        return ready_answer(event);
    }
    let license = format!("L-{}-{}", event["operationId"].as_str().unwrap(), event["attempt"]);
    json!({ "status": "ready", "license": license }).to_string()
}

impl Shop {
    /// A POST with the licence key that must be answered with this code.
    pub fn license_post(&self, code: &str, body: &Value) -> Answer {
        let answer = self.koogate.call_with(LICENSE_KEY, body);
        assert_eq!(answer.code(), code, "{body}: {}\n{}", answer.json(), self.koogate.log_text());
        answer
    }

    /// One that must succeed, and two retries that must get the same bytes.
    pub fn license_post_thrice(&self, body: &Value) -> Answer {
        let first = self.license_post("000000", body);
        for _ in 0..2 {
            let again = self.koogate.call_with(LICENSE_KEY, &crate::shop::retry(body));
            assert_eq!(again.verbatim(), first.verbatim(), "{body}");
        }
        first
    }

    /// A GET with the licence key that must be answered with this code.
    pub fn license_get(&self, code: &str, get: &Get) -> Answer {
        let answer = call_with(&self.koogate, LICENSE_KEY, get);
        assert_eq!(answer.code(), code, "{get:?}: {}\n{}", answer.json(), self.koogate.log_text());
        answer
    }

    /// One that must succeed, and two retries that must get the same bytes.
    pub fn license_get_thrice(&self, get: &Get) -> Answer {
        let first = self.license_get("000000", get);
        for _ in 0..2 {
            assert_eq!(call_with(&self.koogate, LICENSE_KEY, &get.again()).verbatim(), first.verbatim(), "{get:?}");
        }
        first
    }

    /// The one licence, as `license list --json` tells it.
    fn only_license(&self) -> Value {
        let mut listed = self.scratch.run_json(&["license", "list", "--json"]);
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed.remove(0)
    }

    /// The content of a licence, as `license show --out -` writes it.
    fn license_content(&self, number: i64) -> String {
        self.scratch.run_ok(&["license", "show", &number.to_string(), "--out", "-"])
    }
}

/// Makes a call from several threads at once; all must be answered alike.
fn crowd(call: impl Fn() -> Answer + Sync) -> Answer {
    let answers: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CROWD).map(|_| scope.spawn(&call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!(answer.verbatim(), answers[0].verbatim());
    }
    answers[0].clone()
}

/// Events of a name, and the distinct operationIds among them.
fn asked(application: &Application, name: &str) -> (usize, usize) {
    let events = application.events();
    let named: Vec<_> = events.iter().filter(|event| event["event"] == name).collect();
    let ids: BTreeSet<_> = named.iter().map(|event| event["operationId"].as_str().unwrap()).collect();
    (named.len(), ids.len())
}
