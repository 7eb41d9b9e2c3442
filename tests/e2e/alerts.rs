//! Alerts: from what stands wrong to a message on the merchant's phone.

mod delivery;
mod happened;
mod provoked;

use std::sync::Mutex;

use koogate::fulfilment::webhook::WebhookSecret;
use serde_json::{Value, json};

use crate::harness::{Application, Delivery, KEY, Koogate, Scratch, eventually};

/// koogate looks so often, and waits a third of it for what comes soon after.
const OFTEN: (&str, &str) = ("KOOGATE_FAULT_PACE", "alerts:300");

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

/// Software that is told of alerts, and takes every message unless a test has it say something else.
struct Listener {
    application: Application,
}

impl Listener {
    fn start() -> Self {
        Self { application: Application::start(|_| (200, "{}".to_owned())) }
    }

    /// One that answers in this order, and with `{}` from then on.
    fn answering(answers: &[(u16, &str)]) -> Self {
        let left: Vec<(u16, String)> =
            answers.iter().rev().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let left = Mutex::new(left);
        let answer = move |_: &Value| left.lock().unwrap().pop().unwrap_or((200, "{}".to_owned()));
        Self { application: Application::start(answer) }
    }

    /// The section that has koogate tell it.
    fn section(&self) -> String {
        let address = self.application.address();
        format!(
            "[alerts]\nlanguage = \"en\"\n\
             webhooks = [{{ kind = \"generic\", url = \"http://{address}/alerts\", secret = \"{SECRET}\" }}]\n"
        )
    }

    /// All alerts that it was told of, in the order they came, each with the message's id. Every message must be signed.
    fn told(&self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for delivery in self.application.deliveries() {
            let id = verified(&delivery);
            assert_eq!(delivery.event["type"], "koogate.alerts", "{}", delivery.body);
            let alerts = delivery.event["data"]["alerts"].as_array().unwrap().clone();
            all.extend(alerts.into_iter().map(|alert| (id.clone(), alert)));
        }
        all
    }

    /// How often it was told of an alert of this kind for this reason.
    fn count(&self, kind: &str, why: &str) -> usize {
        self.told().iter().filter(|(_, alert)| alert["kind"] == kind && alert["why"] == why).count()
    }

    /// Waits until it is told of an alert of this kind for this reason.
    fn wait_for(&self, koogate: &Koogate, kind: &str, why: &str) -> Value {
        let found = || self.told().into_iter().find(|(_, alert)| alert["kind"] == kind && alert["why"] == why);
        let complaint = || format!("no {why} {kind} in {:#?}\n{}", self.told(), koogate.log_text());
        let (_, alert) = eventually(found, complaint);
        for language in ["zh", "en"] {
            for text in ["heading", "what", "cost", "mend"] {
                assert!(alert[text][language].as_str().is_some_and(|text| !text.is_empty()), "{alert}");
            }
        }
        alert
    }
}

/// The message's id, after its signature was checked.
fn verified(delivery: &Delivery) -> String {
    let header = |name: &str| {
        let found = delivery.headers.iter().find(|(other, _)| other == name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", delivery.headers)).1.clone()
    };
    let (id, at) = (header("webhook-id"), header("webhook-timestamp").parse().unwrap());
    let expected = WebhookSecret::parse(SECRET).unwrap().sign(&id, at, delivery.body.as_bytes());
    assert_eq!(header("webhook-signature"), expected);
    id
}

/// A folder whose koogate tells this listener, with further sections.
fn folder(listener: &Listener, sections: &str, products: &str) -> Scratch {
    let scratch = Scratch::new(products);
    scratch.configure(&[KEY], &format!("{}{sections}", listener.section()), products);
    scratch
}

/// Changes the database of a koogate that does not run.
fn write(scratch: &Scratch, sql: &str) {
    rusqlite::Connection::open(scratch.path("koogate.db")).unwrap().execute_batch(sql).unwrap();
}

fn taken(body: &Value) -> Value {
    json!({ "kind": body["kind"], "subject": body["subject"], "severity": body["severity"] })
}
