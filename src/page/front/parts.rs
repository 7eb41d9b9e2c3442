//! The parts of the first page that are lists.

use jiff::SignedDuration;
use maud::{Markup, html};

use super::{Calls, Day, Frozen, Half, SOON, Sold, Stock};
use crate::alert::Kind;
use crate::alert::alarm::FAILED_ORDERS_ALLOWED;
use crate::alert::standing::{DeadJob, FailedOrders, OpenOrder};
use crate::page::layout::View;
use crate::page::list::{instance_link, link_to, order_link, state};
use crate::page::pieces::{Tone, badge, facts};
use crate::page::shown::{distance, duration, foreign_or_dash, foreign_short, time, time_or_dash};
use crate::page::table::{column, number, table};
use crate::page::text::{Text, Words, text, words};

const REFUNDED: Text =
    text("云商店在首次调用约 3 小时后退款。", "KooGallery refunds an order about 3 hours after its first call.");

pub(super) fn open_orders(view: &View<'_>, orders: &[OpenOrder]) -> Markup {
    let columns = [
        column("订单", "Order"),
        number("距退款", "Until refund"),
        column("商品", "Product"),
        column("实例", "Instance"),
    ];
    let rows: Vec<_> = orders
        .iter()
        .map(|order| {
            let left = order.refund_at.duration_since(view.now);
            let tone = if left < SOON { Tone::Bad } else { Tone::Warn };
            vec![
                order_link(order.order_id.as_deref()),
                badge(view, tone, &minutes_left(left)),
                foreign_or_dash(order.product_id.as_deref()),
                instance_link(Some(&order.instance_id)),
            ]
        })
        .collect();
    table(view, view.say(&REFUNDED), &columns, &rows, &text("没有未完成的订单。", "No order is open."))
}

fn minutes_left(left: SignedDuration) -> Words {
    if left <= SignedDuration::ZERO {
        return words("已超时", "overdue");
    }
    duration(left.unsigned_abs())
}

const UNKNOWN: Text = text("未知商品", "unknown product");

pub(super) fn failed_orders(view: &View<'_>, failed: &[FailedOrders]) -> Markup {
    if failed.is_empty() {
        return html! { p.empty { (view.say(&text("本月没有失败订单。", "None failed this month."))) } };
    }
    html! {
        p.hint { (view.say(&text("一个商品每月失败超过 5 单将被下架。", "More than five in a month take a product off the market."))) }
        ul.meters {
            @for product in failed {
                @let of = words(
                    format!("{} / {FAILED_ORDERS_ALLOWED}", product.count),
                    format!("{} of {FAILED_ORDERS_ALLOWED}", product.count),
                );
                @let tone = if product.count + 2 >= FAILED_ORDERS_ALLOWED { Tone::Bad } else { Tone::Warn };
                li {
                    span { @match &product.product_id { Some(id) => (foreign_short(id)), None => (view.say(&UNKNOWN)) } }
                    " " (badge(view, tone, &of))
                    span.bar aria-hidden="true" {
                        @for number in 0..FAILED_ORDERS_ALLOWED { span .full[number < product.count] {} }
                    }
                }
            }
        }
    }
}

pub(super) fn calendar(view: &View<'_>, days: &[Day]) -> Markup {
    let names = [text("上午", "morning"), text("下午", "afternoon")];
    html! {
        p.hint {
            (view.say(&text(
                "云商店每天上午、下午各测试一次；上方为上午，下方为下午。✓ 成功　✕ 失败　– 没有调用　… 等待中",
                "KooGallery tests each morning (above) and each afternoon (below). ✓ good, ✕ failed, – no call, … awaited",
            )))
        }
        @if days.iter().all(|day| day.halves.iter().all(|half| !matches!(half, Half::Called(..)))) {
            p.empty {
                (view.say(&text(
                    "尚未收到测试调用。商品上架后才会有。",
                    "There was none yet: they begin when a product is on the market.",
                )))
            }
        }
        ol.calendar {
            @for day in days {
                li {
                    span.day { (day.name) }
                    @for (half, name) in day.halves.iter().zip(names) { (shown_half(view, *half, name)) }
                }
            }
        }
    }
}

fn shown_half(view: &View<'_>, half: Half, name: Text) -> Markup {
    let (class, sign, said): (_, _, Words) = match half {
        Half::Outside => ("outside", "\u{a0}", words("", "")),
        Half::Awaited => ("quiet", "…", words("等待中", "awaited")),
        Half::Silent => ("silent", "–", words("没有调用", "no call")),
        Half::Called(calls, 0) => {
            ("good", "✓", words(format!("{calls} 次，均成功"), format!("calls: {calls}, all good")))
        }
        Half::Called(calls, failures) => {
            ("bad", "✕", words(format!("{calls} 次，{failures} 次失败"), format!("calls: {calls}, failed: {failures}")))
        }
    };
    if half == Half::Outside {
        return html! { span.half.outside aria-hidden="true" { (sign) } };
    }
    let said = format!("{}: {}", view.say(&name), view.say(&said));
    html! {
        span class={ "half " (class) } title=(said) { span aria-hidden="true" { (sign) } span.unseen { (said) } }
    }
}

pub(super) fn dead_jobs(view: &View<'_>, jobs: &[DeadJob]) -> Markup {
    let columns = [
        number("任务", "Job"),
        column("事件", "Event"),
        column("对象", "About"),
        column("放弃时间", "Given up"),
        column("操作", "Action"),
    ];
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            vec![
                html! { (job.job) },
                html! { code { (job.task) } },
                foreign_or_dash(Some(&job.about)),
                time_or_dash(job.at),
                html! { a.button href={ "/jobs/" (job.job) "/retry" } { (view.say(&text("重试", "Retry"))) } },
            ]
        })
        .collect();
    let caption = text("买家已付费，但您的应用未完成。", "The buyer has paid; your application has not done it.");
    table(view, view.say(&caption), &columns, &rows, &text("没有已放弃的任务。", "No job was given up."))
}

pub(super) fn stocks(view: &View<'_>, stocks: &[Stock]) -> Markup {
    let columns = [column("库存", "Stock"), number("剩余", "Left"), number("预警值", "Warns below")];
    let rows: Vec<_> = stocks
        .iter()
        .map(|stock| {
            let left = words(stock.left.to_string(), stock.left.to_string());
            let tone = match stock.left {
                0 => Tone::Bad,
                left if left < stock.low => Tone::Warn,
                _ => Tone::Good,
            };
            vec![link_to("/stock", &stock.name), badge(view, tone, &left), html! { (stock.low) }]
        })
        .collect();
    let caption = text("空库存无法开通新订单。", "An empty stock opens no new order.");
    table(view, view.say(&caption), &columns, &rows, &text("没有商品使用库存。", "No product takes from a stock."))
}

pub(super) fn frozen(view: &View<'_>, frozen: &[Frozen]) -> Markup {
    let columns = [column("实例", "Instance"), column("已付费至", "Paid until")];
    let rows: Vec<_> = frozen
        .iter()
        .map(|instance| {
            let left = distance(view, instance.expire_time);
            vec![
                instance_link(Some(&instance.instance_id)),
                html! { (time(instance.expire_time)) " (" (view.say(&left)) ")" },
            ]
        })
        .collect();
    let caption = text(
        "可能是违规，也可能是迟到的重试：请在卖家中心核对。",
        "A violation or a late retry: look in the seller console.",
    );
    table(view, view.say(&caption), &columns, &rows, &text("没有。", "None."))
}

pub(super) fn today(view: &View<'_>, calls: &Calls) -> Markup {
    let least = if calls.is_least { "≥ " } else { "" };
    let counted = |count: i64| html! { (least) (count) };
    let failed = words(format!("{least}{}", calls.failed), format!("{least}{}", calls.failed));
    let failed = badge(view, if calls.failed > 0 { Tone::Warn } else { Tone::Good }, &failed);
    facts(
        view,
        &[
            (text("真实调用", "Real calls"), counted(calls.real)),
            (text("未成功", "Not successful"), failed),
            (text("重复调用（按记录应答）", "Repeats, answered from the record"), counted(calls.replayed)),
            (text("测试调用", "Test calls"), counted(calls.tests)),
        ],
    )
}

pub(super) fn sold(view: &View<'_>, sold: &[Sold]) -> Markup {
    let columns =
        [column("订单", "Order"), column("状态", "Status"), column("商品", "Product"), column("下单时间", "Ordered")];
    let rows: Vec<_> = sold
        .iter()
        .map(|instance| {
            vec![
                sold_link(instance),
                state(view, &instance.status),
                foreign_or_dash(instance.product_id.as_deref()),
                time(instance.at),
            ]
        })
        .collect();
    let caption = text("最新的在前。", "The newest first.");
    table(view, view.say(&caption), &columns, &rows, &text("还没有售出任何实例。", "Nothing was sold yet."))
}

/// By its order, as the seller console has it; what has none, by its own id.
fn sold_link(instance: &Sold) -> Markup {
    let id = Some(instance.instance_id.as_str());
    if instance.order_id.is_some() { order_link(instance.order_id.as_deref()) } else { instance_link(id) }
}

/// The list that shows what an alert of this kind is about: at night, on a phone, no command is at hand.
pub(crate) fn look(kind: Kind) -> Option<(&'static str, Text)> {
    Some(match kind {
        Kind::CreationOpen | Kind::InstanceWaiting => {
            ("/instances?status=creating", text("开通中的实例", "Instances that are being created"))
        }
        Kind::OrdersFailed | Kind::CallFailed => ("/exchanges?result=failed", text("失败的调用", "Calls that failed")),
        Kind::TestCallsAway => ("/exchanges?environment=test", text("测试调用", "Test calls")),
        Kind::JobDead => ("/jobs", text("已放弃的任务", "Jobs that were given up")),
        Kind::StockEmpty | Kind::StockLow => ("/stock", text("库存", "Stocks")),
        Kind::FrozenThoughPaid => ("/instances?status=frozen", text("已冻结的实例", "Frozen instances")),
        Kind::LicenseWaiting => ("/licenses?state=requested", text("待签发的许可证", "Licences that wait")),
        Kind::OrderUnread => ("/jobs?state=all", text("全部任务", "All jobs")),
        Kind::UsageOverdue | Kind::UsageStuck => ("/usage?state=waiting", text("等待发送的用量", "Usage that waits")),
        Kind::UsageRejected => ("/usage?state=rejected", text("被拒收的用量", "Usage that was rejected")),
        _ => return None,
    })
}
