//! The basic interfaces, generation V2: `POST <production address>?signature&timestamp&nonce` with a flat JSON body.
//!
//! Reading of the eight activities and writing of their replies. What the calls do is decided elsewhere.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::access::Access;
use crate::instance::Request;
use crate::operation::Environment;
use crate::protocol::call::{BadCall, Call, Detail, InstanceInfo, Intent, OrderLine, Outcome};
use crate::protocol::key::AccessKey;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::query::Query;
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::{SignatureParameters, SignatureRefusal, verify_v2};
use crate::protocol::{Family, Keyring, Proof, Received, Rules, VerifiedCall, ascii_json, text, time};

/// The family.
pub struct BasicV2;

/// V1 and V2 basic calls name the same instances.
pub const NAMESPACE: &str = "basic";

/// `queryInstance` asks for at most so many instances.
const MAX_QUERY_IDS: usize = 100;

/// What differs in every retry and so never tells two operations apart.
const VOLATILE: [&str; 1] = ["businessId"];

impl Family for BasicV2 {
    fn name(&self) -> &'static str {
        "basic-v2"
    }

    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey] {
        &keyring.basic
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
        let query = Query::parse(received.query).map_err(|_| SignatureRefusal::QueryNotUtf8)?;
        let parameters = SignatureParameters::from_query(&query);
        let key = verify_v2(keys, &parameters, received.body, now.as_millisecond(), &rules.signature)?;
        Ok(Proof { key, nonce: parameters.nonce.map(str::to_owned) })
    }

    fn read(&self, call: &VerifiedCall<'_>) -> Result<Call, BadCall> {
        let unreadable = |reason: String| BadCall { activity: None, test: false, reason };
        let body: Value = serde_json::from_slice(call.body())
            .map_err(|error| unreadable(format!("the body is not JSON: {error}")))?;
        let Value::Object(body) = body else {
            return Err(unreadable("the body is not a JSON object".to_owned()));
        };
        read_body(body)
    }

    fn content(&self, _query: &str, body: &[u8]) -> Option<Map<String, Value>> {
        let mut content: Map<String, Value> = serde_json::from_slice(body).ok()?;
        drop_volatile(&mut content);
        Some(content)
    }

    fn reply(&self, _call: Option<&Call>, outcome: &Outcome) -> Vec<u8> {
        write_reply(outcome)
    }

    fn reply_shape(&self, call: Option<&Call>) -> ReplyShape {
        match call.map(|call| &call.intent) {
            Some(Intent::Create { .. }) => ReplyShape::NewInstance,
            Some(Intent::Query { .. }) => ReplyShape::QueryInstance,
            _ => ReplyShape::Plain,
        }
    }
}

fn read_body(mut body: Map<String, Value>) -> Result<Call, BadCall> {
    let members = Members(&body);
    let test = members.is_test();
    let name = members.optional("activity").map_err(|fault| fault.to_string());
    let name = name.and_then(|name| name.ok_or_else(|| "activity is missing".to_owned()));
    let activity = name.and_then(|name| {
        Activity::ALL
            .into_iter()
            .find(|activity| activity.name() == name)
            .ok_or_else(|| format!("activity {} is unknown", shortened(&name)))
    });
    let activity = activity.map_err(|reason| BadCall { activity: None, test, reason })?;
    let bad = |fault: MemberFault| BadCall { activity: Some(activity.name()), test, reason: fault.to_string() };
    let intent = activity.read(members).map_err(bad)?;
    let order = read_order(members).map_err(bad)?;
    let business_id = members.optional("businessId").map_err(bad)?;
    drop_volatile(&mut body);
    Ok(Call {
        activity: activity.name(),
        environment: if test { Environment::Test } else { Environment::Real },
        namespace: NAMESPACE,
        may_answer_processing: matches!(activity, Activity::NewInstance),
        intent,
        order,
        business_id,
        content: body,
    })
}

fn drop_volatile(body: &mut Map<String, Value>) {
    body.retain(|name, _| !VOLATILE.contains(&name.as_str()));
}

/// The activities of this family.
#[derive(Clone, Copy)]
enum Activity {
    NewInstance,
    QueryInstance,
    RefreshInstance,
    UpdateInstanceStatus,
    ReleaseInstance,
    UpgradeInstance,
    ChangeInstanceCheck,
    OrderNotify,
}

impl Activity {
    const ALL: [Self; 8] = [
        Self::NewInstance,
        Self::QueryInstance,
        Self::RefreshInstance,
        Self::UpdateInstanceStatus,
        Self::ReleaseInstance,
        Self::UpgradeInstance,
        Self::ChangeInstanceCheck,
        Self::OrderNotify,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::NewInstance => "newInstance",
            Self::QueryInstance => "queryInstance",
            Self::RefreshInstance => "refreshInstance",
            Self::UpdateInstanceStatus => "updateInstanceStatus",
            Self::ReleaseInstance => "releaseInstance",
            Self::UpgradeInstance => "upgradeInstance",
            Self::ChangeInstanceCheck => "changeInstanceCheck",
            Self::OrderNotify => "orderNotify",
        }
    }

    fn read(self, members: Members<'_>) -> Result<Intent, MemberFault> {
        match self {
            Self::NewInstance => read_new_instance(members),
            Self::QueryInstance => read_query(members),
            Self::RefreshInstance => read_refresh(members),
            Self::UpdateInstanceStatus => read_status(members),
            Self::ReleaseInstance => change(members, Request::Release, Vec::new(), None),
            Self::UpgradeInstance => {
                let identity = vec![members.required("orderId")?, members.required("orderLineId")?];
                change(members, Request::Upgrade { product_id: None, sku_code: None }, identity, None)
            }
            Self::ChangeInstanceCheck => read_change_check(members),
            Self::OrderNotify => members.required("orderId").map(|_| Intent::Notify),
        }
    }
}

/// Identity: order and line, and the product where an on-demand order names one per billing item.
fn read_new_instance(members: Members<'_>) -> Result<Intent, MemberFault> {
    members.required("businessId")?;
    let product_id = members.optional("productId")?;
    let mut identity = vec![members.required("orderId")?, members.required("orderLineId")?];
    identity.extend(product_id.clone());
    Ok(Intent::Create { identity, product_id, sku_code: None, expire_time: None })
}

fn read_query(members: Members<'_>) -> Result<Intent, MemberFault> {
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
fn read_refresh(members: Members<'_>) -> Result<Intent, MemberFault> {
    let scene = members.required("scene")?;
    let cancels_renewal = match scene.as_str() {
        "TRIAL_TO_FORMAL" | "RENEWAL" | "RENEWAL_CHANGE" => false,
        "UNSUBSCRIBE_RENEWAL_PERIOD" => true,
        _ => {
            let expected = "must be TRIAL_TO_FORMAL, RENEWAL, RENEWAL_CHANGE or UNSUBSCRIBE_RENEWAL_PERIOD".to_owned();
            return Err(MemberFault::IllFormed { name: "scene", expected });
        }
    };
    let expire_time = members.required_time("expireTime")?;
    let seconds = expire_time.as_second().to_string();
    let identity = vec![members.required("orderId")?, members.required("orderLineId")?, scene.clone(), seconds];
    let product_id = members.optional("productId")?;
    let request = Request::Renew { expire_time: Some(expire_time), product_id, cancels_renewal };
    change(members, request, identity, Some(scene))
}

fn read_status(members: Members<'_>) -> Result<Intent, MemberFault> {
    let request = match members.required("status")?.as_str() {
        "FREEZE" => Request::Freeze,
        "UNFREEZE" => Request::Unfreeze,
        _ => {
            let expected = "must be FREEZE or UNFREEZE".to_owned();
            return Err(MemberFault::IllFormed { name: "status", expected });
        }
    };
    change(members, request, Vec::new(), None)
}

/// `productInfo` is an object, or a text that holds one.
fn read_change_check(members: Members<'_>) -> Result<Intent, MemberFault> {
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

fn change(
    members: Members<'_>,
    request: Request,
    identity: Vec<String>,
    scene: Option<String>,
) -> Result<Intent, MemberFault> {
    Ok(Intent::Change { instance_id: members.required("instanceId")?, request, identity, scene })
}

fn read_order(members: Members<'_>) -> Result<Option<OrderLine>, MemberFault> {
    let order_line_id = members.optional("orderLineId")?;
    Ok(members.optional("orderId")?.map(|order_id| OrderLine { order_id, order_line_id }))
}

/// For messages: a peer's text, cut so that it cannot fill an answer or the log.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    result_code: &'a str,
    result_msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Vec<Info<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_info: Option<AppInfo<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    usage_info: Vec<Usage<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppInfo<'a> {
    front_end_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage<'a> {
    usage_value: &'a serde_json::Number,
    statistical_time: String,
}

fn write_reply(outcome: &Outcome) -> Vec<u8> {
    let (instance_id, info) = match &outcome.detail {
        Detail::None => (None, None),
        Detail::Created { instance_id, .. } => (Some(instance_id.as_str()), None),
        Detail::Instances(instances) => (None, Some(instances.iter().map(Info::of).collect())),
    };
    let reply =
        Reply { result_code: outcome.code.as_str(), result_msg: text::message(&outcome.message), instance_id, info };
    // Plain structs of texts and numbers always have a JSON form; an empty body would be caught by the reply checks.
    ascii_json::to_vec(&reply).unwrap_or_default()
}

impl<'a> Info<'a> {
    fn of(instance: &'a InstanceInfo) -> Self {
        let usage = instance.usage.iter().map(|usage| Usage {
            usage_value: &usage.usage_value,
            statistical_time: time::print_milliseconds(usage.statistical_time),
        });
        Self {
            instance_id: &instance.instance_id,
            app_info: instance.access.as_ref().map(AppInfo::of),
            usage_info: usage.collect(),
        }
    }
}

impl<'a> AppInfo<'a> {
    fn of(access: &'a Access) -> Self {
        Self {
            front_end_url: access.front_end_url(),
            admin_url: access.admin_url(),
            user_name: access.user_name().map(|name| name.expose().as_str()),
            password: access.password().map(|password| password.expose().as_str()),
            memo: access.memo(),
        }
    }
}
