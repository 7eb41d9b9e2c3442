//! Orders as KooGallery told them, and one of them.

use maud::{Markup, html};
use serde_json::Value;

use super::form::{Weight, address, button, segment};
use super::layout::View;
use super::list::{Continued, continued, link_to};
use super::pieces::{facts, masked, section};
use super::shown::{foreign, foreign_or_dash, time, time_or_dash, visible};
use super::table::{Column, column, table};
use super::text::{Text, text};
use crate::store::OrderRow;

/// The heading of the page.
pub const TITLE: Text = text("订单", "Orders");

const COLUMNS: [Column; 4] =
    [column("订单号", "Order"), column("类型", "Type"), column("下单时间", "Placed"), column("读取时间", "Read")];

/// The body of the page. `asks`: orders are asked for.
pub fn body(view: &View<'_>, asks: bool, rows: &[OrderRow], next: &Continued) -> Markup {
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                link_to("/orders", &row.order_id),
                foreign_or_dash(row.order_type.as_deref()),
                time_or_dash(row.create_time),
                time(row.fetched_at),
            ]
        })
        .collect();
    html! {
        @if !asks { p.hint { (view.say(&text(
            "未配置 [open_api]：koogate 不读取订单详情。调用仍可按订单号在“接口调用记录”中查找。",
            "Without [open_api] koogate reads no orders. Calls can be found by their order among the exchanges.",
        ))) } }
        (table(view, view.say(&text("最近读取的在前", "Those read last first")), &COLUMNS, &lines, &text("没有保存的订单。", "No order is kept.")))
        (continued(view, next))
    }
}

/// The body of the page of one order. `info` is what KooGallery told, with what is personal blanked unless `is_revealed`.
pub fn one(view: &View<'_>, row: &OrderRow, info: &Value, is_revealed: bool, can_refresh: bool) -> Markup {
    let path = format!("/orders/{}", segment(&row.order_id));
    let pretty = serde_json::to_string_pretty(info).unwrap_or_default();
    html! {
        (section(view, "order", &TITLE, &html! {
            (facts(view, &[
                (text("订单号", "Order"), foreign(&row.order_id)),
                (text("类型", "Type"), foreign_or_dash(row.order_type.as_deref())),
                (text("下单时间", "Placed"), time_or_dash(row.create_time)),
                (text("读取时间", "Read"), time(row.fetched_at)),
            ]))
            div.buttons {
                a.button href=(address("/instances", &[("text", &row.order_id)])) { (view.say(&text("相关实例", "Its instances"))) }
                a.button href=(address("/exchanges", &[("order", &row.order_id)])) { (view.say(&text("相关调用", "Its calls"))) }
                @if can_refresh { (button(view, &format!("{path}/refresh"), text("重新读取", "Read it again"), Weight::Plain, &[])) }
            }
        }))
        (section(view, "told", &text("KooGallery 的答复", "What KooGallery told"), &html! {
            @if !is_revealed {
                div { (view.say(&text("买家的手机号与邮箱：", "The buyer's mobile number and e-mail address: "))) (masked(view, &format!("{path}/reveal"), &[])) }
            }
            pre { (visible(&pretty)) }
        }))
    }
}

/// The body of the page of an order that is not kept.
pub fn unknown(view: &View<'_>, order_id: &str, can_refresh: bool) -> Markup {
    let path = format!("/orders/{}", segment(order_id));
    html! {
        p { (view.say(&text("没有保存此订单的详情：", "Nothing is kept of this order: "))) (foreign(order_id)) }
        div.buttons {
            a.button href=(address("/exchanges", &[("order", order_id)])) { (view.say(&text("相关调用", "Its calls"))) }
            @if can_refresh { (button(view, &format!("{path}/refresh"), text("向 KooGallery 查询", "Ask KooGallery"), Weight::Main, &[])) }
        }
    }
}
