//! Which product a call is for, what a reload changes, and the choices a product entry offers.

use serde_json::json;

use crate::harness::{
    Application, Gate, KEY, Koogate, Scratch, instance_call, new_instance, query, ready_answer, status_change,
};

const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n";

fn fixed(lines: &str) -> String {
    format!(
        "[[product]]\nfulfilment = \"fixed\"\naccess = {{ front_end_url = \"https://app.example.com\" }}\n{lines}\n"
    )
}

/// Makes it read its configuration again and waits until it has said what came of it.
fn reload(koogate: &Koogate, outcome: &str) {
    koogate.signal("HUP");
    koogate.wait_for_log(outcome);
}

#[test]
fn a_product_nobody_configured_creates_nothing_until_the_file_is_mended_and_reloaded() {
    let scratch = Scratch::new(&fixed("product_id = \"P1\""));
    let koogate = scratch.serve();
    let mut body = new_instance("CS1");
    body["productId"] = json!("P2");
    assert_eq!(koogate.call(&body).code(), "000005");
    koogate.wait_for_log("ALERT newInstance of order \"CS1\": no [[product]] entry matches");
    assert!(scratch.run_json(&["instance", "list", "--json"]).is_empty());

    scratch.configure(&[KEY], "", &(fixed("product_id = \"P1\"") + &fixed("product_id = \"P2\"")));
    reload(&koogate, "the configuration was reloaded");
    assert_eq!(koogate.call(&body).code(), "000000");
    let listed = scratch.run_json(&["instance", "list", "--json"]);
    assert_eq!((listed.len(), &listed[0]["productId"]), (1, &json!("P2")));
}

#[test]
fn the_first_matching_entry_wins() {
    let (one, rest) = (Application::ready(), Application::ready());
    let scratch = Scratch::new(&(one.product("product_id = \"P1\"") + &rest.product("")));
    let koogate = scratch.serve();
    for (order, product) in [("CS1", "P1"), ("CS2", "P2")] {
        let mut body = new_instance(order);
        body["productId"] = json!(product);
        assert_eq!(koogate.call(&body).code(), "000000");
    }
    let products = |application: &Application| -> Vec<_> {
        application.events().iter().map(|event| event["product"]["productId"].clone()).collect()
    };
    assert_eq!((products(&one), products(&rest)), (vec![json!("P1")], vec![json!("P2")]));
}

#[test]
fn a_reload_of_a_broken_file_keeps_all_of_the_old_settings() {
    let scratch = Scratch::new(&fixed(""));
    let koogate = scratch.serve();
    // Another key, and a slip of the pen further down: neither counts.
    scratch.configure(&["another-key-of-the-basic-interface"], "", &fixed("produkt_id = \"P1\""));
    reload(&koogate, "ALERT the configuration was not reloaded, the old one stays");
    koogate.wait_for_log("produkt_id");
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
}

#[test]
fn a_reload_changes_keys_at_once_and_names_what_needs_a_restart() {
    const NEW_KEY: &str = "66666666-7777-8888-9999-000000000000";
    let scratch = Scratch::new(&fixed(""));
    let koogate = scratch.serve();
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 99\n[database]\nsnapshot_every = \"1h\"\n";
    scratch.configure(&[NEW_KEY], sections, &fixed(""));
    reload(&koogate, "need a restart");
    let log = koogate.log_text();
    let line = log.lines().find(|line| line.contains("need a restart")).unwrap();
    assert!(line.contains("[server]") && line.contains("[database]") && !line.contains("[admin]"), "{line}");

    assert_eq!(koogate.call_with(NEW_KEY, &new_instance("CS1")).code(), "000000");
    let old = koogate.try_call(KEY, &new_instance("CS1")).unwrap();
    assert_eq!(old.code(), "000001");
}

#[test]
fn a_reload_with_another_sealing_key_is_refused() {
    let scratch = Scratch::new(&fixed(""));
    let koogate = scratch.serve();
    let file = scratch.path("koogate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("sealing_key = \"0", "sealing_key = \"f")).unwrap();
    reload(&koogate, "keys.sealing_key is not the key the database was made with");
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
}

#[test]
fn with_accept_after_a_freeze_counts_once_the_application_has_done_it() {
    let gate = Gate::default();
    let held = gate.clone();
    let application = Application::start(move |event| {
        if event["event"] == "instance.freeze" {
            held.pass();
        }
        (200, ready_answer(event))
    });
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, &application.product("accept = \"after\""));
    let koogate = scratch.serve();
    let created = koogate.call(&new_instance("CS1")).json();
    let id = created["instanceId"].as_str().unwrap();

    assert_eq!(koogate.call(&status_change(id, "FREEZE")).code(), "000005");
    assert_eq!(scratch.instance(id)["status"], "active");
    // Operations on one instance run one after another.
    assert_eq!(koogate.call(&status_change(id, "UNFREEZE")).code(), "000005");
    gate.open();
    let done = koogate.call_until_success(&status_change(id, "FREEZE"));
    assert_eq!(scratch.instance(id)["status"], "frozen");
    assert_eq!(koogate.call(&status_change(id, "FREEZE")).verbatim(), done.verbatim());
    assert_eq!(application.names_for(id), ["instance.create", "instance.freeze"]);
}

/// The bug: whatever was open on the instance was taken for the creation, so the release was never done.
#[test]
fn a_release_that_waits_for_the_application_outlives_a_late_ready() {
    let gate = Gate::default();
    let held = gate.clone();
    let application = Application::start(move |event| {
        if event["event"] == "instance.create" {
            return (200, "{\"status\":\"pending\"}".to_owned());
        }
        held.pass();
        (200, ready_answer(event))
    });
    let scratch = Scratch::new("");
    let sections = format!("{SERVER}[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"10m\"\n");
    scratch.configure(&[KEY], &sections, &application.product("accept = \"after\""));
    let koogate = scratch.serve();
    let created = koogate.call(&new_instance("CS1")).json();
    let id = created["instanceId"].as_str().unwrap();
    let release = crate::harness::release(id);
    assert_eq!(koogate.call(&release).code(), "000005");
    scratch.run_ok(&["instance", "ready", id, "--front-end-url", "https://app.example.com/late"]);
    assert_eq!(scratch.instance(id)["status"], "active");
    assert_eq!(koogate.call(&release).code(), "000005");
    gate.open();
    koogate.call_until_success(&release);
    assert_eq!(scratch.instance(id)["status"], "released");
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    assert_eq!(application.names_for(id), ["instance.create", "instance.release"]);
}

#[test]
fn forwarded_test_calls_reach_the_application_as_tests_and_touch_nothing_real() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product("test_calls = \"forward\""));
    let koogate = scratch.serve();
    let real = koogate.call(&new_instance("CS1")).json();
    let mut body = new_instance("CS1");
    body["testFlag"] = json!("1");
    let test = koogate.call(&body).json();
    assert_eq!(test["resultCode"], "000000");
    assert_ne!(test["instanceId"], real["instanceId"]);
    let id = test["instanceId"].as_str().unwrap();
    let real_id = real["instanceId"].as_str().unwrap();

    // The same id in the other world is another instance, and none of them is touched from there.
    for instance in [id, real_id] {
        let members = json!({ "status": "FREEZE", "testFlag": "1" });
        assert_eq!(koogate.call(&instance_call("updateInstanceStatus", instance, members)).code(), "000000");
    }
    let events = application.wait_for(3);
    let seen: Vec<_> = events.iter().map(|event| (&event["event"], &event["test"], &event["instanceId"])).collect();
    assert_eq!(
        seen,
        [
            (&json!("instance.create"), &json!(false), &json!(real_id)),
            (&json!("instance.create"), &json!(true), &json!(id)),
            (&json!("instance.freeze"), &json!(true), &json!(id)),
        ]
    );
    let listed = scratch.run_json(&["instance", "list", "--json"]);
    assert_eq!((listed.len(), &listed[0]["status"]), (1, &json!("active")));
    assert_eq!(listed[0]["instanceId"], json!(real_id));
    assert_eq!(koogate.call(&query(id)).code(), "000003");
    let tests = scratch.run_json(&["instance", "list", "--test", "--json"]);
    assert_eq!((tests.len(), &tests[0]["status"]), (1, &json!("frozen")));
}

#[test]
fn test_calls_that_are_not_forwarded_reach_no_application() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    let mut body = new_instance("CS1");
    body["testFlag"] = json!("1");
    let id = koogate.call(&body).json()["instanceId"].as_str().unwrap().to_owned();
    for (activity, members) in [
        ("updateInstanceStatus", json!({ "status": "FREEZE", "testFlag": "1" })),
        ("releaseInstance", json!({ "testFlag": "1" })),
        ("queryInstance", json!({ "testFlag": "1" })),
    ] {
        assert_eq!(koogate.call(&instance_call(activity, &id, members)).code(), "000000", "{activity}");
    }
    // A real sale afterwards: by now an event of the tests would have come.
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    let tests: Vec<_> = application.events().iter().map(|event| event["test"].clone()).collect();
    assert_eq!(tests, [json!(false)]);
}
