//! The life of a real instance or licence code, from its beginning to its release, with the traps of spec 1-basic-v2 §9
//! and 2-basic-v1 §12. The order ids are made up, so this is for servers that do not look their orders up. What it creates
//! it releases, as far as the server plays along.
//!
//! One life for all generations: which members a step has is said by `wording`, and steps that a generation has no word
//! for are left out.

mod beginning;
mod change;
mod end;
mod license;
mod pay_per_use;

use jiff::Timestamp;
use serde_json::Value;

use super::{Case, PROCESSING, SUCCESS, UNKNOWN};
use crate::protocol::reply_checks::Finding;
use crate::simulate::Generation;
use crate::simulate::call::Subject;
use crate::simulate::reply::Reply;
use crate::simulate::stage::{Instance, Stage};

/// A step of the life that goes on with its instance.
type Step = (&'static str, &'static str, fn(&mut Stage<'_>, &Instance));

pub(super) fn cases(generation: Generation) -> Vec<Case> {
    use Generation::{License, LicenseCode, LicenseOnline, V1, V2};
    let mut cases = vec![match generation {
        LicenseCode => Case::new("real-first-call", "首次冻结未知授权码", beginning::first_call),
        _ => Case::new("real-create", "真实新购", beginning::create),
    }];
    let steps: [(Step, &[Generation]); 14] = [
        (("real-retry-create", "真实新购重试", beginning::retry), &[V2, V1, License, LicenseOnline]),
        (("real-supervision", "服务监管（新日期）", beginning::supervision), &[V1]),
        (("real-query", "真实查询", beginning::query), &[V2, V1]),
        (("real-parallel-create", "真实新购并发重复", beginning::parallel), &[V2, V1, License, LicenseOnline]),
        (("real-get-license", "真实异步申请License", license::issue), &[LicenseOnline]),
        (("real-renewal", "真实续费", change::renewal), &Generation::ALL),
        (("real-cancelled-renewal", "真实退续费", change::cancelled), &[V2, V1, LicenseCode, LicenseOnline]),
        (("real-license-without-end", "周期商品未传过期时间", license::without_end), &[LicenseOnline]),
        (("real-freeze", "真实冻结", change::freeze_and_unfreeze), &Generation::ALL),
        (("real-freeze-again", "真实再次冻结", change::freeze_again), &[V2, LicenseCode, LicenseOnline]),
        (("real-renewal-unfreezes", "真实续费解冻", change::renewal_unfreezes), &Generation::ALL),
        (("real-upgrade", "真实升级", change::upgrade), &[V2, V1]),
        (("real-release", "真实释放", end::release), &Generation::ALL),
        (("real-after-release", "释放之后", end::after_release), &Generation::ALL),
    ];
    let known = steps.into_iter().filter(|(_, generations)| generations.contains(&generation));
    cases.extend(known.map(|((name, title, play), _)| on_instance(name, title, play)));
    if generation == V1 {
        cases.push(Case::new("real-pay-per-use", "按需商品的一生", pay_per_use::life));
    }
    if generation != LicenseCode {
        cases.push(Case::new("real-unknown-instance", "不存在的实例", end::unknown));
    }
    cases
}

fn on_instance(name: &'static str, title: &'static str, play: fn(&mut Stage<'_>, &Instance)) -> Case {
    let play = move |stage: &mut Stage<'_>| {
        if let Some(instance) = stage.world.instance.clone() {
            play(stage, &instance);
        }
    };
    Case { needs_instance: true, ..Case::new(name, title, play) }
}

/// A real call that must succeed.
fn succeed(stage: &mut Stage<'_>, what: &str, members: Value) -> Option<Reply> {
    let call = stage.real(members);
    stage.expect(what, &call, SUCCESS)
}

/// A real call that must succeed and leave the instance in this state.
fn changes(
    stage: &mut Stage<'_>,
    what: &str,
    members: Value,
    of: &Subject,
    state: (&str, Option<Timestamp>),
) -> Option<Reply> {
    let reply = succeed(stage, what, members)?;
    stage.expect_state(what, &of.id, state.0, state.1);
    Some(reply)
}

/// A query that must return the instance.
fn queried(stage: &mut Stage<'_>, what: &str, of: &Subject) -> Option<Value> {
    let asked = stage.generation().query(&of.id)?;
    let reply = succeed(stage, what, asked)?;
    let entry = reply.info(&of.id).cloned();
    if entry.is_none() {
        stage.add(what, Finding::fail("info", "info has no entry for the instance; its data is kept, frozen or not"));
    }
    entry
}
