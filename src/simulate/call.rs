//! A call as KooGallery makes it: a body, what of it is signed, and the ways in which a case spoils it.
//!
//! The time and the nonce come in from outside.

use serde_json::{Value, json};

use crate::protocol::canonical_json::{self, Nulls};
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature;
use crate::secret::Secret;

/// What is wrong with a call on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoil {
    WrongKey,
    NoSignature,
    ShortSignature,
    NoNonce,
    NoTimestamp,
    TextTimestamp,
    /// The time stamp lies this far from the clock, in milliseconds; negative in the past.
    Off(i64),
}

/// One call, not yet signed.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub shape: ReplyShape,
    pub body: Vec<u8>,
    /// What is signed instead of the body.
    signed: Option<Vec<u8>>,
    upper_case: bool,
    spoil: Option<Spoil>,
}

impl Call {
    /// A call with these members: compact and in ascending order, as KooGallery writes it.
    pub(super) fn new(members: &Value) -> Self {
        Self::raw(&members.to_string()).shaped(members["activity"].as_str())
    }

    /// A call with exactly this text as its body, signed as it stands.
    pub(super) fn raw(body: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { shape: ReplyShape::Plain, body, signed: None, upper_case: false, spoil: None }
    }

    fn shaped(mut self, activity: Option<&str>) -> Self {
        self.shape = match activity {
            Some("newInstance") => ReplyShape::NewInstance,
            Some("queryInstance") => ReplyShape::QueryInstance,
            _ => ReplyShape::Plain,
        };
        self
    }

    /// Signs the canonical form instead of the bytes.
    pub(super) fn signed_sorted(mut self, nulls: Nulls) -> Self {
        self.signed = canonical_json::render(&self.body, nulls).map(String::into_bytes);
        self
    }

    /// Sends another body than the one that is signed.
    pub(super) fn changed_to(mut self, members: &Value) -> Self {
        let sent = members.to_string().into_bytes();
        self.signed = Some(std::mem::replace(&mut self.body, sent));
        self
    }

    pub(super) fn upper_case(mut self) -> Self {
        self.upper_case = true;
        self
    }

    pub(super) fn spoiled(mut self, spoil: Spoil) -> Self {
        self.spoil = Some(spoil);
        self
    }

    /// The query string of the call at `now_ms` (Unix milliseconds).
    pub(super) fn query(&self, key: &AccessKey, now_ms: i64, nonce: &str) -> String {
        let stamped_ms = match self.spoil {
            Some(Spoil::Off(difference_ms)) => now_ms + difference_ms,
            _ => now_ms,
        };
        let timestamp =
            if self.spoil == Some(Spoil::TextTimestamp) { "yesterday".to_owned() } else { stamped_ms.to_string() };
        let mut signature = self.signature(key, &timestamp, nonce);
        if self.upper_case {
            signature.make_ascii_uppercase();
        }
        if self.spoil == Some(Spoil::ShortSignature) {
            signature.truncate(40);
        }
        let parameters = [
            ("signature", signature, Spoil::NoSignature),
            ("timestamp", timestamp, Spoil::NoTimestamp),
            ("nonce", nonce.to_owned(), Spoil::NoNonce),
        ];
        let kept = parameters.into_iter().filter(|(_, _, without)| self.spoil != Some(*without));
        kept.map(|(name, value, _)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    fn signature(&self, key: &AccessKey, timestamp: &str, nonce: &str) -> String {
        let payload = self.signed.as_deref().unwrap_or(&self.body);
        // An absent nonce is signed as an empty one, so that only its absence can be why the call is refused.
        let nonce = if self.spoil == Some(Spoil::NoNonce) { "" } else { nonce };
        if self.spoil == Some(Spoil::WrongKey) {
            let other = AccessKey::new("another".to_owned(), Secret::new("not-the-key-of-this-seller".to_owned()));
            return signature::sign_v2(&other, timestamp, nonce, payload);
        }
        signature::sign_v2(key, timestamp, nonce, payload)
    }
}

/// Whether a call is a debugging call or stands for a real order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Test,
    Real,
}

/// An order line to act on.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub order_id: String,
    pub order_line_id: String,
}

impl Order {
    pub(super) fn new(order_id: String) -> Self {
        let order_line_id = format!("{order_id}-000001");
        Self { order_id, order_line_id }
    }
}

/// The members of a call, with `testFlag` for debugging calls; real calls do not carry it (the pages of 2025).
pub(super) fn members(mode: Mode, mut members: Value) -> Value {
    if mode == Mode::Test {
        members["testFlag"] = json!("1");
    }
    members
}

pub(super) fn new_instance(mode: Mode, order: &Order, business_id: &str) -> Value {
    let Order { order_id, order_line_id } = order;
    members(
        mode,
        json!({"activity": "newInstance", "orderId": order_id, "orderLineId": order_line_id, "businessId": business_id}),
    )
}

pub(super) fn query_instance(mode: Mode, instance_ids: &str) -> Value {
    members(mode, json!({"activity": "queryInstance", "instanceId": instance_ids}))
}

pub(super) fn refresh_instance(mode: Mode, instance_id: &str, order: &Order, scene: &str, expire_time: &str) -> Value {
    let Order { order_id, order_line_id } = order;
    members(
        mode,
        json!({
            "activity": "refreshInstance", "instanceId": instance_id, "scene": scene, "expireTime": expire_time,
            "orderId": order_id, "orderLineId": order_line_id, "productId": "OFFI461867333479178240",
        }),
    )
}

pub(super) fn update_status(mode: Mode, instance_id: &str, status: &str) -> Value {
    members(mode, json!({"activity": "updateInstanceStatus", "instanceId": instance_id, "status": status}))
}

pub(super) fn upgrade_instance(mode: Mode, instance_id: &str, order: &Order) -> Value {
    let Order { order_id, order_line_id } = order;
    members(
        mode,
        json!({
            "activity": "upgradeInstance", "instanceId": instance_id,
            "orderId": order_id, "orderLineId": order_line_id,
        }),
    )
}

pub(super) fn release_instance(mode: Mode, instance_id: &str) -> Value {
    members(mode, json!({"activity": "releaseInstance", "instanceId": instance_id}))
}

pub(super) fn change_check(mode: Mode, instance_id: &str, product_info: &Value) -> Value {
    members(mode, json!({"activity": "changeInstanceCheck", "instanceId": instance_id, "productInfo": product_info}))
}

pub(super) fn order_notify(mode: Mode, order: &Order) -> Value {
    let Order { order_id, order_line_id } = order;
    members(mode, json!({"activity": "orderNotify", "orderId": order_id, "orderLineId": order_line_id}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::query::Query;
    use crate::protocol::signature::{SignatureParameters, SignatureRefusal, SignatureRules, verify_v2};

    const NOW_MS: i64 = 1_680_508_066_618;

    fn check(call: &Call, expected: Result<(), SignatureRefusal>) {
        let keys = [AccessKey::new("k".to_owned(), Secret::new("k".to_owned()))];
        let query = call.query(&keys[0], NOW_MS, "n0nce");
        let query = Query::parse(&query).unwrap();
        let parameters = SignatureParameters::from_query(&query);
        let verdict = verify_v2(&keys, &parameters, &call.body, NOW_MS, &SignatureRules::default());
        assert_eq!(verdict.map(|_| ()), expected, "{call:?}");
    }

    #[test]
    fn good_calls_verify() {
        let body = update_status(Mode::Test, "i", "FREEZE");
        check(&Call::new(&body), Ok(()));
        check(&Call::new(&body).upper_case(), Ok(()));
        check(&Call::raw("{ \"b\": null,\n\"a\": 1 }").signed_sorted(Nulls::Drop), Ok(()));
        check(&Call::raw("{ \"b\": null,\n\"a\": 1 }").signed_sorted(Nulls::Keep), Ok(()));
    }

    #[test]
    fn spoiled_calls_are_refused_for_exactly_what_was_spoiled() {
        use SignatureRefusal as Refusal;
        for (spoil, refusal) in [
            (Spoil::WrongKey, Refusal::NoKeyMatches),
            (Spoil::NoSignature, Refusal::MissingSignature),
            (Spoil::ShortSignature, Refusal::IllFormedSignature),
            (Spoil::NoNonce, Refusal::MissingNonce),
            (Spoil::NoTimestamp, Refusal::MissingTimestamp),
            (Spoil::TextTimestamp, Refusal::IllFormedTimestamp),
            (Spoil::Off(-90_000), Refusal::Stale { difference_ms: 90_000 }),
            (Spoil::Off(90_000), Refusal::Future { difference_ms: 90_000 }),
        ] {
            check(&Call::new(&release_instance(Mode::Test, "i")).spoiled(spoil), Err(refusal));
        }
        let freeze = update_status(Mode::Test, "i", "FREEZE");
        let changed = Call::new(&freeze).changed_to(&update_status(Mode::Test, "i", "UNFREEZE"));
        check(&changed, Err(Refusal::NoKeyMatches));
    }
}
