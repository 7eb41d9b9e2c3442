//! The licence families: their calls as they stand on the wire, which keys verify them, and what is answered.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::*;
use crate::instance::Request;
use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::call::{Detail, Intent, LicenseRequest};
use crate::protocol::license::LICENSE;
use crate::protocol::license_code::LICENSE_CODE;
use crate::protocol::license_online::LICENSE_ONLINE;
use crate::protocol::signature::sign_v2;
use crate::secret::Secret;

const NOW: &str = "2026-11-26T12:00:00Z";

fn key(secret: &str) -> AccessKey {
    AccessKey::new(secret.to_owned(), Secret::new(secret.to_owned()))
}

fn keyring() -> Keyring {
    Keyring::new(vec![key("basic-key")], vec![key("license-key")], Vec::new())
}

fn rules() -> Rules {
    Rules {
        signature: SignatureRules::default(),
        body_sign_v2: true,
        auth_token: AuthTokenRules::default(),
        v1_expire_time_offset: Offset::UTC,
        request_encrypt_type: EncryptType::default(),
        ignores_bad_extend_params: false,
        adopts_unknown_codes: true,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Verifies a POST signed with a key; reads it if it is genuine.
fn post(family: &dyn Family, secret: &str, body: &Value) -> Result<Result<Call, BadCall>, SignatureRefusal> {
    let (body, now) = (body.to_string(), at(NOW));
    let stamp = now.as_millisecond().to_string();
    let query = format!("signature={}&timestamp={stamp}&nonce=n", sign_v2(&key(secret), &stamp, "n", body.as_bytes()));
    let received = Received { query: &query, header: &|_| None, body: body.as_bytes() };
    let (keyring, rules) = (keyring(), rules());
    let verified = verify(family, &received, &keyring, now, &rules)?;
    Ok(family.read(&verified, &rules))
}

/// The same for a GET with a token.
fn get(secret: &str, pairs: &[(&str, &str)]) -> Result<Result<Call, BadCall>, SignatureRefusal> {
    let pairs: Vec<_> = pairs.iter().copied().chain([("timeStamp", "20261126120000000")]).collect();
    let token = auth_token::sign(&key(secret), &pairs).unwrap().replace('+', "%2B");
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = format!("{}&authToken={token}", query.join("&"));
    let received = Received { query: &query, header: &|_| None, body: b"" };
    let (keyring, rules) = (keyring(), rules());
    let verified = verify(&LICENSE, &received, &keyring, at(NOW), &rules)?;
    Ok(LICENSE.read(&verified, &rules))
}

fn read(family: &dyn Family, body: Value) -> Call {
    post(family, "license-key", &body).unwrap().unwrap()
}

fn reason(family: &dyn Family, body: Value) -> String {
    post(family, "license-key", &body).unwrap().unwrap_err().reason
}

fn change(call: Call) -> (String, Request, Vec<String>) {
    match call.intent {
        Intent::Change { instance_id, request, identity, .. } => (instance_id, request, identity),
        other => panic!("{other:?}"),
    }
}

#[test]
fn codes_take_the_licence_key_alone_and_the_other_families_the_basic_key_too() {
    let freeze = |id: &str, activity: &str| json!({"activity": activity, id: "x", "status": "FREEZE"});
    let code = freeze("license", "updateLicenseCodeStatus");
    assert!(post(&LICENSE_CODE, "license-key", &code).is_ok());
    assert_eq!(post(&LICENSE_CODE, "basic-key", &code).unwrap_err(), SignatureRefusal::NoKeyMatches);
    let online = freeze("instanceId", "updateInstanceStatus");
    let release = [("activity", "releaseLicense"), ("instanceId", "i"), ("orderId", "CS1")];
    for secret in ["license-key", "basic-key"] {
        assert!(post(&LICENSE_ONLINE, secret, &online).is_ok(), "{secret}");
        assert!(get(secret, &release).is_ok(), "{secret}");
    }
    assert_eq!(post(&LICENSE_ONLINE, "another", &online).unwrap_err(), SignatureRefusal::NoKeyMatches);
    assert_eq!(get("another", &release).unwrap_err(), SignatureRefusal::NoKeyMatches);
}

#[test]
fn the_published_call_about_a_code_verifies() {
    let body = concat!(
        r#"{"activity":"releaseLicenseCode","license":"PL0001","orderId":"CS0001","#,
        r#""orderLineId":"CS0001-000001","testFlag":"0"}"#
    );
    let signature = sign_v2(&key("seller-key-not-real-0001"), "1768468500000", "RLLUammMSInlrNWb", body.as_bytes());
    assert_eq!(signature, "796931a5738ad90e18d06d2c2082b1b93edfcec3db7e38ba89bbc376389daa5a");
}

#[test]
fn the_three_calls_about_a_code_name_it_as_license() {
    let refresh = json!({"activity": "refreshLicenseCode", "scene": "RENEWAL", "orderId": "CS2",
        "orderLineId": "CS2-000001", "license": "PL1", "expireTime": "20280131000000", "productId": "P2"});
    let call = read(&LICENSE_CODE, refresh.clone());
    assert_eq!((call.kind, call.environment, call.adopts_unknown), (Kind::LicenseCode, Environment::Real, true));
    let (id, request, identity) = change(call);
    let expire_time = Some(at("2028-01-31T00:00:00Z"));
    let renew = Request::Renew { expire_time, product_id: Some("P2".into()), cancels_renewal: false };
    assert_eq!((id.as_str(), request), ("PL1", renew));
    assert_eq!(identity, ["CS2", "CS2-000001", "RENEWAL", "1832889600"]);
    let status = |word: &str| {
        let body = json!({"activity": "updateLicenseCodeStatus", "license": "PL1", "status": word, "testFlag": 1});
        change(read(&LICENSE_CODE, body)).1
    };
    assert_eq!((status("FREEZE"), status("UNFREEZE")), (Request::Freeze, Request::Unfreeze));
    let release = change(read(&LICENSE_CODE, json!({"activity": "releaseLicenseCode", "license": "PL1"})));
    assert_eq!(release, ("PL1".to_owned(), Request::Release, Vec::new()));

    let mut without = refresh.clone();
    without["license"] = "".into();
    assert_eq!(reason(&LICENSE_CODE, without), "license is missing");
    let unknown = json!({"activity": "newInstance", "license": "PL1"});
    assert_eq!(reason(&LICENSE_CODE, unknown), "activity \"newInstance\" is unknown");
}

#[test]
fn a_licence_is_asked_for_by_instance_event_and_device() {
    let body = json!({"activity": "getLicenseAsync", "instanceId": "i", "eventId": "e-1",
        "effectiveTime": "2023-10-27 10:30:15 z", "expireTime": "20241027103015", "deviceFingerprint": "00-16"});
    let call = read(&LICENSE_ONLINE, body.clone());
    assert!(call.may_answer_processing && !call.adopts_unknown);
    let request = LicenseRequest {
        event_id: "e-1".into(),
        effective_time: at("2023-10-27T10:30:15Z"),
        expire_time: Some(at("2024-10-27T10:30:15Z")),
        device_fingerprint: Some("00-16".into()),
    };
    assert_eq!(request.identity(), ["e-1", "00-16"]);
    assert_eq!(call.intent, Intent::Issue { instance_id: "i".into(), request });
    for name in ["instanceId", "eventId", "effectiveTime"] {
        let mut without = body.clone();
        without[name] = Value::Null;
        assert_eq!(reason(&LICENSE_ONLINE, without), format!("{name} is missing"));
    }
    let mut bad = body.clone();
    bad["expireTime"] = "tomorrow".into();
    assert!(reason(&LICENSE_ONLINE, bad).starts_with("expireTime is no date: "));
}

#[test]
fn an_online_licence_is_bought_renewed_and_announced_like_saas_in_a_world_of_its_own() {
    let body = json!({"activity": "newInstance", "orderId": "CS1", "orderLineId": "CS1-000001", "businessId": "b"});
    let call = read(&LICENSE_ONLINE, body);
    assert_eq!((call.kind, call.may_answer_processing), (Kind::LicenseOnline, true));
    assert!(matches!(call.intent, Intent::Create { identity, .. } if identity == ["CS1", "CS1-000001"]));
    let notify = json!({"activity": "orderNotify", "orderId": "CS1", "testFlag": "0"});
    assert_eq!(read(&LICENSE_ONLINE, notify).intent, Intent::Notify);
    for stranger in ["queryInstance", "upgradeInstance", "refreshLicenseCode"] {
        let body = json!({"activity": stranger, "instanceId": "i"});
        assert_eq!(reason(&LICENSE_ONLINE, body), format!("activity {stranger:?} is unknown"));
    }
}

#[test]
fn l1_is_bought_by_its_order_and_renewed_to_a_date() {
    let purchase = [
        ("activity", "getLicense"),
        ("customerId", "c"),
        ("businessId", "b"),
        ("orderId", "CS1"),
        ("productId", "P1"),
        ("chargingMode", "1"),
        ("amount", "3"),
    ];
    let call = get("license-key", &purchase).unwrap().unwrap();
    assert_eq!((call.kind, call.encrypts_credentials), (Kind::License, false));
    assert_eq!(call.order.as_ref().and_then(|order| order.quantity), Some(3));
    assert_eq!(call.buyer.as_ref().and_then(|buyer| buyer.customer_id.as_deref()), Some("c"));
    assert!(matches!(call.intent, Intent::Create { identity, .. } if identity == ["CS1"]));
    let renewal =
        [("activity", "refreshLicense"), ("instanceId", "i"), ("orderId", "CS2"), ("expireTime", "20280131000000")];
    let (_, _, identity) = change(get("license-key", &renewal).unwrap().unwrap());
    assert_eq!(identity, ["CS2", "1832889600"]);
    let expiry = [("activity", "expireLicense"), ("instanceId", "i"), ("orderId", "CS1")];
    assert_eq!(change(get("license-key", &expiry).unwrap().unwrap()).1, Request::Freeze);
    assert_eq!(get("license-key", &renewal[..3]).unwrap().unwrap_err().reason, "expireTime is missing");
}

#[test]
fn the_licence_is_in_the_reply_of_l1() {
    let license = Some(Secret::new("A-1".to_owned()));
    let (instance_id, encrypt_type) = ("i".to_owned(), EncryptType::default());
    let outcome = Outcome::success().with(Detail::Created { instance_id, access: None, license, encrypt_type });
    let reply = |outcome: &Outcome| String::from_utf8(LICENSE.reply(None, outcome, &|_, _| String::new())).unwrap();
    assert_eq!(reply(&outcome), r#"{"resultCode":"000000","resultMsg":"success","instanceId":"i","license":"A-1"}"#);
    assert!(outcome.has_secrets() && reply(&outcome.without_secrets()).contains(r#""license":"***""#));
}
