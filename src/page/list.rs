//! What all lists have in common: links from one thing to another, words of states, and how a list goes on.

use maud::{Markup, html};

use super::form::{address, segment};
use super::layout::View;
use super::pieces::{Tone, badge};
use super::shown::{NOTHING, foreign_short};
use super::table::pager;
use super::text::{Text, Words, text, words};

/// How a list goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Continued {
    /// The address of its beginning, where this is another piece.
    pub newest: Option<String>,
    /// The address of the next piece.
    pub more: Option<String>,
    /// Whether so many records were looked through that nobody knows what the next piece has.
    pub looked_enough: bool,
}

/// The links after a list.
pub fn continued(view: &View<'_>, continued: &Continued) -> Markup {
    let enough = text(
        "已查看 20000 条记录；更早的记录尚未查看，可继续向前查找。",
        "20,000 records were looked through. What comes after them was not looked at: go on to search further.",
    );
    html! {
        @if continued.looked_enough { p.hint { (view.say(&enough)) } }
        (pager(view, continued.newest.as_deref(), continued.more.as_deref()))
    }
}

/// A link to a call.
pub fn exchange_link(id: i64) -> Markup {
    html! { a href={ "/exchanges/" (id) } { (id) } }
}

/// A link to what is known of an instance by its id on the wire.
pub fn instance_link(instance_id: Option<&str>) -> Markup {
    match instance_id.filter(|id| !id.is_empty()) {
        Some(id) => html! { a href=(address("/instances", &[("text", id)])) { (foreign_short(id)) } },
        None => html! { (NOTHING) },
    }
}

/// A link to the calls of an order.
pub fn order_link(order_id: Option<&str>) -> Markup {
    match order_id.filter(|id| !id.is_empty()) {
        Some(id) => html! { a href=(address("/exchanges", &[("order", id)])) { (foreign_short(id)) } },
        None => html! { (NOTHING) },
    }
}

/// A link to one thing by its id, which may hold anything.
pub fn link_to(path: &str, id: &str) -> Markup {
    html! { a href={ (path) "/" (segment(id)) } { (foreign_short(id)) } }
}

/// How a call was answered.
pub fn result(view: &View<'_>, code: Option<&str>) -> Markup {
    match code {
        None => badge(view, Tone::Bad, &text("未应答", "no answer")),
        Some("000000") => badge(view, Tone::Good, &text("000000 成功", "000000 success")),
        Some("000004") => badge(view, Tone::Warn, &text("000004 处理中", "000004 processing")),
        Some(code) => {
            let code = super::shown::visible(code);
            badge(view, Tone::Bad, &words(code.clone(), code))
        }
    }
}

/// A word of the database with its tone and its name in both languages.
const STATES: [(&str, Tone, Text); 17] = [
    ("creating", Tone::Warn, text("开通中", "creating")),
    ("active", Tone::Good, text("使用中", "active")),
    ("frozen", Tone::Warn, text("已冻结", "frozen")),
    ("released", Tone::Quiet, text("已释放", "released")),
    ("waiting", Tone::Warn, text("等待中", "waiting")),
    ("running", Tone::Quiet, text("执行中", "running")),
    ("done", Tone::Good, text("已完成", "done")),
    ("dead", Tone::Bad, text("已放弃", "given up")),
    ("cancelled", Tone::Quiet, text("已取消", "cancelled")),
    ("open", Tone::Warn, text("进行中", "open")),
    ("failed", Tone::Bad, text("失败", "failed")),
    ("requested", Tone::Warn, text("待签发", "asked for")),
    ("refused", Tone::Bad, text("已拒绝", "refused")),
    ("issued", Tone::Good, text("已签发", "issued")),
    ("uploaded", Tone::Good, text("已上传", "uploaded")),
    ("accepted", Tone::Good, text("已接收", "accepted")),
    ("rejected", Tone::Bad, text("被拒收", "rejected")),
];

/// The name of a state, as the database has it.
pub fn state_name(word: &str) -> Words {
    let known = STATES.iter().find(|(known, ..)| *known == word);
    known.map_or_else(|| words(word, word), |(_, _, name)| (*name).into())
}

/// A state as a badge.
pub fn state(view: &View<'_>, word: &str) -> Markup {
    let tone = STATES.iter().find(|(known, ..)| *known == word).map_or(Tone::Quiet, |(_, tone, _)| *tone);
    badge(view, tone, &state_name(word))
}

/// Marks what is of test calls; real things have no mark.
pub fn test_mark(view: &View<'_>, environment: &str) -> Markup {
    if environment == "test" {
        badge(view, Tone::Quiet, &text("测试", "test"))
    } else {
        html! {}
    }
}

/// The choices of a filter about real and test calls.
pub fn environments() -> Vec<(&'static str, Text)> {
    vec![("", text("全部", "All")), ("real", text("正式", "Real")), ("test", text("测试", "Test"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hold_whatever_an_id_holds() {
        assert_eq!(
            instance_link(Some("a/b%\"<云 ")).into_string(),
            "<a href=\"/instances?text=a%2Fb%25%22%3C%E4%BA%91%20\"><bdi class=\"id\">a/b%&quot;&lt;云 </bdi></a>"
        );
        assert_eq!(
            link_to("/orders", "CS/1 %").into_string(),
            "<a href=\"/orders/CS%2F1%20%25\"><bdi class=\"id\">CS/1 %</bdi></a>"
        );
        assert_eq!(instance_link(Some("")).into_string(), "–");
        assert_eq!(order_link(None).into_string(), "–");
    }
}
