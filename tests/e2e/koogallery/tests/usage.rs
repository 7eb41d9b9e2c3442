//! Usage: the signature, the records and what is billed.

use std::sync::LazyLock;

use super::*;

const INSTANCE: &str = "7f141bf1-aec8-4859-8323-fb3a8ad50721";

/// A mock that knows the instance.
pub fn mock() -> KooGallery {
    let mock = KooGallery::start();
    mock.put_instance(INSTANCE, Instance::ON_DEMAND);
    mock
}

/// A record of an hour that ended some hours ago, the same each time it is asked for.
pub fn record(sn: &str, hours_ago: i64) -> Value {
    static NOW: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    let at = |hours: i64| (*NOW - SignedDuration::from_hours(hours)).strftime("%Y%m%dT%H%M%SZ").to_string();
    json!({
        "instance_id": INSTANCE, "begin_time": at(hours_ago + 1), "end_time": at(hours_ago),
        "record_time": at(hours_ago), "usage_value": "1.5", "metering_sn": sn,
    })
}

/// A push in the new form; the usage signature is made with this key.
pub fn push_with(client: &Client<'_>, key: &str, records: &[Value]) -> std::io::Result<Answer> {
    let body = json!({ "usage_records": records }).to_string();
    let (ts, nonce) = (crate::harness::now_ms().to_string(), crate::harness::nonce());
    let signature = signature::usage_signature(key, &ts, &nonce, body.as_bytes());
    let headers = [JSON, ("signature", signature.as_str()), ("ts", &ts), ("nonce", &nonce)];
    client.call("POST", &format!("{GLOBAL}/v1/isv/usage-data"), &[], &headers, body.as_bytes())
}

pub fn push(client: &Client<'_>, records: &[Value]) -> std::io::Result<Answer> {
    push_with(client, crate::harness::KEY, records)
}

#[test]
fn a_wrong_usage_signature_takes_nothing() {
    let mock = mock();
    let client = Client::new(&mock);
    assert_eq!(said(push_with(&client, SECRET_ACCESS_KEY, &[record("sn-1", 1)])), (400, "MKT.0102".to_owned()));
    assert_eq!((mock.records(), mock.billed(INSTANCE)), (Vec::new(), 0));
    assert_eq!(said(push(&client, &[record("sn-1", 1)])), (200, "MKT.0000".to_owned()));
    assert_eq!(mock.billed(INSTANCE), 15_000);
    mock.expect_access_key("another-key");
    assert_eq!(said(push(&client, &[record("sn-2", 2)])).1, "MKT.0102");
    assert_eq!(said(push_with(&client, "another-key", &[record("sn-2", 2)])).1, "MKT.0000");
}

#[test]
fn bad_records_get_their_codes() {
    let mock = mock();
    mock.put_instance("package", Instance::Package);
    mock.put_instance("period", Instance::Period);
    mock.put_instance("withdrawn", Instance::Refused("006"));
    let closed = Instance::OnDemand { opened: None, closed: Some(Timestamp::UNIX_EPOCH) };
    mock.put_instance("closed", closed);
    let client = Client::new(&mock);
    assert_eq!(said(push(&client, &[record("taken", 1)])).1, "MKT.0000");

    let cases = [
        ("instance_id", json!("stranger"), "001"),
        ("relate_pkg_instance", json!("stranger"), "001"),
        ("relate_pkg_instance", json!("package"), "MKT.0000"),
        ("begin_time", json!("2026-01-15T08:00:00Z"), "002"),
        ("usage_value", json!(1.5), "003"),
        ("usage_value", json!("0.0000"), "003"),
        ("usage_value", json!("1.23456"), "003"),
        ("metering_sn", json!(""), "004"),
        ("metering_sn", json!("taken"), "005"),
        ("instance_id", json!("withdrawn"), "006"),
        ("begin_time", json!("20200115T080000Z"), "007"),
        ("end_time", record("", 1)["end_time"].clone(), "010"),
        ("end_time", json!("20200115T080000Z"), "011"),
        ("instance_id", json!("closed"), "011"),
        ("instance_id", json!("period"), "012"),
    ];
    for (hours, (name, value, expected)) in (2..).zip(cases) {
        let mut bad = record(&format!("sn-{hours}"), hours);
        bad[name] = value;
        if expected == "010" {
            bad["begin_time"] = record("", 1)["begin_time"].clone();
            bad["record_time"] = record("", 1)["record_time"].clone();
        }
        let body = push(&client, &[bad.clone()]).unwrap().json();
        let code = body["data"][0]["error_code"].as_str().or(body["error_code"].as_str());
        assert_eq!(code, Some(expected), "{bad} {body}");
    }
    let unknown = json!({ "usage_records": [], "extra": 1 });
    assert_eq!(
        said(client.call("POST", "/rest/marketplace/v1/isv/usage-data", &[], &[JSON], unknown.to_string().as_bytes()))
            .1,
        "MKT.0101"
    );
    assert_eq!(said(push(&client, &[])).1, "MKT.9002");
    let too_many: Vec<_> = (0..1001).map(|number| record(&number.to_string(), 1)).collect();
    assert_eq!(said(push(&client, &too_many)).1, "MKT.9003");
    assert_eq!(mock.billed(INSTANCE), 30_000, "the first, and the one with a package");
}

#[test]
fn the_test_decides_what_the_documents_leave_open() {
    let mock = mock();
    let client = Client::new(&mock);
    let mut stranger = record("sn-2", 2);
    stranger["instance_id"] = "stranger".into();
    let records = [record("sn-1", 1), stranger];
    mock.judge_usage(Judgement { fails_whole_call: true, ..Judgement::default() });
    assert_eq!(said(push(&client, &records)), (500, "MKT.9001".to_owned()));

    let data = Arc::new(|failed: &[Failed]| json!({ failed[0].index.to_string(): failed[0].code }));
    mock.judge_usage(Judgement { all_or_nothing: true, data, ..Judgement::default() });
    let answer = push(&client, &records).unwrap().json();
    assert_eq!((&answer["error_code"], &answer["data"]), (&json!("94060999"), &json!({ "1": "001" })));
    assert_eq!(mock.billed(INSTANCE), 0);

    mock.judge_usage(Judgement { repeat: Some("010"), ..Judgement::default() });
    assert_eq!(said(push(&client, &records[..1])).1, "MKT.0000");
    assert_eq!(said(push(&client, &records[..1])).1, "94060999");
    let records = mock.records();
    let seen: Vec<_> = records.iter().map(|record| (record.arrivals, record.taken, record.codes.as_slice())).collect();
    assert_eq!(seen, [(4, true, ["010"].as_slice()), (2, false, ["001", "001"].as_slice())]);
}

#[test]
fn the_old_form_has_a_product_and_no_number() {
    let mock = mock();
    let client = Client::new(&mock);
    let push = |record: &Value| {
        let body = json!({ "usage_records": [record] }).to_string();
        said(client.call("POST", "/rest/marketplace/v1/isv/usage-data", &[], &[JSON], body.as_bytes())).1
    };
    let mut old = record("sn-1", 1);
    assert_eq!(push(&old), "MKT.0101");
    old.as_object_mut().unwrap().remove("metering_sn");
    old["product_id"] = "OFFI1".into();
    assert_eq!(push(&old), "MKT.0000");
    assert_eq!(push(&old), "MKT.0000");
    assert_eq!((mock.records()[0].arrivals, mock.billed(INSTANCE)), (2, 15_000));
    assert_eq!(mock.count(Route::OldUsageData), 3);
}
