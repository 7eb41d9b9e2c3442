//! A request that was turned away.

use serde_json::{Value, json};

use super::time_ms;
use crate::dispatch::Refused;

/// In a listing; nothing of its body.
pub fn listed(refused: &Refused) -> Value {
    json!({ "at": time_ms(refused.at), "peer": refused.peer, "family": refused.family, "reason": refused.reason })
}
