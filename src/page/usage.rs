//! What on-demand instances have used: what waits, what KooGallery took, what it does not want and why.

use maud::{Markup, html};

use super::form::{Field, Input, Question, Weight, filter, question, segment};
use super::layout::View;
use super::list::{Continued, continued, instance_link, state};
use super::pieces::facts;
use super::shown::{NOTHING, distance, foreign, foreign_or_dash, time};
use super::table::{Column, column, number, table};
use super::text::{Text, Words, text, words};
use crate::store::{UsageCounts, UsageRow, WaitingUsage};
use crate::usage::State;
use crate::usage::advice;

/// The heading of the page.
pub const TITLE: Text = text("按需用量", "Usage");

/// What is asked for, as the address says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// A state.
    pub state: &'a str,
    /// An instance.
    pub instance: &'a str,
}

const COLUMNS: [Column; 8] = [
    column("话单号", "metering_sn"),
    column("实例", "Instance"),
    column("开始", "From"),
    column("结束", "To"),
    number("用量", "Value"),
    column("状态", "State"),
    number("发送次数", "Sent"),
    column("原因与处理", "Why, and what to do"),
];

/// The body of the page. `month`: what was settled in the last 30 days.
pub fn body(
    view: &View<'_>,
    asked: &Asked<'_>,
    waiting: &WaitingUsage,
    month: &UsageCounts,
    rows: &[UsageRow],
    next: &Continued,
) -> Markup {
    let states = vec![
        ("", text("全部", "All")),
        ("waiting", text("等待发送", "waiting")),
        ("accepted", text("已接收", "accepted")),
        ("rejected", text("被拒收", "rejected")),
    ];
    let lines: Vec<_> = rows.iter().map(|row| line(view, row)).collect();
    html! {
        (facts(view, &[
            (text("等待发送", "Waiting"), html! { (waiting.waiting) }),
            (text("其中已到期", "Due of them"), html! {
                (waiting.due)
                @if let Some(since) = waiting.due_since { " (" (view.say(&distance(view, since))) ")" }
            }),
            (text("近 30 天已接收", "Accepted in 30 days"), html! { (month.accepted) }),
            (text("近 30 天被拒收", "Rejected in 30 days"), html! { (month.rejected) }),
        ]))
        @if waiting.waiting > 0 { p { a.button href="/usage/push" { (view.say(&text("立即发送…", "Send now…"))) } } }
        (filter(view, "/usage", text("筛选用量", "Filter usage"), &[
            Field { name: "state", label: text("状态", "State"), input: Input::Choice { options: states, chosen: asked.state } },
            Field { name: "instance", label: text("按需实例 ID", "On-demand instance"), input: Input::Line(asked.instance) },
        ]))
        @if !asked.instance.is_empty() && asked.state.is_empty() {
            p.hint { (view.say(&text("不含被拒收的记录；请选择状态“被拒收”查看。", "Without rejected records: choose that state to see them."))) }
        }
        (table(view, view.say(&TITLE), &COLUMNS, &lines, &text("没有符合条件的用量记录。", "No record is like this.")))
        (continued(view, next))
    }
}

fn line(view: &View<'_>, row: &UsageRow) -> Vec<Markup> {
    let can_withdraw = row.state == State::Accepted || (row.state == State::Waiting && row.sent == 0);
    vec![
        html! { code { (row.metering_sn) } },
        html! { (instance_link(Some(&row.instance_id))) @if let Some(package) = &row.package { br; span.soft { (view.say(&text("套餐包 ", "package "))) (foreign(package)) } } },
        time(row.window.begin),
        time(row.window.end),
        html! { (row.value.to_string()) },
        html! {
            (state(view, row.state.as_str()))
            @if row.state == State::Waiting { br; span.soft { (view.say(&text("发送时间 ", "due "))) (time(row.due_at)) } }
            @if can_withdraw { br; a href={ "/usage/" (segment(&row.metering_sn)) "/withdraw" } { (view.say(&text("撤回…", "Take out…"))) } }
        },
        html! { (row.sent) },
        why(view, row),
    ]
}

fn why(view: &View<'_>, row: &UsageRow) -> Markup {
    let Some(code) = &row.result_code else { return html! { (NOTHING) } };
    let advice = words(advice::what_to_do_zh(code), advice::what_to_do(code));
    html! { code { (super::shown::visible(code)) } " " (foreign_or_dash(row.message.as_deref())) br; (view.say(&advice)) }
}

/// The question before everything that waits is sent.
pub fn push_question(view: &View<'_>, waiting: &WaitingUsage) -> Markup {
    let consequences = html! {
        p { (view.say(&words(
            format!("等待中的 {} 条用量将立即发送给 KooGallery，而不等到下一整点；时段尚未结束的除外。", waiting.waiting),
            format!("{} records that wait are sent to KooGallery now and not at the next full hour, but for those whose time is not over.", waiting.waiting),
        ))) }
    };
    question(
        view,
        &Question {
            consequences,
            action: "/usage/push",
            hidden: Vec::new(),
            button: text("立即发送", "Send now"),
            weight: Weight::Main,
            back: "/usage",
        },
    )
}

/// The question before a record is taken out.
pub fn withdraw_question(view: &View<'_>, metering_sn: &str) -> Markup {
    let consequences = html! {
        p { (view.say(&text("用量记录 ", "The record "))) code { (super::shown::visible(metering_sn)) } (view.say(&text(
            " 将不再计入，其时段可重新上报。仅在 KooGallery 已将其标为异常、或尚未发送时使用：否则会重复计费。",
            " counts no more, and its time may be reported anew. Only for one that KooGallery has marked as abnormal, or that was \
             not sent: otherwise the buyer pays twice.",
        ))) }
    };
    let action = format!("/usage/{}/withdraw", segment(metering_sn));
    question(
        view,
        &Question {
            consequences,
            action: &action,
            hidden: Vec::new(),
            button: text("撤回", "Take it out"),
            weight: Weight::Grave,
            back: "/usage",
        },
    )
}

/// What sending now has done.
pub fn pushed(hastened: usize, due: i64) -> Words {
    words(
        format!("{hastened} 条用量已改为立即发送；共 {due} 条待发送"),
        format!("{hastened} records were made due; {due} wait to be sent"),
    )
}
