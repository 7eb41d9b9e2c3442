//! L1: the licence is made by the application, taken from a stock or given by hand, and handed out in the reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{LICENSE_KEY, asked, crowd, licensed_answer, licensed_shop, licensing_application};
use crate::harness::{Application, Koogate, nonce};
use crate::shop::{FUTURE, FUTURE_SHOWN, IMPATIENT, LATER, LATER_SHOWN, PATIENT, Shop, instance_id, look_up};
use crate::token_get::{Get, call, call_with, purchase};

const STOCK: &str = "[[product]]\nkind = \"license\"\nfulfilment = \"stock\"\nstock = \"codes\"\n";
const MANUAL: &str = "[[product]]\nkind = \"license\"\nfulfilment = \"manual\"\n";

fn open() -> Shop {
    let application = licensing_application();
    let product = application.product("kind = \"license\"");
    licensed_shop(application, PATIENT, &product)
}

/// getLicense.
fn get_license(order: &str) -> Get {
    Get::new(
        "getLicense",
        &[
            ("businessId", &format!("b-{}", nonce())),
            ("customerId", "c-1"),
            ("customerName", "测试"),
            ("orderId", order),
            ("productId", "P1"),
            ("skuCode", "sku-1"),
            ("expireTime", FUTURE),
            ("periodType", "year"),
            ("amount", "7"),
        ],
    )
}

fn refresh(instance: &str, order: &str, expire_time: &str) -> Get {
    Get::new("refreshLicense", &[("instanceId", instance), ("orderId", order), ("expireTime", expire_time)])
}

fn expire(instance: &str) -> Get {
    Get::new("expireLicense", &[("instanceId", instance), ("orderId", "CS1")])
}

fn release(instance: &str) -> Get {
    Get::new("releaseLicense", &[("instanceId", instance), ("orderId", "CS1")])
}

#[test]
fn a_life_with_a_retry_at_every_step() {
    let shop = open();
    let bought = shop.license_get_thrice(&get_license("CS1"));
    let id = instance_id(&bought);
    assert_eq!(bought.json().as_object().unwrap().len(), 4, "code, message, instance, licence: {}", bought.json());
    shop.license_get_thrice(&refresh(&id, "CS2", LATER));
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
    shop.license_get_thrice(&expire(&id));
    assert_eq!(shop.status(&id), "frozen");
    // A renewal unfreezes, and the next expiry carries the same order.
    shop.license_get_thrice(&refresh(&id, "CS3", FUTURE));
    assert_eq!(shop.status(&id), "active");
    shop.license_get_thrice(&expire(&id));
    assert_eq!(shop.status(&id), "frozen");
    let mut events = vec!["license.issue", "instance.renew", "instance.freeze", "instance.renew", "instance.freeze"];
    // A release would cancel what is still on its way.
    shop.told(&id, &events);
    let released = shop.license_get_thrice(&release(&id));

    assert_eq!(shop.license_get_thrice(&get_license("CS1")).verbatim(), bought.verbatim());
    shop.license_get_thrice(&refresh(&id, "CS2", LATER));
    for new in [refresh(&id, "CS2", FUTURE), refresh(&id, "CS9", LATER), expire(&id)] {
        shop.license_get("000003", &new);
    }
    assert_eq!(shop.license_get("000000", &release(&id)).verbatim(), released.verbatim());
    events.push("instance.release");
    shop.told_only(&id, &events);
    for unknown in [refresh("unknown", "CS2", FUTURE), expire("unknown"), release("unknown")] {
        shop.license_get("000003", &unknown);
    }
}

#[test]
fn the_application_is_told_the_order_and_its_licence_is_verbatim_after_restart_and_kill_9() {
    let shop = open();
    let parameters = data_encoding::BASE64.encode(br#"[{"name":"identificationCode","value":"HW-1"}]"#);
    let bought = shop.license_get_thrice(&get_license("CS1").with("saasExtendParams", &parameters));
    let event = shop.application.events().remove(0);
    let id = instance_id(&bought);
    assert_eq!(
        (&event["event"], &event["kind"], &event["instanceId"]),
        (&json!("license.issue"), &json!("license"), &json!(id))
    );
    assert_eq!((&event["order"]["orderId"], &event["order"]["quantity"]), (&json!("CS1"), &json!(7)));
    assert_eq!(event["buyer"]["customerName"], "测试");
    assert_eq!(event["parameters"], json!({ "identificationCode": "HW-1" }));
    assert_eq!((&event["change"]["expireTime"], &event["product"]["skuCode"]), (&json!(FUTURE_SHOWN), &json!("sku-1")));
    assert_eq!(bought.json()["license"], format!("L-{}-1", event["operationId"].as_str().unwrap()));
    let shop = shop.restarted(|koogate| drop(koogate.stop()));
    assert_eq!(shop.license_get_thrice(&get_license("CS1")).verbatim(), bought.verbatim());
    let shop = shop.restarted(Koogate::kill);
    assert_eq!(shop.license_get_thrice(&get_license("CS1")).verbatim(), bought.verbatim());
    assert_eq!(asked(&shop.application, "license.issue"), (1, 1));
    // A retry by another key that is allowed gets the same licence.
    let by_basic = call(&shop.koogate, &get_license("CS1"));
    assert_eq!(by_basic.json(), bought.json());
}

#[test]
fn the_licence_key_comes_first_the_basic_key_is_taken_too_and_v1_stays_with_the_basic_key() {
    let application = licensing_application();
    let products = format!("{}{}", application.product("kind = \"license\""), application.product(""));
    let shop = licensed_shop(application, PATIENT, &products);
    assert_eq!(call(&shop.koogate, &get_license("CS1")).code(), "000000");
    // What nobody's key verifies is signed with the first key of the family.
    let refused = shop.koogate.get(&get_license("CS2").target("wrong"));
    crate::token_get::assert_signed(LICENSE_KEY, &refused);
    assert_eq!(refused.code(), "000001");
    assert_eq!(shop.koogate.get(&purchase("CS3").target(LICENSE_KEY)).code(), "000001");
    // One order id in two families is two purchases, and an id of one is unknown in the other.
    let saas = instance_id(&shop.get("000000", &purchase("CS1")));
    shop.license_get("000003", &release(&saas));
    assert_eq!(shop.count("instance"), 2);
}

#[test]
fn an_application_that_refuses_or_gives_no_text_is_asked_again_under_the_same_operation_id() {
    let asked_before = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_before);
    let application = Application::start(move |event| match count.fetch_add(1, Ordering::SeqCst) {
        0 => (200, json!({ "status": "refused", "resultCode": "000100", "message": "none left" }).to_string()),
        1 => (200, json!({ "status": "ready" }).to_string()),
        2 => (200, json!({ "status": "ready", "license": { "fileName": "a", "content": "AAAA" } }).to_string()),
        _ => (200, licensed_answer(event)),
    });
    let product = application.product("kind = \"license\"");
    let shop = licensed_shop(application, PATIENT, &product);
    let refused = shop.license_get("000100", &get_license("CS1")).json();
    assert_eq!((&refused["resultMsg"], &refused["license"]), (&json!("none left"), &Value::Null));
    assert_eq!(shop.only_license()["state"], "refused");
    // Attempts without a licence fail and are made again while the call waits.
    let done = shop.license_get_thrice(&get_license("CS1"));
    assert!(done.json()["license"].as_str().unwrap().starts_with("L-"), "{}", done.json());
    assert_eq!(asked(&shop.application, "license.issue"), (4, 1));
    let log = shop.koogate.log_text();
    assert!(log.contains("has no \"license\"") && log.contains("must be a text, not a file"), "{log}");
}

#[test]
fn a_stock_of_codes_gives_each_order_the_next_one_and_an_empty_one_is_000100() {
    let shop = licensed_shop(Application::ready(), "", STOCK);
    for _ in 0..2 {
        shop.license_get("000100", &get_license("CS1"));
    }
    std::fs::write(shop.scratch.path("codes.csv"), "license\nCODE-1\n\"CODE,2\"\n").unwrap();
    shop.scratch.run_ok(&["stock", "import", "codes", "codes.csv"]);
    let one = shop.license_get_thrice(&get_license("CS1"));
    let two = crowd(|| call_with(&shop.koogate, LICENSE_KEY, &get_license("CS2")));
    assert_eq!((&one.json()["license"], &two.json()["license"]), (&json!("CODE-1"), &json!("CODE,2")));
    shop.license_get("000100", &get_license("CS3"));
    // A released order keeps its code: nobody else gets it.
    shop.license_get("000000", &release(&instance_id(&one)));
    shop.license_get("000100", &get_license("CS3"));
    assert_eq!(shop.license_get("000000", &get_license("CS1")).verbatim(), one.verbatim());
    let accounts = "user_name,password,front_end_url\nu,p,https://a/\n";
    std::fs::write(shop.scratch.path("accounts.csv"), accounts).unwrap();
    assert_eq!(shop.scratch.run(&["stock", "import", "codes", "accounts.csv"]).status.code(), Some(1));
}

#[test]
fn a_licence_given_by_hand_finishes_the_purchase_once() {
    let shop = licensed_shop(Application::ready(), IMPATIENT, MANUAL);
    for _ in 0..2 {
        let answer = shop.license_get("000005", &get_license("CS1")).json();
        assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    }
    let listed = shop.only_license();
    assert_eq!(
        (&listed["state"], &listed["status"], &listed["kind"]),
        (&json!("requested"), &json!("creating"), &json!("license"))
    );
    let number = listed["license"].as_i64().unwrap().to_string();
    assert!(
        shop.koogate.log_text().contains(&format!("koogate license issue {number}")),
        "{}",
        shop.koogate.log_text()
    );
    let id = listed["instanceId"].as_str().unwrap();

    let issue = |option: &str, file: &str| shop.scratch.run(&["license", "issue", &number, option, file]).status.code();
    std::fs::write(shop.scratch.path("one.txt"), "BY-HAND-1\r\n").unwrap();
    std::fs::write(shop.scratch.path("two.txt"), "BY-HAND-2").unwrap();
    assert_eq!(issue("--file", "one.txt"), Some(1), "the reply has no place for a file");
    assert_eq!(shop.scratch.run(&["instance", "ready", id]).status.code(), Some(1), "ready without a licence");
    assert_eq!(shop.status(id), "creating");
    assert_eq!(issue("--text", "one.txt"), Some(0));
    assert_eq!(issue("--text", "two.txt"), Some(1), "nothing is overwritten");
    let done = shop.license_get_thrice(&get_license("CS1"));
    assert_eq!((done.json()["license"].as_str(), instance_id(&done).as_str()), (Some("BY-HAND-1"), id));
    assert_eq!(shop.history(id), ["created", "ready"]);
}

#[test]
fn a_pending_application_reports_the_licence_over_the_api() {
    let application = Application::start(|_| (200, "{\"status\":\"pending\"}".to_owned()));
    let product = application.product("kind = \"license\"");
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n";
    let scratch = crate::harness::Scratch::new("");
    super::configure(&scratch, &format!("{IMPATIENT}{admin}"), &product);
    let shop = Shop { koogate: scratch.serve(), application, scratch };
    shop.license_get("000005", &get_license("CS1"));
    let id: String = look_up(&shop.scratch, "SELECT instance_id FROM instance");
    let report = |body: &str| {
        shop.koogate.admin("POST", &format!("/api/v1/instances/{id}/ready"), Some("0123456789abcdef"), body).status
    };
    assert_eq!(report(""), 400, "a licence must be there");
    assert_eq!(report(r#"{"status":"ready","license":{"fileName":"a","content":"AAAA"}}"#), 400);
    assert_eq!(report(r#"{"status":"ready","license":"REPORTED"}"#), 200);
    assert_eq!(report(r#"{"status":"ready","license":"ANOTHER"}"#), 200, "ready already");
    assert_eq!(shop.license_get_thrice(&get_license("CS1")).json()["license"], "REPORTED");
}

#[test]
fn test_calls_get_an_example_and_have_no_effect() {
    let shop = open();
    let bought = shop.license_get("000000", &get_license("CS1"));
    let id = instance_id(&bought);
    let events = shop.application.events().len();
    let test = get_license("CS1").as_test();
    let answer = shop.license_get_thrice(&test);
    assert_eq!(answer.json()["instanceId"], test.value("businessId"));
    assert_ne!(answer.json()["license"], bought.json()["license"]);
    assert!(!answer.json()["license"].as_str().unwrap().is_empty());
    for instance in [id.as_str(), "made-up"] {
        for call in [refresh(instance, "CS2", LATER), expire(instance), release(instance)] {
            shop.license_get("000000", &call.as_test());
        }
    }
    assert_eq!((shop.status(&id).as_str(), &shop.instance(&id)["expireTime"]), ("active", &json!(FUTURE_SHOWN)));
    assert_eq!((shop.application.events().len(), shop.count("license")), (events, 1));
    for name in ["customerId", "businessId", "orderId", "productId"] {
        shop.license_get("000002", &get_license("CS9").without(name));
        shop.license_get("000002", &get_license("CS9").without(name).as_test());
    }
}

#[test]
fn parallel_duplicates_are_one_licence() {
    let shop = open();
    let answer = crowd(|| call_with(&shop.koogate, LICENSE_KEY, &get_license("CS1")));
    assert_eq!(answer.code(), "000000");
    assert_eq!(
        (asked(&shop.application, "license.issue"), shop.count("license"), shop.count("instance")),
        ((1, 1), 1, 1)
    );
}

#[test]
fn test_calls_that_are_forwarded_get_the_applications_licence_marked_as_a_test() {
    let application = licensing_application();
    let product = application.product("kind = \"license\"\ntest_calls = \"forward\"");
    let shop = licensed_shop(application, PATIENT, &product);
    let answer = shop.license_get_thrice(&get_license("CS1").as_test());
    assert!(answer.json()["license"].as_str().unwrap().starts_with("L-"), "{}", answer.json());
    let real = shop.license_get_thrice(&get_license("CS1"));
    assert_ne!(real.json()["license"], answer.json()["license"]);
    let tests: Vec<_> = shop.application.events().iter().map(|event| event["test"].clone()).collect();
    assert_eq!(tests, [true, false]);
    assert_eq!(shop.scratch.run_json(&["license", "list", "--json", "--test"]).len(), 1);
    assert_eq!(shop.only_license()["license"], 2);
}
