//! Instances: what was sold, by state, expiry and id.

use maud::{Markup, html};

use super::form::{Field, Input, filter};
use super::layout::View;
use super::list::{Continued, continued, environments, order_link, state, test_mark};
use super::shown::{distance, foreign_or_dash, foreign_short, time, time_or_dash};
use super::table::{Column, column, table};
use super::text::{Text, text};
use crate::kind::Kind;
use crate::store::InstanceRow;

/// The heading of the page.
pub const TITLE: Text = text("实例", "Instances");

/// What is asked for, as the address says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The beginning of an id.
    pub text: &'a str,
    /// A status.
    pub status: &'a str,
    /// A kind.
    pub kind: &'a str,
    /// `real` or `test`.
    pub environment: &'a str,
}

const COLUMNS: [Column; 7] = [
    column("实例 ID", "Instance"),
    column("状态", "Status"),
    column("到期", "Expires"),
    column("订单", "Order"),
    column("商品", "Product"),
    column("种类", "Kind"),
    column("下单时间", "Ordered"),
];

/// The body of the page. `too_many`: more ids begin like what is asked for than were looked at.
pub fn body(view: &View<'_>, asked: &Asked<'_>, too_many: bool, rows: &[InstanceRow], next: &Continued) -> Markup {
    let lines: Vec<_> = rows.iter().map(|row| line(view, row)).collect();
    let by_expiry = asked.text.is_empty() && ["creating", "active", "frozen"].contains(&asked.status);
    let caption = if by_expiry {
        text("按到期时间排序，最早到期的在前", "By expiry, the next one first")
    } else {
        text("最新的在前", "Newest first")
    };
    html! {
        (form(view, asked))
        @if too_many { p.hint { (view.say(&text(
            "以此开头的 ID 超过 20000 个，只查看了其中一部分；请多输入几位。",
            "More than 20,000 ids begin like this, and only a part of them was looked at: give more of the id.",
        ))) } }
        (table(view, view.say(&caption), &COLUMNS, &lines, &text("没有符合条件的实例。", "No instance is like this.")))
        (continued(view, next))
    }
}

fn line(view: &View<'_>, row: &InstanceRow) -> Vec<Markup> {
    let expires = row.life.expire_time;
    vec![
        html! { a href={ "/instances/" (row.row) } { (foreign_short(&row.instance_id)) } " " (test_mark(view, row.environment.as_str())) },
        state(view, row.life.status.as_str()),
        html! { (time_or_dash(expires)) @if let Some(at) = expires { br; span.soft { (view.say(&distance(view, at))) } } },
        order_link(row.order_id.as_deref()),
        foreign_or_dash(row.life.product_id.as_deref()),
        html! { (row.kind) },
        time(row.created_at),
    ]
}

fn form(view: &View<'_>, asked: &Asked<'_>) -> Markup {
    let all = || ("", text("全部", "All"));
    let statuses = vec![
        all(),
        ("creating", text("开通中", "creating")),
        ("active", text("使用中", "active")),
        ("frozen", text("已冻结", "frozen")),
        ("released", text("已释放", "released")),
    ];
    let kinds = std::iter::once(all()).chain(Kind::ALL.into_iter().map(|kind| {
        let name = kind.as_str();
        (name, Text { zh: name, en: name })
    }));
    filter(
        view,
        "/instances",
        text("筛选实例", "Filter instances"),
        &[
            Field {
                name: "text",
                label: text("实例 ID 或订单号的开头", "Beginning of an instance or order id"),
                input: Input::Line(asked.text),
            },
            Field {
                name: "status",
                label: text("状态", "Status"),
                input: Input::Choice { options: statuses, chosen: asked.status },
            },
            Field {
                name: "kind",
                label: text("种类", "Kind"),
                input: Input::Choice { options: kinds.collect(), chosen: asked.kind },
            },
            Field {
                name: "environment",
                label: text("正式或测试", "Real or test"),
                input: Input::Choice { options: environments(), chosen: asked.environment },
            },
        ],
    )
}
