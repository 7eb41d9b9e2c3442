//! What is refused, and how: always HTTP 200 with a signed, well-formed answer, one line of log, no effect. A call that
//! is nobody's leaves no trace on disk; an authenticated call that cannot be read is one row of the journal.

mod signatures;

use serde_json::{Value, json};

use crate::harness::{
    Answer, Application, KEY, SEALING_KEY, Scratch, Signed, access_key, new_instance, ready_answer, send,
};
use crate::shop::{
    FIXED, FUTURE, Shop, as_test, change_check, freeze, instance_id, look_up, order_notify, query, release, renewal,
    unfreeze, upgrade, with, without,
};
use koogate::protocol::reply_checks::{BodySign, ReplyShape, check_reply};

/// Whether a refused call stands in the journal.
#[derive(Clone, Copy, PartialEq)]
enum Journal {
    Row,
    Nothing,
}

fn shop() -> Shop {
    Shop::with_products(Application::ready(), "", FIXED)
}

/// Sends a request that must be refused, and checks everything that is true of every refusal.
fn refused(shop: &Shop, what: &str, request: (&str, &str, &[u8]), code: &str, journal: Journal) -> Answer {
    let (method, target, body) = request;
    let (effects, rows) = (effects(shop), shop.count("exchange"));
    let answer = send(shop.koogate.address, method, target, &[], body).unwrap();
    let findings = check_reply(
        (&ReplyShape::Plain, BodySign::Mandatory),
        answer.status,
        &answer.headers,
        &answer.body,
        &access_key(KEY),
    );
    assert!(findings.is_empty(), "{what}: {findings:?} in {answer:?}");
    assert_eq!(answer.header("Content-Type"), Some("application/json"), "{what}");
    assert_eq!(answer.code(), code, "{what}: {}", answer.json());
    assert_eq!(self::effects(shop), effects, "{what} had an effect");
    assert_eq!(shop.count("exchange") - rows, i64::from(journal == Journal::Row), "{what}");
    if journal == Journal::Row {
        let sql = "SELECT result_code || ' ' || hex(request_body) FROM exchange ORDER BY id DESC LIMIT 1";
        let row: String = look_up(&shop.scratch, &sql.replace("request_body", "coalesce(request_body, '')"));
        assert_eq!(row, format!("{code} {}", data_encoding::HEXUPPER.encode(body)), "{what}");
    }
    answer
}

/// An authenticated call that must be refused with 000002; `resultMsg` must say this.
fn unreadable(shop: &Shop, what: &str, body: &[u8], says: &str) {
    let target = format!("/saasproduce?{}", Signed::now(KEY, body).query());
    let answer = refused(shop, what, ("POST", &target, body), "000002", Journal::Row).json();
    let message = answer["resultMsg"].as_str().unwrap();
    assert!(message.contains(says), "{what}: {message:?} does not say {says:?}");
}

/// Everything that a call could have changed, as text.
fn effects(shop: &Shop) -> String {
    let sql = "SELECT json_array((SELECT count(*) FROM operation), (SELECT count(*) FROM answer), \
        (SELECT count(*) FROM job), (SELECT count(*) FROM instance_history), \
        (SELECT json_group_array(json_array(instance_id, status, status_serial, expire_time, product_id)) FROM instance))";
    look_up(&shop.scratch, sql)
}

/// One sound call of every activity with its mandatory members. In this order all of them succeed.
fn sound_calls(id: &str) -> [(Value, &'static [&'static str]); 9] {
    [
        (new_instance("CS2"), &["businessId", "orderId", "orderLineId"]),
        (query(id), &["instanceId"]),
        (renewal(id, "CS3", FUTURE), &["scene", "orderId", "orderLineId", "instanceId", "expireTime"]),
        (freeze(id), &["instanceId", "status"]),
        (unfreeze(id), &["instanceId", "status"]),
        (upgrade(id, "CS4"), &["instanceId", "orderId", "orderLineId"]),
        (change_check(id, json!({ "productId": "P2" })), &["instanceId", "productInfo"]),
        (order_notify("CS2"), &["orderId"]),
        (release(id), &["instanceId"]),
    ]
}

#[test]
fn a_mandatory_member_that_is_missing_empty_or_of_another_type_is_000002_and_named() {
    let shop = shop();
    let id = shop.buy("CS1");
    let calls = sound_calls(&id);
    for (call, mandatory) in &calls {
        for member in mandatory.iter().copied().chain(["activity"]) {
            let mut spoiled = vec![without(call.clone(), member)];
            let wrong = [json!(null), json!(""), json!([]), json!({}), json!({ "a": "b" }), json!(["a"])];
            // Any object is a target product; the application judges what is in it.
            let wrong = wrong.into_iter().filter(|value| !(member == "productInfo" && value.is_object()));
            spoiled.extend(wrong.map(|value| with(call.clone(), member, value)));
            for body in spoiled {
                unreadable(&shop, &body.to_string(), body.to_string().as_bytes(), member);
                // Test calls are validated like real ones.
                let test = as_test(body).to_string();
                unreadable(&shop, &test, test.as_bytes(), member);
            }
        }
    }
    // Nothing else was wrong with them.
    for (call, _) in &calls {
        shop.expect("000000", call);
    }
}

#[test]
fn a_value_that_means_nothing_is_000002_and_named() {
    let shop = shop();
    let id = shop.buy("CS1");
    let ids = (0..101).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let cases = [
        (freeze(&id), "status", &["FROZEN", "UNFROZEN", "NORMAL", "freeze", " FREEZE", "1"][..]),
        (renewal(&id, "CS2", FUTURE), "scene", &["RENEW", "renewal", "RENEWAL ", "0"]),
        (
            renewal(&id, "CS2", FUTURE),
            "expireTime",
            &[
                "2099",
                "2099123123595",
                "209912312359590",
                "20991231235959 ",
                "2099-12-31T23:59:59Z",
                "20991331000000",
                "20990229000000",
                "20991231246060",
                "2099123123595x",
                "４０４４１２３１００００００",
                "4102444799000",
            ],
        ),
        (freeze(&id), "activity", &["UpdateInstanceStatus", "updateInstanceStatus ", "expireInstance", "upgrade", "x"]),
        (query(&id), "instanceId", &[",", " , ,", " ", &ids]),
        (change_check(&id, "{}"), "productInfo", &["P2", "{", "12", "null", "[]", "[1]", "\"text\""]),
    ];
    for (call, member, values) in cases {
        for value in values {
            let body = with(call.clone(), member, *value).to_string();
            unreadable(&shop, &body, body.as_bytes(), member);
        }
    }
}

#[test]
fn numbers_and_truth_values_are_taken_as_texts_and_unknown_members_are_ignored() {
    let shop = shop();
    let order = json!({
        "activity": "newInstance", "businessId": 7, "orderId": 12, "orderLineId": true, "unknown": { "deep": [1, null] },
        "productId": null, "testFlag": null,
    });
    assert_eq!(instance_id(&shop.expect("000000", &order)), "7");
    shop.expect("000000", &with(renewal("7", "CS2", ""), "expireTime", 20991231235959_i64));
    // Optional members that are null or empty are absent.
    shop.expect("000000", &with(with(release("7"), "orderId", ""), "orderLineId", json!(null)));
}

#[test]
fn of_a_repeated_member_the_last_counts() {
    let shop = shop();
    let id = shop.buy("CS1");
    let body = format!(r#"{{"activity":"x","activity":"releaseInstance","instanceId":"other","instanceId":"{id}"}}"#);
    let target = format!("/saasproduce?{}", Signed::now(KEY, body.as_bytes()).query());
    assert_eq!(shop.koogate.post(&target, body.as_bytes()).unwrap().code(), "000000");
    assert_eq!(shop.status(&id), "released");
}

#[test]
fn a_body_that_is_no_json_object_is_000002() {
    let shop = shop();
    let nested = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    let deep = format!(r#"{{"activity":"newInstance","x":{}}}"#, nested("[", "]"));
    let sound = new_instance("CS1").to_string();
    let cases = [
        ("empty", Vec::new()),
        ("blanks", b" \r\n ".to_vec()),
        ("cut off", sound.as_bytes()[..sound.len() - 1].to_vec()),
        ("followed by more", format!("{sound}{sound}").into_bytes()),
        ("an array", format!("[{sound}]").into_bytes()),
        ("an empty array", b"[]".to_vec()),
        ("a text", Value::String(sound.clone()).to_string().into_bytes()),
        ("null", b"null".to_vec()),
        ("a number", b"1".to_vec()),
        ("form data", b"activity=newInstance&orderId=CS1".to_vec()),
        ("not UTF-8", b"{\"activity\":\"newInstance\",\"orderId\":\"\xff\"}".to_vec()),
        ("a lone surrogate", br#"{"activity":"\ud800"}"#.to_vec()),
        ("a byte-order mark", [b"\xef\xbb\xbf", sound.as_bytes()].concat()),
        ("nested arrays", nested("[", "]").into_bytes()),
        ("nested objects", nested("{\"a\":", "}").into_bytes()),
        ("nested deep inside", deep.into_bytes()),
        ("a megabyte of brackets", vec![b'['; 1 << 20]),
    ];
    for (what, body) in &cases {
        unreadable(&shop, what, body, "the body is not");
        // Without a signature that fits, the same bytes are not even read.
        let target = format!("/saasproduce?{}", Signed::now("another key", body).query());
        refused(&shop, what, ("POST", &target, body), "000001", Journal::Nothing);
    }
    shop.expect("000000", &new_instance("CS1"));
}

#[test]
fn what_a_caller_wrote_comes_back_shortened_and_in_ascii() {
    let shop = shop();
    let long = format!("{}{}", "调\u{1b}[31m\r\n\"", "x".repeat(10_000));
    let body = with(freeze("i"), "activity", long).to_string();
    let target = format!("/saasproduce?{}", Signed::now(KEY, body.as_bytes()).query());
    let answer = refused(&shop, "a long activity", ("POST", &target, body.as_bytes()), "000002", Journal::Row);
    assert!(answer.body.is_ascii());
    assert!(answer.json()["resultMsg"].as_str().unwrap().chars().count() <= 255);
    let log = shop.koogate.stop();
    let line = log.lines().find(|line| line.contains("is unknown")).unwrap();
    assert!(line.len() < 300 && !line.contains('\u{1b}'), "{line}");
}

#[test]
fn other_methods_on_the_production_address_get_a_signed_000002() {
    let shop = shop();
    let body = new_instance("CS1").to_string();
    let signed = Signed::now(KEY, body.as_bytes()).query();
    for path in ["/saasproduce", "/saasproduce/"] {
        for target in [path.to_owned(), format!("{path}?{signed}")] {
            let mut answers = Vec::new();
            for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                let what = format!("{method} {target}");
                answers.push(refused(&shop, &what, (method, &target, body.as_bytes()), "000002", Journal::Nothing));
                answers.push(refused(&shop, &what, (method, &target, b""), "000002", Journal::Nothing));
            }
            // HEAD: the same head, no body.
            let head = send(shop.koogate.address, "HEAD", &target, &[], b"").unwrap();
            assert_eq!((head.status, head.body.len()), (200, 0));
            for name in ["Content-Type", "Content-Length", "Body-Sign"] {
                assert_eq!(head.header(name), answers[0].header(name), "{name}");
            }
        }
    }
}

#[test]
fn a_get_that_names_an_activity_and_has_no_token_is_000001() {
    let shop = shop();
    for activity in ["newInstance", "getLicense", "nothing"] {
        let target = format!("/saasproduce?activity={activity}&timeStamp=20200727073711903");
        refused(&shop, activity, ("GET", &target, b""), "000001", Journal::Nothing);
    }
    let target = "/saasproduce?activity=newInstance&authToken=x";
    refused(&shop, "no timeStamp", ("GET", target, b""), "000002", Journal::Nothing);
    refused(&shop, "no UTF-8", ("GET", "/saasproduce?activity=%FF", b""), "000002", Journal::Nothing);
}

#[test]
fn only_the_production_address_is_served_with_or_without_a_slash_at_its_end() {
    let shop = shop();
    let id = shop.buy("CS1");
    let body = freeze(&id).to_string();
    let post = |path: &str| {
        let target = format!("{path}?{}", Signed::now(KEY, body.as_bytes()).query());
        shop.koogate.post(&target, body.as_bytes()).unwrap()
    };
    let before = effects(&shop);
    for path in
        ["/", "/saasproduce//", "/saasproduce/x", "/saasproducex", "/SaasProduce", "/x/saasproduce", "/healthz/"]
    {
        let answer = post(path);
        assert_eq!((answer.status, answer.header("Body-Sign")), (404, None), "{path}");
        assert_eq!(send(shop.koogate.address, "GET", path, &[], b"").unwrap().status, 404, "{path}");
    }
    assert_eq!((effects(&shop), shop.count("exchange")), (before, 1));
    assert_eq!(send(shop.koogate.address, "GET", "/healthz", &[], b"").unwrap().status, 200);
    assert_eq!(post("/saasproduce/").code(), "000000");
    assert_eq!(shop.status(&id), "frozen");
}

#[test]
fn every_refusal_is_one_line_of_log_that_says_why() {
    let shop = shop();
    let body = without(new_instance("CS1"), "orderId").to_string();
    let post = |query: String| shop.koogate.post(&format!("/saasproduce?{query}"), body.as_bytes()).unwrap();
    let sound = || Signed::now(KEY, body.as_bytes());
    let cases = [
        (sound().query(), "newInstance: 000002: orderId is missing"),
        (Signed::now("another key", body.as_bytes()).query(), "the signature fits none of the configured access keys"),
        (Signed { signature: String::new(), ..sound() }.query(), "the signature is missing"),
        (Signed { nonce: String::new(), ..sound() }.query(), "the signature's nonce is missing"),
        (Signed { timestamp: String::new(), ..sound() }.query(), "the signature's timestamp is missing"),
        (Signed { timestamp: "1680508066618".to_owned(), ..sound() }.query(), "behind this server's clock"),
    ];
    for (query, _) in &cases {
        post(query.clone());
    }
    let log = shop.koogate.stop();
    for (_, says) in cases {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(says)).collect();
        assert_eq!(lines.len(), 1, "{says:?} in\n{log}");
        assert!(lines[0].contains(" WARN "), "{}", lines[0]);
    }
}

#[test]
fn no_secret_is_ever_logged() {
    const PASSWORD: &str = "Zq7-extremely-secret";
    const HOOK_SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1tZXJjaGFudC0wMDAx";
    let application = Application::start(|event| match event["event"].as_str() {
        Some("instance.freeze") => (500, format!("{event}")),
        Some("instance.unfreeze") => (200, format!("{{\"password\":\"{PASSWORD}\"")),
        _ => (200, ready_answer(event).replace("p-1", PASSWORD)),
    });
    let scratch = Scratch::new(&application.product(&format!("secret = \"{HOOK_SECRET}\"\nchange_check = \"ask\"")));
    let koogate = scratch.serve_with(&[("RUST_LOG", "trace")]);
    let id = instance_id(&koogate.call(&new_instance("CS1")));
    assert!(koogate.call(&query(&id)).json().to_string().contains(PASSWORD));
    for (call, _) in sound_calls(&id) {
        koogate.call(&call);
        koogate.call(&without(call.clone(), "instanceId"));
        koogate.try_call("another key", &call).unwrap();
    }
    koogate.signal("HUP");
    koogate.wait_for_log("the configuration was reloaded");
    let log = koogate.stop();
    for secret in [KEY, SEALING_KEY, PASSWORD, HOOK_SECRET, &HOOK_SECRET["whsec_".len()..], "another key"] {
        let leaks: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}
