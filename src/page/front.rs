//! The first page: what costs money, then what happened, then how koogate is. `front/parts` has its larger parts.

pub mod calendar;
pub(crate) mod parts;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::layout::View;
use super::pieces::{Tone, badge, callout, facts, section};
use super::shown::{distance, duration, foreign, time};
use super::text::{Text, Words, text, words};
use crate::alert::standing::{DeadJob, FailedOrders, OpenOrder};

/// What the page shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Front {
    /// What stands wrong, the urgent first.
    pub alerts: Vec<Alert>,
    /// Orders that KooGallery will refund unless they are finished, the oldest first.
    pub open_orders: Vec<OpenOrder>,
    /// Orders of this month that failed, per product.
    pub failed_orders: Vec<FailedOrders>,
    /// KooGallery's test calls, the oldest day first.
    pub calendar: Vec<Day>,
    /// Jobs that were given up.
    pub dead_jobs: Vec<DeadJob>,
    /// Stocks that products take from.
    pub stocks: Vec<Stock>,
    /// Instances that are frozen and paid beyond now.
    pub frozen: Vec<Frozen>,
    /// The calls of today in Beijing.
    pub today: Calls,
    /// What was sold last.
    pub sold: Vec<Sold>,
    /// How koogate itself is.
    pub machine: Machine,
}

/// Something that stands wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// It cannot wait.
    pub is_urgent: bool,
    /// What it is.
    pub heading: Words,
    /// What has happened, the first ones of its kind.
    pub what: Vec<Words>,
    /// So many more of its kind stand.
    pub more: usize,
    /// What it costs.
    pub cost: Words,
    /// What to do.
    pub mend: Words,
    /// Since when.
    pub since: Timestamp,
    /// How often it was met.
    pub times: i64,
    /// The list that shows what it is about, and its name.
    pub look: Option<(&'static str, Text)>,
}

impl Alert {
    fn count(&self) -> usize {
        self.what.len() + self.more
    }
}

/// A day of the calendar of test calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// `11-26`
    pub name: String,
    /// Morning and afternoon.
    pub halves: [Half; 2],
}

/// Half a day of that calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// It has not come, or lies before koogate's first day.
    Outside,
    /// It has begun and is not over, and there was no call yet.
    Awaited,
    /// There was no call.
    Silent,
    /// So many calls, and so many of them failed.
    Called(i64, i64),
}

/// A stock that products take from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Its name.
    pub name: String,
    /// Entries nobody has.
    pub left: i64,
    /// Fewer are few.
    pub low: i64,
}

/// An instance that is frozen though it is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// `instanceId`
    pub instance_id: String,
    /// Paid until then.
    pub expire_time: Timestamp,
}

/// Calls of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All real ones.
    pub real: i64,
    /// Those of them that were answered neither with success nor with "processing".
    pub failed: i64,
    /// Those that were repeats, answered from the record.
    pub replayed: i64,
    /// Test calls.
    pub tests: i64,
    /// There are more than were counted.
    pub is_least: bool,
}

/// Something that was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// `instanceId`
    pub instance_id: String,
    /// `orderId`
    pub order_id: Option<String>,
    /// `productId`
    pub product_id: Option<String>,
    /// The status of the instance.
    pub status: String,
    /// When it was ordered.
    pub at: Timestamp,
}

/// How koogate itself is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Why it is not ready, as `/readyz` says it.
    pub not_ready: Option<String>,
    /// For how long the snapshot has not held everything, and how long it may.
    pub snapshot: Option<(Duration, Duration)>,
    /// When the certificate of the public listener ends; `None`: a proxy shows it, or nobody does.
    pub certificate: Option<Timestamp>,
    /// By how much this machine's clock is ahead of KooGallery's; `None`: it has not been asked.
    pub clock: Option<SignedDuration>,
    /// Requests that were turned away since the start.
    pub refused: u64,
    /// The version of the database's schema.
    pub schema: i64,
}

/// The heading of the page.
pub const TITLE: Text = text("总览", "Overview");

/// An order with less time is shown as lost soon.
const SOON: SignedDuration = SignedDuration::from_mins(60);

/// A clock that differs by more is near what KooGallery's signatures bear (60 s).
const CLOCK_BEARS: Duration = Duration::from_secs(30);

/// A certificate with less time is shown as ending.
const CERTIFICATE_ENDS: SignedDuration = SignedDuration::from_hours(21 * 24);

/// The body of the page.
pub fn body(view: &View<'_>, front: &Front) -> Markup {
    html! {
        (summary(view, front))
        // In the order of a narrow screen; a wide one has two columns.
        div.columns {
            (section(view, "open", &text("未完成的订单", "Open orders"), &parts::open_orders(view, &front.open_orders)))
            (section(view, "failed", &text("本月失败订单", "Failed orders this month"), &parts::failed_orders(view, &front.failed_orders)))
            (section(view, "calendar", &text("云商店的测试调用", "KooGallery's test calls"), &parts::calendar(view, &front.calendar)))
            (section(view, "dead", &text("已放弃的任务", "Jobs given up"), &parts::dead_jobs(view, &front.dead_jobs)))
            (section(view, "stock", &text("库存", "Stock"), &parts::stocks(view, &front.stocks)))
            (section(view, "frozen", &text("已付费却被冻结", "Frozen though paid"), &parts::frozen(view, &front.frozen)))
            (section(view, "sold", &text("最近售出", "Sold lately"), &parts::sold(view, &front.sold)))
            (section(view, "today", &text("今日调用", "Calls today"), &parts::today(view, &front.today)))
            (section(view, "machine", &text("运行状况", "Health"), &machine(view, &front.machine)))
        }
    }
}

/// What stands wrong, or that nothing does.
fn summary(view: &View<'_>, front: &Front) -> Markup {
    let urgent: usize = front.alerts.iter().filter(|alert| alert.is_urgent).map(Alert::count).sum();
    let ready = front.machine.not_ready.is_none();
    let count: usize = front.alerts.iter().map(Alert::count).sum();
    if front.alerts.is_empty() && ready {
        let nothing = text("目前没有需要处理的事项。", "Nothing needs you now.");
        return html! { p.flash.good { span.sign aria-hidden="true" { "✓" } " " (view.say(&nothing)) } };
    }
    let heading = words(
        format!("需要处理：{count} 项，其中 {urgent} 项紧急"),
        format!("To be looked at: {count}, {urgent} of them urgent"),
    );
    let body = html! {
        @if let Some(problem) = &front.machine.not_ready {
            (callout(view, Tone::Bad, &text("未就绪", "Not ready"), &html! { p { (foreign(problem)) } }))
        }
        ul.alerts { @for alert in &front.alerts { li { (shown_alert(view, alert)) } } }
    };
    section(view, "alerts", &heading, &body)
}

fn shown_alert(view: &View<'_>, alert: &Alert) -> Markup {
    let tone = if alert.is_urgent { Tone::Bad } else { Tone::Warn };
    let more = words(format!("另有 {} 项", alert.more), format!("and {} more", alert.more));
    let often = words(format!("，共 {} 次", alert.times), format!(", {} times", alert.times));
    let body = html! {
        @for what in &alert.what { p { (sentence(&super::shown::visible(view.say(what)))) } }
        @if alert.more > 0 { p { (view.say(&more)) } }
        dl.why {
            div { dt { (view.say(&text("代价", "Cost"))) } dd { (sentence(view.say(&alert.cost))) } }
            div { dt { (view.say(&text("处理", "Mend"))) } dd { (sentence(view.say(&alert.mend))) } }
            div {
                dt { (view.say(&text("开始于", "Since"))) }
                dd { (time(alert.since)) " (" (view.say(&distance(view, alert.since))) @if alert.times > 1 { (view.say(&often)) } ")" }
            }
        }
    };
    let body = html! {
        (body)
        @if let Some((path, name)) = &alert.look { p { a.button href=(path) { (view.say(name)) } } }
    };
    let heading = sentence(view.say(&alert.heading));
    callout(view, tone, &words(heading.clone(), heading), &body)
}

/// The text of an alert, which is written to stand within others, as one that stands alone. A command stays one.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    match rest.next() {
        Some(first) if !text.starts_with("koogate ") => first.to_uppercase().chain(rest).collect(),
        _ => text.to_owned(),
    }
}

fn machine(view: &View<'_>, machine: &Machine) -> Markup {
    let ready = match machine.not_ready {
        None => badge(view, Tone::Good, &text("就绪", "ready")),
        Some(_) => badge(view, Tone::Bad, &text("未就绪", "not ready")),
    };
    let snapshot = match machine.snapshot {
        None => html! { (super::shown::NOTHING) },
        Some((behind, limit)) => {
            let length = duration(behind);
            let behind_by = words(format!("落后 {}", length.zh), format!("{} behind", length.en));
            badge(view, if behind > limit { Tone::Bad } else { Tone::Good }, &behind_by)
        }
    };
    let certificate = match machine.certificate {
        None => html! { span.soft { (view.say(&text("由代理提供", "the proxy's"))) } },
        Some(end) => {
            let left = end.duration_since(view.now);
            let tone = if left <= SignedDuration::ZERO {
                Tone::Bad
            } else if left < CERTIFICATE_ENDS {
                Tone::Warn
            } else {
                Tone::Good
            };
            html! { (badge(view, tone, &distance(view, end))) " " (time(end)) }
        }
    };
    let clock = match machine.clock {
        None => html! { span.soft { (view.say(&text("尚未比对", "not compared yet"))) } },
        Some(difference) => {
            let length = duration(difference.unsigned_abs());
            let (zh, en) = if difference.is_negative() { ("慢", "behind") } else { ("快", "ahead") };
            let said = words(format!("{zh} {}", length.zh), format!("{} {en}", length.en));
            badge(view, if difference.unsigned_abs() > CLOCK_BEARS { Tone::Bad } else { Tone::Good }, &said)
        }
    };
    facts(
        view,
        &[
            (text("状态", "State"), ready),
            (text("快照", "Snapshot"), snapshot),
            (text("证书到期", "Certificate ends"), certificate),
            (text("时钟偏差", "Clock difference"), clock),
            (text("启动以来拒绝的请求", "Requests refused since the start"), html! { (machine.refused) }),
            (
                text("版本", "Version"),
                html! {
                    "koogate " (env!("CARGO_PKG_VERSION")) ", "
                    (view.say(&text("数据库结构", "schema"))) " " (machine.schema)
                },
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Kind;
    use crate::page::Language;

    fn shown(front: &Front) -> String {
        let now = Timestamp::from_second(1_795_674_300).unwrap();
        body(&View { language: Language::En, now, csrf: Some("c"), target: "/", flash: None }, front).into_string()
    }

    fn order(minutes: i64) -> OpenOrder {
        let now = Timestamp::from_second(1_795_674_300).unwrap();
        let refund_at = now + SignedDuration::from_mins(minutes);
        let (order_id, instance_id) = (Some("CS1".to_owned()), "i-1".to_owned());
        OpenOrder { order_id, instance_id, product_id: None, first_call: now, refund_at }
    }

    #[test]
    fn where_nothing_is_wrong_the_page_says_so_and_where_something_is_it_does_not() {
        assert!(shown(&Front::default()).contains("Nothing needs you now."));
        let machine = Machine { not_ready: Some("<disk>".to_owned()), ..Machine::default() };
        let page = shown(&Front { machine, ..Front::default() });
        assert!(page.contains("Not ready") && page.contains("&lt;disk&gt;") && !page.contains("Nothing needs you"));
    }

    #[test]
    fn an_order_is_bad_in_its_last_hour_and_overdue_after_it() {
        for (minutes, tone, said) in [(179, "warn", "2 h 59 min"), (59, "bad", "59 min"), (0, "bad", "overdue")] {
            let page = shown(&Front { open_orders: vec![order(minutes)], ..Front::default() });
            assert!(
                page.contains(&format!("<span class=\"badge {tone}\">")) && page.contains(said),
                "{minutes}: {page}"
            );
        }
    }

    #[test]
    fn three_failed_orders_of_five_are_bad() {
        for (count, tone) in [(2, "warn"), (3, "bad"), (7, "bad")] {
            let failed = FailedOrders { product_id: None, count };
            let page = shown(&Front { failed_orders: vec![failed], ..Front::default() });
            assert!(page.contains("unknown product") && page.contains(&format!("{count} of 5")));
            assert!(page.contains(&format!("<span class=\"badge {tone}\">")), "{count}: {page}");
            assert_eq!(page.matches("<span class=\"full\">").count(), usize::try_from(count.min(5)).unwrap());
        }
    }

    #[test]
    fn of_many_alerts_of_one_kind_the_first_are_told_and_the_rest_is_counted() {
        let words = |text: &str| words(text, text);
        let alert = Alert {
            is_urgent: true,
            heading: words("a job was given up"),
            what: vec![words("job 1"), words("job 2")],
            more: 98,
            cost: words("cost"),
            mend: words("mend"),
            since: Timestamp::from_second(1_795_674_000).unwrap(),
            times: 1,
            look: parts::look(Kind::JobDead),
        };
        let page = shown(&Front { alerts: vec![alert], ..Front::default() });
        assert!(page.contains("To be looked at: 100, 100 of them urgent"), "{page}");
        assert!(page.contains("<a class=\"button\" href=\"/jobs\">"), "{page}");
        assert!(
            page.contains("A job was given up")
                && page.contains("Job 2")
                && page.contains("and 98 more")
                && page.contains("(5 min ago)"),
            "{page}"
        );
    }
}
