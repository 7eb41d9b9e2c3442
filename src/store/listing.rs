//! The journal as commands list and export it, whole rows, newest first.
//!
//! A listing goes along the index that its filter narrows, or else along the numbers, and stops when it has enough: it
//! neither sorts nor reads what it does not show. Where the filter knows the order, the instance or a time, or wants what has
//! failed, that is all that is looked at.

use jiff::Timestamp;

use super::exchange::{ExchangeRow, SELECT, read_row};
use super::{StoreError, Tx, millis};
use crate::protocol::result_code::ResultCode;

/// Which rows a listing shows; everything `None` shows all.
#[derive(Debug, Clone, Default)]
pub struct ExchangeFilter {
    /// Of this order.
    pub order_id: Option<String>,
    /// About this instance.
    pub instance_id: Option<String>,
    /// Answered with this code; `failed` means any but success and processing.
    pub result: Option<String>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// `real` or `test`.
    pub environment: Option<&'static str>,
    /// Only rows that come after this one: when it was received, and its number.
    pub after: Option<(Timestamp, i64)>,
}

/// What a listing goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    Order,
    Instance,
    /// This and the next two in the order of time, which is not that of the numbers where the clock was set.
    Failed,
    Tests,
    Time,
    Numbers,
}

/// The result filter that stands for every code but success and processing.
const FAILED: &str = "failed";

/// Whether a result filter wants nothing but calls that failed.
fn wants_failed(result: &str) -> bool {
    [ResultCode::SUCCESS, ResultCode::PROCESSING].iter().all(|code| code.as_str() != result)
}

impl ExchangeFilter {
    fn along(&self) -> Along {
        if self.order_id.is_some() {
            Along::Order
        } else if self.instance_id.is_some() {
            Along::Instance
        } else if self.result.as_deref().is_some_and(wants_failed) {
            Along::Failed
        } else if self.environment == Some("test") {
            Along::Tests
        } else if self.since.is_some() || self.until.is_some() {
            Along::Time
        } else {
            Along::Numbers
        }
    }
}

impl Along {
    /// Which index, and the first conditions. `?1` is the order or the instance, `?3` and `?4` the first and the last
    /// millisecond, `?5` the number before which rows are read.
    fn rows(self) -> &'static str {
        match self {
            Self::Order => concat!("{joins} WHERE exchange.id IN ", of_order!("0", "?5")),
            Self::Instance => concat!("{joins} WHERE exchange.id IN ", of_instance!("0", "?5")),
            Self::Failed => {
                "INDEXED BY exchange_failed {joins} WHERE exchange.result_code NOT IN ('000000', '000004') \
                 AND received_at >= ?3 AND received_at <= ?4 AND (+received_at, exchange.id) < (?4, ?5)"
            }
            Self::Tests => {
                "INDEXED BY exchange_of_tests {joins} WHERE exchange.environment = 'test' AND received_at >= ?3 \
                 AND received_at <= ?4 AND (+received_at, exchange.id) < (?4, ?5)"
            }
            Self::Time => {
                "INDEXED BY exchange_by_time {joins} WHERE received_at >= ?3 AND received_at <= ?4 \
                 AND (+received_at, exchange.id) < (?4, ?5)"
            }
            Self::Numbers => "NOT INDEXED {joins} WHERE true",
        }
    }

    fn is_by_time(self) -> bool {
        matches!(self, Self::Failed | Self::Tests | Self::Time)
    }
}

impl Tx<'_> {
    /// Rows of the journal, newest first, at most `limit`.
    pub fn exchanges(&self, filter: &ExchangeFilter, limit: i64) -> Result<Vec<ExchangeRow>, StoreError> {
        let along = filter.along();
        let (columns, joins) = SELECT;
        let rows = along.rows().replace("{joins}", joins);
        // Of one index in another statement each: SQLite uses none for what may not be asked.
        let within = if along.is_by_time() {
            ""
        } else {
            " AND exchange.id < ?5 AND +exchange.received_at >= ?3 AND +exchange.received_at <= ?4"
        };
        let order = if along.is_by_time() { "received_at DESC, exchange.id DESC" } else { "exchange.id DESC" };
        let sql = format!(
            "SELECT {columns} FROM exchange {rows}{within} AND (?2 IS NULL OR +exchange.instance_id = ?2) \
             AND (NOT ?6 OR exchange.result_code NOT IN ('000000', '000004')) \
             AND (?7 IS NULL OR exchange.result_code = ?7) AND (?8 IS NULL OR +exchange.environment = ?8) \
             ORDER BY {order} LIMIT ?9"
        );
        let last = filter.until.map_or(i64::MAX, |until| millis(until).saturating_sub(1));
        let (last, before) = match filter.after {
            // What was received in the same millisecond comes after it, too, if its number is smaller.
            Some((at, id)) if along.is_by_time() => (last.min(millis(at)), id),
            Some((_, id)) => (last, id),
            None => (last, i64::MAX),
        };
        // Of two that a listing could go along, the other is a condition.
        let instance = filter.instance_id.as_ref().filter(|_| along == Along::Order);
        let is_failed = filter.result.as_deref() == Some(FAILED);
        let values = rusqlite::params![
            filter.order_id.as_ref().or(filter.instance_id.as_ref()),
            instance,
            filter.since.map_or(i64::MIN, millis),
            last,
            before,
            is_failed,
            filter.result.as_ref().filter(|_| !is_failed),
            filter.environment,
            limit,
        ];
        self.all("list exchanges", &sql, values, read_row)
    }
}
