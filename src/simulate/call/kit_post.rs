//! `POST …/produceAPI/…` with a JSON body, signed by headers: what of it is signed in either generation of the kit, and
//! the ways in which a case spoils it (spec 3-kit §2, §3).
//!
//! The time and the nonce come in from outside.

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Signed, strange_key};
use crate::protocol::canonical_json::{self, Nulls};
use crate::protocol::key::AccessKey;
use crate::protocol::kit::{X_NONCE, X_SIGN, X_TIMESTAMP, sign_v2};
use crate::protocol::reply_checks::BodySign;
use crate::protocol::{auth_token, signature};
use crate::simulate::kit::{KitGeneration, print_time};

/// The member that every call has, and the token of V1 is salted with.
const TIME_STAMP: &str = "timeStamp";

/// How a body is written, and what of it is signed. Sorted names are signed but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Form {
    /// In another order than it is signed in, as the documentation prints it.
    Unsorted,
    Sorted,
    Indented,
    /// V2: `null` members are signed too.
    NullsSigned,
    /// V1: blank values are signed too. The documents leave it open; Huawei's example leaves them out.
    BlanksSigned,
    /// Without its last character, and signed so.
    CutShort,
}

/// What is wrong with a call on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Spoil {
    WrongKey,
    /// Without `x-sign` or `authToken`.
    NoSignature,
    /// V2.
    ShortSignature,
    /// V2: signed as calls of the basic interfaces are.
    BasicFormula,
    /// V2.
    NoNonce,
    /// V2: without the header.
    NoTimestamp,
    /// V2.
    TextTimestamp,
    /// V2: the header lies this far from the clock, in milliseconds; negative in the past.
    Off(i64),
    /// V1: the token is made with the access key alone, as `Body-Sign` is.
    Unsalted,
    /// Without the member `timeStamp`, and in V1 signed so.
    NoTimeStamp,
}

/// One call, not yet signed.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct KitPost {
    generation: KitGeneration,
    sub_path: String,
    /// Without `timeStamp`, which every sending has anew.
    pub members: Value,
    /// What is signed instead.
    signed: Option<Value>,
    form: Form,
    spoil: Option<Spoil>,
    /// Whether there is such a call.
    pub(super) exists: bool,
}

impl KitPost {
    pub(in crate::simulate) fn new(generation: KitGeneration, call: &str, members: Value) -> Self {
        let (sub_path, form) = (generation.sub_path(call), Form::Unsorted);
        Self { generation, sub_path, members, signed: None, form, spoil: None, exists: true }
    }

    pub(in crate::simulate) fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    pub(in crate::simulate) fn spoiled(self, spoil: Spoil) -> Self {
        Self { spoil: Some(spoil), ..self }
    }

    /// Sends the call where none is.
    pub(in crate::simulate) fn astray(self, sub_path: &str) -> Self {
        Self { sub_path: sub_path.to_owned(), exists: false, ..self }
    }

    /// Says something else, or more.
    pub(in crate::simulate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members[name] = value.into();
        self
    }

    /// Says less.
    pub(in crate::simulate) fn without(mut self, names: &[&str]) -> Self {
        if let Some(members) = self.members.as_object_mut() {
            members.retain(|name, _| !names.contains(&name.as_str()));
        }
        self
    }

    /// Sends other members than those that are signed.
    pub(in crate::simulate) fn changed_to(mut self, members: &Value) -> Self {
        self.signed = Some(std::mem::replace(&mut self.members, members.clone()));
        self
    }

    pub(super) fn is_genuine(&self) -> bool {
        self.spoil.is_none() && self.signed.is_none() && self.exists
    }

    pub(super) fn body_sign(&self) -> BodySign {
        self.generation.body_sign()
    }

    pub(super) fn sign(&self, key: &AccessKey, now: Timestamp, nonce: &str) -> Signed {
        let stamped = |members: &Value| {
            let mut members = members.as_object().cloned().unwrap_or_default();
            if self.spoil != Some(Spoil::NoTimeStamp) {
                members.insert(TIME_STAMP.to_owned(), Value::String(print_time(now)));
            }
            members
        };
        let sent = stamped(&self.members);
        let signed = self.signed.as_ref().map_or_else(|| sent.clone(), stamped);
        let headers = match self.generation {
            KitGeneration::V1 => self.token(key, &signed).map(|token| ("authToken", token)).into_iter().collect(),
            KitGeneration::V2 => self.signature(key, &signed, now.as_millisecond(), nonce),
        };
        let (sub_path, body) = (self.sub_path.clone(), Some(self.text(&sent).into_bytes()));
        Signed { sub_path, headers, query: String::new(), body }
    }

    fn text(&self, members: &Map<String, Value>) -> String {
        let member = |colon: &'static str| move |(name, value)| format!("{}{colon}{value}", Value::from(name));
        let texts = |colon| members.iter().map(|(name, value)| (name.as_str(), value)).map(member(colon));
        let join = |texts: Vec<String>| format!("{{{}}}", texts.join(","));
        match self.form {
            Form::Sorted => join(texts(":").collect()),
            Form::Indented => format!("{{\n  {}\n}}\n", texts(" : ").collect::<Vec<_>>().join(",\n  ")),
            Form::CutShort => join(texts(":").collect()).trim_end_matches('}').to_owned(),
            Form::Unsorted | Form::NullsSigned | Form::BlanksSigned => join(texts(":").rev().collect()),
        }
    }

    fn token(&self, key: &AccessKey, members: &Map<String, Value>) -> Option<String> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let values = members.iter().filter_map(|(name, value)| Some((name.as_str(), text(value)?)));
        let values: Vec<_> =
            values.filter(|(_, value)| self.form == Form::BlanksSigned || !value.trim().is_empty()).collect();
        let pairs: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match self.spoil {
            Some(Spoil::NoSignature) => None,
            Some(Spoil::Unsalted | Spoil::NoTimeStamp) => {
                let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                Some(BASE64.encode(&key.sign(joined.join("&").as_bytes())))
            }
            Some(Spoil::WrongKey) => auth_token::sign(&strange_key(), &pairs),
            _ => auth_token::sign(key, &pairs),
        }
    }

    fn signature(
        &self,
        key: &AccessKey,
        members: &Map<String, Value>,
        now_ms: i64,
        nonce: &str,
    ) -> Vec<(&'static str, String)> {
        let timestamp = match self.spoil {
            Some(Spoil::Off(difference_ms)) => (now_ms + difference_ms).to_string(),
            Some(Spoil::TextTimestamp) => "yesterday".to_owned(),
            _ => now_ms.to_string(),
        };
        let text = self.text(members);
        let nulls = if self.form == Form::NullsSigned { Nulls::Keep } else { Nulls::Drop };
        let payload = canonical_json::render(text.as_bytes(), nulls).unwrap_or(text);
        // An absent nonce is signed as an empty one, so that only its absence can be why the call is refused.
        let signed_nonce = if self.spoil == Some(Spoil::NoNonce) { "" } else { nonce };
        let formula = if self.spoil == Some(Spoil::BasicFormula) { signature::sign_v2 } else { sign_v2 };
        let strange = strange_key();
        let signer = if self.spoil == Some(Spoil::WrongKey) { &strange } else { key };
        let mut sign = formula(signer, &timestamp, signed_nonce, payload.as_bytes()).to_uppercase();
        if self.spoil == Some(Spoil::ShortSignature) {
            sign.truncate(40);
        }
        let headers = [
            (X_SIGN, sign, Spoil::NoSignature),
            (X_TIMESTAMP, timestamp, Spoil::NoTimestamp),
            (X_NONCE, nonce.to_owned(), Spoil::NoNonce),
        ];
        let kept = headers.into_iter().filter(|(_, _, without)| self.spoil != Some(*without));
        kept.map(|(name, value, _)| (name, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::auth_token::AuthTokenRules;
    use crate::protocol::field_cipher::EncryptType;
    use crate::protocol::kit::family_at;
    use crate::protocol::signature::{SignatureRefusal as Refusal, SignatureRules};
    use crate::protocol::{Keyring, Received, Rules, verify};
    use crate::secret::Secret;
    use KitGeneration::{V1, V2};

    fn post(generation: KitGeneration) -> KitPost {
        let members = json!({"name": "测试 a+b", "flag": 1, "orderId": "", "list": [{"b": 1, "a": null}], "x": null});
        KitPost::new(generation, "tenantSync", members)
    }

    /// The call must be verified so by the server's family at its path.
    fn check(call: &KitPost, expected: Result<(), Refusal>) {
        let key = AccessKey::new("k".to_owned(), Secret::new("k".to_owned()));
        let now = Timestamp::from_millisecond(1_680_508_066_618).unwrap();
        let signed = call.sign(&key, now, "n0nce");
        let header = |name: &str| {
            let found = signed.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let body = signed.body.as_deref().unwrap();
        let received = Received { query: "", header: &header, body };
        let rules = Rules {
            signature: SignatureRules::default(),
            body_sign_v2: true,
            auth_token: AuthTokenRules { max_age_ms: Some(60_000) },
            v1_expire_time_offset: jiff::tz::Offset::UTC,
            request_encrypt_type: EncryptType::Aes256,
            ignores_bad_extend_params: false,
            adopts_unknown_codes: true,
        };
        let keyring = Keyring::new(Vec::new(), Vec::new(), vec![key.clone()]);
        let verdict = verify(family_at(&signed.sub_path).unwrap(), &received, &keyring, now, &rules);
        assert_eq!(verdict.map(|_| ()), expected, "{call:?}");
    }

    #[test]
    fn good_calls_verify_however_they_are_written() {
        for form in [Form::Unsorted, Form::Sorted, Form::Indented] {
            check(&post(V1).form(form), Ok(()));
            check(&post(V2).form(form), Ok(()));
        }
        check(&post(V1).form(Form::BlanksSigned), Ok(()));
        check(&post(V2).form(Form::NullsSigned), Ok(()));
    }

    #[test]
    fn spoiled_calls_are_refused_for_exactly_what_was_spoiled() {
        for (spoil, refusal) in [
            (Spoil::WrongKey, Refusal::NoKeyMatches),
            (Spoil::NoSignature, Refusal::MissingSignature),
            (Spoil::ShortSignature, Refusal::IllFormedSignature),
            (Spoil::BasicFormula, Refusal::NoKeyMatches),
            (Spoil::NoNonce, Refusal::MissingNonce),
            (Spoil::NoTimestamp, Refusal::MissingTimestamp),
            (Spoil::TextTimestamp, Refusal::IllFormedTimestamp),
            (Spoil::Off(-90_000), Refusal::Stale { difference_ms: 90_000 }),
            (Spoil::Off(90_000), Refusal::Future { difference_ms: 90_000 }),
        ] {
            check(&post(V2).spoiled(spoil), Err(refusal));
        }
        for (spoil, refusal) in [
            (Spoil::WrongKey, Refusal::NoKeyMatches),
            (Spoil::NoSignature, Refusal::MissingAuthToken),
            (Spoil::Unsalted, Refusal::NoKeyMatches),
            (Spoil::NoTimeStamp, Refusal::MissingTimeStamp),
        ] {
            check(&post(V1).spoiled(spoil), Err(refusal));
        }
        // Nothing but the absence of the member is wrong with it, and that is for whoever reads it.
        check(&post(V2).spoiled(Spoil::NoTimeStamp), Ok(()));
        for generation in [V1, V2] {
            check(&post(generation).changed_to(&json!({"flag": 0})), Err(Refusal::NoKeyMatches));
            check(&post(generation).astray(&generation.sub_path("noSuchSync")), Err(Refusal::UnknownCall));
        }
    }
}
