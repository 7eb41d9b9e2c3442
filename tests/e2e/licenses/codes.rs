//! L2: licensed software asks koogate, and koogate asks KooGallery, or answers from what it said last.

use std::thread;

use serde_json::{Value, json};

use super::{configure, licensed_shop};
use crate::harness::{Answer, Application, Gate, text};
use crate::koogallery::{Behaviour, KooGallery, License, Reply, Route};
use crate::shop::{PATIENT, Shop};

const TOKEN: &str = "admin-token-0123456789";
const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"admin-token-0123456789\"\n";
const SINCE: &str = "20260115083000";

/// A shop that sells codes and calls this KooGallery; `lines` go into [open_api].
fn open(mock: &KooGallery, lines: &str) -> Shop {
    let application = Application::ready();
    let product = application.product("kind = \"license-code\"");
    licensed_shop(application, &sections(mock, lines), &product)
}

fn sections(mock: &KooGallery, lines: &str) -> String {
    format!("{PATIENT}{ADMIN}{}{lines}", mock.toml())
}

fn alive() -> License {
    License::Alive(SINCE.to_owned())
}

impl Shop {
    fn ask(&self, what: &str, body: &Value) -> Answer {
        self.koogate.admin("POST", &format!("/api/v1/licenses/{what}"), Some(TOKEN), &body.to_string())
    }

    fn beat(&self, code: &str) -> Answer {
        self.ask("heartbeat", &json!({ "license": code }))
    }
}

#[track_caller]
fn expect(answer: &Answer, status: u16, code: Option<&str>) -> Value {
    let body = answer.json();
    assert_eq!((answer.status, body.get("code").and_then(Value::as_str)), (status, code), "{body}");
    body
}

#[test]
fn a_heartbeat_is_koogallerys_word_and_given_again_while_it_is_fresh() {
    let mock = KooGallery::start();
    mock.put_license("PL1", alive());
    let shop = open(&mock, "heartbeat_fresh = \"1h\"\n");
    let first = expect(&shop.beat("PL1"), 200, None);
    let expected = json!({
        "license": "PL1", "status": "ALIVE", "activateTime": "2026-01-15T08:30:00Z",
        "expireTime": "2030-07-26T12:16:46Z", "productName": "Mock product", "productId": "12345",
        "checkedAt": first["checkedAt"], "stale": false,
    });
    assert_eq!(first, expected);
    mock.put_license("PL1", License::Expired);
    assert_eq!(shop.beat("PL1").json(), first);
    assert_eq!(mock.count(Route::Heartbeat), 1);
    // Not for ever, and a restart forgets nothing.
    let shop = shop.restarted(|koogate| drop(koogate.stop()));
    assert_eq!(shop.beat("PL1").json(), first);
    configure(
        &shop.scratch,
        &sections(&mock, "heartbeat_fresh = \"0s\"\n"),
        "[[product]]\nkind = \"license-code\"\nfulfilment = \"manual\"\n",
    );
    let shop = shop.restarted(|koogate| drop(koogate.stop()));
    assert_eq!(shop.beat("PL1").json()["status"], "EXPIRED");
    let said = shop.scratch.run_ok(&["license", "heartbeat", "PL1"]);
    assert!(said.contains("PL1, EXPIRED") && said.contains("Mock product"), "{said}");
    let said = shop.scratch.run_json(&["license", "heartbeat", "PL1", "--json"]).remove(0);
    assert_eq!((&said["status"], &said["stale"]), (&json!("EXPIRED"), &json!(false)));
    assert_eq!((mock.count(Route::Heartbeat), mock.refusals()), (4, Vec::new()));
}

#[test]
fn while_koogallery_cannot_be_asked_the_last_answer_is_given_as_stale() {
    let mock = KooGallery::start();
    mock.put_license("PL1", alive());
    let shop = open(&mock, "heartbeat_fresh = \"0s\"\n");
    let first = expect(&shop.beat("PL1"), 200, None);
    // The longest behaviour would take KooGallery's whole time; each is another way of not being there.
    let ways = [
        Some(Behaviour::Instead(Reply::html(502))),
        Some(Behaviour::Instead(Reply::gateway(401, "APIGW.0303", "no"))),
        None,
    ];
    for way in ways {
        match way {
            Some(behaviour) => mock.always(Route::Heartbeat, behaviour),
            None => mock.go_down(),
        }
        let stale = expect(&shop.beat("PL1"), 200, None);
        assert_eq!((&stale["stale"], &stale["checkedAt"]), (&json!(true), &first["checkedAt"]));
        assert_eq!(stale["status"], "ALIVE");
        // Of a code that was never seen nothing can be said.
        let unknown = shop.beat("PL2");
        expect(&unknown, 503, None);
        assert!(unknown.header("Retry-After").unwrap().parse::<u64>().unwrap() > 0);
    }
}

#[test]
fn a_code_that_koogallery_refuses_is_refused_and_stays_so_while_it_is_away() {
    let mock = KooGallery::start();
    mock.put_license("PL1", alive());
    let shop = open(&mock, "heartbeat_fresh = \"0s\"\n");
    expect(&shop.beat("PL1"), 200, None);
    for (license, status, code) in [
        (License::NotReceived, 409, "92020004"),
        (License::Fresh, 409, "92020003"),
        (License::Unauthorised, 403, "92020001"),
        (License::Unknown, 404, "92020005"),
    ] {
        mock.put_license("PL1", license);
        expect(&shop.beat("PL1"), status, Some(code));
    }
    mock.go_down();
    expect(&shop.beat("PL1"), 404, Some("92020005"));
    mock.come_up();
    for bad in ["", &"x".repeat(65), "a\nb"] {
        expect(&shop.beat(bad), 400, None);
    }
    for body in ["", "{}", "[]", "{\"license\":7}", "{\"license\":\"PL1\",\"more\":1}"] {
        let answer = shop.koogate.admin("POST", "/api/v1/licenses/heartbeat", Some(TOKEN), body);
        expect(&answer, 400, None);
    }
}

#[test]
fn who_asks_at_the_same_time_shares_one_call() {
    let mock = KooGallery::start();
    mock.put_license("PL1", alive());
    let gate = Gate::default();
    mock.next(Route::Heartbeat, 1, Behaviour::Hang(gate.clone()));
    let shop = open(&mock, "");
    thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| shop.beat("PL1"))).collect();
        mock.wait_for(Route::Heartbeat, 1);
        gate.open();
        let answers: Vec<Value> = asking.into_iter().map(|asking| asking.join().unwrap().json()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer["status"] == "ALIVE"), "{answers:?}");
    });
    assert_eq!(mock.count(Route::Heartbeat), 1);
}

#[test]
fn an_activation_begins_the_record_and_one_that_was_made_before_is_no_failure() {
    let mock = KooGallery::start();
    ["PL1", "PL2", "PL3", "PL4"].into_iter().for_each(|code| mock.put_license(code, License::Fresh));
    mock.put_license("OLD", License::Expired);
    let shop = open(&mock, "");
    let one = json!({ "licenses": ["PL1"], "realEffectTime": "2026-01-15T16:30:00+08:00" });
    let activated = expect(&shop.ask("activate", &one), 200, None);
    let expected = json!({
        "license": "PL1", "alreadyActive": false, "status": "ALIVE", "expireTime": "2030-07-26T12:16:46Z",
        "productId": "12345", "orderId": "CS123", "amount": 2,
    });
    assert_eq!(activated, json!({ "licenses": [expected] }));
    assert_eq!(mock.license("PL1"), alive(), "since the time that was given");
    let shown = shop.instance("PL1");
    assert_eq!((&shown["kind"], &shown["status"]), (&json!("license-code"), &json!("active")));
    let facts = (&shown["orderId"], &shown["productId"], &shown["expireTime"]);
    assert_eq!(facts, (&json!("CS123"), &json!("12345"), &json!("2030-07-26T12:16:46Z")));
    assert_eq!(shown["history"][0]["note"], "activated by the software");

    let again = expect(&shop.ask("activate", &one), 200, None);
    assert_eq!(
        (&again["licenses"][0]["alreadyActive"], &again["licenses"][0]["status"]),
        (&json!(true), &json!("ALIVE"))
    );
    assert_eq!((mock.count(Route::ActivateV1), mock.count(Route::Heartbeat)), (2, 1));
    expect(&shop.ask("activate", &json!({ "licenses": ["OLD"] })), 409, Some("92020003"));

    // Several go in one call; where one of them is active already, one by one.
    let both = expect(&shop.ask("activate", &json!({ "licenses": ["PL2", "PL3"] })), 200, None);
    assert_eq!((both["licenses"].as_array().unwrap().len(), mock.count(Route::ActivateV2)), (2, 1));
    let mixed = expect(&shop.ask("activate", &json!({ "licenses": ["PL3", "PL4"] })), 200, None);
    let already = mixed["licenses"].as_array().unwrap().iter().map(|one| one["alreadyActive"].clone());
    assert_eq!(already.collect::<Vec<_>>(), [json!(true), json!(false)]);
    assert!(matches!(mock.license("PL4"), License::Alive(_)));
    for code in ["PL2", "PL3", "PL4"] {
        assert_eq!(shop.status(code), "active");
    }
    let refused = expect(&shop.ask("activate", &json!({ "licenses": ["PL4", "NONE"] })), 404, Some("92020005"));
    assert!(refused["error"].as_str().unwrap().contains("NONE"), "{refused}");
    // What is active at KooGallery is on record, whatever becomes of the others: its calls about it will come.
    mock.put_license("PL6", License::Fresh);
    expect(&shop.ask("activate", &json!({ "licenses": ["PL6", "NONE"] })), 404, Some("92020005"));
    assert!(matches!(mock.license("PL6"), License::Alive(_)));
    assert_eq!(shop.status("PL6"), "active");
    for bad in [json!({ "licenses": [] }), json!({ "licenses": ["PL1"], "realEffectTime": "now" })] {
        expect(&shop.ask("activate", &bad), 400, None);
    }

    mock.put_license("PL5", License::Fresh);
    let said = shop.scratch.run_ok(&["license", "activate", "PL5"]);
    assert!(said.contains("PL5") && said.contains("ALIVE"), "{said}");
    let refused = shop.scratch.run(&["license", "activate", "NONE"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("92020005"), "{}", text(&refused.stderr));
    assert_eq!(mock.refusals(), Vec::<String>::new());
}

#[test]
fn an_activation_ends_what_was_refused_before_it() {
    let mock = KooGallery::start();
    let codes = ["PL1", "PL2", "PL3"];
    let shop = open(&mock, "heartbeat_fresh = \"1h\"\n");
    for code in codes {
        mock.put_license(code, License::Fresh);
        expect(&shop.beat(code), 409, Some("92020003"));
    }
    expect(&shop.ask("activate", &json!({ "licenses": ["PL1"] })), 200, None);
    expect(&shop.ask("activate", &json!({ "licenses": ["PL2", "PL3"] })), 200, None);
    for code in codes {
        assert_eq!(expect(&shop.beat(code), 200, None)["status"], "ALIVE", "{code}");
    }
}

#[test]
fn a_refused_key_is_not_used_again_even_where_the_refusal_cannot_be_recorded() {
    let mock = KooGallery::start();
    mock.put_license("PL1", alive());
    let shop = open(&mock, "");
    let wrong = sections(&mock, "").replace("not-a-real-secret-0001", "mistyped");
    configure(&shop.scratch, &wrong, "[[product]]\nkind = \"license-code\"\nfulfilment = \"manual\"\n");
    let shop = shop.restarted_after(|scratch| {
        let database = rusqlite::Connection::open(scratch.path("koogate.db")).unwrap();
        let full = "CREATE TRIGGER full BEFORE INSERT ON open_api_refusal BEGIN SELECT RAISE(ABORT, 'full'); END";
        database.execute_batch(full).unwrap();
        database.close().unwrap();
    });
    for _ in 0..7 {
        expect(&shop.beat("PL1"), 503, None);
    }
    shop.koogate.wait_for_log("the refusal could not be recorded");
    assert_eq!((mock.count(Route::Heartbeat), mock.locked()), (1, false));
}

#[test]
fn software_usage_is_handed_on_in_the_wires_words() {
    let mock = KooGallery::start();
    mock.put_license("PL1", alive());
    mock.put_license("PL2", alive());
    let shop = open(&mock, "");
    let usage = json!({ "usage": [
        { "license": "PL1", "clients": ["host-1", "主机"] },
        { "license": "PL2", "activeNum": 7 },
    ] });
    assert_eq!(expect(&shop.ask("software-usage", &usage), 200, None), json!({ "licenses": 2 }));
    let sent = mock.calls_of(Route::SoftwareUsage).remove(0).json;
    let expected = json!({ "usage_info": [
        { "license": "PL1", "software_usage_Info": [{ "id": "host-1" }, { "id": "主机" }] },
        { "license": "PL2", "software_usage_Info": [{ "active_num": 7 }] },
    ] });
    assert_eq!(sent, expected);
    for bad in [
        json!({ "usage": [] }),
        json!({ "usage": [{ "license": "PL1" }] }),
        json!({ "usage": [{ "license": "PL1", "clients": ["a"], "activeNum": 1 }] }),
        json!({ "usage": [{ "license": "PL1", "activeNum": 1_000_000_000 }] }),
        json!({ "usage": [{ "license": "PL1", "activeNum": -1 }] }),
    ] {
        expect(&shop.ask("software-usage", &bad), 400, None);
    }
    expect(
        &shop.ask("software-usage", &json!({ "usage": [{ "license": "NONE", "activeNum": 1 }] })),
        404,
        Some("92020005"),
    );
    assert_eq!(mock.count(Route::SoftwareUsage), 2);
}

#[test]
fn without_open_api_nobody_is_told_that_a_code_is_unknown() {
    let shop = licensed_shop(
        Application::ready(),
        &format!("{PATIENT}{ADMIN}"),
        "[[product]]\nkind = \"license-code\"\nfulfilment = \"manual\"\n",
    );
    for (what, body) in [
        ("heartbeat", json!({ "license": "PL1" })),
        ("activate", json!({ "licenses": ["PL1"] })),
        ("software-usage", json!({ "usage": [{ "license": "PL1", "activeNum": 1 }] })),
    ] {
        let answer = shop.ask(what, &body);
        let problem = expect(&answer, 503, None);
        assert!(problem["error"].as_str().unwrap().contains("[open_api]") && answer.header("Retry-After").is_none());
    }
}
