//! Orders, license codes and uploads.

use super::*;
use crate::koogallery::signature::sha256_hex;

#[test]
fn orders_are_told_by_id_and_line() {
    let mock = KooGallery::start();
    let client = Client::new(&mock);
    mock.put_order(json!({ "orderId": "CS1", "orderLine": [{ "orderLineId": "CS1-1" }, { "orderLineId": "CS1-2" }] }));
    let query = |query: &[(&str, &str)]| client.call("GET", &format!("{GLOBAL}/v1/order/query"), query, &[], b"");
    let one = query(&[("orderLineId", "CS1-2"), ("orderId", "CS1")]).unwrap().json();
    assert_eq!(one["orderInfo"]["orderLine"], json!([{ "orderLineId": "CS1-2" }]));
    assert_eq!(said(query(&[("orderId", "CS2")])), (401, "MKT.0150".to_owned()));
    assert_eq!(said(query(&[("orderId", "CS1"), ("orderLineId", "CS1-3")])).1, "MKT.0150");
    assert_eq!(said(query(&[])), (400, "MKT.0101".to_owned()));
    assert_eq!(said(query(&[("orderId", "CS1"), ("more", "1")])), (400, "MKT.0101".to_owned()));
    assert_eq!(said(query(&[("orderId", &"x".repeat(65))])), (500, "MKT.0100".to_owned()));
}

#[test]
fn a_license_code_is_activated_once() {
    let mock = KooGallery::start();
    let client = Client::new(&mock);
    let call = |path: &str, body: Value| said(client.post(path, &body));
    let (activate, heartbeat) = ("/v1/license/activate", "/v1/license/heartbeat");
    for (code, license) in [("PL1", License::Fresh), ("PL2", License::Fresh), ("PL3", License::NotReceived)] {
        mock.put_license(code, license);
    }
    assert_eq!(call(heartbeat, json!({ "license": "PL1" })).1, "92020003");
    let answer = client.post(activate, &json!({ "license": "PL1", "real_effect_time": "20260115083000" })).unwrap();
    let info: Value = serde_json::from_str(answer.json()["data"]["license_code_info"].as_str().unwrap()).unwrap();
    assert_eq!(info["status"], "ALIVE");
    assert_eq!(call(activate, json!({ "license": "PL1" })).1, "92020003");
    let data = client.post(heartbeat, &json!({ "license": "PL1" })).unwrap().json()["data"].clone();
    assert_eq!((&data["status"], &data["activate_time"]), (&json!("ALIVE"), &json!("20260115083000")));

    let v2 = "/v2/license/activate";
    assert_eq!(call(v2, json!({ "license_list": ["PL2", "PL3"] })).1, "92020004");
    assert_eq!(mock.license("PL2"), License::Fresh);
    assert_eq!(call(v2, json!({ "license_list": ["PL2"] })).1, "92020000");
    assert!(matches!(mock.license("PL2"), License::Alive(_)));
    assert_eq!(call(v2, json!({ "license_list": [] })), (400, "92020002".to_owned()));

    let states = [
        (License::Unknown, 200, "92020005"),
        (License::Expired, 200, "92020000"),
        (License::Released, 200, "92020000"),
        (License::Unauthorised, 403, "92020001"),
        (License::Broken, 500, "92020001"),
    ];
    for (license, status, code) in states {
        mock.put_license("PL4", license);
        assert_eq!(call(heartbeat, json!({ "license": "PL4" })), (status, code.to_owned()));
    }
}

#[test]
fn software_usage_has_an_id_or_a_number() {
    let mock = KooGallery::start();
    mock.put_license("PL1", License::Alive("20260115083000".to_owned()));
    let client = Client::new(&mock);
    let call = |entry: Value| {
        let body = json!({ "usage_info": [{ "license": "PL1", "software_usage_Info": [entry] }] });
        said(client.post("/v2/license/software-usage-info", &body)).1
    };
    assert_eq!(call(json!({ "id": "client-1" })), "92020000");
    assert_eq!(call(json!({ "active_num": 7 })), "92020000");
    assert_eq!(call(json!({ "active_num": 1_000_000_000 })), "92020002");
    assert_eq!(call(json!({ "id": "client-1", "active_num": 7 })), "92020002");
    assert_eq!(mock.calls_of(Route::SoftwareUsage)[0].json["usage_info"][0]["license"], "PL1");
}

const FORM: &str = "multipart/form-data; boundary=----test";

/// A form with this object and, perhaps, a file.
fn form(object: &Value, file: Option<&str>) -> String {
    let file = file.map_or(String::new(), |file| {
        let head = "Content-Disposition: form-data; name=\"file\"; filename=\"a.lic\"\r\n\
                    Content-Type: application/octet-stream";
        format!("------test\r\n{head}\r\n\r\n{file}\r\n")
    });
    let head = "Content-Disposition: form-data; name=\"isvUpdateFileReq\"\r\nContent-Type: application/json";
    format!("{file}------test\r\n{head}\r\n\r\n{object}\r\n------test--\r\n")
}

fn upload(client: &Client<'_>, event_id: &str, headers: &[(&str, &str)], form: &str) -> (u16, String) {
    let path = format!("{GLOBAL}/v1/market-event/{event_id}/file");
    said(client.call("POST", &path, &[], headers, form.as_bytes()))
}

#[test]
fn an_upload_is_a_form_with_a_file_or_characters() {
    let mock = KooGallery::start();
    mock.put_event("event-1", "CBC.0000");
    mock.put_event("event-2", "91381033");
    let client = Client::new(&mock);
    let headers = [("Content-Type", FORM), ("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")];
    let file = "line\r\n--line\r\n\r\nend";
    let object = json!({ "type": "FILE", "file_name": "a.lic", "sha256": sha256_hex(file.as_bytes()) });
    let taken = form(&object, Some(file));
    assert_eq!(upload(&client, "event-1", &headers, &taken), (200, "CBC.0000".to_owned()));
    let expected = Upload { event_id: "event-1".to_owned(), request: object, file: Some(file.as_bytes().to_vec()) };
    assert_eq!(mock.uploads(), [expected]);

    assert_eq!(upload(&client, "event-1", &headers, &taken.replace("end", "END")), (400, "CBC.0101".to_owned()));
    let characters = json!({ "type": "CHARACTERS", "characters": "text" });
    assert_eq!(upload(&client, "event-2", &headers, &form(&characters, None)).1, "91381033");
    assert_eq!(upload(&client, "event-1", &headers, &form(&characters, None)).1, "CBC.0000");
    assert_eq!(upload(&client, "event-1", &headers, &form(&characters, Some("file"))).1, "CBC.0101");
    assert_eq!(upload(&client, "event-3", &headers, &form(&characters, None)).1, "91381034");
    assert_eq!(mock.uploads().len(), 2);
}

#[test]
fn the_gateway_takes_one_way_to_sign_an_upload() {
    let mock = KooGallery::start();
    mock.put_event("event-1", "CBC.0000");
    let client = Client::new(&mock);
    let form = form(&json!({ "type": "CHARACTERS", "characters": "text" }), None);
    let unsigned = [("Content-Type", FORM), ("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")];
    for (payload, good, bad) in
        [(Payload::Unsigned, &unsigned[..], &unsigned[..1]), (Payload::BodyHash, &unsigned[..1], &unsigned[..])]
    {
        mock.expect_payload(payload);
        assert_eq!(upload(&client, "event-1", good, &form).1, "CBC.0000", "{payload:?}");
        assert_eq!(upload(&client, "event-1", bad, &form).1, "APIGW.0301", "{payload:?}");
    }
}
