//! Calls of generation V2 as they stand in a body, activity by activity (spec 1-basic-v2 §4).

use serde_json::json;

use super::*;
use crate::operation::Environment;
use crate::protocol::auth_token::AuthTokenRules;
use crate::protocol::call::{BadCall, Call};
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::key::AccessKey;
use crate::protocol::signature::{SignatureRules, sign_v2};
use crate::protocol::{Family, Received, verify};
use crate::secret::Secret;

fn rules() -> Rules {
    Rules {
        signature: SignatureRules::default(),
        body_sign_v2: true,
        auth_token: AuthTokenRules::default(),
        v1_expire_time_offset: jiff::tz::Offset::UTC,
        request_encrypt_type: EncryptType::default(),
        ignores_bad_extend_params: false,
        adopts_unknown_codes: true,
    }
}

fn read(body: &Value) -> Result<Call, BadCall> {
    let key = AccessKey::new("k".to_owned(), Secret::new("basic-key".to_owned()));
    let body = body.to_string();
    let query = format!("timestamp=1000&nonce=n&signature={}", sign_v2(&key, "1000", "n", body.as_bytes()));
    let received = Received { query: &query, header: &|_| None, body: body.as_bytes() };
    let keyring = Keyring::new(vec![key], Vec::new(), Vec::new());
    let now = jiff::Timestamp::from_second(1000).unwrap();
    let verified = verify(&BASIC_V2, &received, &keyring, now, &rules()).unwrap();
    BASIC_V2.read(&verified, &rules())
}

fn intent(body: &Value) -> Intent {
    read(body).unwrap().intent
}

fn reason(body: &Value) -> String {
    read(body).unwrap_err().reason
}

/// The body with one member replaced.
fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[name] = value;
    body
}

#[test]
fn a_purchase_is_its_order_its_line_and_the_product_where_one_is_named() {
    let body = json!({"activity": "newInstance", "businessId": "b", "orderId": "CS1", "orderLineId": "CS1-1"});
    let call = read(&body).unwrap();
    assert_eq!((call.kind, call.environment, call.business_id.as_deref()), (Kind::Saas, Environment::Real, Some("b")));
    assert!(call.may_answer_processing && call.order_query && !call.encrypts_credentials);
    let order = call.order.unwrap();
    assert_eq!((order.order_id.as_str(), order.order_line_id.as_deref()), ("CS1", Some("CS1-1")));
    let identity = |body: &Value| match intent(body) {
        Intent::Create { identity, product_id, .. } => (identity, product_id),
        other => panic!("{other:?}"),
    };
    assert_eq!(identity(&body), (vec!["CS1".into(), "CS1-1".into()], None));
    let named = with(&body, "productId", "P1".into());
    assert_eq!(identity(&named), (vec!["CS1".into(), "CS1-1".into(), "P1".into()], Some("P1".into())));
    for name in ["businessId", "orderId", "orderLineId"] {
        assert_eq!(reason(&with(&body, name, Value::Null)), format!("{name} is missing"));
    }
    assert_eq!(read(&with(&body, "testFlag", "1".into())).unwrap().environment, Environment::Test);
}

#[test]
fn a_query_names_one_to_a_hundred_instances_once_each() {
    let query = |ids: &str| json!({"activity": "queryInstance", "instanceId": ids});
    let ids = |count: usize| (0..count).map(|n| format!("i{n}")).collect::<Vec<_>>();
    assert_eq!(intent(&query(" a,,b , a,")), Intent::Query { instance_ids: vec!["a".into(), "b".into()] });
    assert_eq!(intent(&query(&ids(100).join(","))), Intent::Query { instance_ids: ids(100) });
    assert_eq!(reason(&query(&ids(101).join(","))), "instanceId lists 101 instances; at most 100 are allowed");
    for nothing in ["", ",", " , "] {
        assert_eq!(reason(&query(nothing)), "instanceId is missing", "{nothing:?}");
    }
}

#[test]
fn a_renewal_is_its_order_its_line_its_scene_and_its_date_and_only_a_refund_cancels() {
    let body = json!({"activity": "refreshInstance", "instanceId": "i", "orderId": "CS2", "orderLineId": "CS2-1",
        "scene": "RENEWAL", "expireTime": "20280131000000", "productId": "P2"});
    for (word, cancels) in [
        ("TRIAL_TO_FORMAL", false),
        ("RENEWAL", false),
        ("RENEWAL_CHANGE", false),
        ("UNSUBSCRIBE_RENEWAL_PERIOD", true),
    ] {
        let expire_time = Some("2028-01-31T00:00:00Z".parse().unwrap());
        let expected = Intent::Change {
            instance_id: "i".into(),
            request: Request::Renew { expire_time, product_id: Some("P2".into()), cancels_renewal: cancels },
            identity: ["CS2", "CS2-1", word, "1832889600"].map(str::to_owned).into(),
            scene: Some(word),
        };
        assert_eq!(intent(&with(&body, "scene", word.into())), expected);
    }
    let expected = "scene must be TRIAL_TO_FORMAL, RENEWAL, RENEWAL_CHANGE or UNSUBSCRIBE_RENEWAL_PERIOD";
    assert_eq!(reason(&with(&body, "scene", "renewal".into())), expected);
    for name in ["instanceId", "orderId", "orderLineId", "scene", "expireTime"] {
        assert_eq!(reason(&with(&body, name, "".into())), format!("{name} is missing"));
    }
}

#[test]
fn status_release_and_upgrade_ask_for_what_their_pages_say() {
    let change = |body: &Value| match intent(body) {
        Intent::Change { instance_id, request, identity, scene: None } if instance_id == "i" => (request, identity),
        other => panic!("{other:?}"),
    };
    let status = |word: &str| json!({"activity": "updateInstanceStatus", "instanceId": "i", "status": word});
    assert_eq!(change(&status("FREEZE")), (Request::Freeze, vec![]));
    assert_eq!(change(&status("UNFREEZE")), (Request::Unfreeze, vec![]));
    assert_eq!(reason(&status("MELT")), "status must be FREEZE or UNFREEZE");
    assert_eq!(reason(&status("")), "status is missing");
    assert_eq!(change(&json!({"activity": "releaseInstance", "instanceId": "i"})), (Request::Release, vec![]));

    let body = json!({"activity": "upgradeInstance", "instanceId": "i", "orderId": "CS3", "orderLineId": "CS3-1"});
    let upgrade = Request::Upgrade { product_id: None, sku_code: None };
    assert_eq!(change(&body), (upgrade, vec!["CS3".to_owned(), "CS3-1".to_owned()]));
    for name in ["instanceId", "orderId", "orderLineId"] {
        assert_eq!(reason(&with(&body, name, Value::Null)), format!("{name} is missing"));
    }
}

#[test]
fn a_change_check_takes_the_product_as_an_object_a_text_that_holds_one_or_a_list_of_them() {
    let check = |product: Value| json!({"activity": "changeInstanceCheck", "instanceId": "i", "productInfo": product});
    for (product, expected) in [
        (json!({"productId": "P2"}), json!({"productId": "P2"})),
        (json!(r#"{"productId":"P2"}"#), json!({"productId": "P2"})),
        (json!([{"productId": "P2"}]), json!([{"productId": "P2"}])),
        (json!(r#"[{"productId":"P2"}]"#), json!([{"productId": "P2"}])),
    ] {
        let expected = Intent::CheckChange { instance_id: "i".into(), product_info: expected };
        assert_eq!(intent(&check(product)), expected);
    }
    for nothing in [json!(null), json!("")] {
        assert_eq!(reason(&check(nothing)), "productInfo is missing");
    }
    for other in [json!([]), json!([1]), json!([{}, 1]), json!(1), json!("P2"), json!("[]"), json!("1"), json!(true)] {
        let expected = "productInfo must be an object or a text that holds one as JSON";
        assert_eq!(reason(&check(other.clone())), expected, "{other}");
    }
}

#[test]
fn an_announcement_needs_the_order_alone() {
    assert_eq!(intent(&json!({"activity": "orderNotify", "orderId": "CS1"})), Intent::Notify);
    assert_eq!(reason(&json!({"activity": "orderNotify"})), "orderId is missing");
}
