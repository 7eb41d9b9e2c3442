//! L1, the withdrawn licence interfaces: `GET <production address>?activity=getLicense&authToken=…` (spec 4-license §5).
//!
//! The transport is that of V1 basic; the licence is handed out in the reply to the purchase.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::instance::Request;
use crate::kind::Kind;
use crate::protocol::activity::{self, Activity};
use crate::protocol::basic_v1::{complete, read_expire, read_release};
use crate::protocol::basic_v2::change;
use crate::protocol::call::{BadCall, Call, Intent, Outcome, Terms};
use crate::protocol::key::AccessKey;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply::{self, AccessForm};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::{Encrypt, Family, Keyring, Proof, Received, Rules, VerifiedCall, token_get};

/// The family.
pub struct License;

const ACTIVITIES: [Activity; 4] = [
    Activity::new("getLicense", read_get),
    Activity::new("refreshLicense", read_refresh),
    Activity::new("expireLicense", read_expire),
    Activity::new("releaseLicense", read_release),
];

impl License {
    /// Whether a GET with this `activity` is for this family and not for V1 basic, which shares the address.
    pub fn knows(activity: &str) -> bool {
        ACTIVITIES.iter().any(|known| known.name == activity)
    }
}

impl Family for License {
    fn name(&self) -> &'static str {
        "license"
    }

    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey] {
        keyring.license_then_basic()
    }

    fn signs_replies(&self, _rules: &Rules) -> bool {
        true
    }

    fn authenticate<'k>(
        &self,
        received: &Received<'_>,
        keys: &'k [AccessKey],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Proof<'k>, SignatureRefusal> {
        token_get::authenticate(received, keys, now, rules)
    }

    fn read(&self, call: &VerifiedCall<'_>, rules: &Rules) -> Result<Call, BadCall> {
        let members = token_get::members(call.query())?;
        let mut read = activity::read(Kind::License, &ACTIVITIES, members.clone(), rules)?;
        complete(&mut read, Members(&members), call.key(), rules).map_err(|fault| BadCall {
            activity: Some(read.activity),
            test: Members(&members).is_test(),
            reason: fault.to_string(),
        })?;
        Ok(read)
    }

    fn content(&self, query: &str, _body: &[u8]) -> Option<Map<String, Value>> {
        token_get::content(query)
    }

    fn reply(&self, _call: Option<&Call>, outcome: &Outcome, _encrypt: Encrypt<'_>) -> Vec<u8> {
        reply::write(outcome, AccessForm::Plain)
    }

    fn reply_shape(&self, call: Option<&Call>) -> ReplyShape {
        match call.map(|call| &call.intent) {
            Some(Intent::Create { .. }) => ReplyShape::GetLicense,
            _ => ReplyShape::Plain,
        }
    }
}

/// Identity: the order (documented).
fn read_get(members: Members<'_>, rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("customerId")?;
    members.required("businessId")?;
    Ok(Intent::Create {
        identity: vec![members.required("orderId")?],
        product_id: Some(members.required("productId")?),
        sku_code: members.optional("skuCode")?,
        expire_time: members.time_at("expireTime", rules.v1_expire_time_offset)?,
        terms: Terms::new(),
    })
}

fn read_refresh(members: Members<'_>, rules: &Rules) -> Result<Intent, MemberFault> {
    let expire_time = members.time_at("expireTime", rules.v1_expire_time_offset)?;
    let expire_time = expire_time.ok_or(MemberFault::Missing("expireTime"))?;
    let identity = vec![members.required("orderId")?, expire_time.as_second().to_string()];
    let product_id = members.optional("productId")?;
    let request = Request::Renew { expire_time: Some(expire_time), product_id, cancels_renewal: false };
    change(members, "instanceId", request, identity, Some("RENEWAL"))
}
