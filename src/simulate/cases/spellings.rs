//! Calls that differ from the usual ones in how they are written or signed, and must succeed all the same (spec 1-basic-v2
//! §2.3, 2-basic-v1 §2, README §7.3).

use serde_json::{Value, json};

use super::debugging::{test_order, test_subject};
use super::{Case, SUCCESS};
use crate::protocol::canonical_json::Nulls;
use crate::protocol::reply_checks::Finding;
use crate::simulate::Generation;
use crate::simulate::call::signed_post::SignedPost;
use crate::simulate::call::token_get::TokenGet;
use crate::simulate::call::{Call, Mode};

/// Chinese, a pair of surrogates, and what has a meaning in URLs.
const TEXT: &str = "测试企业 🚀 a+b&c=d%";

pub(super) fn cases(generation: Generation) -> Vec<Case> {
    let mut cases = if generation.has_token() { gets(generation) } else { posts(generation) };
    let hundred: Vec<String> = (1..=100).map(|number| format!("huaweitest-{number}")).collect();
    let hundred = generation.query(&hundred.join(","));
    cases.extend(hundred.map(|hundred| Case::succeeds("form-hundred-ids", "批量查询上限", hundred)));
    cases
}

fn spelled(name: &'static str, title: &'static str, call: impl Into<Call>) -> Case {
    let call = call.into();
    Case::new(name, title, move |stage| {
        stage.expect("", &call, SUCCESS);
    })
}

fn posts(generation: Generation) -> Vec<Case> {
    let freeze = Mode::Test.flag(generation.freeze(&test_subject()));
    let release = Mode::Test.flag(generation.release(&test_subject()));
    let with = |name: &str, value: Value| {
        let mut members = freeze.clone();
        members[name] = value;
        SignedPost::new(&members)
    };
    let unsorted = SignedPost::raw(&format!("{{{}}}", texts(&freeze, ":").rev().collect::<Vec<_>>().join(",")));
    let pretty = format!("{{\n  {}\n}}\n", texts(&release, " : ").collect::<Vec<_>>().join(",\n  "));
    let before = |first: &str| {
        let members: Vec<String> = std::iter::once(first.to_owned()).chain(texts(&release, ":").rev()).collect();
        SignedPost::raw(&format!("{{{}}}", members.join(",")))
    };
    let null = before(r#""orderId":null"#);
    let escaped = before(r#""note":"\u6d4b\u8bd5 a\/b""#);
    vec![
        spelled("form-integer-test-flag", "整数调试标识", with("testFlag", json!(1))),
        spelled("form-upper-case-signature", "大写签名", SignedPost::new(&freeze).upper_case()),
        spelled("form-unsorted", "乱序参数", unsorted.clone()),
        spelled("form-signed-sorted", "排序后签名", unsorted.signed_sorted(Nulls::Drop)),
        spelled("form-pretty-printed", "带空白的报文", SignedPost::raw(&pretty).signed_sorted(Nulls::Drop)),
        spelled("form-null-left-out", "空值不参与签名", null.clone().signed_sorted(Nulls::Drop)),
        spelled("form-null-signed", "空值参与签名", null.signed_sorted(Nulls::Keep)),
        spelled("form-escaped-text", "转义字符", escaped.signed_sorted(Nulls::Drop)),
        spelled("form-chinese-text", "中文参数", with("remark", json!(TEXT))),
        spelled("form-unknown-member", "未知参数", with("memberOfTomorrow", json!({"b": [1.50, null]}))),
    ]
}

/// Members as they stand in an object.
fn texts<'m>(members: &'m Value, colon: &'m str) -> impl DoubleEndedIterator<Item = String> + use<'m> {
    let members = members.as_object().into_iter().flatten();
    members.map(move |(name, value)| format!("\"{name}\"{colon}{value}"))
}

fn gets(generation: Generation) -> Vec<Case> {
    let Some(purchase) = generation.purchase(&test_order()) else { return Vec::new() };
    let purchase = Mode::Test.flag(purchase);
    let with = |name: &str, value: &str| {
        let mut members = purchase.clone();
        members[name] = json!(value);
        TokenGet::new(&members)
    };
    let named = || with("customerName", TEXT);
    vec![
        spelled("form-any-order", "任意参数顺序", TokenGet::new(&purchase).descending()),
        spelled("form-percent-blanks", "中文参数（空格为%20）", named()),
        spelled("form-plus-blanks", "中文参数（空格为+）", named().with_plus_blanks()),
        spelled("form-lost-plus", "authToken中的+未转义", TokenGet::new(&purchase).losing_a_plus()),
        spelled("form-unknown-parameter", "未知参数", with("memberOfTomorrow", "a=1&b=2")),
        spelled("form-empty-parameter", "空参数", with("skuCode", "")),
        Case::new("form-same-get-twice", "完全相同的请求", move |stage| same_twice(stage, &purchase)),
    ]
}

/// An HTTP client may repeat a GET byte for byte, and V1 has no nonce (spec 2-basic-v1 §2.3).
fn same_twice(stage: &mut crate::simulate::stage::Stage<'_>, members: &Value) {
    let Some(reply) = stage.call_twice(&TokenGet::new(members).into()) else { return };
    if reply.code == SUCCESS {
        return;
    }
    let text = format!(
        "answered {}; a GET that comes a second time to the byte must be taken again, V1 has no nonce",
        reply.described()
    );
    stage.add("second call", Finding::fail("repeated", text));
}
