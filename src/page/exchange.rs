//! One call: what was asked, what was answered, what it meant, and why it was a duplicate.

use maud::{Markup, html};
use serde_json::Value;

use super::exchanges::lines_table;
use super::layout::View;
use super::list::{exchange_link, instance_link, order_link, result, state, test_mark};
use super::pieces::{Tone, callout, facts, masked, section};
use super::shown::{NOTHING, foreign, foreign_or_dash, time, time_or_dash, visible};
use super::table::{column, table};
use super::text::{Text, text};
use crate::store::ExchangeRow;
use crate::store::pages::{ExchangeLine, OperationLine};
use crate::view::exchange::{us_to_ms, without_token};

/// So much of a body is shown.
const SHOWN_BYTES: usize = 64 * 1024;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The call.
    pub row: ExchangeRow,
    /// The operation it belongs to.
    pub operation: Option<OperationLine>,
    /// Whether the first call of the operation is still in the journal.
    pub has_first: bool,
    /// The calls of the operation, newest first, and whether there are more.
    pub calls: (Vec<ExchangeLine>, bool),
    /// The sealed body, where its showing was asked for and recorded.
    pub revealed: Option<Vec<u8>>,
}

/// The body of the page.
pub fn body(view: &View<'_>, shown: &Shown) -> Markup {
    let row = &shown.row;
    html! {
        (section(view, "call", &text("调用", "Call"), &call(view, row)))
        @if row.replayed { (section(view, "repeat", &text("为什么判定为重复", "Why it was a duplicate"), &duplicate(view, shown))) }
        (section(view, "request", &text("请求", "Request"), &request(view, shown)))
        (section(view, "answer", &text("应答", "Answer"), &answer(view, row)))
        @if let Some(operation) = &shown.operation {
            (section(view, "operation", &text("操作", "Operation"), &self::operation(view, operation, shown)))
        }
    }
}

fn call(view: &View<'_>, row: &ExchangeRow) -> Markup {
    let duration = row.duration_us.map_or_else(|| NOTHING.to_owned(), |us| format!("{:.1} ms", us_to_ms(us)));
    facts(
        view,
        &[
            (text("结果", "Result"), result(view, row.result_code.as_deref())),
            (
                text("接口", "Activity"),
                html! { (foreign_or_dash(row.activity.as_deref())) " " (test_mark(view, &row.environment)) },
            ),
            (text("接口类型", "Interface"), html! { (foreign(&row.family)) }),
            (text("收到时间", "Received"), time(row.received_at)),
            (text("应答耗时", "Answered in"), html! { (duration) }),
            (text("订单", "Order"), order_link(row.order_id.as_deref())),
            (text("实例", "Instance"), instance_link(row.instance_id.as_deref())),
            (text("来源地址", "From"), foreign(&row.peer)),
            (text("访问密钥标签", "Access key (label)"), html! { code { (row.access_key) } }),
        ],
    )
}

fn request(view: &View<'_>, shown: &Shown) -> Markup {
    let row = &shown.row;
    html! {
        pre { (visible(&without_token(&row.request_line))) }
        p.hint { (view.say(&text("请求头不保存，只保存请求行与正文。", "Headers are not kept: the line and the body are."))) }
        @match (&shown.revealed, row.request_sealed) {
            (Some(plain), _) => (bytes(view, plain)),
            (None, true) => {
                p { (view.say(&text("正文含个人信息，已加密保存。", "The body holds personal data and is kept sealed."))) }
                div { (masked(view, &format!("/exchanges/{}/reveal", row.id), &[])) }
            }
            (None, false) => (bytes(view, &row.request_body)),
        }
    }
}

fn answer(view: &View<'_>, row: &ExchangeRow) -> Markup {
    match &row.answer {
        Some(body) => bytes(view, body),
        None if row.result_code.is_some() => {
            html! { p { (view.say(&text("未保存应答正文。", "The body of the answer is not kept."))) } }
        }
        None => callout(
            view,
            Tone::Bad,
            &text("没有应答", "There was no answer"),
            &html! { p { (view.say(&text(
                "koogate 在应答之前停止，或仍在处理。KooGallery 会重试；重试时会接着处理，不会重复开通。",
                "koogate stopped before it answered, or is still at it. KooGallery calls again, and the work goes on from where \
                 it stood: nothing is done twice.",
            ))) } },
        ),
    }
}

/// A body for people: indented where it is JSON, and as it came.
fn bytes(view: &View<'_>, body: &[u8]) -> Markup {
    if body.is_empty() {
        return html! { p.empty { (view.say(&text("正文为空。", "The body is empty."))) } };
    }
    let shown = &body[..body.len().min(SHOWN_BYTES)];
    let raw = visible(&String::from_utf8_lossy(shown));
    // Read only where it is whole: an indented part would look like all.
    let json = if body.len() > SHOWN_BYTES { None } else { serde_json::from_slice::<Value>(body).ok() };
    let pretty = json.filter(|json| !json.is_string()).and_then(|json| serde_json::to_string_pretty(&json).ok());
    html! {
        @if let Some(pretty) = &pretty { pre { (visible(pretty)) } }
        @if body.len() > SHOWN_BYTES {
            p.hint { (view.say(&text("正文过长，只显示开头（字节）：", "The body is long; its beginning is shown. Bytes in all: "))) (body.len()) }
        }
        @if pretty.is_some() {
            details { summary { (view.say(&text("原文", "As it came"))) } pre { (raw) } }
        } @else {
            pre { (raw) }
        }
    }
}

/// The operation, the first call, and what differs.
fn duplicate(view: &View<'_>, shown: &Shown) -> Markup {
    let row = &shown.row;
    let first = row.first_exchange.filter(|first| *first > 0);
    html! {
        p { (view.say(&text(
            "此调用与较早的一次调用属于同一操作（操作标识相同），因此按记录原样应答，没有再次执行。",
            "This call is the same operation as an earlier one: its identity is equal. So it was answered from the record, and \
             nothing was done again.",
        ))) }
        (facts(view, &[
            (text("操作标识", "Identity"), identity(row.identity.as_deref())),
            (text("第一次调用", "The first call"), match first {
                Some(first) if shown.has_first => exchange_link(first),
                Some(first) => html! { (first) " (" (view.say(&text("已按保存期限清理", "purged since"))) ")" },
                None => html! { (view.say(&text("由应用接管的购买，无调用记录", "none: the purchase was taken over from the application"))) },
            }),
        ]))
        (difference(view, row.difference.as_deref()))
    }
}

/// The members of an identity, one after the other.
fn identity(identity: Option<&str>) -> Markup {
    let parts = identity.and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
    match (parts, identity) {
        (Some(parts), _) => {
            html! { @for (at, part) in parts.iter().enumerate() { @if at > 0 { " · " } (foreign(part)) } }
        }
        (None, Some(other)) => foreign(other),
        (None, None) => html! { (NOTHING) },
    }
}

fn difference(view: &View<'_>, difference: Option<&str>) -> Markup {
    const SAME: Text = text("内容与第一次完全相同。", "Its content is that of the first call.");
    const CAPTION: Text = text(
        "与第一次不同的成员；应答仍是第一次的",
        "Members that differ. The answer is the first one's all the same.",
    );
    const UNKNOWN: Text = text(
        "内容与第一次不同；第一次调用的请求已被清理，无法列出差异。",
        "Its content differs from the first call's, whose request is no longer in the journal: what differs cannot be told.",
    );
    let Some(difference) = difference else { return html! { p { (view.say(&SAME)) } } };
    let members = match serde_json::from_str::<Value>(difference) {
        Ok(Value::Object(members)) if !members.is_empty() => members,
        _ => return html! { p { (view.say(&UNKNOWN)) } },
    };
    let value = |pair: &Value, at: usize| match pair.get(at) {
        None | Some(Value::Null) => html! { (NOTHING) },
        Some(Value::String(text)) => foreign(text),
        Some(other) => foreign(&other.to_string()),
    };
    let rows: Vec<_> = members.iter().map(|(name, pair)| vec![foreign(name), value(pair, 0), value(pair, 1)]).collect();
    let columns = [column("成员", "Member"), column("第一次", "First"), column("本次", "Now")];
    table(view, view.say(&CAPTION), &columns, &rows, &SAME)
}

fn operation(view: &View<'_>, operation: &OperationLine, shown: &Shown) -> Markup {
    html! {
        (facts(view, &[
            (text("状态", "State"), state(view, &operation.state)),
            (text("操作标识", "Identity"), identity(Some(&operation.identity))),
            (text("operationId（应用所见）", "operationId, as your application sees it"), html! { code { (operation.operation_id) } }),
            (text("开始", "Began"), time(operation.created_at)),
            (text("完成", "Done"), time_or_dash(operation.done_at)),
        ]))
        (lines_table(view, view.say(&text("此操作的全部调用，最新的在前", "All calls of this operation, newest first")), &shown.calls.0))
        @if shown.calls.1 { p.hint { (view.say(&text("更早的调用未列出。", "Earlier calls are not listed."))) } }
    }
}
