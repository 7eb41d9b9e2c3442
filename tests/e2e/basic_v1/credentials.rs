//! User name and password in V1 answers: encrypted once, verbatim ever after, and never too long for KooGallery.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Answer, Application, KEY, Koogate, eventually, ready_answer, text};
use crate::shop::{IMPATIENT, PATIENT, Shop, instance_id, look_up};
use crate::token_get::{call, call_with, decrypted, purchase, query};

/// The key a merchant changes to.
const NEW_KEY: &str = "99999999-8888-7777-6666-555555555555";

/// One byte more than there is room for.
const LONG: &str = "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP";

/// Says too much of a password, but not the password.
const COMPLAINT: &str = "\"password\" has 80 bytes; the V1 interface has room for 79 before encryption";

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n";

/// The user name and the password that an answer to newInstance holds.
fn credentials(key: &str, answer: &Answer) -> (String, String) {
    let answer = answer.json();
    let size = answer["encryptType"].as_str().unwrap();
    let plain = |member: &str| decrypted(key, size, answer["appInfo"][member].as_str().unwrap());
    (plain("userName"), plain("password"))
}

fn pair(user_name: &str, password: &str) -> (String, String) {
    (user_name.to_owned(), password.to_owned())
}

#[test]
fn an_answer_is_verbatim_across_retries_restarts_and_kill_9_vectors_included() {
    let shop = Shop::open("");
    let first = shop.get_thrice(&purchase("CS1"));
    assert_eq!(credentials(KEY, &first), pair("admin", "p-1"));
    assert_eq!(first.json()["encryptType"], "1", "the documented default, said all the same");
    let id = instance_id(&first);
    assert_eq!(first.json()["appInfo"]["frontEndUrl"], format!("https://app.example.com/{id}"));
    let shop = shop.restarted(|koogate| drop(koogate.stop()));
    assert_eq!(shop.get_thrice(&purchase("CS1")).verbatim(), first.verbatim());
    let shop = shop.restarted(Koogate::kill);
    assert_eq!(shop.get_thrice(&purchase("CS1")).verbatim(), first.verbatim());
    // A query is answered afresh, with vectors of its own for each field.
    let vectors = || {
        let info = shop.get("000000", &query(&id)).json()["info"][0]["appInfo"].clone();
        ["userName", "password"].map(|member| info[member].as_str().unwrap()[..16].to_owned())
    };
    let all = [vectors(), vectors()].concat();
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{all:?}");
}

#[test]
fn a_new_access_key_gets_an_answer_encrypted_once_for_it_and_verbatim_from_then_on() {
    let shop = Shop::open("");
    let product = shop.application.product("");
    let old = shop.get("000000", &purchase("CS1"));
    shop.reload(&[NEW_KEY, KEY], "", &product);
    let new = call_with(&shop.koogate, NEW_KEY, &purchase("CS1"));
    assert_eq!(credentials(NEW_KEY, &new), pair("admin", "p-1"));
    assert_eq!(instance_id(&new), instance_id(&old));
    let check = |koogate: &Koogate| {
        for _ in 0..2 {
            assert_eq!(call_with(koogate, NEW_KEY, &purchase("CS1")).verbatim(), new.verbatim());
            assert_eq!(call_with(koogate, KEY, &purchase("CS1")).verbatim(), old.verbatim());
        }
    };
    check(&shop.koogate);
    let shop = shop.restarted(Koogate::kill);
    check(&shop.koogate);
    assert_eq!((shop.count("answer"), shop.application.events().len()), (2, 1));
}

/// Every source of access data is held to KooGallery's limits; so only the file itself can be made to hold too much.
#[test]
fn an_answer_that_koogallery_would_reject_never_leaves_and_is_not_kept() {
    let shop = Shop::open("");
    let product = shop.application.product("");
    let old = shop.get("000000", &purchase("CS1"));
    let id = instance_id(&old);
    let set_memo = |memo: Option<String>| {
        let database = rusqlite::Connection::open(shop.scratch.path("koogate.db")).unwrap();
        assert_eq!(database.execute("UPDATE instance SET memo = ?1", [memo]).unwrap(), 1);
    };
    set_memo(Some("m".repeat(5000)));
    shop.reload(&[NEW_KEY, KEY], "", &product);
    // What has been answered stays. What must be put together anew cannot be told.
    assert_eq!(shop.get("000000", &purchase("CS1")).verbatim(), old.verbatim());
    let refused = call_with(&shop.koogate, NEW_KEY, &purchase("CS1"));
    assert_eq!((refused.code().as_str(), refused.json()["appInfo"].is_null()), ("000005", true));
    shop.get("000005", &query(&id));
    shop.koogate.wait_for_log("\"memo\" has 5000 characters; KooGallery takes at most 1024");
    set_memo(None);
    let new = call_with(&shop.koogate, NEW_KEY, &purchase("CS1"));
    assert_eq!((new.code().as_str(), instance_id(&new)), ("000000", id));
}

#[test]
fn the_key_size_is_the_products_own_choice() {
    let application = Application::ready();
    let small = application.product("product_id = \"SMALL\"\nencrypt_type = \"2\"");
    let products = format!("{small}{}", application.product(""));
    let shop = Shop::with_products(application, "", &products);
    for (product, size) in [("SMALL", "2"), ("LARGE", "1")] {
        let answer = shop.get_thrice(&purchase(product).with("productId", product));
        assert_eq!(answer.json()["encryptType"], size);
        assert_eq!(credentials(KEY, &answer), pair("admin", "p-1"));
        let info = shop.get("000000", &query(&instance_id(&answer))).json();
        assert_eq!(info["encryptType"], size);
        let password = info["info"][0]["appInfo"]["password"].as_str().unwrap();
        assert_eq!(decrypted(KEY, size, password), "p-1");
    }
}

#[test]
fn a_query_answers_for_up_to_a_hundred_ids_those_that_are_there() {
    let shop = Shop::open("");
    let one = instance_id(&shop.get("000000", &purchase("CS1")));
    let two = instance_id(&shop.get("000000", &purchase("CS2")));
    let answer = shop.get("000000", &query(&format!("{one},unknown,{two}"))).json();
    let ids: Vec<_> = answer["info"].as_array().unwrap().iter().map(|info| &info["instanceId"]).collect();
    assert_eq!(ids, [&json!(one), &json!(two)]);
    let many = |count: usize| query(&(0..count).map(|n| format!("u{n}")).collect::<Vec<_>>().join(","));
    shop.get("000003", &many(100));
    shop.get("000002", &many(101));
}

/// An application that gives this password until it is told another.
fn application_with(password: &str) -> (Application, Arc<Mutex<String>>) {
    let password = Arc::new(Mutex::new(password.to_owned()));
    let given = Arc::clone(&password);
    let application =
        Application::start(move |event| (200, ready_answer(event).replace("p-1", &given.lock().unwrap())));
    (application, password)
}

/// What people are shown of an instance, and the log.
fn shown(shop: &Shop, id: &str) -> String {
    let text = shop.scratch.run_ok(&["instance", "show", id]);
    format!("{text}\n{}\n{}", shop.instance(id), shop.koogate.log_text())
}

#[test]
fn a_password_without_room_is_a_failed_attempt_that_names_the_limit_until_the_application_mends_it() {
    let (application, password) = application_with(LONG);
    let shop = Shop::with(application, IMPATIENT, "");
    shop.get("000005", &purchase("CS1"));
    let id: String = look_up(&shop.scratch, "SELECT instance_id FROM instance");
    let failed = |instance: &Value| instance["jobs"][0]["lastError"].as_str().is_some_and(|e| e.contains(COMPLAINT));
    shop.scratch.wait_for_instance(&id, failed);
    let shown = shown(&shop, &id);
    assert!(shown.matches(COMPLAINT).count() >= 3, "show, show --json and log: {shown}");
    assert!(!shown.contains(&LONG[..20]), "{shown}");
    assert_eq!(shop.status(&id), "creating");

    // 79 bytes have room; they need not be 79 characters.
    let fits = format!("{}é", &LONG[..77]);
    fits.clone_into(&mut password.lock().unwrap());
    eventually(|| (shop.status(&id) == "active").then_some(()), || shop.koogate.log_text());
    let done = shop.get_thrice(&purchase("CS1"));
    assert_eq!((instance_id(&done), credentials(KEY, &done)), (id, pair("admin", &fits)));
}

#[test]
fn a_password_without_room_is_refused_by_the_api_and_by_the_command_and_nothing_is_changed() {
    let product = "[[product]]\nfulfilment = \"manual\"\n";
    let shop = Shop::with_products(Application::ready(), &format!("{IMPATIENT}{ADMIN}"), product);
    shop.get("000005", &purchase("CS1"));
    let id: String = look_up(&shop.scratch, "SELECT instance_id FROM instance");

    let access = json!({ "frontEndUrl": "https://app.example.com/", "userName": "u", "password": LONG });
    let body = json!({ "status": "ready", "access": access }).to_string();
    let target = format!("/api/v1/instances/{id}/ready");
    let answer = shop.koogate.admin("POST", &target, Some("0123456789abcdef"), &body);
    assert_eq!(answer.status, 400);
    let said = text(&answer.body);
    assert!(answer.json()["error"].as_str().unwrap().contains(COMPLAINT) && !said.contains(LONG), "{said}");

    let ready = |password: &str| {
        std::fs::write(shop.scratch.path("password"), format!("{password}\n")).unwrap();
        let url = "https://app.example.com/";
        let options = ["--front-end-url", url, "--user-name", "u", "--password-file", "password"];
        shop.scratch.run(&[&["instance", "ready", &id][..], &options].concat())
    };
    let refused = ready(LONG);
    let said = text(&[refused.stdout, refused.stderr].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains(COMPLAINT) && !said.contains(LONG), "{said}");
    assert_eq!(shop.status(&id), "creating");

    assert_eq!(ready(&LONG[..79]).status.code(), Some(0));
    assert_eq!(credentials(KEY, &shop.get_thrice(&purchase("CS1"))), pair("u", &LONG[..79]));
    assert_eq!(shop.history(&id), ["created", "ready"]);
}

#[test]
fn an_entry_of_the_stock_without_room_fails_loudly_and_the_operator_mends_it() {
    let product = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\n";
    let shop = Shop::with_products(Application::ready(), "", product);
    let file = format!(
        "user_name,password,front_end_url\nu1,{LONG},https://app.example.com/1\nu2,p2,https://app.example.com/2\n"
    );
    std::fs::write(shop.scratch.path("accounts.csv"), file).unwrap();
    shop.scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);

    for _ in 0..2 {
        shop.get("000005", &purchase("CS1"));
    }
    let id: String = look_up(&shop.scratch, "SELECT instance_id FROM instance");
    let log = shop.koogate.log_text();
    assert!(log.contains(COMPLAINT) && log.contains("ALERT") && !log.contains(&LONG[..20]), "{log}");
    // The next buyer gets the next account.
    assert_eq!(credentials(KEY, &shop.get_thrice(&purchase("CS2"))), pair("u2", "p2"));
    assert_eq!(shop.count("stock_entry WHERE taken_at IS NOT NULL"), 2);
    shop.scratch.run_ok(&[
        "instance",
        "ready",
        &id,
        "--front-end-url",
        "https://app.example.com/1",
        "--user-name",
        "u1",
    ]);
    let done = shop.get_thrice(&purchase("CS1"));
    assert_eq!(instance_id(&done), id);
    assert_eq!(done.json()["appInfo"]["password"], Value::Null);
}

#[test]
fn fixed_access_without_room_fails_loudly_until_the_configuration_is_mended() {
    let product = |name: &str| {
        let access = format!("{{ front_end_url = \"https://app.example.com/\", user_name = \"{name}\" }}");
        format!("[[product]]\nfulfilment = \"fixed\"\naccess = {access}\ngenerate_password = true\n")
    };
    let shop = Shop::with_products(Application::ready(), PATIENT, &product(LONG));
    shop.get("000005", &purchase("CS1"));
    let log = shop.koogate.log_text();
    let complaint = COMPLAINT.replace("password", "userName");
    assert!(log.contains(&complaint) && !log.contains(&LONG[..20]), "{log}");
    let id: String = look_up(&shop.scratch, "SELECT instance_id FROM instance");
    shop.reload(&[KEY], PATIENT, &product("{orderId}"));
    let done = shop.get_thrice(&purchase("CS1"));
    let (user_name, password) = credentials(KEY, &done);
    assert_eq!((instance_id(&done), user_name.as_str(), password.len()), (id, "CS1", 16));
    assert_eq!(credentials(KEY, &call(&shop.koogate, &purchase("CS1"))).1, password);
}

/// What the application leaves out is the product's own, and that must have room as well.
#[test]
fn the_products_own_access_without_room_finishes_no_purchase_until_it_is_mended() {
    let is_pending = Arc::new(Mutex::new(false));
    let pending = Arc::clone(&is_pending);
    let application = Application::start(move |_| {
        let status = if *pending.lock().unwrap() { "pending" } else { "ready" };
        (200, format!("{{\"status\":\"{status}\"}}"))
    });
    let access = |name: &str| format!("access = {{ front_end_url = \"https://a/\", user_name = \"{name}\" }}");
    let sections = format!("{IMPATIENT}{ADMIN}");
    let shop = Shop::with(application, &sections, &access(LONG));
    let complaint = COMPLAINT.replace("password", "userName");

    shop.get("000005", &purchase("CS1"));
    let id: String = look_up(&shop.scratch, "SELECT instance_id FROM instance");
    let failed = |instance: &Value| instance["jobs"][0]["lastError"].as_str().is_some_and(|e| e.contains(&complaint));
    shop.scratch.wait_for_instance(&id, failed);
    *is_pending.lock().unwrap() = true;
    let report = || shop.koogate.admin("POST", &format!("/api/v1/instances/{id}/ready"), Some("0123456789abcdef"), "");
    let answer = report();
    assert!(answer.status == 400 && text(&answer.body).contains("79 before encryption"), "{answer:?}");
    assert_eq!(shop.scratch.run(&["instance", "ready", &id]).status.code(), Some(1));
    assert_eq!(shop.status(&id), "creating");

    shop.reload(&[KEY], &sections, &shop.application.product(&access("{orderId}")));
    assert_eq!(report().status, 200);
    let done = shop.get_thrice(&purchase("CS1")).json();
    assert_eq!(decrypted(KEY, "1", done["appInfo"]["userName"].as_str().unwrap()), "CS1");
}
