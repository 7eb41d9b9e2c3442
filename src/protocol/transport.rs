//! The two ways in which calls come to the production address, with their authentication.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::protocol::auth_token::{self, repaired};
use crate::protocol::call::BadCall;
use crate::protocol::key::AccessKey;
use crate::protocol::query::Query;
use crate::protocol::signature::{SignatureParameters, SignatureRefusal, verify_v2};
use crate::protocol::{Proof, Received, Rules};

/// How a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// `POST …?signature&timestamp&nonce` with a flat JSON body (V2 basic, L2, LO; spec 1-basic-v2 §1, §2).
    SignedPost,
    /// `GET …?activity=…&timeStamp=…&authToken=…&…` (V1 basic, L1; spec 2-basic-v1 §1, §2).
    TokenGet,
}

impl Transport {
    /// Checks that KooGallery sent this.
    pub(super) fn authenticate<'k>(
        self,
        received: &Received<'_>,
        keys: &'k [AccessKey],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Proof<'k>, SignatureRefusal> {
        let query = Query::parse(received.query).map_err(|_| SignatureRefusal::QueryNotUtf8)?;
        match self {
            Self::SignedPost => {
                let parameters = SignatureParameters::from_query(&query);
                let key = verify_v2(keys, &parameters, received.body, now.as_millisecond(), &rules.signature)?;
                Ok(Proof { key, nonce: parameters.nonce.map(str::to_owned) })
            }
            Self::TokenGet => {
                let key = auth_token::verify(keys, &query, now.as_millisecond(), &rules.auth_token)?;
                // A GET may be repeated byte for byte by any HTTP client: nothing may come only once (§2.3).
                Ok(Proof { key, nonce: None })
            }
        }
    }

    /// The members of a call: those of the body, or the parameters of the query; of a repeated parameter the first, lost
    /// `+` restored, the token left out.
    pub(super) fn members(self, query: &str, body: &[u8]) -> Result<Map<String, Value>, BadCall> {
        let unreadable = |reason: String| BadCall { activity: None, test: false, reason };
        match self {
            Self::SignedPost => match serde_json::from_slice(body) {
                Ok(Value::Object(members)) => Ok(members),
                Ok(_) => Err(unreadable("the body is not a JSON object".to_owned())),
                Err(error) => Err(unreadable(format!("the body is not JSON: {error}"))),
            },
            Self::TokenGet => {
                let query = Query::parse(query).map_err(|fault| unreadable(fault.to_string()))?;
                let mut members = Map::new();
                for (name, value) in query.pairs().filter(|(name, _)| *name != auth_token::AUTH_TOKEN) {
                    members.entry(name).or_insert_with(|| Value::String(repaired(name, value).into_owned()));
                }
                Ok(members)
            }
        }
    }
}
