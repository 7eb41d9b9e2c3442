//! How full a stock is.

use serde_json::{Value, json};

use crate::store::StockCount;

/// In a listing.
pub fn listed(stock: &StockCount) -> Value {
    json!({ "stock": stock.stock, "unused": stock.unused, "taken": stock.taken })
}
