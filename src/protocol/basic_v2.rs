//! The basic interfaces, generation V2: `POST <production address>?signature&timestamp&nonce` with a flat JSON body.
//!
//! Reading of the eight activities and writing of their replies. What the calls do is decided elsewhere.

use serde_json::Value;

use crate::instance::Request;
use crate::kind::Kind;
use crate::protocol::activity::{Activity, ActivityFamily, nothing_more};
use crate::protocol::call::Intent;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::transport::Transport;
use crate::protocol::{Keyring, Rules};

/// The family.
pub static BASIC_V2: ActivityFamily = ActivityFamily {
    name: "basic-v2",
    kind: Kind::Saas,
    transport: Transport::SignedPost,
    keys: Keyring::basic,
    activities: &[
        Activity::new("newInstance", read_new_instance).asynchronous(),
        Activity::new("queryInstance", read_query).asynchronous(),
        Activity::new("refreshInstance", |members, _| read_refresh(members, "instanceId")),
        Activity::new("updateInstanceStatus", |members, _| read_status(members, "instanceId")),
        Activity::new("releaseInstance", |members, _| read_release(members, "instanceId")),
        Activity::new("upgradeInstance", read_upgrade),
        Activity::new("changeInstanceCheck", read_change_check),
        Activity::new("orderNotify", read_notification),
    ],
    complete: nothing_more,
    encrypts_credentials: false,
    creation: ReplyShape::NewInstance,
    order_query: true,
};

/// `queryInstance` asks for at most so many instances.
const MAX_QUERY_IDS: usize = 100;

/// Identity: order and line, and the product where an on-demand order names one per billing item.
pub(super) fn read_new_instance(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("businessId")?;
    let product_id = members.optional("productId")?;
    let mut identity = vec![members.required("orderId")?, members.required("orderLineId")?];
    identity.extend(product_id.clone());
    Ok(Intent::Create { identity, product_id, sku_code: None, expire_time: None, terms: None })
}

/// A list of ids separated by commas; blanks around them, empty and repeated ones do not count.
pub(super) fn read_query(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    let list = members.required("instanceId")?;
    let mut instance_ids: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for id in list.split(',').map(|id| id.trim_matches(' ')).filter(|id| !id.is_empty()) {
        if seen.insert(id) {
            instance_ids.push(id.to_owned());
        }
    }
    if instance_ids.is_empty() {
        return Err(MemberFault::Missing("instanceId"));
    }
    if instance_ids.len() > MAX_QUERY_IDS {
        let expected = format!("lists {} instances; at most {MAX_QUERY_IDS} are allowed", instance_ids.len());
        return Err(MemberFault::IllFormed { name: "instanceId", expected });
    }
    Ok(Intent::Query { instance_ids })
}

/// Identity: scene and date belong to it, because the cancellation of a renewal may carry the renewal's own order.
/// `id` is the member that names what is renewed.
pub(super) fn read_refresh(members: Members<'_>, id: &'static str) -> Result<Intent, MemberFault> {
    let (scene, cancels_renewal) = match members.required("scene")?.as_str() {
        "TRIAL_TO_FORMAL" => ("TRIAL_TO_FORMAL", false),
        "RENEWAL" => ("RENEWAL", false),
        "RENEWAL_CHANGE" => ("RENEWAL_CHANGE", false),
        "UNSUBSCRIBE_RENEWAL_PERIOD" => ("UNSUBSCRIBE_RENEWAL_PERIOD", true),
        _ => {
            let expected = "must be TRIAL_TO_FORMAL, RENEWAL, RENEWAL_CHANGE or UNSUBSCRIBE_RENEWAL_PERIOD".to_owned();
            return Err(MemberFault::IllFormed { name: "scene", expected });
        }
    };
    let expire_time = members.required_time("expireTime")?;
    let seconds = expire_time.as_second().to_string();
    let identity = vec![members.required("orderId")?, members.required("orderLineId")?, scene.to_owned(), seconds];
    let product_id = members.optional("productId")?;
    let request = Request::Renew { expire_time: Some(expire_time), product_id, cancels_renewal };
    change(members, id, request, identity, Some(scene))
}

/// `id` is the member that names what is frozen or unfrozen.
pub(super) fn read_status(members: Members<'_>, id: &'static str) -> Result<Intent, MemberFault> {
    let request = match members.required("status")?.as_str() {
        "FREEZE" => Request::Freeze,
        "UNFREEZE" => Request::Unfreeze,
        _ => {
            let expected = "must be FREEZE or UNFREEZE".to_owned();
            return Err(MemberFault::IllFormed { name: "status", expected });
        }
    };
    change(members, id, request, Vec::new(), None)
}

/// `id` is the member that names what is released.
pub(super) fn read_release(members: Members<'_>, id: &'static str) -> Result<Intent, MemberFault> {
    change(members, id, Request::Release, Vec::new(), None)
}

fn read_upgrade(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    let identity = vec![members.required("orderId")?, members.required("orderLineId")?];
    change(members, "instanceId", Request::Upgrade { product_id: None, sku_code: None }, identity, None)
}

/// Missing `orderLineId` and `testFlag` are tolerated.
pub(super) fn read_notification(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("orderId").map(|_| Intent::Notify)
}

/// `productInfo` is an object, or a text that holds one.
fn read_change_check(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    let name = "productInfo";
    let instance_id = members.required("instanceId")?;
    let ill_formed = |expected: &str| MemberFault::IllFormed { name, expected: expected.to_owned() };
    let product_info = match members.0.get(name) {
        None | Some(Value::Null) => return Err(MemberFault::Missing(name)),
        Some(Value::String(text)) if text.is_empty() => return Err(MemberFault::Missing(name)),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| ill_formed("must be an object or a text that holds one as JSON"))?
        }
        Some(value) => value.clone(),
    };
    // The order query prints productInfo as a list of one; taken here too.
    match product_info {
        Value::Object(_) => Ok(Intent::CheckChange { instance_id, product_info }),
        Value::Array(ref list) if list.iter().all(Value::is_object) && !list.is_empty() => {
            Ok(Intent::CheckChange { instance_id, product_info })
        }
        _ => Err(ill_formed("must be an object or a text that holds one as JSON")),
    }
}

/// A change of what the member `id` names.
pub(super) fn change(
    members: Members<'_>,
    id: &'static str,
    request: Request,
    identity: Vec<String>,
    scene: Option<&'static str>,
) -> Result<Intent, MemberFault> {
    Ok(Intent::Change { instance_id: members.required(id)?, request, identity, scene })
}

#[cfg(test)]
mod tests;
