//! Operations that meet on one instance: none is answered from a record that no longer tells the truth, none is done
//! behind another's back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{
    Application, Gate, KEY, Scratch, eventually, files_in, new_instance, ready_answer, release, renewal, status_change,
};
use crate::shop::{as_test, instance_id};

const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n";

fn jobs(scratch: &Scratch, id: &str) -> Vec<Value> {
    scratch.instance(id)["jobs"].as_array().unwrap().clone()
}

/// Holds events of one name up until the gate is open.
fn gated(gate: &Gate, event: &'static str, closed: &Arc<AtomicBool>) -> Application {
    let (gate, closed) = (gate.clone(), Arc::clone(closed));
    Application::start(move |received| {
        if received["event"] == event && closed.load(Ordering::SeqCst) {
            gate.pass();
        }
        (200, ready_answer(received))
    })
}

#[test]
fn a_refused_creation_that_is_called_again_goes_on_with_its_one_job() {
    let refusing = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&refusing);
    let application = Application::start(move |event| {
        let refused = json!({ "status": "refused", "resultCode": "000106" }).to_string();
        (200, if refuses.load(Ordering::SeqCst) { refused } else { ready_answer(event) })
    });
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    for _ in 0..3 {
        let answer = koogate.call(&new_instance("CS1"));
        assert_eq!(
            (answer.code().as_str(), answer.json()["resultMsg"].as_str()),
            ("000106", Some("refused by the seller"))
        );
    }
    refusing.store(false, Ordering::SeqCst);
    let done = koogate.call(&new_instance("CS1"));
    let id = instance_id(&done);
    let all = jobs(&scratch, &id);
    assert_eq!((all.len(), &all[0]["attempts"], &all[0]["state"]), (1, &json!(4), &json!("done")));
    assert!(!scratch.run(&["instance", "retry", &id]).status.success(), "there is nothing to try again");
    assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), done.verbatim());
    assert_eq!(application.events().len(), 4);
}

#[test]
fn an_unfreeze_is_not_answered_from_an_old_record_while_a_freeze_is_under_way() {
    let (gate, closed) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let application = gated(&gate, "instance.freeze", &closed);
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product("accept = \"after\""));
    let koogate = scratch.serve();
    let id = instance_id(&koogate.call_until_success(&new_instance("CS1")));
    for status in ["FREEZE", "UNFREEZE"] {
        assert_eq!(koogate.call(&status_change(&id, status)).code(), "000000");
    }
    closed.store(true, Ordering::SeqCst);
    assert_eq!(koogate.call(&status_change(&id, "FREEZE")).code(), "000005");
    assert_eq!(koogate.call(&status_change(&id, "UNFREEZE")).code(), "000005", "the freeze is still to come");
    gate.open();
    scratch.wait_for_instance(&id, |instance| instance["status"] == "frozen");
    assert_eq!(koogate.call(&status_change(&id, "UNFREEZE")).code(), "000000");
    assert_eq!(scratch.instance(&id)["status"], "active");
}

#[test]
fn a_purchase_called_again_during_its_release_is_not_created_behind_it() {
    let (gate, closed) = (Gate::default(), Arc::new(AtomicBool::new(true)));
    let application = gated(&gate, "instance.create", &closed);
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product("accept = \"after\""));
    let koogate = scratch.serve();
    let id = instance_id(&koogate.call(&new_instance("CS1")));
    assert_eq!(koogate.call(&release(&id)).code(), "000005");
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000005");
    gate.open();
    scratch.wait_for_instance(&id, |instance| instance["status"] == "released");
    assert_eq!(koogate.call(&release(&id)).code(), "000000");
    assert_eq!(application.names_for(&id), ["instance.create", "instance.release"]);
}

#[test]
fn a_forwarded_test_case_succeeds_day_after_day() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product("test_calls = \"forward\""));
    let koogate = scratch.serve();
    for _ in 0..2 {
        let id = instance_id(&koogate.call(&as_test(new_instance("CS1906666666ABCDE"))));
        for body in [renewal(&id, "CS2", 2040), status_change(&id, "FREEZE"), release(&id)] {
            assert_eq!(koogate.call(&as_test(body)).code(), "000000");
        }
    }
}

#[test]
fn a_call_that_waited_for_its_own_work_is_no_repeat_and_a_later_one_is() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    for _ in 0..2 {
        assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    }
    let rows = scratch.run_json(&["exchange", "list", "--json"]);
    let replayed: Vec<_> = rows.iter().map(|row| row["replayed"].as_bool().unwrap()).collect();
    assert_eq!(replayed, [true, false], "newest first");
}

#[test]
fn a_stop_ends_a_program_that_hangs_and_leaves_one_file() {
    let products =
        "[[product]]\nfulfilment = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"echo $$ > pid; exec sleep 1000\"]\n";
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, products);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000004");
    let read_pid = || std::fs::read_to_string(scratch.path("pid")).ok()?.trim().parse().ok();
    let pid: i32 = eventually(read_pid, || "the program has not started".to_owned());
    koogate.stop();
    let gone = rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap());
    assert_eq!(gone, Err(rustix::io::Errno::SRCH));
    let left = files_in(&scratch.path("."));
    assert!(!left.iter().any(|name| name.ends_with("-wal") || name.ends_with("-shm")), "{left:?}");
    // The attempt is made again at the next start.
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000004");
}
