//! LO, licences made online by the seller (在线开通License): V2's transport, four of its activities, and the request for a
//! licence, which is answered at once and fulfilled by an upload (spec 4-license §4).

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::protocol::activity::{self, Activity};
use crate::protocol::basic_v2::{read_new_instance, read_notification, read_refresh, read_release, read_status};
use crate::protocol::call::{BadCall, Call, Intent, LicenseRequest, Outcome};
use crate::protocol::key::AccessKey;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply::{self, AccessForm};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::{Encrypt, Family, Keyring, Proof, Received, Rules, VerifiedCall, signed_post};

/// The family.
pub struct LicenseOnline;

/// The one activity that no other family has.
const ISSUE: &str = "getLicenseAsync";

const ACTIVITIES: [Activity; 6] = [
    Activity::new("newInstance", read_new_instance).asynchronous(),
    Activity::new("refreshInstance", |members, _| read_refresh(members, "instanceId")),
    Activity::new("updateInstanceStatus", |members, _| read_status(members, "instanceId")),
    Activity::new("releaseInstance", |members, _| read_release(members, "instanceId")),
    Activity::new(ISSUE, read_issue).asynchronous(),
    Activity::new("orderNotify", read_notification),
];

impl LicenseOnline {
    /// Whether a POST with this `activity` can only be for this family.
    pub fn alone_knows(activity: &str) -> bool {
        activity == ISSUE
    }
}

impl Family for LicenseOnline {
    fn name(&self) -> &'static str {
        "license-online"
    }

    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey] {
        keyring.license_then_basic()
    }

    fn signs_replies(&self, rules: &Rules) -> bool {
        rules.body_sign_v2
    }

    fn authenticate<'k>(
        &self,
        received: &Received<'_>,
        keys: &'k [AccessKey],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Proof<'k>, SignatureRefusal> {
        signed_post::authenticate(received, keys, now, rules)
    }

    fn read(&self, call: &VerifiedCall<'_>, rules: &Rules) -> Result<Call, BadCall> {
        activity::read(Kind::LicenseOnline, &ACTIVITIES, signed_post::members(call.body())?, rules)
    }

    fn content(&self, _query: &str, body: &[u8]) -> Option<Map<String, Value>> {
        signed_post::content(body)
    }

    fn reply(&self, _call: Option<&Call>, outcome: &Outcome, _encrypt: Encrypt<'_>) -> Vec<u8> {
        reply::write(outcome, AccessForm::Plain)
    }

    fn reply_shape(&self, call: Option<&Call>) -> ReplyShape {
        match call.map(|call| &call.intent) {
            Some(Intent::Create { .. }) => ReplyShape::NewInstance,
            _ => ReplyShape::Plain,
        }
    }
}

/// Identity: the instance, the event and the device (see [`LicenseRequest::identity`]).
fn read_issue(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    let effective_time = members.spaced_time("effectiveTime")?.ok_or(MemberFault::Missing("effectiveTime"))?;
    let request = LicenseRequest {
        event_id: members.required("eventId")?,
        effective_time,
        expire_time: members.spaced_time("expireTime")?,
        device_fingerprint: members.optional("deviceFingerprint")?,
    };
    Ok(Intent::Issue { instance_id: members.required("instanceId")?, request })
}
