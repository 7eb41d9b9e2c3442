//! Calls of generation V1 as they stand in a query string, and replies as they leave.

use jiff::Timestamp;

use super::*;
use crate::access::{Access, AccessParts};
use crate::operation::Environment;
use crate::protocol::auth_token::{AuthTokenRules, sign};
use crate::protocol::call::{BadCall, Detail, InstanceInfo, Outcome};
use crate::protocol::field_cipher::{EncryptType, Iv};
use crate::protocol::signature::SignatureRules;
use crate::protocol::{self, Family, Received};

const STAMP: &str = "20200727073711903";
const PURCHASE: [(&str, &str); 6] = [
    ("activity", "newInstance"),
    ("businessId", "b-1"),
    ("customerId", "c-1"),
    ("orderId", "CS1"),
    ("productId", "P1"),
    ("expireTime", "20270131000000"),
];

fn keyring() -> Keyring {
    Keyring::new(vec![AccessKey::new("k".to_owned(), Secret::new("11111111-2222".to_owned()))], Vec::new(), Vec::new())
}

fn rules() -> Rules {
    Rules {
        signature: SignatureRules::default(),
        body_sign_v2: true,
        auth_token: AuthTokenRules::default(),
        v1_expire_time_offset: jiff::tz::Offset::UTC,
        request_encrypt_type: EncryptType::Aes256,
        ignores_bad_extend_params: false,
        adopts_unknown_codes: true,
    }
}

/// Reads a call that carries these parameters, well signed.
fn read_with(parameters: &[(&str, &str)], rules: &Rules) -> Result<Call, BadCall> {
    let keyring = keyring();
    let mut pairs = parameters.to_vec();
    pairs.push(("timeStamp", STAMP));
    let token = sign(&keyring.basic()[0], &pairs).unwrap();
    pairs.push(("authToken", &token));
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let query = query.join("&");
    let received = Received { query: &query, header: &|_| None, body: b"" };
    let verified = protocol::verify(&BASIC_V1, &received, &keyring, Timestamp::UNIX_EPOCH, rules).unwrap();
    BASIC_V1.read(&verified, rules)
}

fn read(parameters: &[(&str, &str)]) -> Result<Call, BadCall> {
    read_with(parameters, &rules())
}

/// The purchase with further parameters; one that is there already is replaced.
fn purchase<'p>(more: &[(&'p str, &'p str)]) -> Vec<(&'p str, &'p str)> {
    let kept = PURCHASE.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    kept.chain(more.iter().copied()).collect()
}

fn identity(call: &Call) -> &[String] {
    match &call.intent {
        Intent::Create { identity, .. } | Intent::Change { identity, .. } => identity,
        other => panic!("{other:?}"),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_purchase_tells_order_buyer_and_parameters() {
    let key = keyring().basic()[0].clone();
    let iv = || Iv::parse("Abcdefgh12345678").unwrap();
    let phone = field_cipher::encrypt(&key, EncryptType::Aes128, iv(), "13800138000");
    let parameters = extend_params::render(&[("emailDomainName", "test.xxxx.com")]);
    let call = read(&purchase(&[
        ("customerName", "测试 客户+A&B="),
        ("mobilePhone", &phone),
        ("skuCode", "S1"),
        ("chargingMode", "1"),
        ("periodType", "year"),
        ("periodNumber", "2"),
        ("amount", "10"),
        ("diskSize", "20"),
        ("bandWidth", "30"),
        ("orderAmount", "12.780"),
        ("trialFlag", "0"),
        ("saasExtendParams", &parameters),
        ("futureMember", "x"),
    ]))
    .unwrap();
    assert_eq!((call.activity, call.environment, call.kind), ("newInstance", Environment::Real, Kind::Saas));
    assert!(call.encrypts_credentials && !call.may_answer_processing && call.remarks.is_empty());
    let order = Order {
        order_id: "CS1".into(),
        order_line_id: None,
        order_type: Some("NEW"),
        charging_mode: Some("PERIOD".into()),
        period_type: Some("year".into()),
        period_number: Some(2),
        quantity: Some(10),
        disk_size: Some(20),
        band_width: Some(30),
        amount: Some("12.780".into()),
        expire_time: Some(at("2027-01-31T00:00:00Z")),
    };
    assert_eq!(call.order, Some(order));
    let buyer = call.buyer.unwrap();
    assert_eq!(buyer.customer_name.as_deref(), Some("测试 客户+A&B="));
    assert_eq!(buyer.mobile_phone, Some(Secret::new("13800138000".to_owned())), "encrypted with the other size");
    assert_eq!(call.parameters.get("emailDomainName").map(String::as_str), Some("test.xxxx.com"));
    assert!(call.content.contains_key("futureMember"));
    for volatile in ["businessId", "timeStamp", "authToken", "mobilePhone"] {
        assert!(!call.content.contains_key(volatile), "{volatile}");
    }
}

#[test]
fn a_purchase_is_its_order_and_on_demand_its_product_too() {
    let found = |mode: &str| identity(&read(&purchase(&[("chargingMode", mode)])).unwrap()).to_vec();
    assert_eq!(found("1"), ["CS1"]);
    assert_eq!(found("3"), ["CS1"]);
    for mode in ["0", "5", "", "2"] {
        assert_eq!(found(mode), ["CS1", "", "P1"], "{mode}");
    }
}

#[test]
fn what_service_supervision_may_say_anew_is_kept_as_received_but_for_milliseconds() {
    let more = [("periodType", "year"), ("periodNumber", ""), ("provisionType", "1"), ("acceptanceTime", "later")];
    let call = read(&purchase(&more)).unwrap();
    let Intent::Create { terms: Some(terms), .. } = call.intent else { panic!() };
    let terms: Vec<_> = terms.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let with_milliseconds = [&more[..], &[("expireTime", "20270131000000000")]].concat();
    let Intent::Create { terms: Some(same), .. } = read(&purchase(&with_milliseconds)).unwrap().intent else {
        panic!()
    };
    assert!(same.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(terms.iter().copied()), "{same:?}");
    let expected =
        [("acceptanceTime", "later"), ("expireTime", "20270131000000"), ("periodType", "year"), ("provisionType", "1")];
    assert_eq!(terms, expected);
}

#[test]
fn personal_data_that_cannot_be_decrypted_is_left_out_and_remarked_without_its_value() {
    let call = read(&purchase(&[("mobilePhone", "SECRETVALUE"), ("email", "Abcdefgh12345678!!")])).unwrap();
    let buyer = call.buyer.unwrap();
    assert_eq!((buyer.mobile_phone, buyer.email), (None, None));
    assert_eq!(call.remarks.len(), 2);
    assert!(call.remarks[0].starts_with("mobilePhone was left out") && call.remarks[1].starts_with("email "));
    assert!(!call.remarks.concat().contains("SECRETVALUE"));
}

#[test]
fn bad_extension_parameters_are_refused_or_left_out_as_configured() {
    let parameters = purchase(&[("saasExtendParams", "{}")]);
    let bad = read(&parameters).unwrap_err();
    assert!(bad.reason.starts_with("saasExtendParams "), "{}", bad.reason);
    let call = read_with(&parameters, &Rules { ignores_bad_extend_params: true, ..rules() }).unwrap();
    assert!(call.parameters.is_empty() && call.remarks[0].starts_with("saasExtendParams was left out"));
}

/// A refresh with these parameters: scene, date, whether it cancels, and its identity.
fn refresh(more: &[(&str, &str)]) -> (&'static str, Option<Timestamp>, bool, Vec<String>) {
    let mut parameters = vec![("activity", "refreshInstance"), ("instanceId", "i"), ("orderId", "CS2")];
    parameters.extend(more);
    let call = read(&parameters).unwrap();
    let identity = identity(&call).to_vec();
    let Intent::Change { request, scene, .. } = call.intent else { panic!() };
    let Request::Renew { expire_time, cancels_renewal, .. } = request else { panic!() };
    (scene.unwrap(), expire_time, cancels_renewal, identity)
}

#[test]
fn a_refresh_means_what_its_conversion_and_its_sign_say() {
    let date = ("expireTime", "20280131000000");
    let end = at("2028-01-31T00:00:00Z");
    let seconds = end.as_second().to_string();
    let plain = refresh(&[date]);
    assert_eq!(plain, ("RENEWAL", Some(end), false, vec!["CS2".into(), "".into(), "".into(), "".into(), seconds]));
    let scene = |more: &[(&str, &str)]| {
        let (scene, _, cancels, identity) = refresh(more);
        assert_ne!(identity, plain.3, "{more:?}");
        (scene, cancels)
    };
    assert_eq!(scene(&[date, ("trialToFormal", "1")]), ("TRIAL_TO_FORMAL", false));
    assert_eq!(scene(&[date, ("trialToFormal", "9")]), ("TRIAL_TO_FORMAL", false));
    assert_eq!(scene(&[date, ("orderAmount", "-0.001")]), ("UNSUBSCRIBE_RENEWAL_PERIOD", true));
    assert_eq!(scene(&[("expireTime", "20280131000001")]), ("RENEWAL", false));
    for same in [("trialToFormal", "0"), ("orderAmount", "12.5"), ("orderAmount", "-0.00"), ("productId", "P2")] {
        assert_eq!(refresh(&[date, same]), plain, "{same:?}");
    }
    let (_, milliseconds, _, identity) = refresh(&[("expireTime", "20280131000000999")]);
    assert_eq!((milliseconds.unwrap().as_second(), &identity), (end.as_second(), &plain.3));
}

#[test]
fn only_a_trial_that_becomes_on_demand_needs_no_date() {
    assert_eq!(refresh(&[("trialToFormal", "2")]).1, None);
    assert!(refresh(&[("trialToFormal", "2"), ("expireTime", "20280131000000")]).1.is_some());
    for conversion in ["", "0", "1", "3"] {
        let parameters =
            [("activity", "refreshInstance"), ("instanceId", "i"), ("orderId", "CS2"), ("trialToFormal", conversion)];
        assert_eq!(read(&parameters).unwrap_err().reason, "expireTime is missing", "{conversion}");
    }
}

/// Type and charging mode of the order that a call tells of, in the words of the order query.
#[test]
fn an_order_is_told_in_the_words_of_the_order_query() {
    let renewal = |more: &[(&'static str, &'static str)]| {
        let base = [
            ("activity", "refreshInstance"),
            ("instanceId", "i"),
            ("orderId", "CS2"),
            ("expireTime", "20280131000000"),
        ];
        [&base[..], more].concat()
    };
    let about = |activity, more: &[(&'static str, &'static str)]| {
        [&[("activity", activity), ("instanceId", "i"), ("orderId", "CS3")], more].concat()
    };
    for (parameters, order_type, charging_mode) in [
        (purchase(&[("chargingMode", "0")]), Some("NEW"), Some("ON_DEMAND")),
        (purchase(&[("chargingMode", "1")]), Some("NEW"), Some("PERIOD")),
        (purchase(&[("chargingMode", "3")]), Some("NEW"), Some("ONE_TIME")),
        (purchase(&[("chargingMode", "5")]), Some("NEW"), Some("ON_DEMAND_PKG")),
        (purchase(&[("chargingMode", "9")]), Some("NEW"), Some("9")),
        (purchase(&[("trialFlag", "0")]), Some("NEW"), None),
        (purchase(&[("trialFlag", "1")]), Some("TRIAL"), None),
        (renewal(&[]), Some("RENEW"), None),
        (renewal(&[("trialToFormal", "0")]), Some("RENEW"), None),
        (renewal(&[("trialToFormal", "1")]), Some("TRIAL_TO_FORMAL"), None),
        (renewal(&[("trialToFormal", "2")]), Some("TRIAL_TO_FORMAL"), Some("ON_DEMAND")),
        (renewal(&[("trialToFormal", "2"), ("chargingMode", "5")]), Some("TRIAL_TO_FORMAL"), Some("ON_DEMAND_PKG")),
        (renewal(&[("orderAmount", "-1")]), Some("UNSUBSCRIBE"), None),
        (about("upgrade", &[("skuCode", "S"), ("productId", "P")]), Some("CHANGE"), None),
        (about("expireInstance", &[]), None, None),
        (about("releaseInstance", &[]), None, None),
        (about("instanceStatus", &[("instanceStatus", "FREEZE")]), None, None),
    ] {
        let order = read(&parameters).unwrap().order.unwrap();
        assert_eq!((order.order_type, order.charging_mode.as_deref()), (order_type, charging_mode), "{parameters:?}");
    }
}

#[test]
fn a_conversion_that_is_not_documented_is_remarked() {
    let remarks = |value| {
        let refresh =
            [("activity", "refreshInstance"), ("instanceId", "i"), ("orderId", "o"), ("trialToFormal", value)];
        read(&[&refresh[..], &[("expireTime", "20280131000000")]].concat()).unwrap().remarks
    };
    for documented in ["", "0", "1", "2"] {
        assert_eq!(remarks(documented), Vec::<String>::new(), "{documented:?}");
    }
    assert_eq!(remarks("3"), ["trialToFormal has a value that is not documented and was read as 1"]);
}

#[test]
fn dates_are_read_in_the_configured_zone() {
    let beijing = Rules { v1_expire_time_offset: jiff::tz::Offset::constant(8), ..rules() };
    let call = read_with(&PURCHASE, &beijing).unwrap();
    let Intent::Create { expire_time, .. } = call.intent else { panic!() };
    assert_eq!(expire_time, Some(at("2027-01-30T16:00:00Z")));
}

#[test]
fn the_other_activities_ask_for_what_their_pages_say() {
    let change = |parameters: &[(&str, &str)]| match read(parameters).unwrap().intent {
        Intent::Change { instance_id, request, identity, .. } => {
            assert_eq!(instance_id, "i");
            (request, identity)
        }
        other => panic!("{other:?}"),
    };
    let about = |activity, more: &[(&'static str, &'static str)]| {
        [&[("activity", activity), ("instanceId", "i")], more].concat()
    };
    assert_eq!(change(&about("expireInstance", &[("orderId", "CS1")])), (Request::Freeze, vec![]));
    assert_eq!(change(&about("instanceStatus", &[("instanceStatus", "FREEZE")])), (Request::Freeze, vec![]));
    for word in ["NORMAL", "UNFREEZE"] {
        assert_eq!(change(&about("instanceStatus", &[("instanceStatus", word)])), (Request::Unfreeze, vec![]));
    }
    let released = change(&about("releaseInstance", &[("orderId", "CS1"), ("orderAmount", "-3")]));
    assert_eq!(released, (Request::Release, vec![]));
    let upgrade = [("orderId", "CS3"), ("skuCode", "S2"), ("productId", "P2"), ("amount", "20")];
    for activity in ["upgrade", "upgradeInstance"] {
        let request = Request::Upgrade { product_id: Some("P2".into()), sku_code: Some("S2".into()) };
        assert_eq!(change(&about(activity, &upgrade)), (request, vec!["CS3".to_owned()]));
    }
    let call = read(&[("activity", "queryInstance"), ("instanceId", "a, b,,a")]).unwrap();
    assert_eq!(call.intent, Intent::Query { instance_ids: vec!["a".into(), "b".into()] });
}

#[test]
fn what_is_missing_or_ill_formed_is_named() {
    for (parameters, reason) in [
        (purchase(&[("customerId", "")]), "customerId is missing"),
        (purchase(&[("productId", "")]), "productId is missing"),
        (purchase(&[("amount", "ten")]), "amount must be a whole number"),
        (purchase(&[("orderAmount", "1,5")]), "orderAmount must be a decimal number"),
        (
            purchase(&[("expireTime", "20271301000000")]),
            "expireTime is no date: the time names a date or a time of day that does not exist",
        ),
        (purchase(&[("activity", "sell")]), "activity \"sell\" is unknown"),
        (vec![("activity", "expireInstance"), ("instanceId", "i")], "orderId is missing"),
        (
            vec![("activity", "instanceStatus"), ("instanceId", "i"), ("instanceStatus", "MELT")],
            "instanceStatus must be FREEZE or NORMAL",
        ),
        (
            vec![("activity", "upgrade"), ("instanceId", "i"), ("orderId", "o"), ("productId", "p")],
            "skuCode is missing",
        ),
        (vec![("customerId", "c")], "activity is missing"),
    ] {
        assert_eq!(read(&parameters).unwrap_err().reason, reason);
    }
}

fn access() -> Access {
    Access::accept(AccessParts {
        front_end_url: "https://www.isvserver.com".into(),
        user_name: Some(Secret::new("admin".into())),
        password: Some(Secret::new("P@ssw0rd!".into())),
        memo: Some("测".into()),
        ..AccessParts::default()
    })
    .unwrap()
}

#[test]
fn user_name_and_password_leave_encrypted_and_the_rest_as_it_is() {
    let encrypt = |size: EncryptType, text: &str| format!("<{}:{text}>", size.code());
    let created = |access: Option<Access>| {
        let instance_id = "i".to_owned();
        let detail = Detail::Created { instance_id, access, license: None, encrypt_type: EncryptType::Aes128 };
        String::from_utf8(BASIC_V1.reply(None, &Outcome::success().with(detail), &encrypt)).unwrap()
    };
    assert_eq!(
        created(Some(access())),
        concat!(
            r#"{"resultCode":"000000","resultMsg":"success","encryptType":"2","instanceId":"i","appInfo":"#,
            r#"{"frontEndUrl":"https://www.isvserver.com","userName":"<2:admin>","password":"<2:P@ssw0rd!>","#,
            r#""memo":"\u6d4b"}}"#
        )
    );
    assert_eq!(created(None), r#"{"resultCode":"000000","resultMsg":"success","instanceId":"i"}"#);
    let found = vec![InstanceInfo { instance_id: "i".into(), access: Some(access()), usage: Vec::new() }];
    let detail = Detail::Instances { found, encrypt_type: EncryptType::Aes256 };
    let reply = String::from_utf8(BASIC_V1.reply(None, &Outcome::success().with(detail), &encrypt)).unwrap();
    assert!(reply.contains(r#""encryptType":"1","info":[{"instanceId":"i","#), "{reply}");
    assert!(reply.contains(r#""password":"<1:P@ssw0rd!>""#), "{reply}");
}

#[test]
fn the_size_of_key_is_told_exactly_where_something_is_encrypted() {
    let reply = |detail| {
        let outcome = Outcome::success().with(detail);
        String::from_utf8(BASIC_V1.reply(None, &outcome, &|_, text| format!("<{text}>"))).unwrap()
    };
    let with = |user_name: Option<&str>, password: Option<&str>| {
        let secret = |text: &str| Secret::new(text.to_owned());
        let (user_name, password) = (user_name.map(secret), password.map(secret));
        let parts =
            AccessParts { front_end_url: "https://a.example".into(), user_name, password, ..AccessParts::default() };
        Access::accept(parts).ok()
    };
    for (access, expected) in [
        (with(Some("u"), None), true),
        (with(None, Some("p")), true),
        (with(Some("u"), Some("p")), true),
        (with(None, None), false),
        (None, false),
    ] {
        let (instance_id, encrypt_type) = ("i".to_owned(), EncryptType::Aes128);
        let found = vec![InstanceInfo { instance_id: "i".to_owned(), access: access.clone(), usage: Vec::new() }];
        let created = Detail::Created { instance_id, access: access.clone(), license: None, encrypt_type };
        for reply in [reply(created), reply(Detail::Instances { found, encrypt_type })] {
            assert_eq!(reply.contains(r#""encryptType":"2""#), expected, "{reply}");
            assert_eq!(reply.contains("appInfo"), access.is_some(), "{reply}");
        }
    }
}
