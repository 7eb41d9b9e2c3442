//! LO: what is made reaches KooGallery by an upload, whatever happens on the way; then its request is answered with success.

use std::time::Duration;

use serde_json::{Value, json};

use super::lo::{buy, product, request};
use super::{LICENSE_KEY, configure, licensed_answer, licensed_shop, licensing_application};
use crate::harness::{Application, Koogate, Scratch, eventually, instance_call, text};
use crate::koogallery::{Behaviour, KooGallery, Payload, Reply, Route};
use crate::shop::{PATIENT, Shop, freeze, release, unfreeze};

/// The sections that call this KooGallery for uploads alone: of the orders here it knows none.
fn calling(mock: &KooGallery) -> String {
    format!("{PATIENT}{}order_query = \"off\"\n", mock.toml())
}

/// A shop that calls this KooGallery.
fn open(mock: &KooGallery) -> Shop {
    let application = licensing_application();
    let product = product(&application, "");
    licensed_shop(application, &calling(mock), &product)
}

/// Waits until the last upload's job of an instance is as wanted.
fn wait_for_upload(shop: &Shop, id: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let upload = |instance: &Value| {
        let jobs = instance["jobs"].as_array().unwrap();
        jobs.iter().rfind(|job| job["task"] == "license.upload").cloned()
    };
    let shown = shop.scratch.wait_for_instance(id, |instance| upload(instance).is_some_and(|job| is_wanted(&job)));
    upload(&shown).unwrap()
}

fn wait_for_state(shop: &Shop, id: &str, state: &str) -> Value {
    wait_for_upload(shop, id, |job| job["state"] == state)
}

/// The request is answered with success from now on, and the licence is shown as uploaded.
fn expect_uploaded(shop: &Shop, id: &str, request: &Value) {
    wait_for_state(shop, id, "done");
    shop.license_post_thrice(request);
    let license = shop.scratch.run_json(&["license", "show", "1", "--json"]).remove(0);
    assert_eq!(license["state"], "uploaded", "{license}");
    assert!(license["uploadedAt"].is_string() && shop.history(id).contains(&"uploaded".to_owned()), "{license}");
}

#[test]
fn a_licence_is_uploaded_once_and_then_the_request_is_000000() {
    let application = Application::start(|event| {
        let file = json!({ "fileName": "许可\"证.lic", "content": data_encoding::BASE64.encode(b"\x00\xFF\r\n--") });
        let is_file = event["change"]["deviceFingerprint"] == "FILE";
        (200, if is_file { json!({ "status": "ready", "license": file }).to_string() } else { licensed_answer(event) })
    });
    let mock = KooGallery::start();
    mock.put_event("E 1/云", "CBC.0000");
    mock.put_event("E2", "CBC.0000");
    let product = product(&application, "");
    let shop = licensed_shop(application, &calling(&mock), &product);
    let id = buy(&shop, "CS1");
    let (one, other) = (request(&id, "E 1/云", "TEXT"), request(&id, "E2", "FILE"));
    for request in [&one, &other] {
        let first = shop.koogate.call_with(LICENSE_KEY, request).code();
        assert!(["000000", "000004"].contains(&first.as_str()), "{first}");
        expect_uploaded(&shop, &id, request);
    }
    let uploads = mock.uploads();
    assert_eq!(uploads.len(), 2);
    let expected = json!({ "type": "CHARACTERS", "characters": shop.license_content(1) });
    assert_eq!((uploads[0].event_id.as_str(), &uploads[0].request), ("E 1/云", &expected));
    assert_eq!((uploads[1].event_id.as_str(), uploads[1].file.as_deref()), ("E2", Some(&b"\x00\xFF\r\n--"[..])));
    assert_eq!(uploads[1].request["file_name"], "许可\"证.lic");
    assert_eq!(shop.history(&id), ["created", "ready", "licensed", "uploaded", "licensed", "uploaded"]);
    assert_eq!((mock.refusals(), mock.count(Route::Upload)), (Vec::new(), 2));
    let shown = shop.scratch.run_ok(&["license", "show", "1"]);
    assert!(shown.contains("license   1 (license-online), uploaded") && !shown.contains("uploaded  –"), "{shown}");
}

#[test]
fn a_licence_that_koogallery_quotes_is_blanked() {
    let mock = KooGallery::start();
    let shop = open(&mock);
    let id = buy(&shop, "CS1");
    mock.decide(Route::Upload, |_, call| {
        let body = String::from_utf8_lossy(&call.request.body).into_owned();
        let start = body.find("\"characters\":\"").unwrap() + 14;
        let quoted = body[start..].split('"').next().unwrap();
        let why = format!("bad format: {quoted}");
        Behaviour::Instead(Reply::json(200, &json!({ "error_code": "91381037", "error_msg": why })))
    });
    shop.license_post("000004", &request(&id, "E1", "D1"));
    let job = wait_for_state(&shop, &id, "dead");
    let content = shop.license_content(1);
    let content = content.as_str();
    assert!(job["lastError"].as_str().unwrap().contains("bad format: ***"), "{job}");
    assert!(!job.to_string().contains(content) && !shop.koogate.log_text().contains(content), "{job}");
}

#[test]
fn what_koogallery_will_not_have_is_told_the_operator_and_tried_again_on_demand() {
    let mock = KooGallery::start();
    mock.put_event("E1", "91381037");
    let shop = open(&mock);
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    let job = wait_for_state(&shop, &id, "dead");
    let error = job["lastError"].as_str().unwrap();
    assert!(error.contains("91381037") && error.contains("seller centre"), "{error}");
    let log = shop.koogate.log_text();
    let alert = log.lines().find(|line| line.contains("ALERT") && line.contains("91381037"));
    assert!(alert.is_some_and(|line| line.contains(&format!("`koogate instance retry {id}`"))), "{log}");
    assert_eq!((shop.only_license()["state"].as_str(), mock.count(Route::Upload)), (Some("issued"), 1));
    assert!(shop.scratch.run_ok(&["license", "show", "1"]).contains("91381037"));

    // KooGallery's own repeat asks for the same licence again.
    shop.license_post("000004", &request(&id, "E1", "D1"));
    mock.wait_for(Route::Upload, 2);
    wait_for_state(&shop, &id, "dead");
    // What happens to the instance later does not overtake it.
    shop.license_post_thrice(&freeze(&id));
    shop.license_post_thrice(&unfreeze(&id));
    shop.told(&id, &["instance.create", "license.issue", "instance.freeze", "instance.unfreeze"]);
    mock.put_event("E1", "CBC.0000");
    assert!(shop.scratch.run_ok(&["instance", "retry", &id]).contains('1'));
    expect_uploaded(&shop, &id, &request(&id, "E1", "D1"));
    let contents: Vec<_> = mock.uploads().into_iter().map(|upload| upload.request["characters"].clone()).collect();
    assert_eq!(contents, [shop.license_content(1)]);
}

#[test]
fn what_may_pass_is_tried_until_it_has_passed() {
    let mock = KooGallery::start();
    mock.put_event("E1", "CBC.0000");
    mock.next(Route::Upload, 1, Behaviour::Instead(Reply::html(502)));
    mock.next(Route::Upload, 1, Behaviour::Instead(Reply::code(500, "CBC.0999")));
    mock.next(Route::Upload, 1, Behaviour::Instead(Reply::code(200, "91381036")));
    mock.next(Route::Upload, 1, Behaviour::Instead(Reply::redirect("https://127.0.0.1:1/")));
    mock.next(Route::Upload, 1, Behaviour::Close);
    mock.next(Route::Upload, 1, Behaviour::LoseReply);
    mock.next(Route::Upload, 1, Behaviour::CutBody);
    let shop = open(&mock);
    let id = buy(&shop, "CS1");
    let first = shop.koogate.call_with(LICENSE_KEY, &request(&id, "E1", "D1")).code();
    assert!(["000000", "000004"].contains(&first.as_str()), "{first}");
    expect_uploaded(&shop, &id, &request(&id, "E1", "D1"));
    assert_eq!((mock.count(Route::Upload), mock.uploads().len()), (8, 3));
    assert!(mock.uploads().iter().all(|upload| *upload == mock.uploads()[0]), "the same licence each time");
    assert!(!shop.koogate.log_text().contains("ALERT"), "{}", shop.koogate.log_text());
}

#[test]
fn without_open_api_it_waits_and_goes_on_when_that_is_configured() {
    for by_restart in [false, true] {
        let mock = KooGallery::start();
        mock.put_event("E1", "CBC.0000");
        let application = licensing_application();
        let product = product(&application, "");
        let shop = licensed_shop(application, PATIENT, &product);
        assert!(shop.koogate.log_text().contains("open_api"), "a warning: {}", shop.koogate.log_text());
        let id = buy(&shop, "CS1");
        shop.license_post("000004", &request(&id, "E1", "D1"));
        let waits = wait_for_upload(&shop, &id, |job| job["lastError"].is_string());
        assert!(waits["state"] == "waiting" && waits["lastError"].as_str().unwrap().contains("[open_api]"), "{waits}");
        configure(&shop.scratch, &calling(&mock), &product);
        let shop = if by_restart {
            shop.restarted(|koogate| drop(koogate.stop()))
        } else {
            shop.koogate.signal("HUP");
            shop
        };
        expect_uploaded(&shop, &id, &request(&id, "E1", "D1"));
        assert_eq!(mock.count(Route::Upload), 1);
    }
}

#[test]
fn a_death_between_upload_and_record_uploads_the_same_once_more() {
    // Attempts: the creation, the licence, its upload.
    for (fault, uploads) in [("attempted:3", 2), ("recorded:3", 1)] {
        let mock = KooGallery::start();
        mock.put_event("E1", "CBC.0000");
        let application = licensing_application();
        let product = product(&application, "");
        let scratch = Scratch::new("");
        configure(&scratch, &calling(&mock), &product);
        let mut koogate = scratch.serve_with(&[("KOOGATE_FAULT", fault)]);
        let bought = koogate.call_with(LICENSE_KEY, &crate::harness::new_instance("CS1"));
        let id = crate::shop::instance_id(&bought);
        let asked = koogate.try_call(LICENSE_KEY, &request(&id, "E1", "D1"));
        assert!(asked.is_err(), "{fault}");
        assert_eq!(koogate.wait(), None, "{fault}: {}", koogate.log_text());
        drop(koogate);
        let shop = Shop { koogate: scratch.serve(), application, scratch };
        expect_uploaded(&shop, &id, &request(&id, "E1", "D1"));
        assert_eq!(mock.uploads().len(), uploads, "{fault}");
        assert!(mock.uploads().iter().all(|upload| *upload == mock.uploads()[0]), "{fault}");
        assert_eq!(shop.count("license"), 1);
    }
}

#[test]
fn a_release_ends_what_is_still_to_be_uploaded() {
    let mock = KooGallery::start();
    mock.put_event("E1", "CBC.0000");
    let gate = crate::harness::Gate::default();
    mock.next(Route::Upload, 1, Behaviour::Instead(Reply::html(503)));
    mock.always(Route::Upload, Behaviour::Hang(gate.clone()));
    let shop = open(&mock);
    let id = buy(&shop, "CS1");
    std::thread::scope(|scope| {
        // It waits for the upload, and is answered by the release.
        let asking = scope.spawn(|| shop.koogate.call_with(LICENSE_KEY, &request(&id, "E1", "D1")).code());
        mock.wait_for(Route::Upload, 2);
        shop.license_post_thrice(&release(&id));
        assert_ne!(asking.join().unwrap(), "000000");
        gate.open();
    });
    // What was on its way reached KooGallery; that is recorded, and changes nothing.
    wait_for_state(&shop, &id, "done");
    assert_eq!((shop.status(&id).as_str(), shop.only_license()["state"].as_str()), ("released", Some("uploaded")));
    shop.license_post("000003", &request(&id, "E1", "D1"));
    shop.license_post("000000", &release(&id));
}

#[test]
fn a_gateway_that_wants_the_bodys_hash_signed_gets_it_after_one_refusal() {
    let mock = KooGallery::start();
    mock.expect_payload(Payload::BodyHash);
    ["E1", "E2", "E3"].into_iter().for_each(|event| mock.put_event(event, "CBC.0000"));
    let shop = open(&mock);
    let id = buy(&shop, "CS1");
    for event in ["E1", "E2", "E3"] {
        shop.koogate.call_with(LICENSE_KEY, &request(&id, event, "D1"));
    }
    eventually(|| (mock.uploads().len() == 3).then_some(()), || shop.koogate.log_text());
    assert_eq!((mock.refusals().len(), mock.count(Route::Upload)), (1, 4));
    let log = shop.koogate.log_text();
    assert!(log.contains("multipart_payload = \"hash\"") && !log.contains("ALERT"), "{log}");
}

#[test]
fn a_wrong_key_never_locks_it_and_a_right_one_uploads_at_once() {
    let mock = KooGallery::start();
    mock.put_event("E1", "CBC.0000");
    let application = licensing_application();
    let product = product(&application, "");
    let wrong = calling(&mock).replace("not-a-real-secret", "wrong");
    let shop = licensed_shop(application, &wrong, &product);
    let id = buy(&shop, "CS1");
    for event in ["E1", "E2", "E3", "E4", "E5", "E6", "E7"] {
        shop.license_post("000004", &request(&id, event, "D1"));
    }
    let is_postponed = |job: &Value| job["lastError"].as_str().is_some_and(|error| error.contains("before"));
    wait_for_upload(&shop, &id, is_postponed);
    let shop = shop.restarted(Koogate::kill);
    wait_for_upload(&shop, &id, is_postponed);
    // Once unsigned and once with the hash; then nothing for five minutes, a restart included.
    assert_eq!((mock.count(Route::Upload), mock.refusals().len(), mock.locked()), (2, 2, false));
    // Its upload may have found no place at first, because another was finding the payload out.
    let said = || shop.scratch.run_ok(&["license", "show", "1"]);
    let is_told = |said: String| (said.contains("license.upload") && said.contains("access key")).then_some(());
    eventually(|| is_told(said()), said);

    configure(&shop.scratch, &calling(&mock), &product);
    shop.koogate.signal("HUP");
    let first = |upload: &Vec<crate::koogallery::Upload>| upload.iter().any(|upload| upload.event_id == "E1");
    eventually(|| Some(mock.uploads()).filter(first), || shop.koogate.log_text());
    eventually(
        || {
            let shown = shop.scratch.run(&["license", "show", "1", "--json"]);
            text(&shown.stdout).contains("\"uploaded\"").then_some(())
        },
        || shop.koogate.log_text(),
    );
    shop.license_post_thrice(&request(&id, "E1", "D1"));
}

#[test]
fn throttled_uploads_wait_for_the_pause_and_none_is_lost() {
    let mock = KooGallery::start();
    ["E1", "E2", "E3"].into_iter().for_each(|event| mock.put_event(event, "CBC.0000"));
    mock.next(Route::Upload, 2, Behaviour::Instead(Reply::throttled()));
    let shop = open(&mock);
    let id = buy(&shop, "CS1");
    for event in ["E1", "E2", "E3"] {
        shop.koogate.call_with(LICENSE_KEY, &request(&id, event, "D1"));
    }
    eventually(|| (mock.uploads().len() == 3).then_some(()), || shop.koogate.log_text());
    let calls = mock.calls_of(Route::Upload);
    let pause = calls[1].received.duration_since(calls[0].received);
    assert!(pause >= Duration::from_millis(700), "{pause:?}");
    // A test of an instance never uploads.
    let test = instance_call(
        "getLicenseAsync",
        "none",
        json!({ "testFlag": "1", "eventId": "E9",
        "effectiveTime": "2026-10-27 10:30:15 z" }),
    );
    shop.license_post("000000", &test);
    assert_eq!(mock.count(Route::Upload), calls.len());
}
