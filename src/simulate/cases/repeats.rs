//! KooGallery repeats a call until it likes the answer (spec README §8, 1-basic-v2 §9 c, 2-basic-v1 §12 c): a repeat must
//! find the same instance and licence, also when several arrive at once.

use std::collections::BTreeSet;

use super::{Case, SUCCESS};
use crate::protocol::reply_checks::Finding;
use crate::simulate::Generation;
use crate::simulate::call::{Call, Mode, Order};
use crate::simulate::reply::Reply;
use crate::simulate::stage::Stage;

/// So many calls arrive at once.
const AT_ONCE: usize = 8;

/// Codes have no purchase call; the repeats of theirs belong to their life-cycle.
pub(super) fn cases(generation: Generation) -> Vec<Case> {
    if generation == Generation::LicenseCode {
        return Vec::new();
    }
    vec![
        Case::new("retry-create", "新购重试", retry),
        Case::new("parallel-create", "新购并发重复", |stage| {
            let order = stage.new_order();
            created_at_once(stage, Mode::Test, &order);
        }),
    ]
}

fn retry(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let mut call = |what| {
        let purchase = stage.test(stage.generation().purchase(&order)?);
        stage.expect(what, &purchase, SUCCESS)
    };
    if let (Some(first), Some(again)) = (call("first call"), call("retry with another businessId")) {
        same_instance(stage, [&first, &again]);
    }
}

/// Creates one order by several calls at once; returns the instance they agree on.
pub(super) fn created_at_once(stage: &mut Stage<'_>, mode: Mode, order: &Order) -> Option<String> {
    let generation = stage.generation();
    let purchases = (0..AT_ONCE).filter_map(|_| generation.purchase(order));
    let calls: Vec<Call> = purchases.map(|purchase| Call::new(generation, &mode.flag(purchase))).collect();
    let replies = stage.call_at_once(&calls);
    // While the first works, the others may be told to wait (spec README §8, R6). A test call has nothing to wait for.
    let codes: &[&str] = if mode == Mode::Test { &[SUCCESS] } else { &[SUCCESS, generation.unfinished()] };
    for reply in &replies {
        stage.judge("", reply, codes);
    }
    same_instance(stage, &replies)
}

/// Whether all replies name one instance and one licence, as far as they name any; returns the instance.
pub(super) fn same_instance<'r>(stage: &mut Stage<'_>, replies: impl IntoIterator<Item = &'r Reply>) -> Option<String> {
    let replies: Vec<&Reply> = replies.into_iter().collect();
    let licenses: BTreeSet<&str> = replies.iter().filter_map(|reply| reply.license()).collect();
    if licenses.len() > 1 {
        let text = format!("one order got {} licences; it must always get the first one", licenses.len());
        stage.add("", Finding::fail("license", text));
    }
    let ids: BTreeSet<&str> = replies.iter().filter_map(|reply| reply.instance_id()).collect();
    if ids.len() > 1 {
        let text = format!(
            "one order got {} instanceIds; the same order and order line must always get the first one, whatever the \
             businessId: the buyer pays once and you provide several",
            ids.len()
        );
        stage.add("", Finding::fail("instance-id", text));
        return None;
    }
    ids.first().map(|id| (*id).to_owned())
}

/// Whether what is bought apart has an instance of its own.
pub(super) fn differ(stage: &mut Stage<'_>, what: &str, [one, other]: [&Reply; 2]) {
    if one.instance_id().is_some() && one.instance_id() == other.instance_id() {
        let text = format!("{what} got the same instanceId; each must have an instance of its own");
        stage.add("", Finding::fail("instance-id", text));
    }
}
