//! Calls that must be refused, each with the code of its step (spec 1-basic-v2 §2.4, 2-basic-v1 §2.2), always with HTTP
//! 200 and signed.
//!
//! All carry `testFlag` 1, so that a server which takes them does no harm.

mod mandatory;

use serde_json::{Value, json};

use super::debugging::{test_order, test_subject};
use super::{AUTHENTICATION, Case, PARAMETER, SUCCESS};
use crate::protocol::reply_checks::Finding;
use crate::simulate::Generation;
use crate::simulate::call::signed_post::{SignedPost, Spoil as PostSpoil};
use crate::simulate::call::token_get::{Spoil as GetSpoil, TokenGet};
use crate::simulate::call::{Call, Mode};
use crate::simulate::stage::Stage;

/// Outside the window of 60 s, whatever the call takes.
pub(super) const OUTSIDE_MS: i64 = 120_000;

pub(super) const ANYBODY: &str = "anybody who knows the address can order, freeze and release";
pub(super) const REPLAY: &str = "whoever has seen a call can repeat it later";
pub(super) const GUESS: &str = "the server acts on a call it cannot have understood";

pub(super) fn cases(generation: Generation) -> Vec<Case> {
    let mut cases = if generation.has_token() { tokens(generation) } else { signatures(generation) };
    cases.extend(contents(generation));
    cases.push(Case::new("refuse-missing-member", "缺少必填参数", mandatory::missing_members));
    cases
}

fn refused(
    name: &'static str,
    title: &'static str,
    call: impl Into<Call>,
    code: &'static str,
    danger: &'static str,
) -> Case {
    let call = call.into();
    Case::new(name, title, move |stage| refuse(stage, "", &call, code, danger))
}

pub(super) fn refuse(stage: &mut Stage<'_>, what: &str, call: &Call, code: &str, danger: &str) {
    let Some(reply) = stage.call(what, call) else { return };
    if reply.code == SUCCESS {
        stage.add(what, Finding::fail("accepted", format!("taken as good; must be refused with {code}: {danger}")));
    } else {
        stage.judge(what, &reply, &[code]);
    }
}

/// What should be refused where the documents leave it open: taking it is a warning.
pub(super) fn better_refused(stage: &mut Stage<'_>, what: &str, call: &Call, code: &str, taken: &str) {
    let Some(reply) = stage.call(what, call) else { return };
    if reply.code == SUCCESS {
        stage.add(what, Finding::warn("accepted", taken));
    } else {
        stage.judge(what, &reply, &[code]);
    }
}

fn freeze(generation: Generation) -> Value {
    Mode::Test.flag(generation.freeze(&test_subject()))
}

/// A freeze that became a release on its way.
fn changed(generation: Generation) -> Call {
    Call::new(generation, &freeze(generation)).changed_to(&Mode::Test.flag(generation.release(&test_subject())))
}

fn signatures(generation: Generation) -> Vec<Case> {
    use PostSpoil as Spoil;
    let spoiled = move |spoil| SignedPost::new(&freeze(generation)).spoiled(spoil);
    let malformed = freeze(generation).to_string();
    let malformed = SignedPost::raw(malformed.trim_end_matches('}'));
    vec![
        refused("refuse-wrong-key", "错误密钥", spoiled(Spoil::WrongKey), AUTHENTICATION, ANYBODY),
        refused("refuse-no-signature", "缺少签名", spoiled(Spoil::NoSignature), AUTHENTICATION, ANYBODY),
        refused("refuse-short-signature", "签名格式错误", spoiled(Spoil::ShortSignature), AUTHENTICATION, ANYBODY),
        refused("refuse-changed-body", "报文被篡改", changed(generation), AUTHENTICATION, ANYBODY),
        refused("refuse-no-nonce", "缺少随机数", spoiled(Spoil::NoNonce), PARAMETER, REPLAY),
        refused("refuse-no-timestamp", "缺少时间戳", spoiled(Spoil::NoTimestamp), PARAMETER, REPLAY),
        refused("refuse-text-timestamp", "时间戳格式错误", spoiled(Spoil::TextTimestamp), PARAMETER, REPLAY),
        refused("refuse-stale", "时间戳过期", spoiled(Spoil::Off(-OUTSIDE_MS)), PARAMETER, REPLAY),
        Case::new("refuse-repeated-nonce", "重复随机数", repeated_nonce),
        Case::new("refuse-future", "时间戳超前", move |stage| {
            // The documents say "differ by no more than 60 s"; Huawei's sample refuses old stamps only.
            let text = format!("a time stamp 120 s ahead is taken as good; refuse it with {PARAMETER}: {REPLAY}");
            better_refused(stage, "", &spoiled(Spoil::Off(OUTSIDE_MS)).into(), PARAMETER, &text);
        }),
        refused("refuse-malformed-json", "JSON格式错误", malformed, PARAMETER, GUESS),
        refused("refuse-array", "报文不是对象", SignedPost::raw("[]"), PARAMETER, GUESS),
    ]
}

fn repeated_nonce(stage: &mut Stage<'_>) {
    repeated(stage, &Call::new(stage.generation(), &freeze(stage.generation())));
}

/// Remembering nonces is recommended, not required (spec 1-basic-v2 §2.5).
pub(super) fn repeated(stage: &mut Stage<'_>, call: &Call) {
    let Some(reply) = stage.call_twice(call) else { return };
    if reply.code == SUCCESS {
        let text = format!("the same call was taken twice within its 60 s; remember nonces for 120 s: {REPLAY}");
        stage.add("", Finding::warn("accepted", text));
    } else {
        stage.judge("second call", &reply, &[AUTHENTICATION]);
    }
}

fn tokens(generation: Generation) -> Vec<Case> {
    use GetSpoil as Spoil;
    let spoiled = move |spoil| TokenGet::new(&freeze(generation)).spoiled(spoil);
    vec![
        refused("refuse-wrong-key", "错误密钥", spoiled(Spoil::WrongKey), AUTHENTICATION, ANYBODY),
        refused("refuse-no-token", "缺少authToken", spoiled(Spoil::NoToken), AUTHENTICATION, ANYBODY),
        refused("refuse-unsalted-token", "密钥未拼接时间戳", spoiled(Spoil::UnsaltedToken), AUTHENTICATION, ANYBODY),
        refused("refuse-changed-parameter", "参数被篡改", changed(generation), AUTHENTICATION, ANYBODY),
        refused("refuse-no-timestamp", "缺少时间戳", spoiled(Spoil::NoTimeStamp), PARAMETER, REPLAY),
    ]
}

/// Authentic calls that cannot be meant.
fn contents(generation: Generation) -> Vec<Case> {
    let (subject, order) = (test_subject(), test_order());
    let parameter = |name, title, members: Value| {
        refused(name, title, Call::new(generation, &Mode::Test.flag(members)), PARAMETER, GUESS)
    };
    let mut unknown = generation.release(&subject);
    unknown["activity"] = json!("noSuchActivity");
    let mut none = generation.release(&subject);
    if let Some(none) = none.as_object_mut() {
        none.remove("activity");
    }
    let renewal = |expire_time| generation.renewal(&subject, &order, expire_time);
    let mut cases = vec![
        parameter("refuse-unknown-activity", "未知接口", unknown),
        parameter("refuse-no-activity", "缺少接口标识", none),
        parameter("refuse-expire-time", "过期时间错误", renewal("20301301000000")),
    ];
    if !generation.has_token() {
        let mut scene = renewal("20300101000000");
        scene["scene"] = json!("NO_SUCH_SCENE");
        cases.push(parameter("refuse-scene", "未知场景", scene));
    }
    if generation != Generation::License {
        cases.push(parameter("refuse-status", "未知状态", generation.set_status(&subject, "MELT")));
    }
    let ids: Vec<String> = (1..=101).map(|number| format!("huaweitest-{number}")).collect();
    cases.extend(generation.query(&ids.join(",")).map(|ids| parameter("refuse-101-ids", "超出批量上限", ids)));
    if let Some(mut issue) = generation.issue(&subject, "event") {
        issue["effectiveTime"] = json!("2023-10-32 10:30:15 z");
        cases.push(parameter("refuse-effective-time", "生效时间错误", issue));
    }
    if generation == Generation::V1 {
        cases.push(Case::new("refuse-extend-params", "扩展参数错误", extend_params));
    }
    cases
}

/// What is no base64 of a JSON list (spec 2-basic-v1 §5).
fn extend_params(stage: &mut Stage<'_>) {
    let Some(mut members) = stage.generation().purchase(&test_order()) else { return };
    members["saasExtendParams"] = json!("no base64!");
    let taken = "taken as good, though saasExtendParams cannot be read: the product lacks what the buyer entered";
    let call = stage.test(members);
    better_refused(stage, "", &call, PARAMETER, taken);
}
