//! Orders as KooGallery told them.

use super::super::orders::ask;
use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::trouble::Trouble;
use crate::page::{Text, form, orders, place, text, words};
use crate::store::OrderRow;
use crate::store::pages::Next;
use crate::view;

/// The heading of the page of one. (What others wrote stands below, apart from koogate's words.)
const TITLE: Text = text("订单详情", "Order");

/// `GET /orders`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let after: Option<(i64, String)> = list::place(visit)?;
    let mut rows = visit.context.store.read(|tx| tx.orders(after.as_ref(), ROWS + 1))?;
    let shown = usize::try_from(ROWS).unwrap_or(0);
    let has_more = rows.len() > shown;
    rows.truncate(shown);
    let next = rows.last().filter(|_| has_more).map_or(Next::End, |last| Next::More(OrderRow::place(last)));
    let next = list::continued(visit, &next, |more| form::address("/orders", more));
    let asks = visit.context.dispatcher.settings().open_api.is_some();
    Ok(visit.page(Some(place::ORDERS), &orders::TITLE, |view| orders::body(view, asks, &rows, &next)))
}

/// `GET /orders/{order}`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (order_id, asks) = (visit.path("order"), can_ask(visit));
    match visit.context.store.read(|tx| tx.order(order_id))? {
        Some((row, info)) => {
            let info = view::order::shown(&row, info, false);
            Ok(visit.page(Some(place::ORDERS), &TITLE, |view| orders::one(view, &row, &info, false, asks)))
        }
        None => Ok(visit.page(Some(place::ORDERS), &TITLE, |view| orders::unknown(view, order_id, asks))),
    }
}

/// `POST /orders/{order}/reveal`: shows the buyer's number and address, and records that they were shown.
pub(in crate::admin) fn reveal(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let order_id = visit.path("order").to_owned();
    let deed = Deed::new(visit, "reveal", order_id.clone()).with("personal data of the order");
    let found = visit.context.store.write(None, move |tx| {
        let found = tx.order(&order_id)?;
        if found.is_some() {
            deed.record(tx)?;
        }
        Ok(found)
    })?;
    let (row, info) = found.ok_or(Trouble::NotFound)?;
    let (info, asks) = (view::order::shown(&row, info, true), can_ask(visit));
    Ok(visit.page(Some(place::ORDERS), &TITLE, |view| orders::one(view, &row, &info, true, asks)))
}

/// `POST /orders/{order}/refresh`: what `koogate order show --refresh` does.
pub(in crate::admin) fn refresh(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let order_id = visit.path("order");
    let deed = Deed::new(visit, "refresh", order_id);
    visit.context.store.write(None, move |tx| deed.record(tx))?;
    let flash = match ask(visit.context, order_id) {
        Ok(_) => list::done(words("已从 KooGallery 读取订单", "KooGallery has told the order")),
        Err(problem) => {
            let error = crate::page::shown::visible(problem.error());
            list::not_done(words(format!("读取失败：{error}"), format!("It could not be read: {error}")))
        }
    };
    Ok(visit.go_on(&format!("/orders/{}", form::segment(order_id)), flash))
}

fn can_ask(visit: &Visit<'_>) -> bool {
    visit.context.dispatcher.settings().open_api.is_some()
}
