//! Requests that were turned away: who sent them, why, and what is to be done.

use maud::{Markup, html};

use super::layout::View;
use super::shown::{foreign, foreign_or_dash, time};
use super::table::{Column, column, table};
use super::text::{Text, text};

/// The heading of the page.
pub const TITLE: Text = text("被拒绝的请求", "Refused");

/// A request that was turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: jiff::Timestamp,
    /// Who sent it.
    pub peer: String,
    /// The family it would have been.
    pub family: &'static str,
    /// Why, in the log's words.
    pub reason: String,
}

/// Why requests are turned away, and what is to be done: a part of the reason, the class, the mend.
const CLASSES: [(&[&str], Text, Text); 5] = [
    (
        &["clock"],
        text("时间偏差", "clock"),
        text(
            "请求时间与本机时钟相差过大。若来自 KooGallery，请校准本机时钟（NTP）。",
            "Its time is far from this machine's. If it was KooGallery, set this machine's clock (NTP).",
        ),
    ),
    (
        &["used before"],
        text("重放", "replayed"),
        text(
            "同一请求第二次到达：可能是网络设备重发，或有人截获后重放。KooGallery 自己的重试会带新的签名。",
            "The same request came twice: sent again by something on the way, or by somebody who caught it. KooGallery signs \
             each of its retries anew.",
        ),
    ),
    (
        &["fits none"],
        text("签名不符", "signature"),
        text(
            "密钥不一致，或不是 KooGallery 发出的。请核对卖家中心“应用工具 > 密钥管理”中的密钥与配置 [keys]；也可能是代理改写了请求。",
            "The access keys differ, or it was not KooGallery. Compare the key of the seller console with [keys]; a proxy that \
             rewrites requests does it, too.",
        ),
    ),
    (
        &["configured", "no call of this"],
        text("未配置", "not configured"),
        text(
            "收到了未配置接口的调用。请检查商品接入的接口类型与 [[product]]、[keys]。",
            "It was of an interface that is not configured. Look at [[product]] and [keys].",
        ),
    ),
    (
        &["missing", "is not", "is no ", "JSON", "UTF-8"],
        text("格式错误", "malformed"),
        text(
            "请求不是接口规定的格式。偶发的多为扫描器，可忽略；若持续出现且来自 KooGallery 的地址，请保存日志并反馈。",
            "It has not the form of the interface. Now and then it is a scanner and of no account; if it comes from \
             KooGallery's addresses again and again, keep the log and report it.",
        ),
    ),
];

/// The class of a reason and what to do.
pub fn class(reason: &str) -> (Text, Text) {
    let found = CLASSES.iter().find(|(marks, ..)| marks.iter().any(|mark| reason.contains(mark)));
    found.map_or(
        (text("其他", "other"), text("按原因处理；日志中有同一条。", "See the reason; the log has it, too.")),
        |(_, class, mend)| (*class, *mend),
    )
}

/// The body of the page. `total`: since the start.
pub fn body(view: &View<'_>, total: u64, lines: &[Line]) -> Markup {
    const COLUMNS: [Column; 6] = [
        column("时间", "At"),
        column("来源", "From"),
        column("接口类型", "Interface"),
        column("类别", "Class"),
        column("原因", "Reason"),
        column("处理建议", "What to do"),
    ];
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let (class, mend) = class(&line.reason);
            vec![
                time(line.at),
                foreign(&line.peer),
                foreign_or_dash(Some(line.family)),
                html! { (view.say(&class)) },
                foreign(&line.reason),
                html! { (view.say(&mend)) },
            ]
        })
        .collect();
    html! {
        p {
            (view.say(&text(
                "未通过鉴权的请求不写入数据库，只在内存中保留最近 200 条，重启后清空。启动以来总数：",
                "What is not authenticated is not written to the database. The last 200 are kept in memory until a restart. \
                 Since the start there were ",
            )))
            (total) "."
        }
        (table(view, view.say(&text("最新的在前", "Newest first")), &COLUMNS, &rows, &text("启动以来没有被拒绝的请求。", "None was refused since the start.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_class_and_a_mend() {
        for (reason, expected) in [
            ("the timestamp is 900000 ms behind this server's clock: the call is old or the clock is wrong", "clock"),
            ("the nonce was used before", "replayed"),
            ("the signature fits none of the configured access keys", "signature"),
            ("the signature is missing", "malformed"),
            ("the body is no JSON object in UTF-8", "malformed"),
            ("no call of this name is known", "not configured"),
            ("something else", "other"),
        ] {
            assert_eq!(class(reason).0.en, expected, "{reason}");
        }
    }
}
