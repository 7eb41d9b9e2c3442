//! Background work: what a slow, broken or absent application means for KooGallery (nothing) and for the merchant.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{
    Application, ClosedDoor, Gate, KEY, Koogate, Scratch, eventually, new_instance, ready_answer, release, renewal,
    status_change, upgrade,
};

/// Answers leave after a second.
const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n";

fn scratch(sections: &str, products: &str) -> Scratch {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &format!("{SERVER}{sections}"), products);
    scratch
}

fn instance_id(answer: &crate::harness::Answer) -> String {
    answer.json()["instanceId"].as_str().unwrap().to_owned()
}

/// Buys; the application is well.
fn buy(koogate: &Koogate, order: &str) -> String {
    instance_id(&koogate.call_until_success(&new_instance(order)))
}

/// An application that does as told except for events that `gate` holds up.
fn gated(gate: &Gate, event: &'static str) -> Application {
    let gate = gate.clone();
    Application::start(move |received| {
        if received["event"] == event {
            gate.pass();
        }
        (200, ready_answer(received))
    })
}

/// An application that fails while `down` and remembers what it did while not.
struct Moody {
    down: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<Value>>>,
    application: Application,
}

impl Moody {
    fn start() -> Self {
        let (down, done) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_down, did) = (Arc::clone(&down), Arc::clone(&done));
        let application = Application::start(move |event| {
            if is_down.load(Ordering::SeqCst) {
                return (503, "down for maintenance".to_owned());
            }
            did.lock().unwrap().push(event.clone());
            (200, ready_answer(event))
        });
        Self { down, done, application }
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// What it did about an instance, in order.
    fn done_for(&self, instance_id: &str) -> Vec<Value> {
        let done = self.done.lock().unwrap();
        done.iter().filter(|event| event["instanceId"] == instance_id).cloned().collect()
    }

    /// Waits until it did so much about an instance; the names.
    fn wait_for(&self, instance_id: &str, count: usize) -> Vec<String> {
        let done = eventually(
            || Some(self.done_for(instance_id)).filter(|done| done.len() >= count),
            || format!("only {:?}", self.done_for(instance_id)),
        );
        done.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_slow_creation_is_answered_as_processing_and_goes_on_in_the_background() {
    let gate = Gate::default();
    let application = gated(&gate, "instance.create");
    let scratch = scratch("", &application.product(""));
    let koogate = scratch.serve();
    // The gate opens only after these answers: without a bound there would be none.
    let first = koogate.call(&new_instance("CS1"));
    assert_eq!(first.code(), "000004");
    let retry = koogate.call(&new_instance("CS1"));
    assert_eq!((retry.code(), instance_id(&retry)), ("000004".to_owned(), instance_id(&first)));
    gate.open();
    scratch.wait_for_instance(&instance_id(&first), |shown| shown["status"] == "active");
    let done = koogate.call(&new_instance("CS1"));
    assert_eq!((done.code(), instance_id(&done)), ("000000".to_owned(), instance_id(&first)));
    assert_eq!(application.events().len(), 1);
}

#[test]
fn ten_hanging_applications_delay_nobody_elses_answer() {
    let gate = Gate::default();
    // One each: a merchant's application that hangs does so with every connection.
    let hanging: Vec<_> = (0..10).map(|_| gated(&gate, "instance.create")).collect();
    let mut products = "[[product]]\nproduct_id = \"FIXED\"\nfulfilment = \"fixed\"\n\
        access = { front_end_url = \"https://app.example.com\" }\n"
        .to_owned();
    for (number, application) in hanging.iter().enumerate() {
        products += &application.product(&format!("product_id = \"H{number}\""));
    }
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"15s\"\n";
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], sections, &products);
    let koogate = scratch.serve();
    let call = |order: &str, product: &str| {
        let mut body = new_instance(order);
        body["productId"] = json!(product);
        koogate.call(&body).code()
    };
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|number| {
                let (call, answered) = (&call, &answered);
                scope.spawn(move || {
                    let code = call(&format!("CS-H{number}"), &format!("H{number}"));
                    answered.fetch_add(1, Ordering::SeqCst);
                    code
                })
            })
            .collect();
        for application in &hanging {
            application.wait_for(1);
        }
        for number in 0..5 {
            assert_eq!(call(&format!("CS-F{number}"), "FIXED"), "000000");
        }
        // All ten hung meanwhile.
        assert_eq!(answered.load(Ordering::SeqCst), 0);
        gate.open();
        for call in calls {
            assert_eq!(call.join().unwrap(), "000000");
        }
    });
}

#[test]
fn attempts_go_on_with_one_operation_id_until_the_application_is_there() {
    let door = ClosedDoor::new();
    let scratch = scratch("", &door.product(""));
    let koogate = scratch.serve();
    let first = koogate.call(&new_instance("CS1"));
    assert_eq!(first.code(), "000004");
    let id = instance_id(&first);
    // The second has ended: one that was on its way would find the door open.
    let has_failed_twice = |job: &serde_json::Value| job["attempts"].as_i64() >= Some(2) && job["state"] == "waiting";
    let shown = scratch.wait_for_instance(&id, |shown| has_failed_twice(&shown["jobs"][0]));
    assert!(shown["jobs"][0]["lastError"].as_str().unwrap().contains("refused"), "{shown:#}");

    let asked = AtomicUsize::new(0);
    let application = door.open(move |event| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => (503, "warming up".to_owned()),
        _ => (200, ready_answer(event)),
    });
    assert_eq!(buy(&koogate, "CS1"), id);
    let events = application.events();
    assert_eq!(events.len(), 3);
    let attempts: Vec<_> = events.iter().map(|event| event["attempt"].as_i64().unwrap()).collect();
    assert!(attempts[0] >= 3, "{attempts:?}");
    assert_eq!(attempts, (attempts[0]..attempts[0] + 3).collect::<Vec<_>>());
    for event in &events {
        assert_eq!(event["operationId"], events[0]["operationId"]);
    }
}

#[test]
fn changes_are_accepted_at_once_and_reach_the_application_in_order_per_instance() {
    let moody = Moody::start();
    let scratch = scratch("", &moody.application.product(""));
    let koogate = scratch.serve();
    let ids = [buy(&koogate, "CS1"), buy(&koogate, "CS2")];
    moody.set_down(true);
    for id in &ids {
        for body in [renewal(id, "CS3", 2099), status_change(id, "FREEZE"), status_change(id, "UNFREEZE")] {
            assert_eq!(koogate.call(&body).code(), "000000");
        }
        let shown = scratch.instance(id);
        assert_eq!((&shown["status"], &shown["expireTime"]), (&json!("active"), &json!("2099-01-01T00:00:00Z")));
        assert_eq!(moody.done_for(id).len(), 1);
    }
    // Some attempts fail first.
    for id in &ids {
        scratch.wait_for_instance(id, |shown| shown["jobs"][1]["attempts"].as_i64() >= Some(2));
    }
    moody.set_down(false);
    for id in &ids {
        let names = moody.wait_for(id, 4);
        assert_eq!(names, ["instance.create", "instance.renew", "instance.freeze", "instance.unfreeze"]);
        let statuses: Vec<_> =
            moody.done_for(id)[1..].iter().map(|event| event["instance"]["status"].clone()).collect();
        assert_eq!(statuses, [json!("active"), json!("frozen"), json!("active")]);
        let renewed = &moody.done_for(id)[1];
        assert_eq!(renewed["change"]["scene"], "RENEWAL");
        assert_eq!(renewed["change"]["expireTime"], "2099-01-01T00:00:00Z");
    }
}

#[test]
fn a_release_is_accepted_while_the_application_is_down_and_overtakes_what_it_makes_pointless() {
    let moody = Moody::start();
    let scratch = scratch("", &moody.application.product(""));
    let koogate = scratch.serve();
    let id = buy(&koogate, "CS1");
    moody.set_down(true);
    for body in [renewal(&id, "CS2", 2099), status_change(&id, "FREEZE"), release(&id)] {
        assert_eq!(koogate.call(&body).code(), "000000");
    }
    assert_eq!(scratch.instance(&id)["status"], "released");
    moody.set_down(false);
    let shown = scratch.wait_for_instance(&id, |shown| {
        let jobs = shown["jobs"].as_array().unwrap();
        jobs.iter().any(|job| job["task"] == "instance.release" && job["state"] == "done")
    });
    assert!(shown["jobs"].as_array().unwrap().iter().all(|job| job["state"] != "waiting"), "{shown:#}");
    assert_eq!(moody.wait_for(&id, 2).last().unwrap(), "instance.release");
    assert_eq!(koogate.call(&release(&id)).code(), "000000");
}

/// The bug: the creation was tried again before the release, for ever if the application hung for ever.
#[test]
fn a_release_while_a_creation_hangs_reaches_the_application_after_that_attempt() {
    let gate = Gate::default();
    let application = gated(&gate, "instance.create");
    let scratch = scratch("", &application.product("timeout = \"4s\""));
    let koogate = scratch.serve();
    let created = koogate.call(&new_instance("CS1"));
    assert_eq!(created.code(), "000004");
    let id = instance_id(&created);
    assert_eq!(koogate.call(&release(&id)).code(), "000000");
    assert_eq!(scratch.instance(&id)["status"], "released");
    let events = application.wait_for(2);
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["instance.create", "instance.release"]);
    let shown = scratch.wait_for_instance(&id, |shown| shown["jobs"][1]["state"] == "done");
    assert_eq!(shown["jobs"][0]["state"], "cancelled");
    gate.open();
    // What was released before it was ready is never created.
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000005");
    assert_eq!(scratch.instance(&id)["status"], "released");
}

#[test]
fn a_job_that_fails_too_long_is_dead_and_shown_until_the_operator_retries_it() {
    let moody = Moody::start();
    moody.set_down(true);
    let jobs = "[jobs]\nfirst_retry = \"50ms\"\nslowest_retry = \"100ms\"\ngive_up_after = \"1s\"\n";
    let scratch = scratch(jobs, &moody.application.product(""));
    let koogate = scratch.serve();
    let first = koogate.call(&new_instance("CS1"));
    let id = instance_id(&first);
    let shown = scratch.wait_for_instance(&id, |shown| shown["jobs"][0]["state"] == "dead");
    assert!(shown["jobs"][0]["lastError"].as_str().unwrap().contains("503"), "{shown:#}");
    assert_eq!(shown["status"], "creating");
    koogate.wait_for_log("given up after");
    let log = koogate.log_text();
    let alert = log.lines().find(|line| line.contains("given up after")).unwrap();
    assert!(alert.contains("ALERT") && alert.contains(&format!("koogate instance retry {id}")), "{alert}");

    moody.set_down(false);
    let said = scratch.run_ok(&["instance", "retry", &id]);
    assert!(said.trim_end().ends_with("due now: 1"), "{said}");
    scratch.wait_for_instance(&id, |shown| shown["status"] == "active");
    let answer = koogate.call(&new_instance("CS1"));
    assert_eq!((answer.code(), instance_id(&answer)), ("000000".to_owned(), id.clone()));
    let events = moody.application.events();
    assert!(events.iter().all(|event| event["operationId"] == events[0]["operationId"]));
    assert_eq!(scratch.run(&["instance", "retry", &id]).status.code(), Some(1));
}

#[test]
fn an_upgrade_succeeds_only_once_the_application_has_done_it() {
    let moody = Moody::start();
    let scratch = scratch("", &moody.application.product(""));
    let koogate = scratch.serve();
    let id = buy(&koogate, "CS1");
    moody.set_down(true);
    for _ in 0..2 {
        assert_eq!(koogate.call(&upgrade(&id, "CS2")).code(), "000005");
    }
    moody.set_down(false);
    let done = koogate.call_until_success(&upgrade(&id, "CS2"));
    assert_eq!(koogate.call(&upgrade(&id, "CS2")).verbatim(), done.verbatim());
    assert_eq!(moody.wait_for(&id, 2), ["instance.create", "instance.upgrade"]);
    let upgrades: Vec<_> =
        moody.application.events().into_iter().filter(|event| event["event"] == "instance.upgrade").collect();
    assert!(upgrades.len() >= 2);
    assert!(upgrades.iter().all(|event| event["operationId"] == upgrades[0]["operationId"]));
}

#[test]
fn a_job_whose_process_died_is_taken_up_again() {
    let gate = Gate::default();
    let application = gated(&gate, "instance.create");
    let scratch = scratch("", &application.product(""));
    let koogate = scratch.serve();
    let first = koogate.call(&new_instance("CS1"));
    application.wait_for(1);
    koogate.kill();
    gate.open();
    let koogate = scratch.serve();
    koogate.wait_for_log("1 jobs of the last run are taken up again");
    assert_eq!(buy(&koogate, "CS1"), instance_id(&first));
    let events = application.events();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["attempt"], &events[1]["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(events[0]["operationId"], events[1]["operationId"]);
}

/// The bug: leases ended only at the next start, so a job whose result could not be recorded stayed running for ever.
#[test]
fn a_job_whose_lease_has_ended_is_taken_up_again_and_the_first_attempt_counts_no_more() {
    let (first, second) = (Gate::default(), Gate::default());
    let (one, two) = (first.clone(), second.clone());
    let application = Application::start(move |event| {
        let of_the_first = event["attempt"] == 1;
        if of_the_first {
            one.pass()
        } else {
            two.pass()
        }
        let url = if of_the_first { "https://first.example.com" } else { "https://second.example.com" };
        (200, json!({ "status": "ready", "access": { "frontEndUrl": url } }).to_string())
    });
    let scratch = scratch("", &application.product(""));
    let koogate = scratch.serve();
    let id = instance_id(&koogate.call(&new_instance("CS1")));
    // As if the clock had gone past the lease.
    let database = rusqlite::Connection::open(scratch.path("koogate.db")).unwrap();
    let changed = database.execute("UPDATE job SET lease_until = 1 WHERE state = 'running'", []).unwrap();
    assert_eq!(changed, 1);
    assert_eq!(application.wait_for(2)[1]["attempt"], 2);
    first.open();
    koogate.wait_for_log("attempt 1 ended after it was given away");
    assert_eq!(scratch.instance(&id)["status"], "creating");
    second.open();
    let shown = scratch.wait_for_instance(&id, |shown| shown["status"] == "active");
    assert_eq!(shown["frontEndUrl"], "https://second.example.com");
}
