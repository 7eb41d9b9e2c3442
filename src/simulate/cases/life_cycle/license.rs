//! Requests for a licence of an instance (spec 4-license §4.5). The licence comes by an upload, which is not seen here.

use serde_json::{Value, json};

use super::{PROCESSING, SUCCESS};
use crate::protocol::reply_checks::Finding;
use crate::simulate::reply::Reply;
use crate::simulate::stage::{Instance, Stage, new_business_id};

/// A licence of a period product must be told its end.
const NO_END: &str = "000902";

/// The same request again is the same licence, done or under way, and never one too many.
pub(super) fn issue(stage: &mut Stage<'_>, instance: &Instance) {
    let Some(members) = stage.generation().issue(&instance.subject, &new_business_id()) else { return };
    for what in ["", "retry"] {
        ask(stage, what, members.clone(), &[SUCCESS, PROCESSING]);
    }
}

/// Only an instance that has an end, as it has since its renewal, is surely one of a period product.
pub(super) fn without_end(stage: &mut Stage<'_>, instance: &Instance) {
    let Some(mut members) = stage.generation().issue(&instance.subject, &new_business_id()) else { return };
    members["expireTime"] = json!("");
    if ask(stage, "", members, &[NO_END, SUCCESS, PROCESSING]).is_some_and(|reply| reply.code != NO_END) {
        let text = format!("the instance has an end and its licence will have none; refuse it with {NO_END}");
        stage.add("", Finding::warn("endless-license", text));
    }
}

fn ask(stage: &mut Stage<'_>, what: &str, members: Value, codes: &[&str]) -> Option<Reply> {
    let call = stage.real(members);
    stage.expect_one_of(what, &call, codes)
}
