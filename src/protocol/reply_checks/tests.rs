//! Good replies give no finding; every fault gives the one that names it.

use super::*;
use crate::secret::Secret;

const PLAIN: &str = r#"{"resultCode":"000000","resultMsg":"success"}"#;

fn key() -> AccessKey {
    AccessKey::new("test".to_owned(), Secret::new("k".to_owned()))
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `fail rule` or `warn rule` of every finding.
fn labels(findings: &[Finding]) -> Vec<String> {
    let severity = |finding: &Finding| if finding.severity == Severity::Fail { "fail" } else { "warn" };
    findings.iter().map(|finding| format!("{} {}", severity(finding), finding.rule)).collect()
}

fn check_one(shape: ReplyShape, body: &str, expected: &[&str]) {
    let findings = check_body(&shape, body.as_bytes());
    assert_eq!(labels(&findings), expected, "{body}\n{findings:#?}");
}

fn plain(body: &str, expected: &[&str]) {
    check_one(ReplyShape::Plain, body, expected);
}

fn new_instance(body: &str, expected: &[&str]) {
    check_one(ReplyShape::NewInstance, body, expected);
}

/// A query reply whose `info` holds this one instance.
fn query(instance: &str, expected: &[&str]) {
    let body = format!(r#"{{"resultCode":"000000","resultMsg":"ok","info":[{instance}]}}"#);
    check_one(ReplyShape::QueryInstance, &body, expected);
}

fn usage(usage: &str, expected: &[&str]) {
    query(&format!(r#"{{"instanceId":"i","usageInfo":[{usage}]}}"#), expected);
}

#[test]
fn good_replies_of_every_shape_give_no_finding() {
    plain(PLAIN, &[]);
    plain(r#"{"resultCode":"000003","resultMsg":"unknown","instanceId":null}"#, &[]);
    new_instance(r#"{"resultCode":"000000","resultMsg":"ok","instanceId":"i"}"#, &[]);
    new_instance(r#"{"resultCode":"000004","resultMsg":"ok","instanceId":"i"}"#, &[]);
    new_instance(r#"{"resultCode":"000100","resultMsg":"none left"}"#, &[]);
    query(
        r#"{"instanceId":"i","appInfo":{"frontEndUrl":"https://a","adminUrl":"","userName":"u","password":"p","memo":"\u6d4b"},
            "usageInfo":[{"usageValue":12345678.1234,"statisticalTime":"20240102030405678","dashboardUrl":"https://d"}]}"#,
        &[],
    );
    check_one(ReplyShape::QueryInstance, r#"{"resultCode":"000004","resultMsg":"wait","info":[]}"#, &[]);
    check_one(ReplyShape::QueryInstance, r#"{"resultCode":"000003","resultMsg":"unknown"}"#, &[]);
}

#[test]
fn both_result_members_are_required_in_their_form() {
    plain(r#"{"resultMsg":"x"}"#, &["fail result-code"]);
    plain(r#"{"resultCode":"0","resultMsg":"x"}"#, &["fail result-code"]);
    plain(r#"{"resultCode":"0000004","resultMsg":"x"}"#, &["fail result-code"]);
    plain(r#"{"resultCode":0,"resultMsg":"x"}"#, &["fail result-code"]);
    plain(r#"{"resultCode":"000000"}"#, &["fail result-msg"]);
    plain(r#"{"resultCode":"000000","resultMsg":null}"#, &["fail result-msg"]);
    plain(r#"{"resultCode":"000000","resultMsg":7}"#, &["fail result-msg"]);
    plain(r#"{"resultCode":"000000","resultMsg":""}"#, &["warn result-msg"]);
    plain("{}", &["fail result-code", "fail result-msg"]);
}

#[test]
fn processing_is_no_answer_for_calls_that_do_not_know_it() {
    plain(r#"{"resultCode":"000004","resultMsg":"x"}"#, &["warn processing"]);
}

#[test]
fn a_body_that_is_no_json_object_gives_one_finding() {
    plain("", &["fail json"]);
    plain("[]", &["fail json"]);
    plain("<html>", &["fail json"]);
    plain("\u{feff}{}", &["fail byte-order-mark"]);
    assert_eq!(labels(&check_body(&ReplyShape::Plain, b"{\"a\":\"\xff\"}")), ["fail utf-8"]);
}

#[test]
fn lengths_are_counted_in_characters() {
    let message = |length: usize| format!(r#"{{"resultCode":"000000","resultMsg":"{}"}}"#, "\\u6d4b".repeat(length));
    plain(&message(255), &[]);
    plain(&message(256), &["fail length"]);
    let created =
        |length| format!(r#"{{"resultCode":"000000","resultMsg":"x","instanceId":"{}"}}"#, "i".repeat(length));
    new_instance(&created(64), &[]);
    new_instance(&created(65), &["fail length"]);
    for (name, most) in [("adminUrl", 512), ("userName", 128), ("password", 128), ("memo", 1024)] {
        let instance = |length: usize| {
            format!(r#"{{"instanceId":"i","appInfo":{{"frontEndUrl":"u","{name}":"{}"}}}}"#, "x".repeat(length))
        };
        query(&instance(most), &[]);
        query(&instance(most + 1), &["fail length"]);
    }
    let front = |length: usize| format!(r#"{{"instanceId":"i","appInfo":{{"frontEndUrl":"{}"}}}}"#, "x".repeat(length));
    query(&front(512), &[]);
    query(&front(513), &["fail length"]);
}

#[test]
fn what_the_interfaces_must_return_is_missed() {
    new_instance(PLAIN, &["fail missing"]);
    new_instance(r#"{"resultCode":"000004","resultMsg":"x","instanceId":""}"#, &["fail missing"]);
    check_one(ReplyShape::QueryInstance, PLAIN, &["fail missing"]);
    query(r#"{"appInfo":{"frontEndUrl":"u"}}"#, &["fail missing"]);
    query(r#"{"instanceId":"i","appInfo":{}}"#, &["fail missing"]);
    usage("{}", &["fail missing", "fail missing"]);
}

#[test]
fn a_licence_is_handed_out_with_its_instance_or_not_at_all() {
    let check = |members: &str, expected: &[&str]| {
        check_one(ReplyShape::GetLicense, &format!(r#"{{"resultMsg":"x",{members}}}"#), expected);
    };
    check(r#""resultCode":"000000","instanceId":"i","license":"A-1""#, &[]);
    check(r#""resultCode":"000000","instanceId":"i""#, &["fail missing"]);
    check(r#""resultCode":"000000","license":"A-1""#, &["fail missing"]);
    check(r#""resultCode":"000000""#, &["fail missing", "fail missing"]);
    check(r#""resultCode":"000004","license":"""#, &[]);
    check(r#""resultCode":"000005""#, &[]);
    new_instance(r#"{"resultCode":"000000","resultMsg":"ok","instanceId":"i","license":""}"#, &[]);
    check_one(ReplyShape::GetLicenseAsync, r#"{"resultCode":"000004","resultMsg":"wait"}"#, &[]);
}

#[test]
fn wrong_types_are_named() {
    for (value, kind) in [
        ("true", "true"),
        ("-1.5", "the number -1.5"),
        ("[1]", "an array"),
        (r#"{"a":1}"#, "an object"),
        (r#""12345""#, "a string of another form"),
    ] {
        let body = format!(r#"{{"resultCode":{value},"resultMsg":"x"}}"#);
        let findings = check_body(&ReplyShape::Plain, body.as_bytes());
        assert_eq!(labels(&findings), ["fail result-code"]);
        assert_eq!(findings[0].text, format!("resultCode is {kind}; it must be a string of six digits"));
    }

    new_instance(r#"{"resultCode":"000000","resultMsg":"x","instanceId":7}"#, &["fail type"]);
    check_one(ReplyShape::QueryInstance, r#"{"resultCode":"000000","resultMsg":"x","info":{}}"#, &["fail type"]);
    query("7", &["fail type"]);
    query(r#"{"instanceId":"i","appInfo":[]}"#, &["fail type"]);
    query(r#"{"instanceId":"i","usageInfo":{}}"#, &["fail type"]);
}

#[test]
fn usage_values_have_at_most_twelve_digits_and_four_decimals() {
    let value = |number: &str, expected: &[&str]| {
        usage(&format!(r#"{{"usageValue":{number},"statisticalTime":"20240102030405678"}}"#), expected);
    };
    for good in ["0", "0.5", "0.0001", "123456789012", "12345678.1234", "1.50000", "1e3", "-1.5", "-123456789012"] {
        value(good, &[]);
    }
    for bad in [
        "0.00001",
        "1234567890123",
        "123456789.1234",
        "1e-7",
        "1e300",
        "-1234567890123",
        "18446744073709551615",
        "\"5\"",
        "true",
    ] {
        value(bad, &["fail usage-value"]);
    }
}

#[test]
fn statistical_times_are_seventeen_digits_and_exist() {
    let time = |when: &str, expected: &[&str]| {
        usage(&format!(r#"{{"usageValue":1,"statisticalTime":{when}}}"#), expected);
    };
    time(r#""20240102030405""#, &["fail statistical-time"]);
    time(r#""20241302030405678""#, &["fail statistical-time"]);
    time(r#""2024-01-02T03:04:05.678Z""#, &["fail length", "fail statistical-time"]);
    time("20240102030405678", &["fail type"]);
}

#[test]
fn plain_chinese_is_only_a_warning() {
    plain(r#"{"resultCode":"000000","resultMsg":"成功"}"#, &["warn ascii"]);
}

#[test]
fn status_and_headers_are_checked() {
    let signed = body_sign::header_value(&key(), PLAIN.as_bytes());
    let check = |status: u16, list: &[(&str, &str)], expected: &[&str]| {
        let findings =
            check_reply((&ReplyShape::Plain, BodySign::Advised), status, &headers(list), PLAIN.as_bytes(), &key());
        assert_eq!(labels(&findings), expected, "{status} {list:?}\n{findings:#?}");
    };
    let json = ("Content-Type", "application/json");
    let sign = ("Body-Sign", signed.as_str());
    check(200, &[json, sign], &[]);
    check(200, &[("content-type", "Application/JSON; charset=\"UTF-8\""), sign], &[]);
    check(200, &[json, ("Content-Encoding", "identity"), sign], &[]);
    check(500, &[json, sign], &["fail http-status"]);
    check(302, &[json, sign], &["fail redirect"]);
    check(200, &[sign], &["fail content-type"]);
    check(200, &[("Content-Type", "text/html"), sign], &["fail content-type"]);
    check(200, &[("Content-Type", "application/json;charset=gbk"), sign], &["fail content-type"]);
    check(200, &[json, ("Content-Encoding", "gzip"), sign], &["fail content-encoding"]);
    check(200, &[json], &["warn body-sign"]);
    check(200, &[json, ("body-sign", &signed)], &["fail body-sign"]);
    check(200, &[json, ("Body-Sign", &signed.replace('"', ""))], &["fail body-sign"]);
    check(200, &[json, ("Body-Sign", &body_sign::header_value(&key(), b"{}"))], &["fail body-sign"]);
    check(200, &[json, ("body-sign", &signed), sign], &[]);
}

#[test]
fn a_password_in_the_clear_is_found_in_a_reply_of_v1() {
    let body = br#"{"resultCode":"000000","appInfo":{"frontEndUrl":"u","password":"made-up-in-the-clear"}}"#;
    assert_eq!(labels(&check_credentials(body, &key())), ["fail encryption"]);
    assert_eq!(check_credentials(PLAIN.as_bytes(), &key()), []);
}

#[test]
fn no_finding_quotes_a_text_of_the_reply() {
    let body = r#"{"resultCode":"hunter2","resultMsg":["hunter2"],"instanceId":{"a":"hunter2"},"info":"hunter2"}"#;
    let findings = check_body(&ReplyShape::QueryInstance, body.as_bytes());
    assert_eq!(findings.len(), 4);
    assert!(!format!("{findings:?}").contains("hunter2"));
}
