//! Trap (h): released is final, whatever is repeated or still under way.

use std::sync::Arc;

use serde_json::Value;

use super::{fixed_and_manual, instance_in};
use crate::harness::{Application, eventually, new_instance, ready_answer};
use crate::shop::{FUTURE, Gate, IMPATIENT, Shop, instance_id, new_item, query, release, renewal, with};

#[test]
fn a_retried_release_succeeds_and_a_late_new_instance_replays_and_never_creates_again() {
    let shop = Shop::open("");
    let bought = shop.expect("000000", &new_instance("CS1"));
    let id = instance_id(&bought);
    let renewed = shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    shop.told(&id, &["instance.create", "instance.renew"]);
    let released = shop.expect("000000", &release(&id));
    let refund = with(release(&id), "orderId", "CS-refund");
    for call in [release(&id), refund] {
        assert_eq!(shop.koogate.call(&call).verbatim(), released.verbatim());
    }
    assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), bought.verbatim());
    assert_eq!(shop.koogate.call(&renewal(&id, "CS2", FUTURE)).verbatim(), renewed.verbatim());
    shop.expect("000003", &query(&id));
    shop.told_only(&id, &["instance.create", "instance.renew", "instance.release"]);
    assert_eq!((shop.count("instance"), shop.status(&id).as_str()), (1, "released"));
}

#[test]
fn a_release_of_a_creating_instance_cancels_the_creation_and_deletes() {
    let shop = fixed_and_manual();
    let id = instance_in(&shop, "creating", "CS1");
    shop.expect("000000", &release(&id));
    assert_eq!(shop.history(&id), ["created", "released"]);
    let output = shop.scratch.run(&["instance", "ready", &id, "--front-end-url", "https://app.example.com/"]);
    assert_eq!(output.status.code(), Some(1), "released is final");
    shop.expect("000005", &new_item("CS1", "MANUAL"));
    assert_eq!((shop.status(&id).as_str(), shop.count("instance")), ("released", 1), "never created again");
}

#[test]
fn a_creation_that_ends_after_the_release_does_not_count_and_the_application_is_told_of_the_release() {
    let (gate, application) = gated_application(|event| (200, ready_answer(event)));
    let shop = Shop::with(application, IMPATIENT, "");
    let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
    shop.expect("000000", &release(&id));
    gate.open();
    shop.told(&id, &["instance.create", "instance.release"]);
    assert_eq!(shop.history(&id), ["created", "released"]);
}

#[test]
fn a_creation_that_fails_after_the_release_is_not_tried_again_and_does_not_hold_the_release_up() {
    let (failed, pending) = ((500, "broken"), (200, "{\"status\":\"pending\"}"));
    // Accepted "after", the release itself waits for the application, and that is busy.
    for (accept, code) in [("at-once", "000000"), ("after", "000005")] {
        for (status, body) in [failed, pending] {
            let (gate, application) = gated_application(move |event| match event["event"].as_str() {
                Some("instance.create") => (status, body.to_owned()),
                _ => (200, ready_answer(event)),
            });
            let shop = Shop::with(application, IMPATIENT, &format!("accept = \"{accept}\""));
            let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
            shop.expect(code, &release(&id));
            gate.open();
            shop.told(&id, &["instance.create", "instance.release"]);
            eventually(
                || (shop.count("job WHERE state IN ('waiting', 'running')") == 0).then_some(()),
                || shop.koogate.log_text(),
            );
            assert_eq!(shop.application.names_for(&id).len(), 2);
            assert_eq!(shop.history(&id), ["created", "released"]);
            shop.expect("000000", &release(&id));
        }
    }
}

/// Holds the first event up until the gate is opened.
fn gated_application(answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> (Arc<Gate>, Application) {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let application = Application::start(move |event| {
        held.pass();
        answer(event)
    });
    (gate, application)
}
