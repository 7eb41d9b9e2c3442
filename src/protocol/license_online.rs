//! LO, licences made online by the seller (在线开通License): V2's transport, four of its activities, and the request for a
//! licence, which is answered at once and fulfilled by an upload (spec 4-license §4).

use crate::kind::Kind;
use crate::protocol::activity::{Activity, ActivityFamily, nothing_more};
use crate::protocol::basic_v2::{read_new_instance, read_notification, read_refresh, read_release, read_status};
use crate::protocol::call::{Intent, LicenseRequest};
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::transport::Transport;
use crate::protocol::{Keyring, Rules};

/// The one activity that no other family has.
pub const GET_LICENSE_ASYNC: &str = "getLicenseAsync";

/// The family.
pub static LICENSE_ONLINE: ActivityFamily = ActivityFamily {
    name: "license-online",
    kind: Kind::LicenseOnline,
    transport: Transport::SignedPost,
    keys: Keyring::license_then_basic,
    activities: &[
        Activity::new("newInstance", read_new_instance).asynchronous(),
        Activity::new("refreshInstance", |members, _| read_refresh(members, "instanceId")),
        Activity::new("updateInstanceStatus", |members, _| read_status(members, "instanceId")),
        Activity::new("releaseInstance", |members, _| read_release(members, "instanceId")),
        Activity::new(GET_LICENSE_ASYNC, read_issue).asynchronous(),
        Activity::new("orderNotify", read_notification),
    ],
    complete: nothing_more,
    encrypts_credentials: false,
    creation: ReplyShape::NewInstance,
    order_query: true,
};

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
