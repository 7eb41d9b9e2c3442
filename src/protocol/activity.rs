//! Families whose calls come to the production address and name an activity: a table of activities, and what else tells
//! one such family from another.
//!
//! Which members an activity has is said by its reader, in the file of its family.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::auth_token::Mark;
use crate::protocol::call::{BadCall, Call, Intent, Order, Outcome};
use crate::protocol::key::AccessKey;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::query::Query;
use crate::protocol::reply::{self, AccessForm};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::transport::Transport;
use crate::protocol::{Encrypt, Family, Keyring, Proof, Received, Rules, VerifiedCall};

/// What differs in every retry and so never tells two operations apart: ids, stamps, and what is encrypted under a new
/// IV each time.
const VOLATILE: [&str; 5] = ["businessId", "timeStamp", "authToken", "mobilePhone", "email"];

/// A family with activities.
pub struct ActivityFamily {
    /// The word for it in the journal.
    pub(super) name: &'static str,
    /// What its calls are about.
    pub(super) kind: Kind,
    /// How its calls come. What comes as GET must be answered signed (spec 2-basic-v1 §3).
    pub(super) transport: Transport,
    /// The keys that may have signed a call.
    pub(super) keys: fn(&Keyring) -> &[AccessKey],
    /// What may be asked for.
    pub(super) activities: &'static [Activity],
    /// Reads what the interface tells besides.
    pub(super) complete: fn(&mut Call, Members<'_>, &AccessKey, &Rules) -> Result<(), MemberFault>,
    /// Whether creations tell access data too, and user name and password are encrypted everywhere.
    pub(super) encrypts_credentials: bool,
    /// What KooGallery checks in the reply to a creation.
    pub(super) creation: ReplyShape,
    /// Its calls name an order and tell nothing of it: what was ordered is told by the order query (spec 5-open-api §4).
    pub(super) order_query: bool,
}

/// One activity of a family.
pub(super) struct Activity {
    /// Its literal on the wire.
    pub(super) name: &'static str,
    /// Reads what it asks for.
    read: fn(Members<'_>, &Rules) -> Result<Intent, MemberFault>,
    /// There is a "processing" answer (`000004`).
    may_answer_processing: bool,
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

/// For families whose interface tells nothing besides.
pub(super) fn nothing_more(_: &mut Call, _: Members<'_>, _: &AccessKey, _: &Rules) -> Result<(), MemberFault> {
    Ok(())
}

impl ActivityFamily {
    /// Whether an activity is one of this family's.
    pub fn knows(&self, activity: &str) -> bool {
        self.activities.iter().any(|known| known.name == activity)
    }

    /// The activities, by their literals on the wire.
    pub fn activity_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.activities.iter().map(|activity| activity.name)
    }

    /// The activity that the members name.
    fn activity(&self, members: Members<'_>) -> Result<&'static Activity, String> {
        let name = members.optional("activity").map_err(|fault| fault.to_string())?;
        let name = name.ok_or_else(|| "activity is missing".to_owned())?;
        let known = self.activities.iter().find(|activity| activity.name == name);
        known.ok_or_else(|| format!("activity {} is unknown", shortened(&name)))
    }

    fn call(
        &self,
        activity: &Activity,
        members: Members<'_>,
        key: &AccessKey,
        rules: &Rules,
    ) -> Result<Call, MemberFault> {
        let mut call = Call {
            activity: activity.name,
            environment: if members.is_test() { Environment::Test } else { Environment::Real },
            kind: self.kind,
            intent: (activity.read)(members, rules)?,
            order: read_order(members)?,
            buyer: None,
            parameters: BTreeMap::new(),
            business_id: members.optional("businessId")?,
            may_answer_processing: activity.may_answer_processing,
            encrypts_credentials: self.encrypts_credentials,
            order_query: self.order_query,
            adopts_unknown: false,
            remarks: Vec::new(),
            content: content(members.0.clone()),
        };
        (self.complete)(&mut call, members, key, rules)?;
        Ok(call)
    }
}

impl Family for ActivityFamily {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey] {
        (self.keys)(keyring)
    }

    fn signs_replies(&self, rules: &Rules) -> bool {
        self.transport == Transport::TokenGet || rules.body_sign_v2
    }

    fn authenticate<'k>(
        &self,
        received: &Received<'_>,
        keys: &'k [AccessKey],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Proof<'k>, SignatureRefusal> {
        self.transport.authenticate(received, keys, now, rules)
    }

    fn read(&self, call: &VerifiedCall<'_>, rules: &Rules) -> Result<Call, BadCall> {
        let members = self.transport.members(call.query(), call.body())?;
        let members = Members(&members);
        let test = members.is_test();
        let activity = self.activity(members).map_err(|reason| BadCall { activity: None, test, reason })?;
        self.call(activity, members, call.key(), rules).map_err(|fault| BadCall {
            activity: Some(activity.name),
            test,
            reason: fault.to_string(),
        })
    }

    fn content(&self, query: &str, body: &[u8]) -> Option<Map<String, Value>> {
        self.transport.members(query, body).ok().map(content)
    }

    fn mark(&self, query: &str) -> Option<Mark> {
        match self.transport {
            Transport::TokenGet => Mark::of(&Query::parse(query).ok()?),
            Transport::SignedPost => None,
        }
    }

    fn reply(&self, _call: Option<&Call>, outcome: &Outcome, encrypt: Encrypt<'_>) -> Vec<u8> {
        let form = if self.encrypts_credentials { AccessForm::Encrypted(encrypt) } else { AccessForm::Plain };
        reply::write(outcome, form)
    }

    fn reply_shape(&self, call: Option<&Call>) -> ReplyShape {
        match call.map(|call| &call.intent) {
            Some(Intent::Create { .. }) => self.creation,
            Some(Intent::Query { .. }) => ReplyShape::QueryInstance,
            Some(Intent::Issue { .. }) => ReplyShape::GetLicenseAsync,
            _ => ReplyShape::Plain,
        }
    }
}

/// The members without those that differ in every retry.
fn content(mut members: Map<String, Value>) -> Map<String, Value> {
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

#[cfg(test)]
mod tests;
