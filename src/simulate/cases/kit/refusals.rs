//! Calls of the kit that must be refused (spec 3-kit §3, §7, §8). All are debugging calls, so that a server which takes them
//! does no harm.

use serde_json::json;

use super::{DOMAIN, Entry, SECRET, both, encrypted};
use crate::protocol::reply_checks::Finding;
use crate::simulate::call::Call;
use crate::simulate::call::kit_post::{Form, KitPost, Spoil};
use crate::simulate::cases::refusals::{ANYBODY, GUESS, OUTSIDE_MS, REPLAY, better_refused, refuse, repeated};
use crate::simulate::cases::{AUTHENTICATION, PARAMETER, SUCCESS};
use crate::simulate::kit::KitGeneration;
use crate::simulate::kit::wording::{ADD, Enterprise, REMOVE, REVOKE};
use crate::simulate::stage::Stage;

/// The code of Huawei's V2 sample (§8).
const UNDECRYPTABLE: &str = "000101";

pub(super) fn entries(generation: KitGeneration) -> Vec<Entry> {
    let mut entries: Vec<Entry> = vec![
        (both!("refuse-wrong-key"), "错误密钥", |stage, generation| {
            authentication(stage, spoiled(generation, Spoil::WrongKey));
        }),
        (both!("refuse-no-signature"), "缺少签名", |stage, generation| {
            authentication(stage, spoiled(generation, Spoil::NoSignature));
        }),
        (both!("refuse-changed-body"), "报文被篡改", changed_body),
    ];
    match generation {
        KitGeneration::V1 => {
            let unsalted: Entry = (both!("refuse-unsalted-token"), "密钥未拼接时间戳", |stage, generation| {
                authentication(stage, spoiled(generation, Spoil::Unsalted));
            });
            entries.push(unsalted);
        }
        KitGeneration::V2 => entries.extend(signatures()),
    }
    let others: [Entry; 6] = [
        (both!("refuse-malformed-json"), "JSON格式错误", malformed),
        (both!("refuse-missing-member"), "缺少必填参数", missing_members),
        (both!("refuse-flag"), "未知操作标识", unknown_flags),
        (both!("refuse-secret"), "无法解密的密钥", undecryptable),
        (both!("refuse-before-decryption"), "先验签后解密", before_decryption),
        (both!("refuse-wrong-path"), "错误路径", wrong_paths),
    ];
    entries.extend(others);
    entries
}

fn signatures() -> [Entry; 8] {
    [
        (both!("refuse-short-signature"), "签名格式错误", |stage, generation| {
            authentication(stage, spoiled(generation, Spoil::ShortSignature));
        }),
        (both!("refuse-basic-formula"), "基础接口签名", |stage, generation| {
            let danger = "the payload is signed as it is here, not its hash as in the basic interfaces";
            refuse(stage, "", &spoiled(generation, Spoil::BasicFormula).into(), AUTHENTICATION, danger);
        }),
        (both!("refuse-no-nonce"), "缺少随机数", |stage, generation| replayed(stage, generation, Spoil::NoNonce)),
        (both!("refuse-no-timestamp"), "缺少时间戳", |stage, generation| {
            replayed(stage, generation, Spoil::NoTimestamp);
        }),
        (both!("refuse-text-timestamp"), "时间戳格式错误", |stage, generation| {
            replayed(stage, generation, Spoil::TextTimestamp);
        }),
        (both!("refuse-stale"), "时间戳过期", |stage, generation| {
            replayed(stage, generation, Spoil::Off(-OUTSIDE_MS));
        }),
        (both!("refuse-future"), "时间戳超前", |stage, generation| {
            // As in the basic interfaces: Huawei's sample refuses old stamps only.
            let text = format!("a time stamp 120 s ahead is taken as good; refuse it with {PARAMETER}: {REPLAY}");
            better_refused(stage, "", &spoiled(generation, Spoil::Off(OUTSIDE_MS)).into(), PARAMETER, &text);
        }),
        (both!("refuse-repeated-nonce"), "重复随机数", |stage, generation| {
            repeated(stage, &bind(generation).into())
        }),
    ]
}

fn bind(generation: KitGeneration) -> KitPost {
    Enterprise::of_tests(generation).tenant(ADD, DOMAIN)
}

fn spoiled(generation: KitGeneration, spoil: Spoil) -> KitPost {
    bind(generation).spoiled(spoil)
}

fn authentication(stage: &mut Stage<'_>, call: KitPost) {
    refuse(stage, "", &call.into(), AUTHENTICATION, ANYBODY);
}

fn replayed(stage: &mut Stage<'_>, generation: KitGeneration, spoil: Spoil) {
    refuse(stage, "", &spoiled(generation, spoil).into(), PARAMETER, REPLAY);
}

/// A binding that became a removal on its way.
fn changed_body(stage: &mut Stage<'_>, generation: KitGeneration) {
    let removal = Enterprise::of_tests(generation).tenant(REMOVE, DOMAIN).members;
    authentication(stage, bind(generation).changed_to(&removal));
}

/// In V1 nothing of it can be verified, which may count as either.
fn malformed(stage: &mut Stage<'_>, generation: KitGeneration) {
    let Some(reply) = stage.call("", &bind(generation).form(Form::CutShort).into()) else { return };
    if reply.code == SUCCESS {
        return stage.add("", Finding::fail("accepted", format!("half a body is taken as good: {GUESS}")));
    }
    let codes: &[&str] = if generation == KitGeneration::V1 { &[AUTHENTICATION, PARAMETER] } else { &[PARAMETER] };
    stage.judge("", &reply, codes);
}

/// A call that cannot be meant. A seller without departments may take whatever it is told of them (§1). `what` begins with
/// the name of the call.
fn unreadable(stage: &mut Stage<'_>, what: &str, call: &Call) {
    if !["singleOrgSync", "allOrgSync"].iter().any(|name| what.starts_with(name)) {
        return refuse(stage, what, call, PARAMETER, GUESS);
    }
    let taken =
        format!("taken as good; refuse it with {PARAMETER}, unless your application has no departments: {GUESS}");
    better_refused(stage, what, call, PARAMETER, &taken);
}

/// Every mandatory member in turn is left out, and the first once sent empty (§5).
fn missing_members(stage: &mut Stage<'_>, generation: KitGeneration) {
    let (tests, secret) = (Enterprise::of_tests(generation), encrypted(stage, SECRET));
    let users = json!([tests.user("zhangsan01", "user", true)]);
    let list = tests.departments_member();
    let calls: [(&str, KitPost, &[&str]); 5] = [
        ("tenantSync", bind(generation), &["tenantId", "tenantCode", "name", "domainName", "flag"]),
        (
            "applicationSync",
            tests.application(ADD, &secret),
            &["tenantId", "appId", "clientId", "clientSecret", "flag"],
        ),
        ("authSync", tests.users(ADD, users), &["tenantId", "appId", "userList", "flag"]),
        ("singleOrgSync", tests.department(ADD, "10000", "开发部", ""), &["tenantId", "orgCode", "orgName", "flag"]),
        ("allOrgSync", tests.departments(&[("10000", "开发部", "")]), &["tenantId", list]),
    ];
    for (name, call, mandatory) in calls {
        for member in mandatory {
            let without = call.clone().without(&[member]).into();
            unreadable(stage, &format!("{name} without {member}"), &without);
        }
        if let Some(first) = mandatory.first() {
            unreadable(stage, &format!("{name} with empty {first}"), &call.with(first, "").into());
        }
    }
    unreadable(stage, "tenantSync without timeStamp", &spoiled(generation, Spoil::NoTimeStamp).into());
    let nameless = tests.users(ADD, json!([{"name": "张三", "orgCode": "10000", "role": "user", "enable": "true"}]));
    unreadable(stage, "authSync, a user without userName", &nameless.into());
    let nameless = tests.departments(&[("", "开发部", "")]);
    unreadable(stage, "allOrgSync, a department with empty orgCode", &nameless.into());
}

/// Only users can lose their authorisation alone.
fn unknown_flags(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let users = json!([tests.user("zhangsan01", "user", true)]);
    for (what, call) in [
        ("tenantSync, flag 9", tests.tenant(9, DOMAIN)),
        ("tenantSync, flag 3", tests.tenant(REVOKE, DOMAIN)),
        ("authSync, flag 9", tests.users(9, users)),
        ("singleOrgSync, flag 9", tests.department(9, "10000", "开发部", "")),
    ] {
        unreadable(stage, what, &call.into());
    }
}

/// A secret with one character changed in the middle of its base64.
fn altered(stage: &mut Stage<'_>) -> String {
    let mut secret = encrypted(stage, SECRET);
    let middle = secret.len() / 2;
    if let Some(old) = secret.get(middle..=middle) {
        let new = if old == "A" { "B" } else { "A" };
        secret.replace_range(middle..=middle, new);
    }
    secret
}

/// The seller cannot but notice when the decryption fails (§9.3).
fn undecryptable(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    for (what, secret) in [("an altered secret", altered(stage)), ("a secret in the clear", SECRET.to_owned())] {
        let call = tests.application(ADD, &secret).into();
        let danger = "the secret was not decrypted, or nobody looked whether it was: logins of buyers will fail";
        refuse(stage, what, &call, UNDECRYPTABLE, danger);
    }
}

/// The signature comes first, or the server decrypts for anybody (§3.2); Huawei's V2 sample does it the other way round.
fn before_decryption(stage: &mut Stage<'_>, generation: KitGeneration) {
    let secret = altered(stage);
    let call: Call = Enterprise::of_tests(generation).application(ADD, &secret).spoiled(Spoil::WrongKey).into();
    let Some(reply) = stage.call("", &call) else { return };
    if reply.code == UNDECRYPTABLE {
        let text = "a secret was decrypted before the signature was verified: whoever knows the address can try secrets \
                    on your private key; verify first";
        return stage.add("", Finding::fail("oracle", text));
    }
    stage.judge("", &reply, &[AUTHENTICATION]);
}

/// How they are refused is not said by the documents: KooGallery makes no such calls.
fn wrong_paths(stage: &mut Stage<'_>, generation: KitGeneration) {
    let paths = [
        ("an unknown call", generation.sub_path("userSync")),
        ("an unknown generation", "/produceAPI/v3/tenantSync".to_owned()),
        ("at the production address itself", String::new()),
    ];
    for (what, sub_path) in paths {
        let Some(reply) = stage.call(what, &bind(generation).astray(&sub_path).into()) else { continue };
        if reply.code == SUCCESS {
            stage.add(what, Finding::fail("accepted", format!("taken as good: {GUESS}")));
        }
    }
}
