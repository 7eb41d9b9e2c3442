//! Rows of `order_info`: orders as KooGallery told them.

use jiff::Timestamp;
use serde_json::Value;

use super::{StoreError, Tx, instant, millis};
use crate::protocol::open_api::order::Order;

/// An order that was told, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// `orderId`.
    pub order_id: String,
    /// `orderType`.
    pub order_type: Option<String>,
    /// `createTime`: when it was placed.
    pub create_time: Option<Timestamp>,
    /// When KooGallery told it.
    pub fetched_at: Timestamp,
}

impl Tx<'_> {
    /// Keeps an order as KooGallery has told it now, in place of what it told before. `info` is its `orderInfo`, which
    /// holds personal data. An announcement whose job was given up is settled by it.
    pub fn put_order(&self, order: &Order, info: &Value, fetched_at: Timestamp) -> Result<(), StoreError> {
        let sealed = self.sealing.seal(&sealed_in(&order.order_id), info.to_string().as_bytes())?;
        self.execute(
            "keep the order",
            "INSERT INTO order_info (order_id, info_sealed, order_type, create_time, fetched_at) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (order_id) DO UPDATE SET info_sealed = excluded.info_sealed, \
             order_type = excluded.order_type, create_time = excluded.create_time, fetched_at = excluded.fetched_at",
            (&order.order_id, sealed, &order.order_type, order.create_time.map(millis), millis(fetched_at)),
        )?;
        self.remove_dead_order_query(&order.order_id)
    }

    /// An order that is kept: when it was told, and its `orderInfo`.
    pub fn order(&self, order_id: &str) -> Result<Option<(OrderRow, Value)>, StoreError> {
        let sql = format!("{SELECT}, info_sealed FROM order_info WHERE order_id = ?1");
        let found =
            self.first("look up the order", &sql, [order_id], |row| Ok((read_row(row)?, row.get::<_, Vec<u8>>(4)?)))?;
        let Some((row, sealed)) = found else { return Ok(None) };
        let plain = self.sealing.open(&sealed_in(order_id), &sealed)?;
        let info = serde_json::from_slice(plain.expose()).map_err(|error| StoreError::BadRow {
            table: "order_info",
            problem: format!("order {order_id:?}: {error}"),
        })?;
        Ok(Some((row, info)))
    }

    /// Removes orders that were told before an instant, at most `limit`; returns how many. One that is needed again is asked
    /// for again.
    pub fn purge_orders(&self, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let sql = "DELETE FROM order_info WHERE order_id IN (SELECT order_id FROM order_info WHERE fetched_at < ?1 \
                   ORDER BY fetched_at LIMIT ?2)";
        self.execute("purge orders", sql, (millis(before), limit))
    }

    /// The orders that are kept, those told last first, at most `limit`, after the place `before` ([`OrderRow::place`]).
    pub fn orders(&self, before: Option<&(i64, String)>, limit: i64) -> Result<Vec<OrderRow>, StoreError> {
        let (fetched_at, order_id) = before.map_or((i64::MAX, ""), |(at, id)| (*at, id.as_str()));
        let sql = format!(
            "{SELECT} FROM order_info WHERE (fetched_at, order_id) < (?1, ?2) \
             ORDER BY fetched_at DESC, order_id DESC LIMIT ?3"
        );
        self.all("list orders", &sql, (fetched_at, order_id, limit), read_row)
    }
}

impl OrderRow {
    /// Its place in a listing.
    pub fn place(&self) -> (i64, String) {
        (millis(self.fetched_at), self.order_id.clone())
    }
}

const SELECT: &str = "SELECT order_id, order_type, create_time, fetched_at";

/// A sealed order opens nowhere else.
fn sealed_in(order_id: &str) -> String {
    format!("order_info.info:{order_id}")
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<OrderRow> {
    Ok(OrderRow {
        order_id: row.get(0)?,
        order_type: row.get(1)?,
        create_time: row.get::<_, Option<i64>>(2)?.map(instant).transpose()?,
        fetched_at: instant(row.get(3)?)?,
    })
}
