//! `koogate license`: what it lists and shows, what it gives, and that nothing is overwritten.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use super::lo::{buy, request};
use super::{licensed_answer, licensed_shop, licensing_application};
use crate::harness::{Application, text};
use crate::shop::{FUTURE_SHOWN, Gate, IMPATIENT, PATIENT, Shop, as_test, instance_id};
use crate::token_get::Get;

/// One licence of each kind: L1 (1, issued), LO (2, issued; 3, requested by hand), and a code.
fn stocked() -> (Shop, String) {
    let application = licensing_application();
    let manual = "[[product]]\nkind = \"license-online\"\nproduct_id = \"HAND\"\nfulfilment = \"manual\"\n";
    let kinds =
        ["license", "license-online", "license-code"].map(|kind| application.product(&format!("kind = \"{kind}\"")));
    let shop = licensed_shop(application, PATIENT, &format!("{manual}{}", kinds.concat()));
    let parameters = [("customerId", "c"), ("businessId", "b-l1"), ("orderId", "CS1"), ("productId", "P")];
    shop.license_get("000000", &Get::new("getLicense", &parameters));
    let online = buy(&shop, "CS2");
    shop.license_post("000004", &request(&online, "E1", "D1"));
    let by_hand = instance_id(&shop.license_post("000000", &crate::shop::new_item("CS3", "HAND")));
    shop.license_post("000004", &request(&by_hand, "E2", "D2"));
    let code = json!({ "activity": "updateLicenseCodeStatus", "license": "PL1", "status": "FREEZE", "testFlag": "0" });
    shop.license_post("000000", &code);
    shop.license_get("000000", &Get::new("getLicense", &parameters).as_test());
    shop.license_post("000000", &as_test(crate::harness::new_instance("CS2")));
    (shop, by_hand)
}

fn numbers(shop: &Shop, filter: &[&str]) -> Vec<Value> {
    let listed = shop.scratch.run_json(&[&["license", "list", "--json"], filter].concat());
    listed.iter().map(|row| row["license"].clone()).collect()
}

#[test]
fn a_list_is_newest_first_bounded_and_narrowed_and_has_the_codes_too() {
    let (shop, by_hand) = stocked();
    assert_eq!(numbers(&shop, &[]), [Value::Null, json!(3), json!(2), json!(1)]);
    assert_eq!(numbers(&shop, &["--limit", "2"]), [Value::Null, json!(3)]);
    assert_eq!(numbers(&shop, &["--state", "issued"]), [2, 1]);
    assert_eq!(numbers(&shop, &["--state", "requested"]), [3]);
    assert_eq!(numbers(&shop, &["--state", "refused"]), Vec::<Value>::new());
    assert_eq!(numbers(&shop, &["--kind", "license"]), [1]);
    assert_eq!(numbers(&shop, &["--kind", "license-online", "--state", "issued"]), [2]);
    assert_eq!(numbers(&shop, &["--kind", "license-code"]), [Value::Null]);
    assert_eq!(numbers(&shop, &["--test"]).len(), 2);
    let row = &shop.scratch.run_json(&["license", "list", "--json", "--state", "requested"])[0];
    let expected = json!({
        "license": 3, "kind": "license-online", "instanceId": by_hand, "status": "active", "state": "requested",
        "eventId": "E2", "deviceFingerprint": "D2", "effectiveTime": "2026-10-27T10:30:15Z",
        "expireTime": FUTURE_SHOWN, "fileName": null, "issuedAt": null, "uploadedAt": null, "instanceExpireTime": null,
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&row[member], value, "{member}: {row}");
    }
    let table = shop.scratch.run_ok(&["license", "list"]);
    for part in ["PL1", "license-code", "frozen", "D2", "requested", "issued", &by_hand] {
        assert!(table.contains(part), "no {part:?} in\n{table}");
    }
}

#[test]
fn a_show_tells_all_but_the_licence_which_goes_into_a_new_file_of_its_own() {
    let (shop, _) = stocked();
    let content = shop.license_content(2);
    assert!(content.starts_with("L-"), "{content}");
    let people = shop.scratch.run_ok(&["license", "show", "2"]);
    let object = shop.scratch.run_json(&["license", "show", "2", "--json"]).remove(0);
    for part in ["issued", "E1", "D1", "a text", "license.upload", "license.issue"] {
        assert!(people.contains(part), "no {part:?} in\n{people}");
    }
    assert_eq!(
        (&object["state"], &object["eventId"], object["jobs"].as_array().map(Vec::len)),
        (&json!("issued"), &json!("E1"), Some(2))
    );
    assert!(!people.contains(&content) && !object.to_string().contains(&content));

    let out = shop.scratch.path("out.lic");
    shop.scratch.run_ok(&["license", "show", "2", "--out", "out.lic"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), content);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "for the owner alone: {mode:o}");
    std::fs::write(&out, "precious").unwrap();
    assert_eq!(shop.scratch.run(&["license", "show", "2", "--out", "out.lic"]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
    let not_yet = shop.scratch.run(&["license", "show", "3", "--out", "new.lic"]);
    assert_eq!((not_yet.status.code(), shop.scratch.path("new.lic").exists()), (Some(1), false));
    assert!(text(&not_yet.stderr).contains("requested, not made yet"), "{}", text(&not_yet.stderr));
}

#[test]
fn exit_codes_tell_failure_from_wrong_usage_and_a_failure_changes_nothing() {
    let (shop, by_hand) = stocked();
    std::fs::write(shop.scratch.path("text"), "GIVEN\n").unwrap();
    std::fs::write(shop.scratch.path("empty"), "\n").unwrap();
    std::fs::write(shop.scratch.path("binary"), b"\xFF\x00").unwrap();
    std::fs::write(shop.scratch.path("long"), "x".repeat((64 << 10) + 1)).unwrap();
    let cases: [(&[&str], i32, &str); 13] = [
        (&["show", "99"], 1, "no licence 99"),
        (&["show", "x"], 2, ""),
        (&["show", "2", "--json", "--out", "-"], 2, ""),
        (&["list", "--state", "lost"], 2, ""),
        (&["list", "--kind", "saaas"], 2, ""),
        (&["issue", "3"], 2, ""),
        (&["issue", "3", "--text", "text", "--file", "text"], 2, ""),
        (&["issue", "99", "--text", "text"], 1, "no licence 99"),
        (&["issue", "3", "--text", "missing"], 1, "missing"),
        (&["issue", "3", "--text", "empty"], 1, "empty"),
        (&["issue", "3", "--text", "binary"], 1, "--file"),
        (&["issue", "3", "--text", "long"], 1, "65536"),
        (&["issue", "2", "--text", "text"], 1, "issued before"),
    ];
    for (arguments, code, says) in cases {
        let ended = shop.scratch.run(&[&["license"], arguments].concat());
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(shop.history(&by_hand), ["created", "ready"]);
    shop.scratch.run_ok(&["license", "issue", "3", "--text", "text"]);
    assert_eq!(
        (shop.license_content(3).as_str(), shop.history(&by_hand)),
        ("GIVEN", ["created", "ready", "licensed"].map(str::to_owned).to_vec())
    );
    let note = &shop.instance(&by_hand)["history"][2]["note"];
    assert_eq!(note, "koogate license issue");
}

#[test]
fn of_several_operators_and_an_application_that_give_a_licence_at_once_one_has_given_it() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        if event["event"] == "license.issue" {
            slow.pass();
        }
        (200, licensed_answer(event))
    });
    let product = super::lo::product(&application, "");
    let shop = licensed_shop(application, IMPATIENT, &product);
    let id = buy(&shop, "CS1");
    shop.license_post("000004", &request(&id, "E1", "D1"));
    let given: Vec<_> = thread::scope(|scope| {
        let operators: Vec<_> = (0..4)
            .map(|number| {
                let file = format!("text-{number}");
                std::fs::write(shop.scratch.path(&file), &file).unwrap();
                let shop = &shop;
                scope.spawn(move || {
                    let ended = shop.scratch.run(&["license", "issue", "1", "--text", &file]);
                    (file, ended.status.code())
                })
            })
            .collect();
        operators.into_iter().map(|operator| operator.join().unwrap()).collect()
    });
    let (winners, losers): (Vec<_>, Vec<_>) = given.into_iter().partition(|(_, code)| *code == Some(0));
    assert!(winners.len() == 1 && losers.iter().all(|(_, code)| *code == Some(1)), "{winners:?} {losers:?}");
    gate.open();
    shop.koogate.wait_for_log("it does not count");
    assert_eq!(shop.license_content(1), winners[0].0);
    assert_eq!(shop.history(&id), ["created", "ready", "licensed"]);
    assert_eq!(shop.count("job WHERE task = 'license.upload'"), 1);
    // The application goes on to hear of the instance.
    shop.license_post("000000", &crate::shop::freeze(&id));
    shop.told(&id, &["instance.create", "license.issue", "instance.freeze"]);
}
