//! From the members of an authenticated request to a [`Call`]: what all families have in common.
//!
//! A family is a table of [`Activity`]s; which members an activity has is said by its reader.

use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::Rules;
use crate::protocol::call::{BadCall, Call, Intent, Order};
use crate::protocol::members::{MemberFault, Members};

/// What differs in every retry and so never tells two operations apart: ids, stamps, and what is encrypted under a new
/// IV each time.
const VOLATILE: [&str; 5] = ["businessId", "timeStamp", "authToken", "mobilePhone", "email"];

/// One activity of a family.
pub(super) struct Activity {
    /// Its literal on the wire.
    pub(super) name: &'static str,
    /// Reads what it asks for.
    pub(super) read: fn(Members<'_>, &Rules) -> Result<Intent, MemberFault>,
    /// There is a "processing" answer (`000004`).
    pub(super) may_answer_processing: bool,
}

impl Activity {
    /// An activity whose answer is final or a failure.
    pub(super) const fn new(name: &'static str, read: fn(Members<'_>, &Rules) -> Result<Intent, MemberFault>) -> Self {
        Self { name, read, may_answer_processing: false }
    }

    /// The same for an activity that may be answered "processing".
    pub(super) const fn asynchronous(self) -> Self {
        Self { may_answer_processing: true, ..self }
    }
}

/// Reads the members of a request.
///
/// # Errors
/// When the activity is none of these, or a member is missing or ill-formed.
pub(super) fn read(
    kind: Kind,
    activities: &[Activity],
    members: Map<String, Value>,
    rules: &Rules,
) -> Result<Call, BadCall> {
    let all = Members(&members);
    let test = all.is_test();
    let name = all.optional("activity").map_err(|fault| fault.to_string());
    let name = name.and_then(|name| name.ok_or_else(|| "activity is missing".to_owned()));
    let activity = name.and_then(|name| {
        let known = activities.iter().find(|activity| activity.name == name);
        known.ok_or_else(|| format!("activity {} is unknown", shortened(&name)))
    });
    let activity = activity.map_err(|reason| BadCall { activity: None, test, reason })?;
    let bad = |fault: MemberFault| BadCall { activity: Some(activity.name), test, reason: fault.to_string() };
    let intent = (activity.read)(all, rules).map_err(bad)?;
    let order = read_order(all).map_err(bad)?;
    let business_id = all.optional("businessId").map_err(bad)?;
    Ok(Call {
        activity: activity.name,
        environment: if test { Environment::Test } else { Environment::Real },
        kind,
        intent,
        order,
        buyer: None,
        parameters: std::collections::BTreeMap::new(),
        business_id,
        may_answer_processing: activity.may_answer_processing,
        encrypts_credentials: false,
        adopts_unknown: false,
        remarks: Vec::new(),
        content: content(members),
    })
}

/// The members without those that differ in every retry.
pub(super) fn content(mut members: Map<String, Value>) -> Map<String, Value> {
    members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
    members
}

fn read_order(members: Members<'_>) -> Result<Option<Order>, MemberFault> {
    let order_line_id = members.optional("orderLineId")?;
    Ok(members.optional("orderId")?.map(|order_id| Order { order_id, order_line_id, ..Order::default() }))
}

/// For messages: a peer's text, cut so that it cannot fill an answer or the log.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
