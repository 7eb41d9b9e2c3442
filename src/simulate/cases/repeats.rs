//! KooGallery repeats a call until it likes the answer (spec README §8, 1-basic-v2 §9 c): a repeat must find the same
//! instance, also when several arrive at once.

use std::collections::BTreeSet;

use super::Case;
use crate::protocol::reply_checks::Finding;
use crate::simulate::call::{self, Call, Mode, Order};
use crate::simulate::stage::{Reply, Stage, new_business_id};

/// So many calls arrive at once.
const AT_ONCE: usize = 8;

pub(super) fn cases() -> Vec<Case> {
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
        let members = call::new_instance(Mode::Test, &order, &new_business_id());
        stage.expect(what, &Call::new(&members), "000000")
    };
    if let (Some(first), Some(again)) = (call("first call"), call("retry with another businessId")) {
        same_instance(stage, [&first, &again]);
    }
}

/// Creates one order by several calls at once; returns the instance they agree on.
pub(super) fn created_at_once(stage: &mut Stage<'_>, mode: Mode, order: &Order) -> Option<String> {
    let call = || Call::new(&call::new_instance(mode, order, &new_business_id()));
    let calls: Vec<Call> = std::iter::repeat_with(call).take(AT_ONCE).collect();
    let replies = stage.call_at_once(&calls);
    // While the first works, the others may be told to wait (spec README §8, R6). A test call has nothing to wait for.
    let codes: &[&str] = if mode == Mode::Test { &["000000"] } else { &["000000", "000004"] };
    for reply in &replies {
        stage.judge("", reply, codes);
    }
    same_instance(stage, &replies)
}

/// Whether all replies name one instance, and which.
pub(super) fn same_instance<'r>(stage: &mut Stage<'_>, replies: impl IntoIterator<Item = &'r Reply>) -> Option<String> {
    let ids: BTreeSet<&str> = replies.into_iter().filter_map(Reply::instance_id).collect();
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
