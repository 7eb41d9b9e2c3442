//! How instances come into being, kind by kind. Here: the merchant's application over HTTP.

mod kinds;
mod settings;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::harness::{Application, Delivery, KEY, Scratch, new_instance, query, ready_answer};

const HOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const TOKEN: &str = "a-token-of-the-tests";

/// Settings with an admin listener; "pending" is not asked about again within a test.
const PENDING: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"2s\"\n\
    [jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"10m\"\n\
    [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";

const CONFIGURED_ACCESS: &str = "access = { front_end_url = \"https://shop.example.com/{instanceId}\", \
    admin_url = \"https://shop.example.com/admin?order={orderId}\", user_name = \"u-{orderLineId}\", memo = \"欢迎\" }";

/// The access data a buyer of this order is told when the product's own is used.
fn configured_access(instance_id: &str, order: &str) -> Value {
    json!({
        "frontEndUrl": format!("https://shop.example.com/{instance_id}"),
        "adminUrl": format!("https://shop.example.com/admin?order={order}"),
        "userName": format!("u-{order}-000001"),
        "memo": "欢迎",
    })
}

/// As a merchant does it, with the published library.
fn verify_as_a_merchant_would(delivery: &Delivery) {
    let mut headers = HeaderMap::new();
    for (name, value) in &delivery.headers {
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    Webhook::new(HOOK_SECRET).unwrap().verify(delivery.body.as_bytes(), &headers).unwrap();
    assert_eq!(headers["webhook-id"], delivery.event["operationId"].as_str().unwrap());
    assert_eq!(headers["content-type"], "application/json");
}

#[test]
fn the_application_gets_the_documented_event_and_can_verify_its_signature() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(&format!("secret = \"{HOOK_SECRET}\"")));
    let koogate = scratch.serve();
    let answer = koogate.call(&new_instance("CS1"));
    assert_eq!(answer.code(), "000000");

    let deliveries = application.deliveries();
    assert_eq!(deliveries.len(), 1);
    verify_as_a_merchant_would(&deliveries[0]);
    let event = &deliveries[0].event;
    assert!(!event["operationId"].as_str().unwrap().is_empty());
    assert_eq!(
        *event,
        json!({
            "event": "instance.create", "operationId": event["operationId"], "attempt": 1, "test": false,
            "kind": "saas", "instanceId": answer.json()["instanceId"],
            "product": { "productId": null, "skuCode": null, "name": null },
            "order": {
                "orderId": "CS1", "orderLineId": "CS1-000001", "orderType": null, "chargingMode": null,
                "periodType": null, "periodNumber": null, "quantity": null, "amount": null, "expireTime": null,
            },
            "parameters": {},
        })
    );
}

#[test]
fn what_the_application_answers_is_what_the_buyer_is_told() {
    let access = json!({
        "frontEndUrl": "https://app.example.com/a", "adminUrl": "https://app.example.com/admin", "userName": "用户",
        "password": "p\"w\\1", "memo": "one\ntwo",
    });
    let told = access.clone();
    let application = Application::start(move |_| (200, json!({ "status": "ready", "access": told }).to_string()));
    let scratch = Scratch::new(&application.product(CONFIGURED_ACCESS));
    let koogate = scratch.serve();
    let created = koogate.call(&new_instance("CS1")).json();
    let id = created["instanceId"].as_str().unwrap();
    let answer = koogate.call(&query(id)).json();
    assert_eq!(answer["info"], json!([{ "instanceId": id, "appInfo": access }]));
}

#[test]
fn an_application_that_tells_no_access_data_leaves_it_to_the_configuration() {
    let application = Application::start(|_| (200, "{\"status\":\"ready\"}".to_owned()));
    let scratch = Scratch::new(&application.product(CONFIGURED_ACCESS));
    let koogate = scratch.serve();
    let created = koogate.call(&new_instance("CS1")).json();
    let id = created["instanceId"].as_str().unwrap();
    assert_eq!(koogate.call(&query(id)).json()["info"][0]["appInfo"], configured_access(id, "CS1"));
}

/// A few are looked up by the writer, more by a reader.
#[test]
fn a_query_of_many_instances_tells_the_same_as_one_of_each_and_is_one_row_of_the_journal() {
    let scratch = Scratch::new(&format!("[[product]]\nfulfilment = \"fixed\"\n{CONFIGURED_ACCESS}\n"));
    let koogate = scratch.serve();
    let create = |number: usize| {
        koogate.call(&new_instance(&format!("CS{number}"))).json()["instanceId"].as_str().unwrap().to_owned()
    };
    let ids: Vec<String> = (0..30).map(create).collect();
    let told: Vec<Value> = ids.iter().map(|id| koogate.call(&query(id)).json()["info"][0].clone()).collect();
    assert_eq!(told[7]["appInfo"], configured_access(&ids[7], "CS7"));
    for count in [2, 8, 9, 30] {
        let rows =
            || crate::shop::count(&scratch, "exchange WHERE activity = 'queryInstance' AND result_code = '000000'");
        let before = rows();
        let answer = koogate.call(&query(&ids[..count].join(","))).json();
        assert_eq!(answer["info"], json!(told[..count]), "{count} instances");
        assert_eq!(rows(), before + 1);
        let unknown = koogate.call(&query(&vec!["nobody"; count].join(","))).json();
        assert_eq!((&unknown["resultCode"], &unknown["info"]), (&json!("000003"), &json!([])), "{count} unknown ones");
    }
}

/// An instance whose application has said "pending"; its id.
fn pending_instance(koogate: &crate::harness::Koogate, application: &Application, order: &str) -> String {
    let answer = koogate.call(&new_instance(order));
    assert_eq!(answer.code(), "000004");
    let id = answer.json()["instanceId"].as_str().unwrap().to_owned();
    assert_eq!(application.names_for(&id), ["instance.create"]);
    let asked = koogate.call(&query(&id)).json();
    assert_eq!((&asked["resultCode"], &asked["info"]), (&json!("000004"), &json!([])));
    id
}

fn pending() -> Application {
    Application::start(|_| (200, "{\"status\":\"pending\"}".to_owned()))
}

#[test]
fn the_operator_finishes_what_the_application_called_pending() {
    let application = pending();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], PENDING, &application.product(CONFIGURED_ACCESS));
    let koogate = scratch.serve();
    let id = pending_instance(&koogate, &application, "CS1");

    std::fs::write(scratch.path("password.txt"), "s3cret\n").unwrap();
    let url = "https://app.example.com/one";
    scratch.run_ok(&[
        "instance",
        "ready",
        &id,
        "--front-end-url",
        url,
        "--user-name",
        "root",
        "--password-file",
        "password.txt",
    ]);
    let answer = koogate.call(&new_instance("CS1"));
    assert_eq!((answer.code(), answer.json()["instanceId"].as_str()), ("000000".to_owned(), Some(id.as_str())));
    let told = json!({ "frontEndUrl": url, "userName": "root", "password": "s3cret" });
    assert_eq!(koogate.call(&query(&id)).json()["info"][0]["appInfo"], told);
    assert_eq!(application.events().len(), 1);

    let again = scratch.run(&["instance", "ready", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(scratch.instance(&id)["jobs"][0]["state"], "done");
}

#[test]
fn the_application_reports_on_the_admin_listener_what_it_called_pending() {
    let application = pending();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], PENDING, &application.product(CONFIGURED_ACCESS));
    let koogate = scratch.serve();
    let id = pending_instance(&koogate, &application, "CS1");
    let report = format!("/api/v1/instances/{id}/ready");

    for token in [None, Some("another-token-of-nobody"), Some("")] {
        let refused = koogate.admin("POST", &report, token, "");
        assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")));
    }
    assert_eq!(scratch.instance(&id)["status"], "creating");
    let bad = koogate.admin("POST", &report, Some(TOKEN), "{\"status\":\"ready\",\"access\":{\"passWord\":\"x\"}}");
    assert_eq!(bad.status, 400);
    assert_eq!(koogate.admin("POST", "/api/v1/instances/nobody/ready", Some(TOKEN), "").status, 404);
    assert_eq!(koogate.admin("GET", &report, Some(TOKEN), "").status, 405);

    let ready = "{\"status\":\"ready\",\"access\":{\"frontEndUrl\":\"https://app.example.com/two\"}}";
    // A second report is no mistake: the first one's answer may have been lost.
    for _ in 0..2 {
        assert_eq!(koogate.admin("POST", &report, Some(TOKEN), ready).status, 200);
    }
    let answer = koogate.call(&new_instance("CS1"));
    assert_eq!((answer.code(), answer.json()["instanceId"].as_str()), ("000000".to_owned(), Some(id.as_str())));
    let told = json!({ "frontEndUrl": "https://app.example.com/two" });
    assert_eq!(koogate.call(&query(&id)).json()["info"][0]["appInfo"], told);
}

/// The bug: only an application that answered "ready" at once got the product's own access data.
#[test]
fn a_report_or_an_operator_without_access_data_leaves_it_to_the_configuration() {
    let application = pending();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], PENDING, &application.product(CONFIGURED_ACCESS));
    let koogate = scratch.serve();
    let (one, two) = (pending_instance(&koogate, &application, "CS1"), pending_instance(&koogate, &application, "CS2"));
    assert_eq!(koogate.admin("POST", &format!("/api/v1/instances/{one}/ready"), Some(TOKEN), "").status, 200);
    scratch.run_ok(&["instance", "ready", &two]);
    for (id, order) in [(&one, "CS1"), (&two, "CS2")] {
        assert_eq!(koogate.call(&new_instance(order)).code(), "000000");
        assert_eq!(koogate.call(&query(id)).json()["info"][0]["appInfo"], configured_access(id, order));
    }
}

/// A call that waits for the application ends with its report, not with its time.
#[test]
fn a_report_ends_the_call_that_waits_for_it() {
    let application = pending();
    let scratch = Scratch::new("");
    // Asked again before the time of the call is over: the call waits.
    let sections = PENDING.replace("\"10m\"", "\"1s\"").replace("\"2s\"", "\"15s\"");
    scratch.configure(&[KEY], &sections, &application.product(CONFIGURED_ACCESS));
    let koogate = scratch.serve();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| koogate.call(&new_instance("CS1")));
        let id = application.wait_for(1)[0]["instanceId"].as_str().unwrap().to_owned();
        assert_eq!(koogate.admin("POST", &format!("/api/v1/instances/{id}/ready"), Some(TOKEN), "").status, 200);
        assert_eq!(call.join().unwrap().code(), "000000");
    });
}

#[test]
fn a_refusal_is_answered_in_time_and_the_next_call_asks_again() {
    let asked = AtomicUsize::new(0);
    let application = Application::start(move |event| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (200, "{\"status\":\"refused\",\"resultCode\":\"000106\",\"message\":\"卖完了 sold out\"}".to_owned()),
        _ => (200, ready_answer(event)),
    });
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    let refused = koogate.call(&new_instance("CS1"));
    assert_eq!(refused.code(), "000106");
    assert_eq!(refused.json()["resultMsg"], "卖完了 sold out");
    koogate.wait_for_log("ALERT");
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    let events = application.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["operationId"], events[1]["operationId"]);
    assert_eq!(events[0]["instanceId"], events[1]["instanceId"]);
}

#[test]
fn answers_that_do_not_count_are_failed_attempts_and_say_why() {
    const FAULTS: [(u16, &str, &str); 6] = [
        (200, "", "is empty"),
        (200, "<html>It works!</html>", "HTML"),
        (200, "{\"status\":\"ready\",\"access\":{\"frontEndUrl\":\"no address\"}}", "frontEndUrl"),
        (
            200,
            "{\"status\":\"ready\",\"access\":{\"frontEndUrl\":\"https://a.example\",\"pass\":\"hunter2\"}}",
            "\"pass\"",
        ),
        (302, "{\"status\":\"ready\"}", "302"),
        (500, "{\"status\":\"ready\"}", "500"),
    ];
    let asked = AtomicUsize::new(0);
    let application = Application::start(move |event| {
        let fault = FAULTS.get(asked.fetch_add(1, Ordering::SeqCst));
        fault.map_or_else(|| (200, ready_answer(event)), |(status, body, _)| (*status, (*body).to_owned()))
    });
    let scratch = Scratch::new("");
    let jobs = "[jobs]\nfirst_retry = \"10ms\"\nslowest_retry = \"20ms\"\n";
    scratch.configure(&[KEY], jobs, &application.product(""));
    let koogate = scratch.serve();
    koogate.call_until_success(&new_instance("CS1"));

    let events = application.events();
    assert_eq!(events.len(), FAULTS.len() + 1);
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["operationId"], events[0]["operationId"]);
        assert_eq!(event["attempt"], json!(index + 1));
    }
    let log = koogate.log_text();
    for (index, (_, _, reason)) in FAULTS.iter().enumerate() {
        let said = log.lines().find(|line| line.contains(&format!("attempt {} of instance.create", index + 1)));
        assert!(said.is_some_and(|line| line.contains(reason)), "{reason} in\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}
