//! `/api/v1/orders`: what KooGallery tells of orders.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Context;
use super::call::Call;
use super::page::Piece;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::open_api::Patience;
use crate::open_api::error::OpenApiError;
use crate::store::OrderRow;
use crate::view;

/// KooGallery has so long to tell an order, all attempts together.
const PATIENCE: Duration = Duration::from_secs(8);

/// So many wait for KooGallery to tell an order at a time: a quarter of the listener's connections. Those who ask about codes
/// have half of them, and the rest is left for who does not wait, a watchdog or a report of usage.
const MOST_WAITING: usize = 16;

/// Bounds how many wait for KooGallery to tell an order. Shared by all connections.
#[derive(Debug, Default)]
pub struct OrderDesk(AtomicUsize);

/// Somebody who waits.
struct Seat<'d>(&'d AtomicUsize);

impl OrderDesk {
    /// A place among those who wait, until it is dropped.
    fn seat(&self) -> Result<Seat<'_>, Problem> {
        let seat = Seat(&self.0);
        // Beyond the bound the seat is given back at once.
        if self.0.fetch_add(1, Ordering::SeqCst) < MOST_WAITING { Ok(seat) } else { Err(Problem::crowded()) }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `GET /api/v1/orders`: the orders that are kept, those read last first.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let piece = Piece::<(i64, String)>::read(call, 50, "before")?;
    let rows = call.context.store.read(|tx| tx.orders(piece.from.as_ref(), piece.rows()))?;
    piece.reply("orders", &rows, OrderRow::place, view::order::listed)
}

/// `GET /api/v1/orders/{orderId}`: one, from the record or, where none is kept or it is to be read again, from KooGallery.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let (store, order_id) = (&call.context.store, call.path("orderId"));
    let (refresh, personal) = (call.flag("refresh")?.unwrap_or(false), call.flag("personal")?.unwrap_or(false));
    let kept = if refresh { None } else { store.read(|tx| tx.order(order_id))? };
    let (row, info) = match kept {
        Some(kept) => kept,
        None => ask(call.context, order_id)?,
    };
    Ok(reply::ok(&view::order::shown(&row, info, personal)))
}

/// Has KooGallery tell an order, and keeps it. Bounded in time and in how many wait.
pub(super) fn ask(context: &Context, order_id: &str) -> Result<(OrderRow, Value), Problem> {
    let settings = context.dispatcher.settings();
    let open_api = settings.open_api.as_ref().ok_or(OpenApiError::NotConfigured)?;
    let _seat = context.orders.seat()?;
    Ok(open_api.order_and_keep(&context.store, order_id, Patience::Until(Instant::now() + PATIENCE))?)
}
