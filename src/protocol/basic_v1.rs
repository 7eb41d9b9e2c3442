//! The basic interfaces, generation V1: `GET <production address>?activity=…&authToken=…` (spec 2-basic-v1).
//!
//! Withdrawn for new products and still called for existing ones. Reading of the seven activities and writing of their
//! replies; a V1 call tells customer and order, and its replies encrypt user name and password.

use std::cmp::Ordering;

use crate::instance::Request;
use crate::kind::Kind;
use crate::protocol::activity::{Activity, ActivityFamily};
use crate::protocol::basic_v2::{change, read_query};
use crate::protocol::call::{Buyer, Call, Intent, Order, Terms};
use crate::protocol::key::AccessKey;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::transport::Transport;
use crate::protocol::{Keyring, Rules, extend_params, field_cipher};
use crate::secret::Secret;

/// The family.
pub static BASIC_V1: ActivityFamily = ActivityFamily {
    name: "basic-v1",
    kind: Kind::Saas,
    transport: Transport::TokenGet,
    keys: Keyring::basic,
    activities: &[
        Activity::new("newInstance", read_new_instance),
        Activity::new("refreshInstance", read_refresh),
        Activity::new("expireInstance", read_expire),
        Activity::new("releaseInstance", read_release),
        Activity::new("upgrade", read_upgrade),
        // V2's word for it, taken too.
        Activity::new("upgradeInstance", read_upgrade),
        Activity::new("instanceStatus", read_status),
        Activity::new("queryInstance", read_query),
    ],
    complete,
    encrypts_credentials: true,
    creation: ReplyShape::NewInstance,
    order_query: false,
};

/// What later calls of a purchase under service supervision may change (spec 2-basic-v1 §12 d).
const SUPERVISED: [&str; 5] = ["expireTime", "periodType", "periodNumber", "provisionType", "acceptanceTime"];

/// Adds what a V1 call tells of customer and order.
pub(super) fn complete(
    call: &mut Call,
    members: Members<'_>,
    key: &AccessKey,
    rules: &Rules,
) -> Result<(), MemberFault> {
    if let Some(order) = &mut call.order {
        let scene = if let Intent::Change { scene, .. } = &call.intent { *scene } else { None };
        let order_type = order_type(&call.intent, scene, members)?;
        *order = Order { order_type, ..read_order(members, std::mem::take(&mut order.order_id), rules)? };
        if members.text("trialToFormal")?.as_deref() == Some("2") {
            // A trial becomes on-demand, whether or not the mode is told, too.
            order.charging_mode.get_or_insert_with(|| "ON_DEMAND".to_owned());
        }
    }
    if matches!(call.intent, Intent::Create { .. }) {
        call.buyer = Some(read_buyer(members, key, rules, &mut call.remarks)?);
    }
    match extend_params::parse(&members.text("saasExtendParams")?.unwrap_or_default()) {
        Ok(parameters) => call.parameters = parameters,
        Err(fault) if rules.ignores_bad_extend_params => {
            call.remarks.push(format!("saasExtendParams was left out: {fault}"));
        }
        Err(fault) => {
            return Err(MemberFault::IllFormed { name: "saasExtendParams", expected: fault.to_string() });
        }
    }
    if let Some(value) = members.text("trialToFormal")?
        && !matches!(value.as_ref(), "0" | "1" | "2")
    {
        call.remarks.push("trialToFormal has a value that is not documented and was read as 1".to_owned());
    }
    Ok(())
}

/// Identity: the order; for on-demand orders, which call once per billing item, and where nothing is said, the product
/// too (spec 2-basic-v1 §6.1).
fn read_new_instance(members: Members<'_>, rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("customerId")?;
    members.required("businessId")?;
    let (order_id, product_id) = (members.required("orderId")?, members.required("productId")?);
    let identity = match members.text("chargingMode")?.as_deref() {
        Some("1" | "3") => vec![order_id],
        // The empty element stands where V2 has the order line: no V1 purchase is a V2 purchase.
        _ => vec![order_id, String::new(), product_id.clone()],
    };
    let expire_time = members.time_at("expireTime", rules.v1_expire_time_offset)?;
    let told = |name: &'static str| {
        let value = members.optional(name);
        value.transpose().map(|value| value.map(|value| (name.to_owned(), value)))
    };
    let mut terms = SUPERVISED.into_iter().filter_map(told).collect::<Result<Terms, _>>()?;
    if let Some(end) = terms.get_mut("expireTime") {
        // The same date with and without milliseconds is no new date. It has 14 or 17 digits.
        end.truncate(14);
    }
    let sku_code = members.optional("skuCode")?;
    Ok(Intent::Create { identity, product_id: Some(product_id), sku_code, expire_time, terms: Some(terms) })
}

/// Identity: date, conversion and sign belong to it, because the refund of a renewal need not bring an order of its own
/// (spec 2-basic-v1 §6.2, §12 b).
fn read_refresh(members: Members<'_>, rules: &Rules) -> Result<Intent, MemberFault> {
    let conversion = members.text("trialToFormal")?.filter(|value| value != "0");
    let expire_time = members.time_at("expireTime", rules.v1_expire_time_offset)?;
    // A trial that becomes on-demand has no end any more.
    if expire_time.is_none() && conversion.as_deref() != Some("2") {
        return Err(MemberFault::Missing("expireTime"));
    }
    let amount = members.decimal("orderAmount")?;
    let is_refund = amount.as_deref().is_some_and(|amount| sign(amount) == Ordering::Less);
    let scene = match (is_refund, &conversion) {
        (true, _) => "UNSUBSCRIBE_RENEWAL_PERIOD",
        (false, Some(_)) => "TRIAL_TO_FORMAL",
        (false, None) => "RENEWAL",
    };
    let seconds = expire_time.map_or_else(String::new, |end| end.as_second().to_string());
    let conversion = conversion.map_or_else(String::new, std::borrow::Cow::into_owned);
    let sign = if is_refund { "-" } else { "" };
    // The empty element stands where V2 has the order line.
    let identity = vec![members.required("orderId")?, String::new(), conversion, sign.to_owned(), seconds];
    let product_id = members.optional("productId")?;
    let request = Request::Renew { expire_time, product_id, cancels_renewal: is_refund };
    change(members, "instanceId", request, identity, Some(scene))
}

/// The order is the one that bought it, the same at every expiry.
pub(super) fn read_expire(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("orderId")?;
    change(members, "instanceId", Request::Freeze, Vec::new(), None)
}

/// A refund may bring its `orderAmount`, which says nothing new.
pub(super) fn read_release(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    members.required("orderId")?;
    change(members, "instanceId", Request::Release, Vec::new(), None)
}

fn read_status(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    let name = "instanceStatus";
    let request = match members.required(name)?.as_str() {
        "FREEZE" => Request::Freeze,
        "NORMAL" | "UNFREEZE" => Request::Unfreeze,
        _ => return Err(MemberFault::IllFormed { name, expected: "must be FREEZE or NORMAL".to_owned() }),
    };
    change(members, "instanceId", request, Vec::new(), None)
}

fn read_upgrade(members: Members<'_>, _rules: &Rules) -> Result<Intent, MemberFault> {
    let request = Request::Upgrade {
        product_id: Some(members.required("productId")?),
        sku_code: Some(members.required("skuCode")?),
    };
    change(members, "instanceId", request, vec![members.required("orderId")?], None)
}

fn read_order(members: Members<'_>, order_id: String, rules: &Rules) -> Result<Order, MemberFault> {
    let charging_mode = members.optional("chargingMode")?.map(|mode| match mode.as_str() {
        "0" => "ON_DEMAND".to_owned(),
        "1" => "PERIOD".to_owned(),
        "3" => "ONE_TIME".to_owned(),
        "5" => "ON_DEMAND_PKG".to_owned(),
        _ => mode,
    });
    Ok(Order {
        order_id,
        order_line_id: None,
        order_type: None,
        charging_mode,
        period_type: members.optional("periodType")?,
        period_number: members.whole_number("periodNumber")?,
        quantity: members.whole_number("amount")?,
        disk_size: members.whole_number("diskSize")?,
        band_width: members.whole_number("bandWidth")?,
        amount: members.decimal("orderAmount")?,
        expire_time: members.time_at("expireTime", rules.v1_expire_time_offset)?,
    })
}

/// What the order query would call the order.
fn order_type(intent: &Intent, scene: Option<&str>, members: Members<'_>) -> Result<Option<&'static str>, MemberFault> {
    Ok(match (intent, scene) {
        (Intent::Create { .. }, _) if members.text("trialFlag")?.as_deref() == Some("1") => Some("TRIAL"),
        (Intent::Create { .. }, _) => Some("NEW"),
        (_, Some("UNSUBSCRIBE_RENEWAL_PERIOD")) => Some("UNSUBSCRIBE"),
        (_, Some("TRIAL_TO_FORMAL")) => Some("TRIAL_TO_FORMAL"),
        (_, Some(_)) => Some("RENEW"),
        (Intent::Change { request: Request::Upgrade { .. }, .. }, None) => Some("CHANGE"),
        _ => None,
    })
}

fn read_buyer(
    members: Members<'_>,
    key: &AccessKey,
    rules: &Rules,
    remarks: &mut Vec<String>,
) -> Result<Buyer, MemberFault> {
    Ok(Buyer {
        customer_id: members.optional("customerId")?,
        customer_name: members.optional("customerName")?,
        user_id: members.optional("userId")?,
        user_name: members.optional("userName")?,
        mobile_phone: decrypted("mobilePhone", members, key, rules, remarks)?,
        email: decrypted("email", members, key, rules, remarks)?,
    })
}

/// A member that cannot be decrypted counts as absent, and the operator is told (spec 2-basic-v1 §4.2).
fn decrypted(
    name: &'static str,
    members: Members<'_>,
    key: &AccessKey,
    rules: &Rules,
    remarks: &mut Vec<String>,
) -> Result<Option<Secret<String>>, MemberFault> {
    let Some(field) = members.text(name)? else { return Ok(None) };
    match field_cipher::decrypt(key, rules.request_encrypt_type, &field) {
        Ok(plain) => Ok(Some(plain)),
        Err(fault) => {
            remarks.push(format!("{name} was left out, it cannot be decrypted: {fault}"));
            Ok(None)
        }
    }
}

/// Whether a decimal number is below, at or above zero.
fn sign(decimal: &str) -> Ordering {
    match (decimal.bytes().any(|byte| (b'1'..=b'9').contains(&byte)), decimal.starts_with('-')) {
        (false, _) => Ordering::Equal,
        (true, true) => Ordering::Less,
        (true, false) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests;
