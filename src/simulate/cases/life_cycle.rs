//! The life of a real instance, from purchase to release, with the traps of spec 1-basic-v2 §9. The order ids are made up,
//! so this is for servers that do not look their orders up. What it creates it releases, as far as the server plays along.

use std::time::Instant;

use jiff::Timestamp;

use super::Case;
use super::repeats::{created_at_once, same_instance};
use crate::protocol::reply_checks::Finding;
use crate::protocol::time;
use crate::simulate::call::{self, Call, Mode, Order};
use crate::simulate::stage::{Instance, Reply, Stage, days_ahead, new_business_id, pause};

const SUCCESS: &str = "000000";
const UNKNOWN: &str = "000003";
const PROCESSING: &str = "000004";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("real-create", "真实新购", create),
        Case::on_instance("real-retry-create", "真实新购重试", |stage| on_instance(stage, retry_create)),
        Case::on_instance("real-query", "真实查询", |stage| on_instance(stage, query)),
        Case::on_instance("real-parallel-create", "真实新购并发重复", |stage| {
            on_instance(stage, parallel_create)
        }),
        Case::on_instance("real-renewal", "真实续费", |stage| on_instance(stage, renewal)),
        Case::on_instance("real-cancelled-renewal", "真实退续费", |stage| on_instance(stage, cancelled_renewal)),
        Case::on_instance("real-freeze", "真实冻结", |stage| on_instance(stage, freeze_and_unfreeze)),
        Case::on_instance("real-freeze-again", "真实再次冻结", |stage| on_instance(stage, freeze_again)),
        Case::on_instance("real-renewal-unfreezes", "真实续费解冻", |stage| {
            on_instance(stage, renewal_unfreezes)
        }),
        Case::on_instance("real-upgrade", "真实升级", |stage| on_instance(stage, upgrade)),
        Case::on_instance("real-release", "真实释放", |stage| on_instance(stage, release)),
        Case::on_instance("real-after-release", "释放之后", |stage| on_instance(stage, after_release)),
        Case::new("real-unknown-instance", "不存在的实例", |stage| unknown(stage, &new_business_id())),
    ]
}

fn on_instance(stage: &mut Stage<'_>, play: fn(&mut Stage<'_>, &Instance)) {
    if let Some(instance) = stage.world.instance.clone() {
        play(stage, &instance);
    }
}

fn create(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let deadline = Instant::now() + stage.options.ready_within;
    let Some(mut created) = stage.expect_one_of("", &purchase(&order), &[SUCCESS, PROCESSING]) else { return };
    let Some(instance_id) = created.instance_id().map(str::to_owned) else { return };
    if created.code == PROCESSING {
        if !wait_until_ready(stage, &instance_id, deadline) {
            return;
        }
        let Some(finished) = stage.expect("after it is ready", &purchase(&order), SUCCESS) else { return };
        same_instance(stage, [&created, &finished]);
        created = finished;
    }
    stage.expect_state("", &instance_id, "active", None);
    stage.world.instance = Some(Instance { instance_id, order, created, renewal: None });
}

/// A `newInstance` as KooGallery would send it now: every one has a `businessId` of its own.
fn purchase(order: &Order) -> Call {
    Call::new(&call::new_instance(Mode::Real, order, &new_business_id()))
}

fn asked(instance_id: &str) -> Call {
    Call::new(&call::query_instance(Mode::Real, instance_id))
}

/// Asks until the instance is there, as KooGallery does after `000004`.
fn wait_until_ready(stage: &mut Stage<'_>, instance_id: &str, deadline: Instant) -> bool {
    for attempt in 0.. {
        match stage.expect_one_of("while creating", &asked(instance_id), &[SUCCESS, PROCESSING]) {
            None => return false,
            Some(reply) if reply.code == SUCCESS => return true,
            Some(_) => {}
        }
        if !pause(attempt, deadline) {
            break;
        }
    }
    let seconds = stage.options.ready_within.as_secs();
    stage.add("", Finding::fail("not-ready", format!("the instance was not ready within {seconds} s")));
    false
}

fn retry_create(stage: &mut Stage<'_>, instance: &Instance) {
    if let Some(again) = stage.expect("", &purchase(&instance.order), SUCCESS) {
        same_instance(stage, [&instance.created, &again]);
        stage.same_answer("", &instance.created, &again);
    }
}

fn query(stage: &mut Stage<'_>, instance: &Instance) {
    let Some(reply) = stage.expect("", &asked(&instance.instance_id), SUCCESS) else { return };
    match reply.info(&instance.instance_id) {
        None => stage.add("", Finding::fail("info", "info has no entry for the instance asked for")),
        Some(entry) if entry["appInfo"].is_null() => {
            let text = "there is no appInfo: the buyer does not learn where to sign in, unless you send it otherwise";
            stage.add("", Finding::warn("app-info", text));
        }
        Some(_) => {}
    }
}

/// A second order, bought by eight calls at once, gets one instance, and another one than the first order.
fn parallel_create(stage: &mut Stage<'_>, instance: &Instance) {
    let order = stage.new_order();
    let Some(other) = created_at_once(stage, Mode::Real, &order) else { return };
    if other == instance.instance_id {
        let text = "two orders got the same instanceId; each order line is an instance of its own";
        return stage.add("", Finding::fail("instance-id", text));
    }
    let release = Call::new(&call::release_instance(Mode::Real, &other));
    stage.expect("clearing up", &release, SUCCESS);
}

fn renewal(stage: &mut Stage<'_>, instance: &Instance) {
    let expires = days_ahead(365);
    let members = refresh(instance, &stage.new_order(), "RENEWAL", expires);
    let Some(renewed) = stage.expect("", &Call::new(&members), SUCCESS) else { return };
    stage.expect_state("", &instance.instance_id, "active", Some(expires));
    if let Some(again) = stage.expect("retry", &Call::new(&members), SUCCESS) {
        stage.same_answer("retry", &renewed, &again);
        stage.expect_state("retry", &instance.instance_id, "active", Some(expires));
    }
    stage.world.instance = Some(Instance { renewal: Some((members, renewed)), ..instance.clone() });
}

fn refresh(instance: &Instance, order: &Order, scene: &str, expires: Timestamp) -> serde_json::Value {
    call::refresh_instance(Mode::Real, &instance.instance_id, order, scene, &time::print_seconds(expires))
}

/// The cancellation may carry the renewal's order id, and a late retry of the renewal must change nothing (§9 b).
fn cancelled_renewal(stage: &mut Stage<'_>, instance: &Instance) {
    let Some((renewal, renewed)) = &instance.renewal else {
        return stage.add("", Finding::fail("answer", "there is no renewal to cancel: it failed before"));
    };
    let expires = days_ahead(30);
    let mut cancelled = renewal.clone();
    cancelled["scene"] = "UNSUBSCRIBE_RENEWAL_PERIOD".into();
    cancelled["expireTime"] = time::print_seconds(expires).into();
    if stage.expect("", &Call::new(&cancelled), SUCCESS).is_some() {
        stage.expect_state("", &instance.instance_id, "active", Some(expires));
    }
    let late = "late retry of the renewal";
    if let Some(again) = stage.expect(late, &Call::new(renewal), SUCCESS) {
        stage.same_answer(late, renewed, &again);
        stage.expect_state(late, &instance.instance_id, "active", Some(expires));
    }
}

fn set_status(stage: &mut Stage<'_>, instance: &Instance, what: &str, status: &str, recorded: &str) -> Option<Reply> {
    let call = Call::new(&call::update_status(Mode::Real, &instance.instance_id, status));
    let reply = stage.expect(what, &call, SUCCESS)?;
    stage.expect_state(what, &instance.instance_id, recorded, None);
    Some(reply)
}

fn freeze_and_unfreeze(stage: &mut Stage<'_>, instance: &Instance) {
    set_status(stage, instance, "FREEZE", "FREEZE", "frozen");
    set_status(stage, instance, "retry of FREEZE", "FREEZE", "frozen");
    if let Some(reply) = stage.expect("query while frozen", &asked(&instance.instance_id), SUCCESS)
        && reply.info(&instance.instance_id).is_none()
    {
        stage.add("query while frozen", Finding::fail("info", "a frozen instance keeps its data and must be returned"));
    }
    set_status(stage, instance, "UNFREEZE", "UNFREEZE", "active");
    set_status(stage, instance, "retry of UNFREEZE", "UNFREEZE", "active");
}

/// Word for word the freeze of before: taken for its retry, it would be swallowed (§9 a).
fn freeze_again(stage: &mut Stage<'_>, instance: &Instance) {
    set_status(stage, instance, "FREEZE after UNFREEZE", "FREEZE", "frozen");
}

fn renewal_unfreezes(stage: &mut Stage<'_>, instance: &Instance) {
    set_status(stage, instance, "FREEZE", "FREEZE", "frozen");
    let expires = days_ahead(730);
    let members = refresh(instance, &stage.new_order(), "RENEWAL", expires);
    if stage.expect("RENEWAL", &Call::new(&members), SUCCESS).is_some() {
        stage.expect_state("RENEWAL", &instance.instance_id, "active", Some(expires));
    }
    set_status(stage, instance, "FREEZE after RENEWAL", "FREEZE", "frozen");
    set_status(stage, instance, "UNFREEZE", "UNFREEZE", "active");
}

fn upgrade(stage: &mut Stage<'_>, instance: &Instance) {
    let call = Call::new(&call::upgrade_instance(Mode::Real, &instance.instance_id, &stage.new_order()));
    let Some(upgraded) = stage.expect("", &call, SUCCESS) else { return };
    if let Some(again) = stage.expect("retry", &call, SUCCESS) {
        stage.same_answer("retry", &upgraded, &again);
    }
}

fn release(stage: &mut Stage<'_>, instance: &Instance) {
    let call = Call::new(&call::release_instance(Mode::Real, &instance.instance_id));
    let Some(released) = stage.expect("", &call, SUCCESS) else { return };
    stage.expect_state("", &instance.instance_id, "released", None);
    if let Some(again) = stage.expect("retry", &call, SUCCESS) {
        stage.same_answer("retry", &released, &again);
    }
}

/// A late retry of the purchase replays its answer and creates nothing; everything else finds no instance (§9 h).
fn after_release(stage: &mut Stage<'_>, instance: &Instance) {
    let late = "late retry of newInstance";
    if let Some(again) = stage.expect(late, &purchase(&instance.order), SUCCESS) {
        same_instance(stage, [&instance.created, &again]);
        stage.same_answer(late, &instance.created, &again);
        stage.expect_state(late, &instance.instance_id, "released", None);
    }
    let order = stage.new_order();
    for (what, members) in [
        ("query", call::query_instance(Mode::Real, &instance.instance_id)),
        ("RENEWAL", refresh(instance, &order, "RENEWAL", days_ahead(365))),
        ("FREEZE", call::update_status(Mode::Real, &instance.instance_id, "FREEZE")),
        ("upgrade", call::upgrade_instance(Mode::Real, &instance.instance_id, &order)),
    ] {
        stage.expect(&format!("{what} of the released instance"), &Call::new(&members), UNKNOWN);
    }
    let again = Call::new(&call::release_instance(Mode::Real, &instance.instance_id));
    stage.expect("release once more", &again, SUCCESS);
}

fn unknown(stage: &mut Stage<'_>, instance_id: &str) {
    let order = stage.new_order();
    let expires = time::print_seconds(days_ahead(365));
    for (what, members) in [
        ("query", call::query_instance(Mode::Real, instance_id)),
        ("refresh", call::refresh_instance(Mode::Real, instance_id, &order, "RENEWAL", &expires)),
        ("FREEZE", call::update_status(Mode::Real, instance_id, "FREEZE")),
        ("upgrade", call::upgrade_instance(Mode::Real, instance_id, &order)),
        ("release", call::release_instance(Mode::Real, instance_id)),
    ] {
        stage.expect(what, &Call::new(&members), UNKNOWN);
    }
}
