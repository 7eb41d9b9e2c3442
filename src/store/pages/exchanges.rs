//! The journal, searched.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LOOKED_THROUGH, Piece};
use crate::operation::Environment;
use crate::secret::Secret;
use crate::store::{StoreError, Tx, instant, millis};

/// Which calls are looked for; everything `None` finds all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExchangeSearch {
    /// Of this order.
    pub order_id: Option<String>,
    /// About this instance: of operations on it, or naming it.
    pub instance_id: Option<String>,
    /// How they were answered.
    pub outcome: Option<Outcome>,
    /// Of this family.
    pub family: Option<String>,
    /// Of this activity.
    pub activity: Option<String>,
    /// Real or test.
    pub environment: Option<Environment>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// How a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With any code but success and processing.
    Failed,
    /// Not yet, or never: koogate stopped before.
    Unanswered,
    /// With this code.
    Code(String),
}

/// A row of the journal in a list, without what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeLine {
    /// Number in the journal.
    pub id: i64,
    /// When the request was complete.
    pub received_at: Timestamp,
    /// Microseconds until the answer was ready.
    pub duration_us: Option<i64>,
    /// `real` or `test`.
    pub environment: String,
    /// The family's name.
    pub family: String,
    /// The activity; `None`: none that is known.
    pub activity: Option<String>,
    /// `orderId`.
    pub order_id: Option<String>,
    /// `instanceId`.
    pub instance_id: Option<String>,
    /// `resultCode`; `None`: koogate stopped before it answered.
    pub result_code: Option<String>,
    /// Answered from the record.
    pub replayed: bool,
    /// It differs from the first request of its operation.
    pub differs: bool,
}

/// The place of a call in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangePlace {
    /// When it was received, Unix milliseconds.
    pub at: i64,
    /// Its number.
    pub id: i64,
}

const FIRST: ExchangePlace = ExchangePlace { at: i64::MAX, id: i64::MAX };

/// What a search goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    Order,
    Instance,
    /// In the order of time, which is not that of the numbers where the clock was set.
    Time,
    TestTime,
    Number,
}

impl ExchangeSearch {
    fn driver(&self) -> Driver {
        if self.order_id.is_some() {
            Driver::Order
        } else if self.instance_id.is_some() {
            Driver::Instance
        } else if self.environment == Some(Environment::Test) {
            Driver::TestTime
        } else if self.since.is_some() || self.until.is_some() {
            Driver::Time
        } else {
            Driver::Number
        }
    }
}

impl Driver {
    /// Where the candidates are, after the place `?2, ?3`. `?1` is the order or the instance; what belongs to it is
    /// gathered as far as the number `?5`. Of times, `?6` and `?7` are the only bounds that the index is given: of two SQLite
    /// would take one, and walk to the other.
    fn candidates(self) -> &'static str {
        match self {
            Self::Order => {
                concat!("exchange WHERE exchange.id IN ", of_order!("?5", "?3"))
            }
            Self::Instance => {
                concat!("exchange WHERE exchange.id IN ", of_instance!("?5", "?3"))
            }
            Self::Time => {
                "exchange INDEXED BY exchange_by_time WHERE received_at >= ?6 AND received_at <= ?7 \
                 AND (+received_at, exchange.id) < (?2, ?3)"
            }
            Self::TestTime => {
                "exchange INDEXED BY exchange_of_tests WHERE environment = 'test' AND received_at >= ?6 \
                 AND received_at <= ?7 AND (+received_at, exchange.id) < (?2, ?3)"
            }
            Self::Number => "exchange NOT INDEXED WHERE exchange.id < ?3",
        }
    }

    fn is_by_time(self) -> bool {
        matches!(self, Self::Time | Self::TestTime)
    }

    fn order(self) -> &'static str {
        if self.is_by_time() { "received_at DESC, exchange.id DESC" } else { "exchange.id DESC" }
    }
}

impl Tx<'_> {
    /// Calls that a search finds, newest first, at most `limit`, after a place.
    pub fn search_exchanges(
        &self,
        search: &ExchangeSearch,
        after: Option<ExchangePlace>,
        limit: i64,
    ) -> Result<Piece<ExchangeLine, ExchangePlace>, StoreError> {
        let (driver, after) = (search.driver(), after.unwrap_or(FIRST));
        let seen = self.last_candidate(search, driver, after)?;
        let until = seen.unwrap_or(ExchangePlace { at: i64::MIN, id: 0 });
        let within = if driver.is_by_time() {
            "(+received_at, exchange.id) >= (?4, ?5)"
        } else {
            "exchange.id >= ?5 AND +received_at >= ?6 AND +received_at <= ?7"
        };
        let (failed, unanswered, code) = match &search.outcome {
            None => (false, false, None),
            Some(Outcome::Failed) => (true, false, None),
            Some(Outcome::Unanswered) => (false, true, None),
            Some(Outcome::Code(code)) => (false, false, Some(code)),
        };
        // The instance of an order's call stands in the row.
        let instance = search.instance_id.as_ref().filter(|_| driver == Driver::Order);
        let sql = format!(
            "SELECT exchange.id, received_at, duration_us, environment, family, activity, order_id, \
             exchange.instance_id, result_code, replayed, difference IS NOT NULL FROM {} AND {within} \
             AND (NOT ?8 OR result_code NOT IN ('000000', '000004')) AND (NOT ?9 OR result_code IS NULL) \
             AND (?10 IS NULL OR result_code = ?10) AND (?11 IS NULL OR family = ?11) \
             AND (?12 IS NULL OR activity = ?12) AND (?13 IS NULL OR +environment = ?13) \
             AND (?14 IS NULL OR +exchange.instance_id = ?14) ORDER BY {} LIMIT ?15",
            driver.candidates(),
            driver.order()
        );
        let (since, before) = time_range(search, driver, after);
        let since = if driver.is_by_time() { since.max(until.at) } else { since };
        let values = rusqlite::params![
            driven_by(search, driver),
            after.at,
            after.id,
            until.at,
            until.id,
            since,
            before,
            failed,
            unanswered,
            code,
            search.family,
            search.activity,
            search.environment.map(Environment::as_str),
            instance,
            limit.saturating_add(1),
        ];
        let rows = self.all("search the journal", &sql, values, read_line)?;
        Ok(Piece::of(rows, limit, |row| ExchangePlace { at: millis(row.received_at), id: row.id }, seen))
    }

    /// The last row that is looked at for one piece; `None`: all that there are.
    fn last_candidate(
        &self,
        search: &ExchangeSearch,
        driver: Driver,
        after: ExchangePlace,
    ) -> Result<Option<ExchangePlace>, StoreError> {
        if driver == Driver::Number {
            // Stepping over the rows themselves would read them. Their numbers have few gaps, but for those that a restore says.
            let newest = "SELECT id FROM exchange WHERE id < ?1 ORDER BY id DESC LIMIT 1";
            let newest = self.first("look for a call", newest, [after.id], |row| row.get::<_, i64>(0))?;
            let Some(newest) = newest else { return Ok(None) };
            let gaps =
                "SELECT last_exchange, skipped FROM restore WHERE last_exchange < ?1 ORDER BY last_exchange DESC";
            let gaps =
                self.all("list restores", gaps, [newest], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            let mut last = newest - LOOKED_THROUGH + 1;
            for (before, skipped) in gaps {
                if before.saturating_add(skipped) >= last {
                    last = last.saturating_sub(skipped);
                }
            }
            let older =
                self.first("look for a call", "SELECT 1 FROM exchange WHERE id < ?1 LIMIT 1", [last], |_| Ok(()))?;
            return Ok(older.map(|()| ExchangePlace { at: i64::MIN, id: last }));
        }
        let place = if driver.is_by_time() { "received_at" } else { "0" };
        let sql = format!(
            "SELECT {place}, exchange.id FROM {} ORDER BY {} LIMIT 1 OFFSET ?8",
            driver.candidates(),
            driver.order()
        );
        let (since, before) = time_range(search, driver, after);
        let nothing = None::<i64>;
        let values = rusqlite::params![
            driven_by(search, driver),
            after.at,
            after.id,
            nothing,
            i64::MIN,
            since,
            before,
            LOOKED_THROUGH - 1
        ];
        self.first("look how far to search the journal", &sql, values, |row| {
            Ok(ExchangePlace { at: row.get(0)?, id: row.get(1)? })
        })
    }

    /// The calls of an operation, newest first, at most `limit`, before the number `before`.
    pub fn exchanges_of_operation(
        &self,
        operation: i64,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Piece<ExchangeLine, i64>, StoreError> {
        let sql = concat!(
            "SELECT id, received_at, duration_us, environment, family, activity, order_id, instance_id, result_code, \
             replayed, difference IS NOT NULL FROM exchange WHERE id IN ",
            of_operation!("0", "?2"),
            " ORDER BY id DESC LIMIT ?3"
        );
        let values = (operation, before.unwrap_or(i64::MAX), limit.saturating_add(1));
        let rows = self.all("list the operation's calls", sql, values, read_line)?;
        Ok(Piece::of(rows, limit, |row| row.id, None))
    }

    /// The body of a call that is kept sealed, because it holds personal data; `None`: there is none, or it is not sealed.
    pub fn sealed_request(&self, id: i64) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        let sql = "SELECT received_at, access_key, request_body FROM exchange WHERE id = ?1 AND request_sealed = 1 \
                   AND request_body IS NOT NULL";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?));
        let Some((at, access_key, sealed)) = self.first("read the sealed request", sql, [id], read)? else {
            return Ok(None);
        };
        let context = crate::store::exchange::sealed_request_in(at, &access_key);
        Ok(Some(self.sealing.open(&context, &sealed)?))
    }
}

/// What the driver looks up.
fn driven_by(search: &ExchangeSearch, driver: Driver) -> Option<&String> {
    match driver {
        Driver::Order => search.order_id.as_ref(),
        Driver::Instance => search.instance_id.as_ref(),
        Driver::Time | Driver::TestTime | Driver::Number => None,
    }
}

/// The first and the last millisecond of what is looked for.
fn time_range(search: &ExchangeSearch, driver: Driver, after: ExchangePlace) -> (i64, i64) {
    let last = search.until.map_or(i64::MAX, |until| millis(until).saturating_sub(1));
    let last = if driver.is_by_time() { last.min(after.at) } else { last };
    (search.since.map_or(i64::MIN, millis), last)
}

fn read_line(row: &rusqlite::Row<'_>) -> rusqlite::Result<ExchangeLine> {
    Ok(ExchangeLine {
        id: row.get(0)?,
        received_at: instant(row.get(1)?)?,
        duration_us: row.get(2)?,
        environment: row.get(3)?,
        family: row.get(4)?,
        activity: row.get(5)?,
        order_id: row.get(6)?,
        instance_id: row.get(7)?,
        result_code: row.get(8)?,
        replayed: row.get(9)?,
        differs: row.get(10)?,
    })
}
