//! One instance: where it stands, how to get in, all that happened to it, and what can be done.

use maud::{Markup, html};

use super::form::{Question, Weight, hidden_fields, question, segment};
use super::jobs::jobs_table;
use super::layout::View;
use super::list::{exchange_link, order_link, state, test_mark};
use super::pieces::{facts, masked, section};
use super::shown::{NOTHING, distance, foreign, foreign_or_dash, time, time_or_dash};
use super::table::{column, number, table};
use super::text::{Text, text};
use crate::access::Access;
use crate::secret::Secret;
use crate::store::pages::OperationLine;
use crate::store::{HistoryRow, InstanceRow, JobRow, LicenseRow};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The instance.
    pub row: InstanceRow,
    /// Its history, oldest first.
    pub history: Vec<HistoryRow>,
    /// Its jobs, oldest first.
    pub jobs: Vec<JobRow>,
    /// Its operations, newest first.
    pub operations: Vec<OperationLine>,
    /// Its licences, oldest first.
    pub licenses: Vec<LicenseRow>,
    /// How to get in, without its secrets unless their showing was asked for and recorded.
    pub access: Option<Access>,
    /// Whether the secrets are shown.
    pub is_revealed: bool,
}

/// The body of the page.
pub fn body(view: &View<'_>, shown: &Shown) -> Markup {
    html! {
        (section(view, "standing", &text("现状", "Standing"), &standing(view, shown)))
        (section(view, "access", &text("访问信息", "Access"), &access(view, shown)))
        (section(view, "jobs", &text("后台任务", "Jobs"), &jobs_table(view, &shown.jobs)))
        (section(view, "history", &text("变更历史", "History"), &history(view, &shown.history)))
        (section(view, "operations", &text("操作", "Operations"), &operations(view, &shown.operations)))
        @if !shown.licenses.is_empty() { (section(view, "licenses", &text("许可证", "Licences"), &licenses(view, &shown.licenses))) }
    }
}

fn standing(view: &View<'_>, shown: &Shown) -> Markup {
    let row = &shown.row;
    let can_retry = shown.jobs.iter().any(|job| job.state == "dead" || job.state == "waiting");
    let is_creating = row.life.status.as_str() == "creating";
    html! {
        (facts(view, &[
            (text("实例 ID", "Instance id"), html! { (foreign(&row.instance_id)) " " (test_mark(view, row.environment.as_str())) }),
            (text("状态", "Status"), state(view, row.life.status.as_str())),
            (text("到期", "Expires"), html! {
                (time_or_dash(row.life.expire_time))
                @if let Some(at) = row.life.expire_time { " (" (view.say(&distance(view, at))) ")" }
            }),
            (text("订单", "Order"), html! {
                (order_link(row.order_id.as_deref()))
                @if let Some(order) = &row.order_id { " · " a href={ "/orders/" (segment(order)) } { (view.say(&text("订单详情", "what was ordered"))) } }
            }),
            (text("订单行", "Order line"), foreign_or_dash(row.order_line_id.as_deref())),
            (text("商品", "Product"), foreign_or_dash(row.life.product_id.as_deref())),
            (text("规格", "Specification"), foreign_or_dash(row.life.sku_code.as_deref())),
            (text("计费方式", "Charging mode"), foreign_or_dash(row.charging_mode.as_deref())),
            (text("种类", "Kind"), html! { (row.kind) }),
            (text("下单时间", "Ordered"), time(row.created_at)),
            (text("开通时间", "Ready"), time_or_dash(row.ready_at)),
            (text("释放时间", "Released"), time_or_dash(row.released_at)),
        ]))
        div.buttons {
            a.button href=(super::form::address("/exchanges", &[("instance", &row.instance_id)])) { (view.say(&text("相关调用", "Its calls"))) }
            @if is_creating { a.button href={ "/instances/" (row.row) "/ready" } { (view.say(&text("确认已开通…", "Mark ready…"))) } }
            @if can_retry { a.button href={ "/instances/" (row.row) "/retry" } { (view.say(&text("重试…", "Retry…"))) } }
        }
    }
}

fn access(view: &View<'_>, shown: &Shown) -> Markup {
    let Some(access) = &shown.access else {
        return html! { p.empty { (view.say(&text("尚无访问信息。", "Nothing is known yet."))) } };
    };
    let has_secret = access.user_name().is_some() || access.password().is_some();
    let secret = |value: Option<&Secret<String>>| match value {
        None => html! { (NOTHING) },
        Some(value) if shown.is_revealed => html! { code { (super::shown::visible(value.expose())) } },
        Some(_) => html! { "••••••••" },
    };
    html! {
        (facts(view, &[
            (text("用户入口", "Front end"), foreign(access.front_end_url())),
            (text("管理入口", "Administration"), foreign_or_dash(access.admin_url())),
            (text("备注", "Memo"), foreign_or_dash(access.memo())),
            (text("用户名", "User name"), secret(access.user_name())),
            (text("密码", "Password"), secret(access.password())),
        ]))
        @if has_secret && !shown.is_revealed { div { (masked(view, &format!("/instances/{}/reveal", shown.row.row), &[])) } }
    }
}

fn history(view: &View<'_>, history: &[HistoryRow]) -> Markup {
    let rows: Vec<_> = history
        .iter()
        .rev()
        .map(|entry| {
            let cause = match (entry.exchange, entry.job) {
                (Some(exchange), _) => html! { (view.say(&text("调用 ", "exchange "))) (exchange_link(exchange)) },
                (None, Some(job)) => html! { (view.say(&text("任务 ", "job "))) (job) },
                (None, None) => html! { (NOTHING) },
            };
            vec![
                time(entry.at),
                html! { code { (entry.change) } },
                state(view, &entry.status),
                time_or_dash(entry.expire_time),
                cause,
                foreign_or_dash(entry.note.as_deref()),
            ]
        })
        .collect();
    let columns = [
        column("时间", "At"),
        column("变更", "Change"),
        column("之后状态", "Status then"),
        column("之后到期", "Expiry then"),
        column("起因", "Cause"),
        column("备注", "Note"),
    ];
    table(
        view,
        view.say(&text("最新的在前", "Newest first")),
        &columns,
        &rows,
        &text("没有记录。", "Nothing is recorded."),
    )
}

fn operations(view: &View<'_>, operations: &[OperationLine]) -> Markup {
    let rows: Vec<_> = operations
        .iter()
        .map(|operation| {
            vec![
                html! { code { (operation.operation_id) } },
                foreign(&operation.identity),
                state(view, &operation.state),
                foreign_or_dash(operation.result_code.as_deref()),
                operation.first_exchange.map_or_else(|| html! { (NOTHING) }, exchange_link),
                time(operation.created_at),
                time_or_dash(operation.done_at),
            ]
        })
        .collect();
    let columns = [
        column("operationId", "operationId"),
        column("操作标识", "Identity"),
        column("状态", "State"),
        column("结果", "Result"),
        number("第一次调用", "First call"),
        column("开始", "Began"),
        column("完成", "Done"),
    ];
    table(view, view.say(&text("最新的在前", "Newest first")), &columns, &rows, &text("没有操作。", "There is none."))
}

fn licenses(view: &View<'_>, licenses: &[LicenseRow]) -> Markup {
    let rows: Vec<_> = licenses
        .iter()
        .rev()
        .map(|license| {
            vec![
                html! { a href={ "/licenses/" (license.row) } { (license.row) } },
                state(view, &license.state),
                foreign_or_dash(license.device_fingerprint.as_deref()),
                time_or_dash(license.expire_time),
                time(license.requested_at),
            ]
        })
        .collect();
    let columns = [
        number("编号", "No."),
        column("状态", "State"),
        column("设备", "Device"),
        column("到期", "Expires"),
        column("请求时间", "Asked for"),
    ];
    table(view, view.say(&text("最新的在前", "Newest first")), &columns, &rows, &text("没有许可证。", "There is none."))
}

/// The question before jobs of one thing are tried again. `about` is its id, `state` what it was when the question was put.
pub fn retry_question(view: &View<'_>, about: &str, jobs: &[JobRow], action: &str, back: &str, seen: &str) -> Markup {
    let consequences = html! {
        p {
            (view.say(&text("下列任务将立即重试，目标：", "These jobs are due at once. They are about "))) (foreign(about)) ". "
            (view.say(&text(
                "应用会收到与之前相同的 operationId；已被后续操作取代的任务不会重试。",
                "Your application sees the same operationId as before. What later work has overtaken is not tried again.",
            )))
        }
        (jobs_table(view, jobs))
    };
    question(
        view,
        &Question {
            consequences,
            action,
            hidden: vec![("seen", seen)],
            button: text("立即重试", "Retry now"),
            weight: Weight::Main,
            back,
        },
    )
}

/// The form that marks an instance ready.
pub fn ready_form(view: &View<'_>, row: &InstanceRow) -> Markup {
    let action = format!("/instances/{}/ready", row.row);
    let field = |name: &str, label: Text, kind: &str| {
        let id = format!("field-{name}");
        html! {
            div.field {
                label for=(id) { (view.say(&label)) }
                input #(id) type=(kind) name=(name) autocomplete="off" spellcheck="false";
            }
        }
    };
    html! {
        form.question method="post" action=(action) {
            (hidden_fields(view, &[("seen", row.life.status.as_str())]))
            p {
                (view.say(&text("实例 ", "The instance "))) (foreign(&row.instance_id))
                (view.say(&text(
                    " 将变为“使用中”，KooGallery 下一次查询或重试会得到成功应答和以下访问信息。此操作不能撤销。",
                    " becomes active, and KooGallery gets success with this access data when it asks next. It cannot be taken back.",
                )))
            }
            p.hint { (view.say(&text("全部留空：使用商品配置中的访问信息。", "Leave all empty to hand out what the product's entry has."))) }
            (field("front_end_url", text("用户入口 URL", "Front end URL"), "url"))
            (field("admin_url", text("管理入口 URL", "Administration URL"), "url"))
            (field("user_name", text("用户名", "User name"), "text"))
            (field("password", text("密码", "Password"), "password"))
            (field("memo", text("备注", "Memo"), "text"))
            div.buttons {
                button.grave type="submit" { (view.say(&text("确认已开通", "Mark ready"))) }
                a.button href={ "/instances/" (row.row) } { (view.say(&text("取消", "Cancel"))) }
            }
        }
    }
}
