//! From a request to a call and from an outcome to a reply, for both generations.

use serde_json::json;

use super::*;
use crate::protocol::auth_token::AuthTokenRules;
use crate::protocol::call::Detail;
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::kit::calls::DirectoryChange;
use crate::protocol::result_code::ResultCode;
use crate::protocol::signature::SignatureRules;
use crate::protocol::verify;
use crate::secret::Secret;

const NOW: &str = "1680508066618";

fn rules() -> Rules {
    Rules {
        signature: SignatureRules::default(),
        body_sign_v2: false,
        auth_token: AuthTokenRules::default(),
        v1_expire_time_offset: Offset::UTC,
        request_encrypt_type: EncryptType::Aes256,
        ignores_bad_extend_params: false,
        adopts_unknown_codes: false,
    }
}

fn key(text: &str) -> AccessKey {
    AccessKey::new(text.to_owned(), Secret::new(text.to_owned()))
}

fn keyring() -> Keyring {
    Keyring::new(vec![key("basic-key")], vec![key("license-key")], vec![key("kit-key")])
}

/// The request as its generation signs it under this key.
fn signed(family: &KitFamily, key: &AccessKey, body: &[u8]) -> Vec<(&'static str, String)> {
    match family.generation {
        Generation::V1 => vec![("authToken", sign_v1(key, body).unwrap_or_else(|| "x".to_owned()))],
        Generation::V2 => {
            let signature = sign_v2(key, NOW, "n", body);
            vec![(X_TIMESTAMP, NOW.to_owned()), (X_NONCE, "n".to_owned()), (X_SIGN, signature)]
        }
    }
}

/// What becomes of a request signed with `key`: refused, ill-formed or read.
fn answer(family: &KitFamily, key: &AccessKey, body: &[u8]) -> Result<Result<Call, BadCall>, SignatureRefusal> {
    let headers = signed(family, key, body);
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let received = Received { query: "", header: &header, body };
    let (keyring, now) = (keyring(), Timestamp::from_millisecond(NOW.parse().unwrap()).unwrap());
    let verified = verify(family, &received, &keyring, now, &rules())?;
    assert_eq!(verified.nonce(), (family.generation == Generation::V2).then_some("n"));
    Ok(family.read(&verified, &rules()))
}

fn body(more: serde_json::Value) -> Vec<u8> {
    let mut body = json!({
        "instanceId": "i-1", "tenantId": "t-1", "appId": "a", "orgCode": "1", "flag": 0, "testFlag": "1",
        "userList": [], "orgInfo": [], "timeStamp": "20220413093539534"
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    serde_json::to_vec(&body).unwrap()
}

fn all() -> impl Iterator<Item = &'static KitFamily> {
    KIT_V1.iter().chain(&KIT_V2)
}

#[test]
fn each_path_leads_to_its_call() {
    let names = ["tenantSync", "applicationSync", "authSync", "singleOrgSync", "allOrgSync"];
    let paths: Vec<_> =
        ["", "v2/"].iter().flat_map(|generation| names.map(|name| format!("/produceAPI/{generation}{name}"))).collect();
    assert_eq!(all().map(KitFamily::sub_path).collect::<Vec<_>>(), paths);
    for (family, path) in all().zip(&paths) {
        assert!(std::ptr::eq(family_at(path).unwrap(), family), "{path}");
        let call = answer(family, &key("kit-key"), &body(json!({}))).unwrap().unwrap();
        assert!(path.ends_with(call.activity), "{path}");
        assert_eq!(family.name(), if path.contains("/v2/") { "kit-v2" } else { "kit-v1" });
    }
    for path in ["", "/", "/produceAPI", "/produceapi/tenantSync", "/v2/tenantSync", "produceAPI/tenantSync"] {
        assert!(family_at(path).is_none(), "{path}");
    }
}

#[test]
fn a_name_that_no_call_has_is_refused_whoever_asks() {
    for path in [
        "/produceAPI/",
        "/produceAPI/v2",
        "/produceAPI/v2/",
        "/produceAPI/v1/tenantSync",
        "/produceAPI/tenantsync",
        "/produceAPI/tenantSync/",
        "/produceAPI/v2/v2/tenantSync",
        "/produceAPI/v2/userSync",
    ] {
        let family = family_at(path).unwrap();
        let refusal = answer(family, &key("kit-key"), &body(json!({}))).unwrap_err();
        assert_eq!(refusal, SignatureRefusal::UnknownCall, "{path}");
        assert_eq!(refusal.result_code(), ResultCode::PARAMETER);
        assert_eq!(family.name(), if path.starts_with("/produceAPI/v2/") { "kit-v2" } else { "kit-v1" }, "{path}");
    }
}

#[test]
fn only_kit_keys_open_the_kit() {
    for family in all() {
        for other in ["basic-key", "license-key", "another"] {
            let refusal = answer(family, &key(other), &body(json!({}))).unwrap_err();
            assert_eq!(refusal, SignatureRefusal::NoKeyMatches, "{}", family.sub_path());
        }
        let key_ids: Vec<_> = family.keys(&keyring()).iter().map(|key| key.id().to_owned()).collect();
        assert_eq!(key_ids, ["kit-key"]);
    }
}

#[test]
fn only_the_call_with_persons_in_it_is_kept_sealed() {
    let sealed: Vec<_> = all().filter(|family| family.seals_requests()).map(KitFamily::sub_path).collect();
    assert_eq!(sealed, ["/produceAPI/authSync", "/produceAPI/v2/authSync"]);
}

#[test]
fn a_request_of_one_generation_is_none_of_the_other() {
    for (v1, v2) in KIT_V1.iter().zip(&KIT_V2) {
        for (sender, receiver, refusal) in
            [(v1, v2, SignatureRefusal::MissingTimestamp), (v2, v1, SignatureRefusal::MissingAuthToken)]
        {
            let body = body(json!({}));
            let headers = signed(sender, &key("kit-key"), &body);
            let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            let received = Received { query: "", header: &header, body: &body };
            let (keyring, now) = (keyring(), Timestamp::from_millisecond(NOW.parse().unwrap()).unwrap());
            let verdict = verify(receiver, &received, &keyring, now, &rules());
            assert_eq!(verdict.err(), Some(refusal));
        }
    }
}

#[test]
fn a_call_tells_what_the_journal_wants_to_know() {
    for family in [&KIT_V1[0], &KIT_V2[0]] {
        let call = answer(family, &key("kit-key"), &body(json!({"orderId": "CS1"}))).unwrap().unwrap();
        assert_eq!(call.activity, "tenantSync");
        assert_eq!(call.environment, Environment::Test);
        assert_eq!(call.order.as_ref().map(|order| order.order_id.as_str()), Some("CS1"));
        assert_eq!(call.intent.instance_id(), Some("i-1"));
        let Intent::Sync(sync) = call.intent else { panic!() };
        assert_eq!(sync.change, DirectoryChange::UnbindTenant { order_id: Some("CS1".to_owned()) });

        let call = answer(family, &key("kit-key"), &body(json!({"instanceId": "", "testFlag": 0}))).unwrap().unwrap();
        assert_eq!((call.environment, call.order.as_ref()), (Environment::Real, None));
        assert_eq!(call.intent.instance_id(), None);
    }
}

#[test]
fn an_ill_formed_call_is_told_apart_from_a_stranger() {
    for family in [&KIT_V1[3], &KIT_V2[3]] {
        let bad = answer(family, &key("kit-key"), &body(json!({"flag": 3}))).unwrap().unwrap_err();
        let expected =
            BadCall { activity: Some("singleOrgSync"), test: true, reason: "flag must be 0, 1 or 2".to_owned() };
        assert_eq!(bad, expected);
    }
    // V1 has no signature for what is no object.
    for (text, reason) in [("[]", "the body is not a JSON object"), ("{", "the body is not JSON")] {
        let bad = answer(&KIT_V2[0], &key("kit-key"), text.as_bytes()).unwrap().unwrap_err();
        assert!(bad.reason.starts_with(reason) && bad.activity == Some("tenantSync"), "{bad:?}");
        assert_eq!(answer(&KIT_V1[0], &key("kit-key"), text.as_bytes()), Err(SignatureRefusal::UnsignableBody));
    }
    let deep = format!("{{\"userList\":{}", "[".repeat(100_000));
    assert!(answer(&KIT_V2[2], &key("kit-key"), deep.as_bytes()).unwrap().is_err());
}

#[test]
fn what_differs_in_every_retry_and_the_secret_are_not_content() {
    let body = body(json!({"clientSecret": "s", "currentSyncTime": "1", "clientId": "c"}));
    let content = KIT_V2[1].content("", &body).unwrap();
    let names: Vec<_> = content.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["appId", "clientId", "flag", "instanceId", "orgCode", "orgInfo", "tenantId", "testFlag", "userList"]
    );
    assert_eq!(KIT_V2[1].content("", b"[]"), None);
}

#[test]
fn replies_hold_code_and_message_and_v1_signs_them_in_any_case() {
    let detail = Detail::Instances { found: Vec::new(), encrypt_type: EncryptType::Aes256 };
    for family in all() {
        let reply = family.reply(None, &Outcome::success().with(detail.clone()), &|_, text| text.to_owned());
        assert_eq!(String::from_utf8(reply).unwrap(), r#"{"resultCode":"000000","resultMsg":"success"}"#);
        assert_eq!(family.reply_shape(None), ReplyShape::Plain);
        let signs = |body_sign_v2| family.signs_replies(&Rules { body_sign_v2, ..rules() });
        assert_eq!((signs(false), signs(true)), (family.name() == "kit-v1", true));
    }
}
