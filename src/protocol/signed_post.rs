//! `POST <production address>?signature&timestamp&nonce` with a flat JSON body: the transport that V2 basic, L2 and LO
//! share (spec 1-basic-v2 §1, §2; 4-license §2).

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::protocol::call::BadCall;
use crate::protocol::key::AccessKey;
use crate::protocol::query::Query;
use crate::protocol::signature::{SignatureParameters, SignatureRefusal, verify_v2};
use crate::protocol::{Proof, Received, Rules, activity};

/// Checks the signature in the query string against the body.
pub(super) fn authenticate<'k>(
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

/// The members of the body.
pub(super) fn members(body: &[u8]) -> Result<Map<String, Value>, BadCall> {
    let unreadable = |reason: String| BadCall { activity: None, test: false, reason };
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(unreadable("the body is not a JSON object".to_owned())),
        Err(error) => Err(unreadable(format!("the body is not JSON: {error}"))),
    }
}

/// What a repeat is compared with.
pub(super) fn content(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok().map(activity::content)
}
