//! L1, the withdrawn licence interfaces: `GET <production address>?activity=getLicense&authToken=…` (spec 4-license §5).
//!
//! The transport is that of V1 basic; the licence is handed out in the reply to the purchase.

use crate::instance::Request;
use crate::kind::Kind;
use crate::protocol::activity::{Activity, ActivityFamily};
use crate::protocol::basic_v1::{complete, read_expire, read_release};
use crate::protocol::basic_v2::change;
use crate::protocol::call::Intent;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::transport::Transport;
use crate::protocol::{Keyring, Rules};

/// The family.
pub static LICENSE: ActivityFamily = ActivityFamily {
    name: "license",
    kind: Kind::License,
    transport: Transport::TokenGet,
    keys: Keyring::license_then_basic,
    activities: &[
        Activity::new("getLicense", read_get),
        Activity::new("refreshLicense", read_refresh),
        Activity::new("expireLicense", read_expire),
        Activity::new("releaseLicense", read_release),
    ],
    complete,
    encrypts_credentials: false,
    creation: ReplyShape::GetLicense,
    order_query: false,
};

/// Identity: the order (documented).
fn read_get(members: Members<'_>, rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("customerId")?;
    members.required("businessId")?;
    Ok(Intent::Create {
        identity: vec![members.required("orderId")?],
        product_id: Some(members.required("productId")?),
        sku_code: members.optional("skuCode")?,
        expire_time: members.time_at("expireTime", rules.v1_expire_time_offset)?,
        terms: None,
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
