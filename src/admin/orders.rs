//! `/api/v1/orders`: what KooGallery tells of orders.

use std::time::{Duration, Instant};

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
    let (row, info) = match (kept, &call.context.dispatcher.settings().open_api) {
        (Some(kept), _) => kept,
        (None, Some(open_api)) => {
            open_api.order_and_keep(store, order_id, Patience::Until(Instant::now() + PATIENCE))?
        }
        (None, None) => return Err(OpenApiError::NotConfigured.into()),
    };
    Ok(reply::ok(&view::order::shown(&row, info, personal)))
}
