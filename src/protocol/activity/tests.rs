//! What all families with activities share: which keys count, what is signed, what a repeat is compared with, and the
//! form of a reply.

use serde_json::json;

use super::*;
use crate::access::{Access, AccessParts};
use crate::protocol::auth_token::AuthTokenRules;
use crate::protocol::basic_v1::BASIC_V1;
use crate::protocol::basic_v2::BASIC_V2;
use crate::protocol::call::{Detail, InstanceInfo, LicenseRequest};
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::license::LICENSE;
use crate::protocol::license_code::LICENSE_CODE;
use crate::protocol::license_online::LICENSE_ONLINE;
use crate::protocol::result_code::ResultCode;
use crate::protocol::signature::SignatureRules;
use crate::secret::Secret;

const ALL: [&ActivityFamily; 5] = [&BASIC_V1, &BASIC_V2, &LICENSE, &LICENSE_CODE, &LICENSE_ONLINE];

fn rules(body_sign_v2: bool) -> Rules {
    Rules {
        signature: SignatureRules::default(),
        body_sign_v2,
        auth_token: AuthTokenRules::default(),
        v1_expire_time_offset: jiff::tz::Offset::UTC,
        request_encrypt_type: EncryptType::default(),
        ignores_bad_extend_params: false,
        adopts_unknown_codes: true,
    }
}

#[test]
fn each_family_has_its_name_and_takes_the_keys_of_its_interface_alone() {
    let key = |id: &str| vec![AccessKey::new(id.to_owned(), Secret::new(id.to_owned()))];
    let keyring = Keyring::new(key("basic"), key("license"), key("kit"));
    let expected: [(&str, &[&str]); 5] = [
        ("basic-v1", &["basic"]),
        ("basic-v2", &["basic"]),
        ("license", &["license", "basic"]),
        ("license-code", &["license"]),
        ("license-online", &["license", "basic"]),
    ];
    for (family, (name, keys)) in ALL.into_iter().zip(expected) {
        assert_eq!(family.name(), name);
        let ids: Vec<_> = family.keys(&keyring).iter().map(AccessKey::id).collect();
        assert_eq!(ids, keys, "{name}");
        assert!(!family.seals_requests(), "{name}");
    }
}

#[test]
fn answers_to_get_are_always_signed_and_those_to_post_unless_it_is_turned_off() {
    for family in ALL {
        let by_get = matches!(family.name(), "basic-v1" | "license");
        assert!(family.signs_replies(&rules(true)), "{}", family.name());
        assert_eq!(family.signs_replies(&rules(false)), by_get, "{}", family.name());
    }
}

#[test]
fn a_family_knows_its_own_activities_to_the_letter() {
    assert!(BASIC_V2.knows("newInstance") && BASIC_V2.knows("orderNotify"));
    for stranger in ["getLicense", "newinstance", "newInstance ", ""] {
        assert!(!BASIC_V2.knows(stranger), "{stranger:?}");
    }
}

#[test]
fn a_repeat_is_compared_without_what_differs_in_every_retry() {
    let body = json!({"activity": "newInstance", "orderId": "CS1", "businessId": "b", "timeStamp": "2", "authToken": "t",
        "mobilePhone": "m", "email": "e", "testFlag": 1});
    let content = BASIC_V2.content("", body.to_string().as_bytes());
    assert_eq!(content.map(Value::Object), Some(json!({"activity": "newInstance", "orderId": "CS1", "testFlag": 1})));
    let query = "activity=newInstance&orderId=CS1&timeStamp=2&authToken=t&email=e&orderId=CS2";
    let content = BASIC_V1.content(query, b"");
    assert_eq!(content.map(Value::Object), Some(json!({"activity": "newInstance", "orderId": "CS1"})));
    assert_eq!(BASIC_V2.content("", b"[]"), None);
    assert_eq!(BASIC_V1.content("a=%FF", b""), None);
}

#[test]
fn an_activity_nobody_knows_is_told_in_forty_characters_at_most() {
    let unknown = |name: &str| {
        let members = json!({ "activity": name }).as_object().unwrap().clone();
        BASIC_V2.activity(Members(&members)).map(|activity| activity.name)
    };
    assert_eq!(unknown("newInstance"), Ok("newInstance"));
    assert_eq!(unknown("sell"), Err("activity \"sell\" is unknown".to_owned()));
    let (forty, more) = ("云".repeat(40), "云".repeat(41));
    assert_eq!(unknown(&forty), Err(format!("activity \"{forty}\" is unknown")));
    assert_eq!(unknown(&more), Err(format!("activity \"{forty}…\" is unknown")));
    assert_eq!(unknown(""), Err("activity is missing".to_owned()));
}

#[test]
fn what_koogallery_checks_in_a_reply_follows_from_what_was_asked() {
    let call = |intent| Call {
        activity: "any",
        environment: Environment::Real,
        kind: Kind::Saas,
        intent,
        order: None,
        buyer: None,
        parameters: BTreeMap::new(),
        business_id: None,
        may_answer_processing: false,
        encrypts_credentials: false,
        order_query: false,
        adopts_unknown: false,
        remarks: Vec::new(),
        content: Map::new(),
    };
    let identity = Vec::new();
    let creation = call(Intent::Create { identity, product_id: None, sku_code: None, expire_time: None, terms: None });
    let query = call(Intent::Query { instance_ids: vec!["i".to_owned()] });
    let request = LicenseRequest {
        event_id: "e".to_owned(),
        effective_time: Timestamp::UNIX_EPOCH,
        expire_time: None,
        device_fingerprint: None,
    };
    let issue = call(Intent::Issue { instance_id: "i".to_owned(), request });
    assert_eq!(BASIC_V2.reply_shape(Some(&creation)), ReplyShape::NewInstance);
    assert_eq!(LICENSE.reply_shape(Some(&creation)), ReplyShape::GetLicense);
    assert_eq!(BASIC_V2.reply_shape(Some(&query)), ReplyShape::QueryInstance);
    assert_eq!(LICENSE_ONLINE.reply_shape(Some(&issue)), ReplyShape::GetLicenseAsync);
    assert_eq!(BASIC_V2.reply_shape(Some(&call(Intent::Notify))), ReplyShape::Plain);
    assert_eq!(BASIC_V2.reply_shape(None), ReplyShape::Plain);
}

#[test]
fn v2_tells_access_data_in_the_answer_to_a_query_only_and_as_it_is() {
    let reply =
        |outcome: &Outcome| String::from_utf8(BASIC_V2.reply(None, outcome, &|_, _| "<cipher>".into())).unwrap();
    let access = Access::accept(AccessParts {
        front_end_url: "https://a.example".into(),
        user_name: Some(Secret::new("u".to_owned())),
        ..AccessParts::default()
    });
    let (access, encrypt_type) = (access.ok(), EncryptType::default());
    let instance_id = "i".to_owned();
    let created = Detail::Created { instance_id: "i".to_owned(), access: access.clone(), license: None, encrypt_type };
    assert_eq!(
        reply(&Outcome::success().with(created)),
        r#"{"resultCode":"000000","resultMsg":"success","instanceId":"i"}"#
    );
    let found = vec![InstanceInfo { instance_id, access, usage: Vec::new() }];
    assert_eq!(
        reply(&Outcome::success().with(Detail::Instances { found, encrypt_type })),
        concat!(
            r#"{"resultCode":"000000","resultMsg":"success","info":[{"instanceId":"i","appInfo":"#,
            r#"{"frontEndUrl":"https://a.example","userName":"u"}}]}"#
        )
    );
    let refusal = Outcome::refusal(ResultCode::PARAMETER, "orderId is missing");
    assert_eq!(reply(&refusal), r#"{"resultCode":"000002","resultMsg":"orderId is missing"}"#);
}

#[test]
fn only_calls_that_name_their_token_in_the_query_can_be_told_from_every_other() {
    let stamp = "20261126080000000";
    let query = |token: &str| format!("activity=newInstance&timeStamp={stamp}&authToken={token}");
    let (one, other) = (query(&format!("{}%3D", "A".repeat(43))), query(&format!("{}%3D", "B".repeat(42) + "A")));
    for family in [&BASIC_V1, &LICENSE] {
        let mark = family.mark(&one).unwrap();
        assert_eq!(mark.stamped, Some("2026-11-26T08:00:00Z".parse().unwrap()));
        let again = format!("authToken={}%3D&timeStamp={stamp}&activity=newInstance", "A".repeat(43));
        assert_eq!(family.mark(&again), Some(mark), "in another order");
        assert_ne!(family.mark(&other), Some(mark));
        assert_eq!(family.mark("activity=newInstance"), None);
        let unstamped = family.mark(&one.replace(stamp, "now")).unwrap();
        assert_eq!((unstamped.tag, unstamped.stamped), (mark.tag, None));
    }
    for family in [&BASIC_V2, &LICENSE_CODE, &LICENSE_ONLINE] {
        assert_eq!(family.mark(&one), None, "a nonce does that");
    }
}
