//! What is shown: every GET on a koogate that has sold something of each kind, as the description has it and as the
//! commands print it.

use std::collections::BTreeSet;

use koogate::admin::ROUTES;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{ADMIN, TOKEN};
use crate::harness::{Application, Signed, eventually, new_instance, nonce, ready_answer};
use crate::kit_call::{OTHER_TENANT, TENANT, all_org, auth, department, five, single_org, tenant, user};
use crate::koogallery::KooGallery;
use crate::licenses::LICENSE_KEY;
use crate::shop::{IMPATIENT, Shop, as_test, freeze, instance_id};
use crate::token_get::Get;

/// An order that KooGallery tells everybody.
pub const MOCK_ORDER: &str = "MOCKPERIODYEARNEW";

/// A code with what a path cannot hold as it is.
const CODE: &str = "PL/1 码%";

/// A shop with an admin listener, all keys and a product of each kind. What cannot be done is not tried again by itself.
/// Orders that begin with `LATER` are pending, those with `NEVER` fail.
pub fn shop() -> Shop {
    shop_calling("")
}

/// The same with a section `[open_api]`.
pub fn shop_calling(open_api: &str) -> Shop {
    let application = Application::start(|event| {
        let order = event["order"]["orderId"].as_str().or(event["orderId"].as_str()).unwrap_or_default();
        match event["event"].as_str() {
            Some("license.issue") => (200, json!({ "status": "ready", "license": "L-1" }).to_string()),
            Some("instance.create") if order.starts_with("LATER") => (200, json!({ "status": "pending" }).to_string()),
            Some("instance.create") if order.starts_with("NEVER") => (500, "out of order".to_owned()),
            _ => (200, ready_answer(event)),
        }
    });
    let kinds = ["saas", "license", "license-online", "license-code"];
    let products = kinds.map(|kind| application.product(&format!("kind = \"{kind}\""))).concat();
    let jobs = "[jobs]\nfirst_retry = \"1h\"\nslowest_retry = \"1h\"\n";
    let sections = format!("license = \"{LICENSE_KEY}\"\n{IMPATIENT}{jobs}{ADMIN}{open_api}");
    Shop::with_kit_and(application, &sections, Some(&products))
}

/// Something of everything; the id of a SaaS instance.
pub fn sell(shop: &Shop) -> String {
    let id = shop.buy("CS1");
    // Two moments that are not one: the seconds of the order and of now may be the same.
    for value in ["1.5", "2.5"] {
        eventually(|| (report_now(shop, &id, value) == 200).then_some(()), || "usage is not recorded".to_owned());
    }
    shop.expect("000000", &freeze(&id));
    shop.expect("000004", &new_instance("LATER1"));
    shop.expect("000000", &as_test(new_instance("CS2")));
    let parameters = [("customerId", "c"), ("businessId", "b-l1"), ("orderId", "CS3"), ("productId", "P")];
    shop.license_get("000000", &Get::new("getLicense", &parameters));
    let online = instance_id(&shop.license_post("000000", &new_instance("CS4")));
    let request = json!({
        "activity": "getLicenseAsync", "instanceId": online, "eventId": "E1", "deviceFingerprint": "D1",
        "effectiveTime": "2026-10-27 10:30:15 z", "expireTime": "2099-12-31 23:59:59 z", "testFlag": "0",
    });
    shop.license_post("000004", &request);
    for code in [CODE, &id] {
        shop.license_post("000000", &code_frozen(code));
    }
    for sync in five("i-1") {
        shop.sync("000000", &sync);
    }
    shop.sync("000000", &auth("i-1", "app-1", json!([user("lisi"), user("wangwu")])));
    shop.sync("000000", &single_org("i-1", "10001", "测试部", "10000"));
    shop.sync("000000", &tenant("i-2").of(OTHER_TENANT));
    shop.sync("000000", &all_org("i-2", json!([department("1", "a", ""), department("2", "b", "1")])));
    let stranger = Signed::now("another access key", b"{}").query();
    assert_eq!(shop.koogate.post(&format!("/saasproduce?{stranger}"), b"{}").unwrap().code(), "000001");
    id
}

/// Reports what was used in the second that begins now; the status of the answer.
fn report_now(shop: &Shop, id: &str, value: &str) -> u16 {
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap().to_string();
    let report = json!({ "instanceId": id, "beginTime": now, "endTime": now, "usageValue": value });
    shop.koogate.admin("POST", "/api/v1/usage", Some(TOKEN), &report.to_string()).status
}

fn code_frozen(code: &str) -> Value {
    json!({ "activity": "updateLicenseCodeStatus", "license": code, "status": "FREEZE", "testFlag": "0" })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Which GETs are made: the route, the target, and the command that prints the same (without `--json`); a list's objects
/// are in the member of the last segment of its route.
fn answers(id: &str) -> Vec<(&'static str, String, Vec<String>)> {
    let (code, words) = (encoded(CODE), |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let with_last = |words: Vec<String>, last: &str| [words, vec![last.to_owned()]].concat();
    let one = "/api/v1/instances/{instanceId}";
    vec![
        ("/healthz", "/healthz".into(), vec![]),
        ("/readyz", "/readyz".into(), vec![]),
        ("/metrics", "/metrics".into(), vec![]),
        ("/api/v1/refused", "/api/v1/refused".into(), vec![]),
        ("/api/v1/alerts", "/api/v1/alerts".into(), vec![]),
        ("/api/v1/instances", "/api/v1/instances".into(), words("instance list")),
        ("/api/v1/instances", "/api/v1/instances?test=true".into(), words("instance list --test")),
        (
            "/api/v1/instances",
            "/api/v1/instances?status=creating&limit=1000&order=LATER1&test=false".into(),
            words("instance list --status creating --order LATER1"),
        ),
        (one, format!("{one}?kind=saas").replace("{instanceId}", id), vec![]),
        (one, format!("/api/v1/instances/{code}"), with_last(words("instance show"), CODE)),
        ("/api/v1/licenses", "/api/v1/licenses".into(), words("license list")),
        (
            "/api/v1/licenses",
            "/api/v1/licenses?state=issued&kind=license-online&test=false".into(),
            words("license list --state issued --kind license-online"),
        ),
        ("/api/v1/licenses/{license}", "/api/v1/licenses/1".into(), words("license show 1")),
        ("/api/v1/licenses/{license}", "/api/v1/licenses/2".into(), words("license show 2")),
        ("/api/v1/orders", "/api/v1/orders?limit=10".into(), words("order list")),
        (
            "/api/v1/orders/{orderId}",
            format!("/api/v1/orders/{MOCK_ORDER}"),
            with_last(words("order show"), MOCK_ORDER),
        ),
        ("/api/v1/tenants", "/api/v1/tenants".into(), words("tenant list")),
        ("/api/v1/tenants/{tenantId}", format!("/api/v1/tenants/{TENANT}"), with_last(words("tenant show"), TENANT)),
        (
            "/api/v1/tenants/{tenantId}/users",
            format!("/api/v1/tenants/{TENANT}/users"),
            with_last(words("tenant users"), TENANT),
        ),
        ("/api/v1/usage", "/api/v1/usage".into(), words("usage list")),
        (
            "/api/v1/usage",
            format!("/api/v1/usage?state=waiting&instance={id}&limit=1"),
            with_last(words("usage list --waiting --limit 1 --instance"), id),
        ),
        (
            "/api/v1/tenants/{tenantId}/departments",
            format!("/api/v1/tenants/{TENANT}/departments"),
            with_last(words("tenant departments"), TENANT),
        ),
    ]
}

#[test]
fn every_get_answers_as_described_and_tells_what_the_command_prints() {
    let koogallery = KooGallery::start();
    let shop = shop_calling(&(koogallery.toml() + "order_query = \"off\"\n"));
    let id = sell(&shop);
    shop.scratch.run_ok(&["order", "show", MOCK_ORDER]);
    let answers = answers(&id);
    for (route, target, command) in &answers {
        // `admin` holds each answer against the description.
        let get = || shop.koogate.admin("GET", target, Some(TOKEN), "");
        assert_eq!(get().status, 200, "{target}: {:?}", get());
        if command.is_empty() {
            continue;
        }
        let args: Vec<_> = command.iter().map(String::as_str).chain(["--json"]).collect();
        let list = route.rsplit('/').next().unwrap();
        let told = || match get().json() {
            answer if route.ends_with('}') => vec![answer],
            answer => answer[list].as_array().unwrap().clone(),
        };
        // Jobs go on meanwhile.
        let same = || Some(told()).filter(|told| *told == shop.scratch.run_json(&args));
        let told = eventually(same, || format!("{target}: {:?} is not {args:?}", told()));
        assert!(!told.is_empty(), "{target}: nothing to compare");
    }
    let covered: BTreeSet<_> = answers.iter().map(|(route, ..)| *route).collect();
    let all = ROUTES.iter().filter(|route| route.method.as_str() == "GET" && !route.is_page()).map(|route| route.path);
    assert_eq!(covered, all.collect(), "a GET without an answer that is looked at");
    let refused = shop.koogate.admin("GET", "/api/v1/refused", Some(TOKEN), "").json();
    assert_eq!((&refused["total"], refused["last"].as_array().unwrap().len()), (&json!(1), 1));
}

#[test]
fn of_several_instances_with_an_id_the_real_one_is_shown_and_a_kind_is_asked_for() {
    let shop = shop();
    let get = |target: &str| {
        let answer = shop.koogate.admin("GET", &format!("/api/v1/instances/{target}"), Some(TOKEN), "");
        let shown = answer.json();
        (answer.status, shown["environment"].as_str().map(str::to_owned), shown["kind"].as_str().map(str::to_owned))
    };
    let is = |environment: &str, kind: &str| (200, Some(environment.to_owned()), Some(kind.to_owned()));
    let tested = instance_id(&shop.expect("000000", &as_test(new_instance("CS1"))));
    assert_eq!(get(&tested), is("test", "saas"));
    shop.license_post("000000", &code_frozen(&tested));
    assert_eq!(get(&tested), is("real", "license-code"));
    assert_eq!(get(&format!("{tested}?test=true")), is("test", "saas"));
    assert_eq!(get(&format!("{tested}?kind=saas")), is("test", "saas"));
    assert_eq!(get(&format!("{tested}?kind=saas&test=false")).0, 404);

    let id = shop.buy("CS1");
    shop.license_post("000000", &code_frozen(&id));
    assert_eq!(get(&id).0, 409);
    let answer = shop.koogate.admin("GET", &format!("/api/v1/instances/{id}"), Some(TOKEN), "").json();
    assert!(answer["error"].as_str().unwrap().ends_with("kind=license-code or kind=saas"), "{answer}");
    assert_eq!(get(&format!("{id}?kind=license-code")), is("real", "license-code"));
    assert_eq!(get(&format!("{id}?kind=saas")), is("real", "saas"));
    let retry = |query: &str| {
        let target = format!("/api/v1/instances/{id}/retry{query}");
        shop.koogate.admin("POST", &target, Some(TOKEN), "").status
    };
    assert_eq!((retry(""), retry("?kind=saas"), retry("?kind=license")), (409, 200, 404));
}

#[test]
fn a_retry_is_made_at_once() {
    let shop = shop();
    let order = format!("NEVER-{}", nonce());
    shop.expect("000004", &new_instance(&order));
    let listed = shop.koogate.admin("GET", &format!("/api/v1/instances?order={order}"), Some(TOKEN), "").json();
    let id = listed["instances"][0]["instanceId"].as_str().unwrap().to_owned();
    let show = || shop.koogate.admin("GET", &format!("/api/v1/instances/{id}"), Some(TOKEN), "").json();
    let waits = |attempts: u64| {
        let is_wanted = |shown: &Value| {
            (&shown["jobs"][0]["state"], &shown["jobs"][0]["attempts"]) == (&json!("waiting"), &json!(attempts))
        };
        eventually(|| Some(show()).filter(is_wanted), || format!("{:#}", show()));
    };
    waits(1);
    let retry = |id: &str| shop.koogate.admin("POST", &format!("/api/v1/instances/{id}/retry"), Some(TOKEN), "");
    let answer = retry(&id);
    assert_eq!((answer.status, answer.json()), (200, json!({ "instanceId": id, "retried": 1 })));
    waits(2);
    let ready = shop.buy("CS1");
    assert_eq!(retry(&ready).json(), json!({ "instanceId": ready, "retried": 0 }));
    assert_eq!(retry("nobody").status, 404);
}

#[test]
fn a_list_comes_in_pieces_without_gap_or_repeat() {
    let shop = shop();
    sell(&shop);
    let get = |target: &str| {
        let answer = shop.koogate.admin("GET", target, Some(TOKEN), "");
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer.json()
    };
    for (list, cursor, at_least) in [
        ("/api/v1/instances", "before", 5),
        ("/api/v1/licenses", "before", 4),
        ("/api/v1/tenants", "before", 2),
        ("/api/v1/usage", "before", 2),
        (&format!("/api/v1/tenants/{TENANT}/users"), "after", 3),
        (&format!("/api/v1/tenants/{TENANT}/departments"), "after", 2),
    ] {
        let member = list.rsplit('/').next().unwrap();
        let names = |answer: &Value| -> Vec<Value> {
            let name = |row: &Value| {
                json!([
                    row["instanceId"],
                    row["license"],
                    row["tenantId"],
                    row["userName"],
                    row["orgCode"],
                    row["meteringSn"]
                ])
            };
            answer[member].as_array().unwrap().iter().map(name).collect()
        };
        let whole = get(list);
        assert_eq!(whole["next"], Value::Null, "{list}");
        let whole = names(&whole);
        assert!(whole.len() >= at_least, "{list}: {whole:?}");
        for limit in [1, 2, whole.len() - 1, whole.len()] {
            let (mut pieces, mut next) = (Vec::new(), Value::Null);
            loop {
                let from = next.as_str().map_or(String::new(), |next| format!("&{cursor}={next}"));
                let answer = get(&format!("{list}?limit={limit}{from}"));
                pieces.extend(names(&answer));
                assert!(pieces.len() <= whole.len(), "{list} by {limit} goes on: {pieces:?}");
                next = answer["next"].clone();
                if next.is_null() {
                    break;
                }
                assert_eq!(answer[member].as_array().unwrap().len(), limit, "{list}");
            }
            assert_eq!(pieces, whole, "{list} by {limit}");
        }
    }
    let first = get("/api/v1/instances?limit=1");
    shop.buy("CS9");
    let rest = get(&format!("/api/v1/instances?before={}", first["next"].as_str().unwrap()));
    let shown = |answer: &Value| answer["instances"].as_array().unwrap().len();
    assert_eq!(shown(&first) + shown(&rest), shown(&get("/api/v1/instances")) - 1, "what is new comes first");
}
