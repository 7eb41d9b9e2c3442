//! How an instance comes to be: purchase, its repeats, and the first query. Codes are made by KooGallery, and begin with
//! the first call about them.

use std::time::Instant;

use serde_json::{Value, json};

use super::{PROCESSING, SUCCESS, UNKNOWN, changes, queried, succeed};
use crate::protocol::reply_checks::Finding;
use crate::simulate::call::{Mode, Order, Subject};
use crate::simulate::cases::repeats::{created_at_once, same_instance};
use crate::simulate::reply::Reply;
use crate::simulate::stage::{Instance, Stage, days_ahead, pause};

pub(super) fn create(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let Some(created) = bought(stage, &order, |stage, order| stage.generation().purchase(order)) else { return };
    let Some(id) = created.instance_id().map(str::to_owned) else { return };
    stage.expect_state("", &id, "active", None);
    stage.world.instance = Some(Instance { subject: Subject { id, order }, created, renewal: None });
}

/// Buys, and buys again until it is ready, with the code for "not yet" that the generation knows; returns the final answer.
pub(super) fn bought(
    stage: &mut Stage<'_>,
    order: &Order,
    purchase: impl Fn(&Stage<'_>, &Order) -> Option<Value>,
) -> Option<Reply> {
    let (generation, deadline) = (stage.generation(), Instant::now() + stage.options.ready_within);
    let mut codes = vec![SUCCESS, generation.unfinished()];
    let mut first: Option<Reply> = None;
    for attempt in 0.. {
        let call = stage.real(purchase(stage, order)?);
        let what = if first.is_none() { "" } else { "bought again" };
        let reply = stage.expect_one_of(what, &call, &codes)?;
        same_instance(stage, first.iter().chain([&reply]));
        if reply.code == SUCCESS {
            return Some(reply);
        }
        // Where there is a query, KooGallery asks by it after "processing", and the purchase is done when that says so.
        let id = reply.instance_id().filter(|_| reply.code == PROCESSING);
        let is_in_time = match id.and_then(|id| generation.query(id)) {
            Some(asked) => {
                codes = vec![SUCCESS];
                is_ready_by_query(stage, &asked, deadline)?
            }
            None => pause(attempt, deadline),
        };
        if !is_in_time {
            break;
        }
        first = first.or(Some(reply));
    }
    let seconds = stage.options.ready_within.as_secs();
    stage.add("", Finding::fail("not-ready", format!("it was not ready within {seconds} s")));
    None
}

/// Asks until the instance is there; `false` when it is too late, `None` when the answer is another.
fn is_ready_by_query(stage: &mut Stage<'_>, asked: &Value, deadline: Instant) -> Option<bool> {
    for attempt in 0.. {
        let call = stage.real(asked.clone());
        if stage.expect_one_of("query while creating", &call, &[SUCCESS, PROCESSING])?.code == SUCCESS {
            break;
        }
        if !pause(attempt, deadline) {
            return Some(false);
        }
    }
    Some(true)
}

pub(super) fn retry(stage: &mut Stage<'_>, instance: &Instance) {
    let purchase = stage.generation().purchase(&instance.subject.order);
    if let Some(again) = purchase.and_then(|purchase| succeed(stage, "", purchase)) {
        same_instance(stage, [&instance.created, &again]);
        stage.same_answer("", &instance.created, &again);
    }
}

/// The purchase comes again with other dates when the seller delivers and when the buyer accepts: the dates are set, and
/// the answer is the same (spec 2-basic-v1 §11.5, §12 d).
pub(super) fn supervision(stage: &mut Stage<'_>, instance: &Instance) {
    let order = Order { expires: days_ahead(120), ..instance.subject.order.clone() };
    let Some(mut purchase) = stage.generation().purchase(&order) else { return };
    purchase["provisionType"] = json!("1");
    for what in ["with new dates", "retry"] {
        let state = ("active", Some(order.expires));
        if let Some(again) = changes(stage, what, purchase.clone(), &instance.subject, state) {
            stage.same_answer(what, &instance.created, &again);
        }
    }
}

pub(super) fn query(stage: &mut Stage<'_>, instance: &Instance) {
    if queried(stage, "", &instance.subject).is_some_and(|entry| entry["appInfo"].is_null()) {
        let text = "there is no appInfo: the buyer does not learn where to sign in, unless you send it otherwise";
        stage.add("", Finding::warn("app-info", text));
    }
}

/// A second order, bought by eight calls at once, gets one instance, and another one than the first order.
pub(super) fn parallel(stage: &mut Stage<'_>, instance: &Instance) {
    let order = stage.new_order();
    // Where "not yet" names no instance, the next call does.
    let other = created_at_once(stage, Mode::Real, &order).or_else(|| {
        let created = bought(stage, &order, |stage, order| stage.generation().purchase(order))?;
        created.instance_id().map(str::to_owned)
    });
    let Some(id) = other else { return };
    if id == instance.subject.id {
        let text = "two orders got the same instanceId; each order line is an instance of its own";
        return stage.add("", Finding::fail("instance-id", text));
    }
    let release = stage.generation().release(&Subject { id, order });
    succeed(stage, "clearing up", release);
}

/// A code that was bought and never activated is unknown to the seller, and its buyer has paid all the same (spec
/// 4-license §3.5).
pub(super) fn first_call(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let subject = Subject { id: format!("PL{}", order.order_id), order };
    let freeze = stage.generation().freeze(&subject);
    let call = stage.real(freeze.clone());
    let Some(created) = stage.expect_one_of("FREEZE", &call, &[SUCCESS, UNKNOWN]) else { return };
    if created.code == UNKNOWN {
        stage.world.is_declined = true;
        let text = "answered 000003 for a code that was bought and not activated yet: KooGallery calls 60 times, and paid \
                    renewals fail; begin its record and answer 000000. The rest of a code's life cannot be played";
        return stage.add("FREEZE", Finding::warn("unknown-code", text));
    }
    stage.expect_state("FREEZE", &subject.id, "frozen", None);
    changes(stage, "retry of FREEZE", freeze, &subject, ("frozen", None));
    if let Some(unfreeze) = stage.generation().unfreeze(&subject) {
        changes(stage, "UNFREEZE", unfreeze, &subject, ("active", None));
    }
    stage.world.instance = Some(Instance { subject, created, renewal: None });
}
