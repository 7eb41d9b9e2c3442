//! The joint-operation kit (联营Kit): five calls that bring a buyer's enterprise, its OAuth client, its authorised users
//! and its departments (spec 3-kit).
//!
//! Nothing in a body tells the generations apart; the path does, and it names the call too. What differs between the
//! generations is how a call is authenticated, so a family is a generation and a call. V1 is withdrawn for new products
//! and still called.

pub mod calls;
pub mod client_secret;
pub mod domain;
mod loose_json;
mod read;
mod signature;
mod token;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value};

pub use signature::{X_NONCE, X_SIGN, X_TIMESTAMP, sign as sign_v2};
pub use token::sign as sign_v1;

use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::auth_token::AUTH_TOKEN;
use crate::protocol::call::{BadCall, Call, Intent, Order, Outcome};
use crate::protocol::key::AccessKey;
use crate::protocol::kit::read::Name;
use crate::protocol::members::Members;
use crate::protocol::reply::{self, AccessForm};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::transport::Transport;
use crate::protocol::{Encrypt, Family, Keyring, Proof, Received, Rules, VerifiedCall};

/// The zone of the kit's times (spec 3-kit §4); the basic interfaces have UTC.
const ZONE: Offset = Offset::constant(8);

/// What differs in every retry, and what is encrypted anew each time.
const VOLATILE: [&str; 3] = ["timeStamp", "currentSyncTime", "clientSecret"];

/// One call of one generation.
#[derive(Debug)]
pub struct KitFamily {
    generation: Generation,
    /// `None` for whatever else is under the kit's path.
    call: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    V1,
    V2,
}

/// The calls of generation V1: `/produceAPI/…`.
pub static KIT_V1: [KitFamily; 5] = calls_of(Generation::V1);

/// The calls of generation V2: `/produceAPI/v2/…`.
pub static KIT_V2: [KitFamily; 5] = calls_of(Generation::V2);

/// Calls that do not exist.
static UNKNOWN: [KitFamily; 2] =
    [KitFamily { generation: Generation::V1, call: None }, KitFamily { generation: Generation::V2, call: None }];

const fn calls_of(generation: Generation) -> [KitFamily; 5] {
    [
        KitFamily { generation, call: Some(Name::Tenant) },
        KitFamily { generation, call: Some(Name::Application) },
        KitFamily { generation, call: Some(Name::Auth) },
        KitFamily { generation, call: Some(Name::SingleOrg) },
        KitFamily { generation, call: Some(Name::AllOrg) },
    ]
}

/// The family behind what follows the production address in a path, such as `/produceAPI/v2/tenantSync`.
///
/// `None` when it is not under the kit's path. A name that no call has leads to a family that refuses everything with
/// `000002`.
pub fn family_at(sub_path: &str) -> Option<&'static KitFamily> {
    let name = sub_path.strip_prefix("/produceAPI/")?;
    let (families, unknown, name) = match name.strip_prefix("v2/") {
        Some(name) => (&KIT_V2, &UNKNOWN[1], name),
        None => (&KIT_V1, &UNKNOWN[0], name),
    };
    Some(families.iter().find(|family| family.call.is_some_and(|call| call.as_str() == name)).unwrap_or(unknown))
}

impl KitFamily {
    /// What follows the production address in the path of its call.
    pub fn sub_path(&self) -> String {
        let generation = if self.generation == Generation::V2 { "v2/" } else { "" };
        format!("/produceAPI/{generation}{}", self.call.map_or("", Name::as_str))
    }

    fn call(&self, name: Name, members: Map<String, Value>) -> Result<Call, BadCall> {
        let members = Members(&members);
        let mut remarks = Vec::new();
        let bad = |reason: String| BadCall { activity: Some(name.as_str()), test: members.is_test(), reason };
        let sync = read::read(name, members, &mut remarks).map_err(|fault| bad(fault.to_string()))?;
        let order_id = members.optional("orderId").unwrap_or_default();
        Ok(Call {
            activity: name.as_str(),
            environment: if members.is_test() { Environment::Test } else { Environment::Real },
            // A directory is nothing that is sold. The instances it is for are those of the basic interfaces.
            kind: Kind::Saas,
            order: order_id.map(|order_id| Order { order_id, ..Order::default() }),
            intent: Intent::Sync(Box::new(sync)),
            buyer: None,
            parameters: BTreeMap::new(),
            business_id: None,
            may_answer_processing: false,
            encrypts_credentials: false,
            order_query: false,
            adopts_unknown: false,
            remarks,
            // A directory call is applied whenever it comes and compared with no earlier one (spec 3-kit §6.1), so
            // what it says of persons is not kept twice.
            content: Map::new(),
        })
    }
}

impl Family for KitFamily {
    fn name(&self) -> &'static str {
        match self.generation {
            Generation::V1 => "kit-v1",
            Generation::V2 => "kit-v2",
        }
    }

    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey] {
        keyring.kit()
    }

    fn signs_replies(&self, rules: &Rules) -> bool {
        self.generation == Generation::V1 || rules.body_sign_v2
    }

    fn authenticate<'k>(
        &self,
        received: &Received<'_>,
        keys: &'k [AccessKey],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Proof<'k>, SignatureRefusal> {
        if self.call.is_none() {
            return Err(SignatureRefusal::UnknownCall);
        }
        let now_ms = now.as_millisecond();
        match self.generation {
            Generation::V1 => {
                let header = (received.header)(AUTH_TOKEN);
                let key = token::verify(keys, header, received.body, now_ms, &rules.auth_token)?;
                Ok(Proof { key, nonce: None })
            }
            Generation::V2 => {
                let (key, nonce) = signature::verify(keys, received, now_ms, &rules.signature)?;
                Ok(Proof { key, nonce })
            }
        }
    }

    fn read(&self, call: &VerifiedCall<'_>, _rules: &Rules) -> Result<Call, BadCall> {
        let Some(name) = self.call else {
            // Nothing of this family is ever verified.
            return Err(BadCall { activity: None, test: false, reason: SignatureRefusal::UnknownCall.to_string() });
        };
        let members = Transport::SignedPost.members("", call.body());
        let members = members.map_err(|bad| BadCall { activity: Some(name.as_str()), ..bad })?;
        self.call(name, members)
    }

    fn content(&self, _query: &str, body: &[u8]) -> Option<Map<String, Value>> {
        let mut members = Transport::SignedPost.members("", body).ok()?;
        members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
        Some(members)
    }

    fn seals_requests(&self) -> bool {
        self.call == Some(Name::Auth)
    }

    fn reply(&self, _call: Option<&Call>, outcome: &Outcome, _encrypt: Encrypt<'_>) -> Vec<u8> {
        // Code and message are all the kit's replies have.
        reply::write(&Outcome::refusal(outcome.code, outcome.message.as_str()), AccessForm::Plain)
    }

    fn reply_shape(&self, _call: Option<&Call>) -> ReplyShape {
        ReplyShape::Plain
    }
}

#[cfg(test)]
mod tests;
