//! LO: what becomes of a request for a licence, from the application, the stock or by hand, until its upload waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::lo::{buy, open, product, request};
use super::{LICENSE_KEY, asked, crowd, licensed_answer, licensed_shop};
use crate::harness::{Application, Koogate, Scratch, eventually, text};
use crate::shop::{FUTURE, Gate, IMPATIENT, PATIENT, Shop, freeze, instance_id, release, renewal, unfreeze, with};

const STOCK: &str = "[[product]]\nkind = \"license-online\"\nfulfilment = \"stock\"\nstock = \"codes\"\n";
const MANUAL: &str = "[[product]]\nkind = \"license-online\"\nfulfilment = \"manual\"\n";

/// Waits until the upload of a licence has been looked at and waits for its time.
fn wait_for_upload(shop: &Shop, id: &str) -> Value {
    let waits = |job: &&Value| {
        job["task"] == "license.upload" && job["state"] == "waiting" && job["attempts"].as_u64() > Some(0)
    };
    let shown = shop
        .scratch
        .wait_for_instance(id, |instance| instance["jobs"].as_array().unwrap().iter().any(|job| waits(&job)));
    shown["jobs"].as_array().unwrap().iter().find(waits).unwrap().clone()
}

#[test]
fn a_request_is_000004_while_it_goes_on_and_the_application_is_asked_once_for_each_event_and_device() {
    let shop = open("");
    let id = buy(&shop, "CS1");
    shop.license_post("000000", &renewal(&id, "CS2", FUTURE));
    for (event, device) in [("E1", "D1"), ("E1", "D2"), ("E2", "D1"), ("E1", "")] {
        for _ in 0..3 {
            let answer = shop.license_post("000004", &request(&id, event, device)).json();
            assert_eq!(answer.as_object().unwrap().len(), 2, "no licence in the reply: {answer}");
        }
    }
    assert_eq!(asked(&shop.application, "license.issue"), (4, 4));
    assert_eq!(shop.count("license"), 4);
    let events = shop.application.events();
    let event = events.iter().find(|event| event["event"] == "license.issue").unwrap();
    let expected = json!({
        "eventId": "E1", "deviceFingerprint": "D1", "effectiveTime": "2026-10-27T10:30:15Z",
        "expireTime": "2099-12-31T23:59:59Z",
    });
    assert_eq!(event["change"], expected);
    assert_eq!((&event["kind"], &event["instance"]["status"]), (&json!("license-online"), &json!("active")));
    // The same request with other dates is a repeat; the first one counts.
    shop.license_post("000004", &with(request(&id, "E1", "D1"), "expireTime", "2098-01-01 00:00:00"));
    shop.license_post("000004", &with(request(&id, "E1", "D1"), "effectiveTime", "20261101000000"));
    assert_eq!(asked(&shop.application, "license.issue"), (4, 4));
}

#[test]
fn a_slow_application_is_asked_once_however_often_the_request_comes() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        if event["event"] == "license.issue" {
            slow.pass();
        }
        (200, licensed_answer(event))
    });
    let product = product(&application, "");
    let shop = licensed_shop(application, IMPATIENT, &product);
    let id = buy(&shop, "CS1");
    assert_eq!(crowd(|| shop.koogate.call_with(LICENSE_KEY, &request(&id, "E1", "D1"))).code(), "000004");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!(shop.only_license()["state"], "requested");
    gate.open();
    wait_for_upload(&shop, &id);
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!((asked(&shop.application, "license.issue"), shop.count("license")), ((1, 1), 1));
    assert_eq!(shop.only_license()["state"], "issued");
}

#[test]
fn parallel_duplicates_are_one_licence_from_every_source() {
    let application = super::licensing_application();
    for products in [product(&application, ""), STOCK.to_owned(), MANUAL.to_owned()] {
        let shop = licensed_shop(super::licensing_application(), PATIENT, &products);
        if products == STOCK {
            std::fs::write(shop.scratch.path("codes.csv"), "license\nCODE-1\nCODE-2\n").unwrap();
            shop.scratch.run_ok(&["stock", "import", "codes", "codes.csv"]);
        }
        let id = buy(&shop, "CS1");
        assert_eq!(crowd(|| shop.koogate.call_with(LICENSE_KEY, &request(&id, "E1", "D1"))).code(), "000004");
        assert_eq!(
            (shop.count("license"), shop.count("stock_entry WHERE taken_at IS NOT NULL")),
            (1, i64::from(products == STOCK))
        );
    }
    assert_eq!(asked(&application, "license.issue"), (1, 1));
}

#[test]
fn texts_and_files_are_kept_to_the_byte_and_the_upload_waits_where_people_see_it() {
    let application = Application::start(|event| {
        let file = json!({ "fileName": "许可证.lic", "content": data_encoding::BASE64.encode(b"\x00\xFF\r\n") });
        let is_file = event["change"]["deviceFingerprint"] == "FILE";
        (200, if is_file { json!({ "status": "ready", "license": file }).to_string() } else { licensed_answer(event) })
    });
    let product = product(&application, "");
    let shop = licensed_shop(application, PATIENT, &product);
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "TEXT"));
    shop.license_post("000004", &request(&id, "E1", "FILE"));
    wait_for_upload(&shop, &id);

    assert!(shop.license_content(1).starts_with("L-"));
    let raw = shop.scratch.run(&["license", "show", "2", "--out", "-"]);
    assert_eq!(raw.stdout, b"\x00\xFF\r\n");
    let shown = shop.scratch.run_json(&["license", "show", "2", "--json"]).remove(0);
    assert_eq!(
        (&shown["fileName"], &shown["state"], &shown["uploadedAt"]),
        (&json!("许可证.lic"), &json!("issued"), &Value::Null)
    );
    for command in [&["license", "show", "1"][..], &["instance", "show", &id]] {
        let text = shop.scratch.run_ok(command);
        assert!(text.contains("license.upload") && text.contains("waiting") && text.contains("[open_api]"), "{text}");
    }
    assert_eq!(shop.history(&id), ["created", "ready", "licensed", "licensed"]);
}

#[test]
fn an_upload_that_waits_is_retriable_and_holds_nobody_up() {
    let shop = open("");
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    let upload = wait_for_upload(&shop, &id);
    for call in [freeze(&id), unfreeze(&id), renewal(&id, "CS2", FUTURE)] {
        shop.license_post_thrice(&call);
    }
    let names = ["instance.create", "license.issue", "instance.freeze", "instance.unfreeze", "instance.renew"];
    shop.told(&id, &names);

    shop.scratch.run_ok(&["instance", "retry", &id]);
    let attempts = upload["attempts"].as_u64();
    shop.scratch.wait_for_instance(&id, |instance| {
        let jobs = instance["jobs"].as_array().unwrap();
        jobs.iter().any(|job| job["task"] == "license.upload" && job["attempts"].as_u64() > attempts)
    });
    assert_eq!(wait_for_upload(&shop, &id)["lastError"], upload["lastError"], "waiting is no failure");
    shop.told(&id, &names);
    // A release ends it.
    shop.license_post_thrice(&release(&id));
    let ended = |instance: &Value| {
        let jobs = instance["jobs"].as_array().unwrap();
        jobs.iter().all(|job| job["task"] != "license.upload" || job["state"] == "cancelled")
    };
    shop.scratch.wait_for_instance(&id, ended);
    shop.license_post("000003", &request(&id, "E1", "D1"));
}

#[test]
fn a_licence_never_changes() {
    let shop = open("");
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    wait_for_upload(&shop, &id);
    let first = shop.license_content(1);
    std::fs::write(shop.scratch.path("other"), "OTHER").unwrap();
    for option in ["--text", "--file"] {
        assert_eq!(shop.scratch.run(&["license", "issue", "1", option, "other"]).status.code(), Some(1));
    }
    shop.scratch.run_ok(&["instance", "retry", &id]);
    shop.license_post("000004", &request(&id, "E1", "D1"));
    let shop = shop.restarted(Koogate::kill);
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!(shop.license_content(1), first);
    assert_eq!((asked(&shop.application, "license.issue"), shop.count("license")), ((1, 1), 1));
}

#[test]
fn a_death_between_making_a_licence_and_answering_leads_to_the_same_request_and_one_licence() {
    for fault in ["attempted:2", "recorded:2", "committed:4"] {
        let application = super::licensing_application();
        let product = product(&application, "");
        let scratch = Scratch::new("");
        super::configure(&scratch, PATIENT, &product);
        let mut koogate = scratch.serve_with(&[("KOOGATE_FAULT", fault)]);
        let bought = koogate.try_call(LICENSE_KEY, &crate::harness::new_instance("CS1"));
        // At the latest the request for the licence is fatal.
        let id = bought.ok().map(|answer| instance_id(&answer));
        let asked_for = id.as_ref().and_then(|id| koogate.try_call(LICENSE_KEY, &request(id, "E1", "D1")).ok());
        assert!(asked_for.is_none_or(|answer| answer.code() == "000004"), "{fault}");
        assert_eq!(koogate.wait(), None, "{fault}: {}", koogate.log_text());
        drop(koogate);
        let shop = Shop { koogate: scratch.serve(), application, scratch };
        let again = buy(&shop, "CS1");
        assert!(id.is_none_or(|id| id == again), "{fault}");
        shop.license_post("000004", &request(&again, "E1", "D1"));
        wait_for_upload(&shop, &again);
        assert_eq!(asked(&shop.application, "license.issue").1, 1, "{fault}: one operationId");
        assert_eq!(
            (shop.count("license"), shop.count("instance"), shop.count("job WHERE task = 'license.upload'")),
            (1, 1, 1)
        );
        let operation: String =
            crate::shop::look_up(&shop.scratch, "SELECT operation_id FROM operation ORDER BY id DESC LIMIT 1");
        assert!(shop.license_content(1).starts_with(&format!("L-{operation}-")), "{fault}");
    }
}

#[test]
fn a_stock_gives_each_request_the_next_code_and_an_empty_one_is_tried_again() {
    let shop = licensed_shop(Application::ready(), PATIENT, STOCK);
    let id = buy(&shop, "CS1");
    for _ in 0..2 {
        shop.license_post("000005", &request(&id, "E1", "D1"));
        assert_eq!(shop.only_license()["state"], "refused");
    }
    std::fs::write(shop.scratch.path("codes.csv"), "license\nCODE-1\nCODE-2\n").unwrap();
    shop.scratch.run_ok(&["stock", "import", "codes", "codes.csv"]);
    for device in ["D1", "D2", "D1"] {
        shop.license_post("000004", &request(&id, "E1", device));
    }
    assert_eq!([1, 2].map(|number| shop.license_content(number)), ["CODE-1", "CODE-2"]);
    assert_eq!((shop.count("license"), shop.count("job WHERE task = 'license.upload'")), (2, 2));
    let log = shop.koogate.log_text();
    assert!(log.contains("ALERT stock \"codes\" is empty") && log.contains("ALERT stock \"codes\" is low"), "{log}");
}

#[test]
fn a_licence_given_by_hand_is_uploaded_by_the_running_server() {
    let shop = licensed_shop(Application::ready(), PATIENT, MANUAL);
    let id = buy(&shop, "CS1");
    for _ in 0..2 {
        shop.license_post("000004", &request(&id, "E1", "D1"));
    }
    assert!(shop.koogate.log_text().contains("koogate license issue 1"), "{}", shop.koogate.log_text());
    std::fs::write(shop.scratch.path("device.lic"), b"\x00\x01").unwrap();
    let said = shop.scratch.run_ok(&["license", "issue", "1", "--file", "device.lic"]);
    assert!(said.contains("its upload is a job"), "{said}");
    wait_for_upload(&shop, &id);
    assert_eq!(shop.license_content(1).as_bytes(), b"\x00\x01");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    // After the release none is given any more.
    shop.license_post("000004", &request(&id, "E2", "D1"));
    shop.license_post("000000", &release(&id));
    let late = shop.scratch.run(&["license", "issue", "2", "--file", "device.lic"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(text(&late.stderr).contains("released"), "{}", text(&late.stderr));
}

#[test]
fn an_application_that_keeps_failing_or_answers_pending_is_asked_until_the_operator_gives_the_licence() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let application = Application::start(move |event| match event["event"].as_str() {
        Some("license.issue") if count.fetch_add(1, Ordering::SeqCst) == 0 => (500, "no".to_owned()),
        Some("license.issue") => (200, "{\"status\":\"pending\"}".to_owned()),
        _ => (200, licensed_answer(event)),
    });
    let product = product(&application, "");
    let shop = licensed_shop(application, PATIENT, &product);
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    eventually(|| (attempts.load(Ordering::SeqCst) == 2).then_some(()), || shop.koogate.log_text());
    std::fs::write(shop.scratch.path("given"), "GIVEN\n").unwrap();
    shop.scratch.run_ok(&["license", "issue", "1", "--text", "given"]);
    wait_for_upload(&shop, &id);
    shop.license_post("000004", &request(&id, "E1", "D1"));
    assert_eq!(shop.license_content(1), "GIVEN");
    let issue = shop.instance(&id)["jobs"][1].clone();
    assert_eq!((&issue["task"], &issue["state"]), (&json!("license.issue"), &json!("done")), "nobody asks any more");
}
