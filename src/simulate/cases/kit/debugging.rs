//! The debugging cases of the seller console: every call with each flag it has, and again (spec 3-kit §4, §6.1, §9).

use super::{DOMAIN, Entry, SECRET, both, encrypted, encrypted_with, succeed};
use crate::protocol::kit::client_secret::Oaep;
use crate::protocol::reply_checks::Finding;
use crate::simulate::call::kit_post::KitPost;
use crate::simulate::cases::SUCCESS;
use crate::simulate::kit::KitGeneration;
use crate::simulate::kit::wording::{ADD, Enterprise, MODIFY, REMOVE, REVOKE};
use crate::simulate::stage::Stage;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        (both!("tenant"), "租户同步", tenant),
        (both!("application"), "应用同步", application),
        (both!("users"), "授权同步", users),
        (both!("department"), "单个组织同步", department),
        (both!("departments"), "全量组织同步", departments),
    ]
}

/// One call with flags, one after another. What is said twice must succeed twice.
fn flags(stage: &mut Stage<'_>, flags: &[u8], call: impl Fn(u8) -> KitPost) {
    for (index, flag) in flags.iter().enumerate() {
        let again = if flags[..index].contains(flag) { " again" } else { "" };
        succeed(stage, &format!("flag {flag}{again}"), call(*flag));
    }
}

/// V1 has no modification of enterprises and credentials.
fn without_modification(generation: KitGeneration) -> &'static [u8] {
    match generation {
        KitGeneration::V1 => &[ADD, ADD, REMOVE, REMOVE],
        KitGeneration::V2 => &[ADD, ADD, MODIFY, REMOVE, REMOVE],
    }
}

fn tenant(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    flags(stage, without_modification(generation), |flag| tests.tenant(flag, DOMAIN));
}

/// Which digests KooGallery's encryption has is not documented, so a server had better take all in use (§7).
fn application(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for oaep in Oaep::AUTO {
        let secret = encrypted_with(stage, oaep, SECRET);
        let call = tests.application(ADD, &secret).into();
        let Some(reply) = stage.call(&format!("OAEP {oaep}"), &call) else { return };
        if reply.code == SUCCESS { taken.push(oaep) } else { refused.push(format!("{oaep} ({})", reply.described())) }
    }
    let Some(first) = taken.first() else {
        let text = format!("no client secret is taken, with none of these OAEP digests: {}", refused.join(", "));
        return stage.add("", Finding::fail("answer", text));
    };
    stage.world.oaep = *first;
    if !refused.is_empty() {
        let text = format!(
            "refused with these OAEP digests (OAEP/MGF1): {}; the documents name none, so try all in use",
            refused.join(", ")
        );
        stage.add("", Finding::warn("oaep", text));
    }
    let secret = encrypted(stage, SECRET);
    flags(stage, without_modification(generation), |flag| tests.application(flag, &secret));
}

fn users(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    let users = || [tests.user("zhangsan01", "admin", true), tests.user("lisi", "user", false)].into_iter().collect();
    let all: &[u8] = match generation {
        KitGeneration::V1 => &[ADD, ADD, MODIFY, REMOVE, REMOVE],
        KitGeneration::V2 => &[ADD, ADD, MODIFY, REVOKE, REVOKE, REMOVE, REMOVE],
    };
    flags(stage, all, |flag| tests.users(flag, users()));
}

fn department(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    flags(stage, &[ADD, ADD, MODIFY, REMOVE, REMOVE], |flag| tests.department(flag, "10000", "开发部", ""));
}

fn departments(stage: &mut Stage<'_>, generation: KitGeneration) {
    let tests = Enterprise::of_tests(generation);
    for what in ["", "again"] {
        succeed(stage, what, tests.departments(&[("10000", "开发部", ""), ("10001", "测试部", "10000")]));
    }
}
