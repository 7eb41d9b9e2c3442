//! The release, what comes after it, and what there never was (spec 1-basic-v2 §9 h, 2-basic-v1 §12 h).

use serde_json::Value;

use super::{UNKNOWN, changes, succeed};
use crate::protocol::time;
use crate::simulate::Generation;
use crate::simulate::call::{Order, Subject};
use crate::simulate::cases::repeats::same_instance;
use crate::simulate::stage::{Instance, Stage, days_ahead, new_business_id};

pub(super) fn release(stage: &mut Stage<'_>, instance: &Instance) {
    let release = stage.generation().release(&instance.subject);
    let state = ("released", None);
    let Some(released) = changes(stage, "", release.clone(), &instance.subject, state) else { return };
    if let Some(again) = succeed(stage, "retry", release) {
        stage.same_answer("retry", &released, &again);
    }
}

/// A late retry of the purchase replays its answer and creates nothing; everything else finds no instance.
pub(super) fn after_release(stage: &mut Stage<'_>, instance: &Instance) {
    let subject = &instance.subject;
    let late = "late retry of the purchase";
    if let Some(purchase) = stage.generation().purchase(&subject.order)
        && let Some(again) = succeed(stage, late, purchase)
    {
        same_instance(stage, [&instance.created, &again]);
        stage.same_answer(late, &instance.created, &again);
        stage.expect_state(late, &subject.id, "released", None);
    }
    let order = stage.new_order();
    for (what, members) in calls_about(stage.generation(), subject, &order) {
        let call = stage.real(members);
        stage.expect(&format!("{what} of what was released"), &call, UNKNOWN);
    }
    let release = stage.generation().release(subject);
    succeed(stage, "release once more", release);
}

pub(super) fn unknown(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let subject = Subject { id: new_business_id(), order: order.clone() };
    let mut calls = calls_about(stage.generation(), &subject, &order);
    calls.push(("release", stage.generation().release(&subject)));
    for (what, members) in calls {
        let call = stage.real(members);
        stage.expect(what, &call, UNKNOWN);
    }
}

/// Everything but a release that can be said of an instance.
fn calls_about(generation: Generation, of: &Subject, order: &Order) -> Vec<(&'static str, Value)> {
    let calls = [
        ("query", generation.query(&of.id)),
        ("renewal", Some(generation.renewal(of, order, &time::print_seconds(days_ahead(365))))),
        ("freeze", Some(generation.freeze(of))),
        ("upgrade", generation.upgrade(of, order)),
        ("licence request", generation.issue(of, &new_business_id())),
    ];
    calls.into_iter().filter_map(|(what, members)| members.map(|members| (what, members))).collect()
}
