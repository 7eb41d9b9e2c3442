//! What was done on the status page, and what was shown there.

use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::View;
use super::shown::{foreign_or_dash, time};
use super::table::{column, pager, table};
use super::text::{Text, Words, text, words};

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// When.
    pub at: Timestamp,
    /// From which address.
    pub peer: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// The heading of the page.
pub const TITLE: Text = text("操作记录", "Actions");

/// The body of the page. `newest`, `earlier`: addresses of further pieces.
pub fn body(view: &View<'_>, actions: &[Action], newest: Option<&str>, earlier: Option<&str>) -> Markup {
    let columns = [
        column("时间", "Time"),
        column("操作", "Action"),
        column("对象", "Subject"),
        column("说明", "Detail"),
        column("来源", "From"),
    ];
    let rows: Vec<_> = actions
        .iter()
        .map(|action| {
            vec![
                time(action.at),
                html! { (view.say(&name(&action.action))) },
                foreign_or_dash(Some(&action.subject)),
                foreign_or_dash(action.detail.as_deref()),
                foreign_or_dash(Some(&action.peer)),
            ]
        })
        .collect();
    let caption = text(
        "在状态页上执行的操作与查看过的保密信息，最新的在前。",
        "What was done on the status page, and which secrets were shown there, the newest first.",
    );
    html! {
        section aria-label=(view.say(&TITLE)) {
            (table(view, view.say(&caption), &columns, &rows, &text("还没有操作记录。", "Nothing was done here yet.")))
        }
        (pager(view, newest, earlier))
    }
}

/// What an action is called; one that has no name of its own is shown as it is recorded.
fn name(action: &str) -> Words {
    match action {
        "reveal" => text("查看保密信息", "shown a secret").into(),
        "retry" => text("重试", "tried again").into(),
        "ready" => text("标记开通", "marked ready").into(),
        "import" => text("导入库存", "stock imported").into(),
        "export" => text("导出", "exported").into(),
        "issue" => text("签发许可证", "licence issued").into(),
        "refresh" => text("重新读取订单", "order asked for").into(),
        "push" => text("立即发送用量", "usage sent at once").into(),
        "withdraw" => text("撤回用量记录", "usage taken out").into(),
        other => words(other, other),
    }
}
