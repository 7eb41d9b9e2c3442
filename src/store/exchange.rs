//! The journal: rows of `exchange` and `answer`.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};
use crate::operation::Environment;

/// An authenticated call as it is recorded.
#[derive(Debug, Clone)]
pub struct NewExchange {
    /// When the request was complete.
    pub received_at: Timestamp,
    /// Real or test.
    pub environment: Environment,
    /// The family's name.
    pub family: &'static str,
    /// The activity, if it is a known one.
    pub activity: Option<&'static str>,
    /// Who sent it.
    pub peer: String,
    /// Label of the key that verified it.
    pub access_key: String,
    /// Method and target as received.
    pub request_line: String,
    /// Body as received.
    pub request_body: Vec<u8>,
    /// The body holds personal data and is kept sealed.
    pub request_sealed: bool,
    /// The order it names.
    pub order_id: Option<String>,
    /// The instance it names.
    pub instance_id: Option<String>,
}

/// How a recorded call was answered.
#[derive(Debug, Clone)]
pub struct Answered<'a> {
    /// The operation it belongs to.
    pub operation: Option<i64>,
    /// The instance it turned out to be about.
    pub instance_id: Option<&'a str>,
    /// The code.
    pub result_code: &'a str,
    /// The body for the journal; `None` where the operation's answer tells it.
    pub answer: Option<&'a [u8]>,
    /// It was answered from the record of an earlier call.
    pub replayed: bool,
    /// How it differs from the first request of its operation.
    pub difference: Option<String>,
    /// Microseconds since it was received.
    pub duration_us: i64,
}

/// The bytes of a final answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerBytes {
    /// The body.
    pub body: Vec<u8>,
    /// The value of `Body-Sign`; empty where the family signs no replies.
    pub body_sign: String,
}

/// A row of the journal.
#[derive(Debug, Clone)]
pub struct ExchangeRow {
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
    /// The activity.
    pub activity: Option<String>,
    /// Who sent it.
    pub peer: String,
    /// Label of the key that verified it.
    pub access_key: String,
    /// Method and target.
    pub request_line: String,
    /// Body as received; empty where it is sealed.
    pub request_body: Vec<u8>,
    /// The body holds personal data and is kept sealed.
    pub request_sealed: bool,
    /// `orderId`.
    pub order_id: Option<String>,
    /// `instanceId`.
    pub instance_id: Option<String>,
    /// Row of its operation.
    pub operation: Option<i64>,
    /// `resultCode`; `None`: koogate stopped before it answered.
    pub result_code: Option<String>,
    /// The body as sent, passwords blanked.
    pub answer: Option<Vec<u8>>,
    /// Answered from the record.
    pub replayed: bool,
    /// How it differs from the first request, JSON.
    pub difference: Option<String>,
    /// The operation's identity.
    pub identity: Option<String>,
    /// The first call of the operation.
    pub first_exchange: Option<i64>,
}

impl Tx<'_> {
    /// The number that the next call recorded in this transaction will get, for rows that refer to it before.
    pub fn next_exchange(&self) -> Result<i64, StoreError> {
        let last =
            self.first("number the exchange", "SELECT seq FROM sqlite_sequence WHERE name = 'exchange'", [], |row| {
                row.get::<_, i64>(0)
            })?;
        // AUTOINCREMENT gives numbers without gaps but for those that a restore skips; `koogate verify` relies on it, too.
        Ok(last.unwrap_or(0) + 1)
    }

    /// When the last call came in; `None` when the journal is empty.
    pub fn newest_exchange_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT received_at FROM exchange ORDER BY id DESC LIMIT 1";
        self.first("look when the last call came", sql, [], |row| instant(row.get(0)?))
    }

    /// Records a call, not answered yet; returns its number.
    pub fn insert_exchange(&self, new: &NewExchange) -> Result<i64, StoreError> {
        self.insert(
            "record the exchange",
            "INSERT INTO exchange (received_at, environment, family, activity, peer, access_key, request_line, \
             request_body, order_id, instance_id, request_sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            (
                millis(new.received_at),
                new.environment.as_str(),
                new.family,
                new.activity,
                &new.peer,
                &new.access_key,
                &new.request_line,
                self.kept_body(new)?,
                &new.order_id,
                &new.instance_id,
                new.request_sealed,
            ),
        )
    }

    /// Records a call together with its answer; returns its number. Where it names the order that its operation names, it
    /// is found through that and stands in no index of orders.
    pub fn insert_answered_exchange(&self, new: &NewExchange, answered: &Answered<'_>) -> Result<i64, StoreError> {
        let instance_id = answered.instance_id.or(new.instance_id.as_deref());
        self.insert(
            "record the exchange",
            "INSERT INTO exchange (received_at, environment, family, activity, peer, access_key, request_line, \
             request_body, order_id, instance_id, duration_us, operation, result_code, answer, replayed, difference, \
             request_sealed, through_operation) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
             coalesce(?9 = (SELECT order_id FROM operation WHERE id = ?12), 0))",
            rusqlite::params![
                millis(new.received_at),
                new.environment.as_str(),
                new.family,
                new.activity,
                new.peer,
                new.access_key,
                new.request_line,
                self.kept_body(new)?,
                new.order_id,
                instance_id,
                answered.duration_us,
                answered.operation,
                answered.result_code,
                answered.answer,
                answered.replayed,
                answered.difference,
                new.request_sealed,
            ],
        )
    }

    /// The body of a request as it is stored.
    fn kept_body<'n>(&self, new: &'n NewExchange) -> Result<Option<Cow<'n, [u8]>>, StoreError> {
        Ok(match (new.request_body.is_empty(), new.request_sealed) {
            (true, _) => None,
            (false, false) => Some(Cow::Borrowed(new.request_body.as_slice())),
            // The row has no number yet; its time and its key are what it is known by.
            (false, true) => {
                let context = sealed_request_in(millis(new.received_at), &new.access_key);
                Some(Cow::Owned(self.sealing.seal(&context, &new.request_body)?))
            }
        })
    }

    /// Completes a recorded call with its answer. It stands in the index of orders since it was recorded, and stays there:
    /// to take it out would write the index a second time.
    pub fn answer_exchange(&self, exchange: i64, answered: &Answered<'_>) -> Result<(), StoreError> {
        self.execute(
            "record the answer",
            "UPDATE exchange SET duration_us = ?2, operation = ?3, result_code = ?4, answer = ?5, replayed = ?6, \
             difference = ?7, instance_id = coalesce(?8, instance_id) WHERE id = ?1",
            rusqlite::params![
                exchange,
                answered.duration_us,
                answered.operation,
                answered.result_code,
                answered.answer,
                answered.replayed,
                answered.difference,
                answered.instance_id,
            ],
        )
        .map(drop)
    }

    /// Fixes the final answer of an operation for a key. `shown` is the body for people, where secrets in the one that is
    /// sent had to be blanked; that one is sealed then.
    pub fn insert_answer(
        &self,
        operation: i64,
        access_key: &str,
        answer: &AnswerBytes,
        shown: Option<&[u8]>,
        exchange: i64,
    ) -> Result<(), StoreError> {
        let sealed = match shown {
            Some(_) => Some(self.sealing.seal(&sealed_answer(operation, access_key), &answer.body)?),
            None => None,
        };
        self.execute(
            "record the final answer",
            "INSERT INTO answer (operation, access_key, body, shown, body_sign, exchange) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (operation, access_key, sealed.as_ref().unwrap_or(&answer.body), shown, &answer.body_sign, exchange),
        )
        .map(drop)
    }

    /// The body of a final answer as it is stored.
    pub(super) fn open_answer(&self, operation: i64, access_key: &str, body: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Ok(self.sealing.open(&sealed_answer(operation, access_key), &body)?.expose().clone())
    }

    /// Line and body of a recorded request; `None` once it is purged.
    pub fn request_of(&self, exchange: i64) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        self.first(
            "read the first request",
            "SELECT request_line, coalesce(request_body, x'') FROM exchange WHERE id = ?1",
            [exchange],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// One row of the journal.
    pub fn exchange(&self, id: i64) -> Result<Option<ExchangeRow>, StoreError> {
        let (columns, joins) = SELECT;
        let sql = format!("SELECT {columns} FROM exchange {joins} WHERE exchange.id = ?1");
        self.first("read the exchange", &sql, [id], read_row)
    }

    /// Removes journal rows received before `real` (and test rows before `test`), at most `limit`; returns how many.
    /// Operations, answers, instances and their history stay: a call after years still does nothing twice.
    pub fn purge_exchanges(&self, real: Timestamp, test: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let mut removed = self.execute(
            "purge the journal",
            "DELETE FROM exchange WHERE id IN (SELECT id FROM exchange WHERE received_at < ?1 LIMIT ?2)",
            (millis(real), limit),
        )?;
        let left = limit.saturating_sub(count(removed));
        removed += self.execute(
            "purge the journal",
            "DELETE FROM exchange WHERE id IN (SELECT id FROM exchange WHERE environment = 'test' AND received_at < ?1 \
             LIMIT ?2)",
            (millis(test), left),
        )?;
        if removed > 0 {
            self.execute(
                "purge the journal",
                "UPDATE meta SET exchanges_purged = exchanges_purged + ?1",
                [count(removed)],
            )?;
        }
        Ok(removed)
    }
}

/// A sealed answer belongs to its operation and access key and opens nowhere else.
fn sealed_answer(operation: i64, access_key: &str) -> String {
    format!("answer.body:{operation}:{access_key}")
}

/// A sealed request belongs to its time (Unix milliseconds) and access key and opens nowhere else.
pub(super) fn sealed_request_in(received_at: i64, access_key: &str) -> String {
    format!("exchange.request_body:{received_at}:{access_key}")
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The columns that [`read_row`] reads, and the tables besides the journal that they come from.
pub(super) const SELECT: (&str, &str) = (
    "exchange.id, received_at, duration_us, environment, family, activity, peer, exchange.access_key, request_line, \
     CASE request_sealed WHEN 0 THEN coalesce(request_body, x'') ELSE x'' END, exchange.order_id, exchange.instance_id, \
     exchange.operation, exchange.result_code, coalesce(exchange.answer, answer.shown, answer.body), replayed, difference, \
     operation.identity, operation.first_exchange, request_sealed",
    "LEFT JOIN operation ON operation.id = exchange.operation \
     LEFT JOIN answer ON answer.operation = exchange.operation AND answer.access_key = exchange.access_key",
);

pub(super) fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ExchangeRow> {
    Ok(ExchangeRow {
        id: row.get(0)?,
        received_at: instant(row.get(1)?)?,
        duration_us: row.get(2)?,
        environment: row.get(3)?,
        family: row.get(4)?,
        activity: row.get(5)?,
        peer: row.get(6)?,
        access_key: row.get(7)?,
        request_line: row.get(8)?,
        request_body: row.get(9)?,
        order_id: row.get(10)?,
        instance_id: row.get(11)?,
        operation: row.get(12)?,
        result_code: row.get(13)?,
        answer: row.get(14)?,
        replayed: row.get(15)?,
        difference: row.get(16)?,
        identity: row.get(17)?,
        first_exchange: row.get(18)?,
        request_sealed: row.get(19)?,
    })
}
