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
    /// The sort of reason, by its name in the metrics.
    pub class: &'static str,
    /// Why, in the log's words.
    pub reason: String,
}

/// The class of a reason, under its name in the metrics (`reason` of `koogate_calls_refused_total`), and what to do. A test
/// holds that no class is missing.
const CLASSES: [(&str, Text, Text); 7] = [
    (
        "key",
        text("签名不符", "signature"),
        text(
            "密钥不一致，或不是 KooGallery 发出的。请核对卖家中心“应用工具 > 密钥管理”中的密钥与配置 [keys]；也可能是代理改写了请求。",
            "The access keys differ, or it was not KooGallery. Compare the key of the seller console with [keys]; a proxy that \
             rewrites requests does it, too.",
        ),
    ),
    (
        "clock",
        text("时间偏差", "clock"),
        text(
            "请求时间与本机时钟相差过大。若来自 KooGallery，请校准本机时钟（NTP）。",
            "Its time is far from this machine's. If it was KooGallery, set this machine's clock (NTP).",
        ),
    ),
    (
        "replay",
        text("重放", "replayed"),
        text(
            "同一请求第二次到达：可能是网络设备重发，或有人截获后重放。KooGallery 自己的重试会带新的签名。",
            "The same request came twice: sent again by something on the way, or by somebody who caught it. KooGallery signs \
             each of its retries anew.",
        ),
    ),
    (
        "malformed",
        text("格式错误", "malformed"),
        text(
            "请求不是接口规定的格式。偶发的多为扫描器，可忽略；若持续出现且来自 KooGallery 的地址，请保存日志并反馈。",
            "It has not the form of the interface. Now and then it is a scanner and of no account; if it comes from \
             KooGallery's addresses again and again, keep the log and report it.",
        ),
    ),
    (
        "unknown-call",
        text("未知调用", "unknown call"),
        text(
            "收到了未配置或不存在的接口的调用。请检查商品接入的接口类型与 [[product]]、[keys]。",
            "It was of an interface that is not configured, or that there is not. Look at [[product]] and [keys].",
        ),
    ),
    (
        "http",
        text("HTTP 或 TLS", "HTTP or TLS"),
        text(
            "没有成为完整的请求：无法识别、过大或过慢。多为扫描器，可忽略；若来自 KooGallery 的地址，请检查中间的代理与证书。",
            "It never became a request: not understood, too large or too slow. Mostly scanners, and of no account; if it comes \
             from KooGallery's addresses, look at the proxy between and at the certificate.",
        ),
    ),
    (
        "login",
        text("登录", "login"),
        text(
            "用户的登录未成功，不是 KooGallery 的调用。若用户反馈无法登录，请看原因与日志。",
            "A user's login failed; it is no call of KooGallery's. If users say that they cannot log in, see the reason and the log.",
        ),
    ),
];

/// The name of a class and what to do.
fn class(name: &str) -> (Text, Text) {
    let found = CLASSES.iter().find(|(known, ..)| *known == name);
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
            let (class, mend) = class(line.class);
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
    fn every_class_of_the_metrics_has_a_name_and_a_mend() {
        for known in crate::dispatch::RefusalClass::ALL {
            assert_ne!(class(known.as_str()).0.en, "other", "{known:?}");
        }
        assert_eq!(CLASSES.len(), crate::dispatch::RefusalClass::ALL.len());
        assert_eq!(class("of a newer koogate").0.en, "other");
    }
}
