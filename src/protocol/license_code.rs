//! L2, authorisation codes 2.0 (License授权码): V2's transport, three activities, all about codes that KooGallery made
//! (spec 4-license §3).

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::protocol::activity::{self, Activity};
use crate::protocol::basic_v2::{read_refresh, read_release, read_status};
use crate::protocol::call::{BadCall, Call, Outcome};
use crate::protocol::key::AccessKey;
use crate::protocol::reply::{self, AccessForm};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::{Encrypt, Family, Keyring, Proof, Received, Rules, VerifiedCall, signed_post};

/// The family.
pub struct LicenseCode;

const ACTIVITIES: [Activity; 3] = [
    Activity::new("refreshLicenseCode", |members, _| read_refresh(members, "license")),
    Activity::new("updateLicenseCodeStatus", |members, _| read_status(members, "license")),
    Activity::new("releaseLicenseCode", |members, _| read_release(members, "license")),
];

impl LicenseCode {
    /// Whether a POST with this `activity` is for this family and not for another that shares the address.
    pub fn knows(activity: &str) -> bool {
        ACTIVITIES.iter().any(|known| known.name == activity)
    }
}

impl Family for LicenseCode {
    fn name(&self) -> &'static str {
        "license-code"
    }

    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey] {
        keyring.license()
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
        let read = activity::read(Kind::LicenseCode, &ACTIVITIES, signed_post::members(call.body())?, rules)?;
        Ok(Call { adopts_unknown: rules.adopts_unknown_codes, ..read })
    }

    fn content(&self, _query: &str, body: &[u8]) -> Option<Map<String, Value>> {
        signed_post::content(body)
    }

    fn reply(&self, _call: Option<&Call>, outcome: &Outcome, _encrypt: Encrypt<'_>) -> Vec<u8> {
        reply::write(outcome, AccessForm::Plain)
    }

    fn reply_shape(&self, _call: Option<&Call>) -> ReplyShape {
        ReplyShape::Plain
    }
}
