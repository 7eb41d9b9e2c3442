//! `GET <production address>?activity=…&timeStamp=…&authToken=…&…`: the transport that V1 basic and L1 share (spec
//! 2-basic-v1 §1, §2; 4-license §5).

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::protocol::auth_token::{self, repaired};
use crate::protocol::call::BadCall;
use crate::protocol::key::AccessKey;
use crate::protocol::query::Query;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::{Proof, Received, Rules, activity};

/// Checks the token in the query string.
pub(super) fn authenticate<'k>(
    received: &Received<'_>,
    keys: &'k [AccessKey],
    now: Timestamp,
    rules: &Rules,
) -> Result<Proof<'k>, SignatureRefusal> {
    let query = Query::parse(received.query).map_err(|_| SignatureRefusal::QueryNotUtf8)?;
    let key = auth_token::verify(keys, &query, now.as_millisecond(), &rules.auth_token)?;
    // A GET may be repeated byte for byte by any HTTP client, so nothing may come only once (spec 2-basic-v1 §2.3).
    Ok(Proof { key, nonce: None })
}

/// The parameters as members: the first of a repeated name, lost `+` restored, the token left out.
pub(super) fn members(query: &str) -> Result<Map<String, Value>, BadCall> {
    let query =
        Query::parse(query).map_err(|fault| BadCall { activity: None, test: false, reason: fault.to_string() })?;
    let mut members = Map::new();
    for (name, value) in query.pairs().filter(|(name, _)| *name != auth_token::AUTH_TOKEN) {
        members.entry(name).or_insert_with(|| Value::String(repaired(name, value).into_owned()));
    }
    Ok(members)
}

/// What a repeat is compared with.
pub(super) fn content(query: &str) -> Option<Map<String, Value>> {
    members(query).ok().map(activity::content)
}
