//! Renewals, freezes and upgrades of an instance in use (spec 1-basic-v2 §9 a to c, 2-basic-v1 §12 a, b).

use serde_json::Value;

use super::{changes, queried, succeed};
use crate::protocol::reply_checks::Finding;
use crate::protocol::time;
use crate::simulate::stage::{Instance, Stage, days_ahead};

pub(super) fn renewal(stage: &mut Stage<'_>, instance: &Instance) {
    let expires = days_ahead(365);
    let (order, subject) = (stage.new_order(), &instance.subject);
    let members = stage.generation().renewal(subject, &order, &time::print_seconds(expires));
    let state = ("active", Some(expires));
    let Some(renewed) = changes(stage, "", members.clone(), subject, state) else { return };
    if let Some(again) = changes(stage, "retry", members.clone(), subject, state) {
        stage.same_answer("retry", &renewed, &again);
    }
    stage.world.instance = Some(Instance { renewal: Some((members, renewed)), ..instance.clone() });
}

/// What comes late of a renewal that was taken back must change nothing (§9 b).
pub(super) fn cancelled(stage: &mut Stage<'_>, instance: &Instance) {
    let Some((renewal, renewed)) = &instance.renewal else {
        return stage.add("", Finding::fail("answer", "there is no renewal to cancel: it failed before"));
    };
    let expires = days_ahead(30);
    let (order, subject, state) = (stage.new_order(), &instance.subject, ("active", Some(expires)));
    let cancelled = stage.generation().cancelled(renewal, &order, &time::print_seconds(expires));
    if let Some(cancelled) = cancelled {
        changes(stage, "", cancelled.clone(), subject, state);
        changes(stage, "retry", cancelled, subject, state);
    }
    let late = "late retry of the renewal";
    if let Some(again) = changes(stage, late, renewal.clone(), subject, state) {
        stage.same_answer(late, renewed, &again);
    }
}

fn freeze(stage: &mut Stage<'_>, instance: &Instance, what: &str) {
    let freeze = stage.generation().freeze(&instance.subject);
    changes(stage, what, freeze, &instance.subject, ("frozen", None));
}

/// Unfreezes and returns whether the generation has a call for it.
fn unfreeze(stage: &mut Stage<'_>, instance: &Instance, what: &str) -> bool {
    let unfreeze = stage.generation().unfreeze(&instance.subject);
    unfreeze.map(|unfreeze| changes(stage, what, unfreeze, &instance.subject, ("active", None))).is_some()
}

/// What V1 and L1 have frozen stays so until it is renewed.
pub(super) fn freeze_and_unfreeze(stage: &mut Stage<'_>, instance: &Instance) {
    freeze(stage, instance, "freeze");
    freeze(stage, instance, "retry of the freeze");
    queried(stage, "query while frozen", &instance.subject);
    if unfreeze(stage, instance, "UNFREEZE") {
        unfreeze(stage, instance, "retry of UNFREEZE");
    }
}

/// Word for word the freeze of before: taken for its retry, it would be swallowed (§9 a).
pub(super) fn freeze_again(stage: &mut Stage<'_>, instance: &Instance) {
    freeze(stage, instance, "FREEZE after UNFREEZE");
}

/// The last freeze is again word for word the one of before, in V1 with the same order (2-basic-v1 §12 a).
pub(super) fn renewal_unfreezes(stage: &mut Stage<'_>, instance: &Instance) {
    freeze(stage, instance, "freeze");
    renew(stage, instance, "renewal", 730);
    freeze(stage, instance, "freeze after the renewal");
    if !unfreeze(stage, instance, "UNFREEZE") {
        renew(stage, instance, "renewal after that", 1095);
    }
}

fn renew(stage: &mut Stage<'_>, instance: &Instance, what: &str, days: i64) {
    let expires = days_ahead(days);
    let order = stage.new_order();
    let renewal: Value = stage.generation().renewal(&instance.subject, &order, &time::print_seconds(expires));
    changes(stage, what, renewal, &instance.subject, ("active", Some(expires)));
}

pub(super) fn upgrade(stage: &mut Stage<'_>, instance: &Instance) {
    let order = stage.new_order();
    let Some(upgrade) = stage.generation().upgrade(&instance.subject, &order) else { return };
    let Some(upgraded) = succeed(stage, "", upgrade.clone()) else { return };
    if let Some(again) = succeed(stage, "retry", upgrade) {
        stage.same_answer("retry", &upgraded, &again);
    }
}
