//! What the application did not take: dead jobs, and what a retry tells when later calls have been told meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::events::codes;
use crate::harness::{Application, eventually, ready_answer};
use crate::kit_call::{
    Sync, TENANT, all_org, application, auth, department, encrypted, public_key, single_org, tenant, user,
};
use crate::shop::Shop;

/// An application that refuses while `no`, fails while `down`, and remembers what it did otherwise.
pub struct Moody {
    pub down: Arc<AtomicBool>,
    pub refuses: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<Value>>>,
    pub application: Application,
}

impl Moody {
    /// Starts one that is well.
    pub fn start() -> Self {
        let (down, refuses) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let done = Arc::<Mutex<Vec<Value>>>::default();
        let (is_down, does_refuse, did) = (Arc::clone(&down), Arc::clone(&refuses), Arc::clone(&done));
        let application = Application::start(move |event| {
            if is_down.load(Ordering::SeqCst) {
                return (503, format!("cannot store {event}"));
            }
            if does_refuse.load(Ordering::SeqCst) {
                return (200, json!({ "status": "refused", "resultCode": "000100", "message": "no room" }).to_string());
            }
            did.lock().unwrap().push(event.clone());
            (200, ready_answer(event))
        });
        Self { down, refuses, done, application }
    }

    /// What it did.
    pub fn done(&self) -> Vec<Value> {
        self.done.lock().unwrap().clone()
    }
}

#[test]
fn what_the_application_refused_is_dead_until_it_is_retried() {
    let moody = Moody::start();
    let products = moody.application.product("");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    moody.refuses.store(true, Ordering::SeqCst);
    let sync = application("i-1", "app-1", &encrypted(&public_key("pkcs8"), "secret-1"));
    shop.sync("000000", &sync);
    let dead = || (shop.tenant(TENANT)["jobs"][0]["state"] == "dead").then_some(());
    eventually(dead, || shop.tenant(TENANT).to_string());
    shop.koogate.wait_for_log("ALERT job 1: the application refused application.sync for tenant");
    let shown = shop.tenant(TENANT)["jobs"][0].clone();
    assert_eq!((&shown["task"], &shown["lastError"]), (&json!("application.sync"), &json!("no room")));
    assert!(shop.scratch.run_ok(&["tenant", "show", TENANT]).contains("no room"));
    moody.refuses.store(false, Ordering::SeqCst);
    assert!(moody.done().is_empty());
    shop.scratch.run_ok(&["tenant", "retry", TENANT]);
    eventually(|| (moody.done().len() == 1).then_some(()), || shop.koogate.log_text());
    assert_eq!(moody.done()[0]["change"]["clientSecret"], "secret-1");
    eventually(
        || (shop.tenant(TENANT)["jobs"][0]["state"] == "done").then_some(()),
        || shop.tenant(TENANT).to_string(),
    );
    assert!(!shop.scratch.run(&["tenant", "retry", TENANT]).status.success());
}

/// An application that was dead to some calls and has taken later ones since. The codes it was told after a retry.
fn after_a_retry(refused: &[Sync], taken: &[Sync]) -> Vec<Value> {
    let moody = Moody::start();
    let products = moody.application.product("");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    let settled = || {
        let open = || shop.count("job WHERE state IN ('waiting', 'running')");
        eventually(|| (open() == 0).then_some(()), || shop.koogate.log_text());
    };
    moody.refuses.store(true, Ordering::SeqCst);
    for sync in refused {
        shop.sync("000000", sync);
    }
    settled();
    moody.refuses.store(false, Ordering::SeqCst);
    for sync in taken {
        shop.sync("000000", sync);
    }
    settled();
    let before = moody.done().len();
    assert_eq!(before, taken.len());
    shop.scratch.run(&["tenant", "retry", TENANT]);
    settled();
    assert_eq!(shop.count("job WHERE state = 'dead'"), 0, "what is overtaken waits for nobody");
    moody.done()[before..].to_vec()
}

#[test]
fn a_retry_tells_what_no_later_call_has_told_and_nothing_older_than_that() {
    let users = |names: &[&str]| auth("i-1", "app-1", json!(names.iter().map(|name| user(name)).collect::<Vec<_>>()));
    let app = |name: &str| application("i-1", name, &encrypted(&public_key("pkcs8"), name));
    let dead =
        [users(&["a"]), app("app-1"), app("app-2"), single_org("i-1", "1", "old", ""), single_org("i-1", "2", "d", "")];
    let later = [users(&["b"]), app("app-2"), single_org("i-1", "1", "new", "")];
    assert_eq!(codes(&after_a_retry(&dead, &later)), ["a", "app-1", "2"]);

    // Of a list that was told in part, the rest.
    let told = after_a_retry(&[users(&["a", "b", "c"])], &[users(&["b"]).flag(0)]);
    let names = |event: &Value| {
        let users = event["change"]["users"].as_array().unwrap();
        users.iter().map(|user| user["userName"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(told.iter().map(names).collect::<Vec<_>>(), [[json!("a"), json!("c")]]);

    // A full list is told as it would be now.
    let all =
        |codes: &[&str]| all_org("i-1", json!(codes.iter().map(|code| department(code, "d", "")).collect::<Vec<_>>()));
    let told =
        after_a_retry(&[all(&["1", "2"])], &[single_org("i-1", "1", "d", "").flag(0), single_org("i-1", "3", "d", "")]);
    let rows = told[0]["change"]["departments"].as_array().unwrap();
    let rows: Vec<_> = rows.iter().map(|row| row["orgCode"].clone()).collect();
    assert_eq!((told.len(), rows), (1, vec![json!("2"), json!("3")]));

    // What a later full list or the end of the binding has overtaken stays untold.
    assert!(after_a_retry(&[single_org("i-1", "1", "d", ""), all(&["1"])], &[all(&["2"])]).is_empty());
    let bound = [tenant("i-1"), users(&["a"]), all(&["1"]), app("app-1")];
    assert!(after_a_retry(&bound, &[tenant("i-1").flag(0)]).is_empty());
}

#[test]
fn an_end_of_a_binding_that_was_not_told_is_told_and_with_it_what_was_told_since() {
    let users = |name: &str| auth("i-1", "app-1", json!([user(name)]));
    let told = after_a_retry(&[tenant("i-1").flag(0)], &[tenant("i-1"), users("b"), tenant("i-2")]);
    let told: Vec<_> = told.iter().map(|event| (&event["event"], &event["change"]["action"])).collect();
    let [bound, ended, granted] = ["tenant.sync upsert", "tenant.sync remove", "users.sync upsert"].map(|words| {
        let (event, action) = words.split_once(' ').unwrap();
        (json!(event), json!(action))
    });
    let wanted = [&ended, &bound, &granted].map(|(event, action)| (event, action));
    assert_eq!(told, wanted);

    // Where it has ended again since, there is nothing left to take back.
    assert!(after_a_retry(&[tenant("i-1").flag(0)], &[tenant("i-1"), tenant("i-1").flag(0)]).is_empty());
}

#[test]
fn what_was_given_up_is_retried_before_what_waits_behind_it() {
    let moody = Moody::start();
    let products = moody.application.product("");
    // What fails waits until it is retried by hand: what runs at that moment would count as told.
    let jobs = "[jobs]\nfirst_retry = \"1h\"\nslowest_retry = \"1h\"\n";
    let shop = Shop::with_kit_and(Application::ready(), jobs, Some(&products));
    moody.refuses.store(true, Ordering::SeqCst);
    shop.sync("000000", &single_org("i-1", "1", "d", ""));
    eventually(|| (shop.count("job WHERE state = 'dead'") == 1).then_some(()), || shop.koogate.log_text());
    moody.down.store(true, Ordering::SeqCst);
    shop.sync("000000", &single_org("i-1", "1", "renamed", ""));
    let waits = || shop.count("job WHERE state = 'waiting' AND attempt = 1") == 1;
    eventually(|| waits().then_some(()), || shop.koogate.log_text());
    moody.refuses.store(false, Ordering::SeqCst);
    moody.down.store(false, Ordering::SeqCst);
    shop.scratch.run_ok(&["tenant", "retry", TENANT]);
    eventually(|| (moody.done().len() == 2).then_some(()), || shop.koogate.log_text());
    let names: Vec<_> = moody.done().iter().map(|event| event["change"]["departments"][0]["orgName"].clone()).collect();
    assert_eq!(names, [json!("d"), json!("renamed")]);
}
