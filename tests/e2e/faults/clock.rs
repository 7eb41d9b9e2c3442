//! Clocks that jump while the server runs, and starts by a clock that was not set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{FIXED, SERVER, Shim, again};
use crate::harness::{
    Answer, Application, Gate, KEY, Koogate, Scratch, Signed, eventually, new_instance, now_ms, ready_answer,
};

const TEN_MINUTES: i64 = 600_000;

/// What the machine's clock is ahead of itself in 2099, about.
const UNTIL_2099: i64 = 73 * 365 * 86_400_000;

fn set_clock(shim: &Shim, ahead_ms: i64) {
    shim.rules(&format!("clock {ahead_ms}\n"));
}

/// A call by a clock that is so far ahead.
fn call_at(koogate: &Koogate, ahead_ms: i64, body: &Value) -> Answer {
    let body = again(body).to_string();
    let query = Signed::at(KEY, body.as_bytes(), now_ms() + ahead_ms, &crate::harness::nonce()).query();
    koogate.post(&format!("/saasproduce?{query}"), body.as_bytes()).unwrap()
}

fn succeed_at(koogate: &Koogate, ahead_ms: i64, body: &Value) -> Answer {
    eventually(
        || Some(call_at(koogate, ahead_ms, body)).filter(|answer| answer.code() == "000000"),
        || format!("{body}:\n{}", koogate.log_text()),
    )
}

/// An application that fails while it is down.
fn moody(down: &Arc<AtomicBool>) -> Application {
    let down = Arc::clone(down);
    Application::start(move |event| match down.load(Ordering::SeqCst) {
        true => (503, "down".to_owned()),
        false => (200, ready_answer(event)),
    })
}

fn jobs(scratch: &Scratch, id: &str) -> Vec<Value> {
    scratch.instance(id)["jobs"].as_array().unwrap().clone()
}

#[test]
fn calls_are_judged_by_the_clock_as_it_is_and_answers_leave_in_time_whatever_it_does() {
    let gate = Gate::default();
    let held = gate.clone();
    let application = Application::start(move |event| {
        held.pass();
        (200, ready_answer(event))
    });
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product(""));
    let shim = Shim::new();
    let koogate = shim.serve(&scratch);
    let mut ahead = 0;
    for (number, step) in [TEN_MINUTES, -2 * TEN_MINUTES].into_iter().enumerate() {
        let waiting = {
            let (address, order) = (koogate.address, format!("CS{number}"));
            let body = new_instance(&order).to_string();
            let query = Signed::at(KEY, body.as_bytes(), now_ms() + ahead, &crate::harness::nonce()).query();
            std::thread::spawn(move || {
                let target = format!("/saasproduce?{query}");
                crate::harness::send(address, "POST", &target, &[], body.as_bytes()).unwrap()
            })
        };
        // The application works on it, and the call waits.
        application.wait_for(number + 1);
        ahead += step;
        set_clock(&shim, ahead);
        assert_eq!(waiting.join().unwrap().code(), "000004");
        assert_eq!(koogate.call(&new_instance("by the right clock")).code(), "000002");
        assert_eq!(call_at(&koogate, ahead, &new_instance(&format!("CS{number}"))).code(), "000004");
    }
    gate.open();
    succeed_at(&koogate, ahead, &new_instance("CS0"));
    succeed_at(&koogate, ahead, &new_instance("CS1"));
    koogate.stop();
}

/// The bug: what was to be tried again in a second waited until the clock had come round to it.
#[test]
fn a_clock_that_is_set_back_stalls_no_job() {
    let down = Arc::new(AtomicBool::new(true));
    let application = moody(&down);
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product(""));
    let shim = Shim::new();
    let koogate = shim.serve(&scratch);
    let id = koogate.call(&new_instance("CS1")).json()["instanceId"].as_str().unwrap().to_owned();
    scratch.wait_for_instance(&id, |shown| !shown["jobs"][0]["lastError"].is_null());
    set_clock(&shim, -TEN_MINUTES);
    down.store(false, Ordering::SeqCst);
    succeed_at(&koogate, -TEN_MINUTES, &new_instance("CS1"));
    koogate.wait_for_log("the machine's clock was set by -600 s");
    koogate.stop();
}

/// The bug: a lease ended with the clock, and the application was asked again while it worked.
#[test]
fn a_clock_that_is_set_forward_makes_no_attempt_twice() {
    let gate = Gate::default();
    let held = gate.clone();
    let application = Application::start(move |event| {
        held.pass();
        (200, ready_answer(event))
    });
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product("timeout = \"30s\""));
    let shim = Shim::new();
    let koogate = shim.serve(&scratch);
    koogate.call(&new_instance("CS1"));
    application.wait_for(1);
    for ahead in [TEN_MINUTES, 2 * TEN_MINUTES] {
        set_clock(&shim, ahead);
        eventually(
            || {
                (koogate.log_text().matches("the machine's clock was set by").count() as i64 == ahead / TEN_MINUTES)
                    .then_some(())
            },
            || koogate.log_text(),
        );
    }
    // Another job is claimed by the same scheduler, after it has looked for leases that have ended.
    call_at(&koogate, 2 * TEN_MINUTES, &new_instance("CS2"));
    application.wait_for(2);
    gate.open();
    succeed_at(&koogate, 2 * TEN_MINUTES, &new_instance("CS1"));
    let attempts: Vec<_> = application.events().iter().map(|event| event["attempt"].clone()).collect();
    assert_eq!(attempts, [json!(1), json!(1)], "{}", koogate.log_text());
    koogate.stop();
}

/// The bugs: jobs of a start by a clock of 2099 waited until then, and everything in the journal was purged as old.
#[test]
fn a_start_by_a_clock_of_2099_purges_nothing_and_stalls_nothing_later() {
    let down = Arc::new(AtomicBool::new(true));
    let application = moody(&down);
    let scratch = Scratch::new("");
    let sections = SERVER.to_owned() + "[jobs]\nfirst_retry = \"1s\"\nslowest_retry = \"2s\"\n";
    scratch.configure(&[KEY], &sections, &application.product(""));
    let koogate = scratch.serve();
    koogate.call(&new_instance("CS1"));
    koogate.stop();
    let shim = Shim::new();
    set_clock(&shim, UNTIL_2099);
    let koogate = shim.serve(&scratch);
    let id = call_at(&koogate, UNTIL_2099, &new_instance("CS2")).json()["instanceId"].as_str().unwrap().to_owned();
    scratch.wait_for_instance(&id, |shown| !shown["jobs"][0]["lastError"].is_null());
    // A stop waits for the purge that comes with a start.
    koogate.stop();
    down.store(false, Ordering::SeqCst);
    let koogate = scratch.serve();
    koogate.wait_for_log("this machine's clock says");
    koogate.wait_for_log("jobs have times of a clock that was wrong");
    koogate.call_until_success(&new_instance("CS2"));
    koogate.stop();
    let calls = scratch.run_json(&["exchange", "list", "--order", "CS1", "--json"]);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(jobs(&scratch, &id)[0]["state"], "done");
}

#[test]
fn a_start_in_1970_is_an_alert_and_over_when_the_clock_is_set() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, FIXED);
    let shim = Shim::new();
    let ahead = 86_400_000 - now_ms();
    set_clock(&shim, ahead);
    let koogate = shim.serve(&scratch);
    koogate.wait_for_log("ALERT this machine's clock says 1970-01-02");
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000002");
    shim.rules("");
    koogate.call_until_success(&new_instance("CS1"));
    koogate.wait_for_log("the machine's clock was set by");
    koogate.stop();
}

/// An attempt that began by a clock of twenty years ago has not been failing for so long when the clock is set.
#[test]
fn a_clock_that_is_set_during_an_attempt_does_not_make_its_job_too_old() {
    let seen = Arc::new(Mutex::new(0));
    let gate = Gate::default();
    let (asked, held) = (Arc::clone(&seen), gate.clone());
    let application = Application::start(move |event| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked > 1 {
            return (200, ready_answer(event));
        }
        drop(asked);
        held.pass();
        (503, "down".to_owned())
    });
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product(""));
    let shim = Shim::new();
    let ahead = -20 * 365 * 86_400_000;
    set_clock(&shim, ahead);
    let koogate = shim.serve(&scratch);
    call_at(&koogate, ahead, &new_instance("CS1"));
    application.wait_for(1);
    shim.rules("");
    koogate.wait_for_log("the machine's clock was set by");
    gate.open();
    koogate.call_until_success(&new_instance("CS1"));
    assert!(!koogate.log_text().contains("given up"), "{}", koogate.log_text());
    koogate.stop();
}
