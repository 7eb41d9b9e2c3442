//! The journal: the calls of KooGallery, with a filter.

use maud::{Markup, html};

use super::form::{Field, Input, Question, Weight, address, filter, question};
use super::layout::View;
use super::list::{Continued, continued, environments, exchange_link, instance_link, order_link, result, test_mark};
use super::pieces::{Tone, badge, callout};
use super::shown::{NOTHING, foreign_or_dash, foreign_short, time};
use super::table::{Column, column, number, table};
use super::text::{Text, text};
use crate::store::RestoreRow;
use crate::store::pages::ExchangeLine;
use crate::view::exchange::us_to_ms;

/// The heading of the page.
pub const TITLE: Text = text("接口调用记录", "Exchanges");

/// What is asked for, as the address says it; empty: not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The parameters of the address, but for the place where a piece begins.
    pub parameters: Vec<(&'static str, String)>,
}

/// The parameters that a filter has.
pub const PARAMETERS: [&str; 8] =
    ["order", "instance", "result", "family", "activity", "environment", "since", "until"];

/// The families' names, as the journal has them.
const FAMILIES: [&str; 7] = ["basic-v2", "basic-v1", "license", "license-code", "license-online", "kit-v2", "kit-v1"];

impl Asked {
    fn value(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
    }

    /// As an address, with more parameters.
    pub fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let own = self.parameters.iter().map(|(name, value)| (*name, value.as_str()));
        address(path, &own.chain(more.iter().copied()).collect::<Vec<_>>())
    }
}

/// The body of the page. `gap` stands between the calls that it parts.
pub fn body(
    view: &View<'_>,
    asked: &Asked,
    lines: &[ExchangeLine],
    restores: &[RestoreRow],
    next: &Continued,
) -> Markup {
    html! {
        (form(view, asked))
        p { a.button href=(asked.address("/export/exchanges", &[])) { (view.say(&text("导出 CSV", "Export CSV"))) } }
        (gaps(view, lines, restores))
        (lines_table(view, view.say(&CAPTION), lines))
        (continued(view, next))
    }
}

const CAPTION: Text =
    text("按时间倒序；选择编号查看请求与应答", "Newest first. The number leads to request and answer.");

const COLUMNS: [Column; 8] = [
    number("编号", "No."),
    column("时间", "Received"),
    column("接口", "Activity"),
    column("订单", "Order"),
    column("实例", "Instance"),
    column("结果", "Result"),
    column("重复", "Repeat"),
    number("耗时 ms", "ms"),
];

/// Calls as a table.
pub fn lines_table(view: &View<'_>, caption: &str, lines: &[ExchangeLine]) -> Markup {
    let rows: Vec<_> = lines.iter().map(|line| row(view, line)).collect();
    table(view, caption, &COLUMNS, &rows, &text("没有符合条件的调用。", "No call is like this."))
}

fn row(view: &View<'_>, line: &ExchangeLine) -> Vec<Markup> {
    vec![
        exchange_link(line.id),
        time(line.received_at),
        html! { (foreign_or_dash(line.activity.as_deref())) " " (test_mark(view, &line.environment)) },
        order_link(line.order_id.as_deref()),
        instance_link(line.instance_id.as_deref()),
        result(view, line.result_code.as_deref()),
        repeat(view, line),
        line.duration_us.map_or_else(|| html! { (NOTHING) }, |us| html! { (format!("{:.1}", us_to_ms(us))) }),
    ]
}

fn repeat(view: &View<'_>, line: &ExchangeLine) -> Markup {
    match (line.replayed, line.differs) {
        (false, _) => html! { (NOTHING) },
        (true, false) => badge(view, Tone::Quiet, &text("重复", "repeat")),
        (true, true) => badge(view, Tone::Warn, &text("重复且内容不同", "repeat that differs")),
    }
}

/// Where a restored copy has left a gap among the numbers that are shown.
fn gaps(view: &View<'_>, lines: &[ExchangeLine], restores: &[RestoreRow]) -> Markup {
    let (newest, oldest) = (lines.iter().map(|line| line.id).max(), lines.iter().map(|line| line.id).min());
    let is_between = |restore: &&RestoreRow| {
        newest.is_some_and(|newest| newest > restore.last_exchange)
            && oldest.is_some_and(|oldest| oldest <= restore.last_exchange)
    };
    let heading = text("恢复备份留下的缺口", "A gap that a restore has left");
    let lost = text("此编号之后的记录丢失于恢复：", "What was recorded after this number was lost by a restore: ");
    html! {
        @for restore in restores.iter().filter(is_between) {
            (callout(view, Tone::Warn, &heading, &html! {
                p {
                    (view.say(&lost)) (restore.last_exchange) " · " (time(restore.restored_at)) ". "
                    (view.say(&text("请运行 ", "Run "))) code { "koogate restore --report" }
                    (view.say(&text(" 查看应处理的事项。", " to see what is to be mended.")))
                }
            }))
        }
    }
}

fn form(view: &View<'_>, asked: &Asked) -> Markup {
    let results = vec![
        ("", text("全部", "All")),
        ("failed", text("失败（非 000000、000004）", "Failed: not 000000 or 000004")),
        ("unanswered", text("未应答", "Not answered")),
        ("000000", text("000000 成功", "000000 success")),
        ("000001", text("000001 鉴权失败", "000001 authentication")),
        ("000002", text("000002 参数错误", "000002 parameter")),
        ("000003", text("000003 实例不存在", "000003 no such instance")),
        ("000004", text("000004 处理中", "000004 processing")),
        ("000005", text("000005 内部错误", "000005 internal error")),
        ("000100", text("000100 无可用资源", "000100 no resource")),
    ];
    let chosen = asked.value("result");
    let other = !results.iter().any(|(code, _)| *code == chosen);
    let mut results = results;
    if other {
        results.push((chosen, text("其他代码", "Another code")));
    }
    // Names of the wire are the same in every language.
    let all = std::iter::once(("", text("全部", "All")));
    let families = all.chain(FAMILIES.iter().map(|name| (*name, Text { zh: name, en: name }))).collect();
    let line = |name, label| Field { name, label, input: Input::Line(asked.value(name)) };
    let minute = |name, label| Field { name, label, input: Input::Minute(asked.value(name)) };
    let choice =
        |name, label, options| Field { name, label, input: Input::Choice { options, chosen: asked.value(name) } };
    filter(
        view,
        "/exchanges",
        text("筛选调用记录", "Filter exchanges"),
        &[
            line("order", text("订单号", "Order id")),
            line("instance", text("实例 ID", "Instance id")),
            choice("result", text("结果", "Result"), results),
            choice("family", text("接口类型", "Interface"), families),
            line("activity", text("接口名 activity", "Activity")),
            choice("environment", text("正式或测试", "Real or test"), environments()),
            minute("since", text("开始时间（北京）", "From (Beijing)")),
            minute("until", text("结束时间（北京，不含）", "Before (Beijing)")),
        ],
    )
}

/// The question before an export: at most so many rows.
pub fn export_question(view: &View<'_>, asked: &Asked, most: usize, bytes: usize) -> Markup {
    let hidden: Vec<_> = asked.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let back = asked.address("/exchanges", &[]);
    let consequences = html! {
        p {
            (view.say(&text("将导出符合条件的调用记录（CSV，UTF-8），最新的在前。", "The calls of the filter are written as CSV (UTF-8), newest first.")))
        }
        dl.facts {
            @for (name, value) in &asked.parameters { div { dt { (name) } dd { (foreign_short(value)) } } }
            @if asked.parameters.is_empty() { div { dt { (view.say(&text("条件", "Filter"))) } dd { (view.say(&text("无：全部记录", "none: all calls"))) } } }
        }
        p.hint {
            (view.say(&text("上限（行 / MiB）：", "At most (rows / MiB): "))) (most) " / " (bytes >> 20) ". "
            (view.say(&text("更多记录请用命令 ", "For more use ")))
            code { "koogate exchange export" }
            (view.say(&text("。文件含客户订单信息，请妥善保管；导出将被记录。", ". The file tells what was ordered: keep it safe. The export is recorded.")))
        }
    };
    question(
        view,
        &Question {
            consequences,
            action: "/export/exchanges",
            hidden,
            button: text("导出", "Export"),
            weight: Weight::Main,
            back: &back,
        },
    )
}
