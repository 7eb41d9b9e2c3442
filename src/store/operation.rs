//! Rows of `operation`: what a call means and how far it is.

use jiff::Timestamp;

use super::{AnswerBytes, StoreError, Tx, millis};
use crate::operation::{Identity, State};
use crate::protocol::result_code::ResultCode;

/// An operation that begins.
#[derive(Debug, Clone)]
pub struct NewOperation<'a> {
    /// What makes two calls the same.
    pub identity: &'a Identity,
    /// What the merchant's application sees.
    pub operation_id: String,
    /// Row of the instance it works on.
    pub instance: i64,
    /// Open, or done where it has been done in the same transaction.
    pub state: State,
    /// Digest of the first request.
    pub content_digest: [u8; 16],
    /// Its first call; 0: not known.
    pub first_exchange: i64,
    /// The order that this call names: what repeats it is found through the operation.
    pub order_id: Option<&'a str>,
}

/// A recorded operation.
#[derive(Debug, Clone)]
pub struct OperationRow {
    /// Row id.
    pub row: i64,
    /// What the merchant's application sees.
    pub operation_id: String,
    /// Row of the instance.
    pub instance: i64,
    /// The instance's id on the wire.
    pub instance_id: String,
    /// How far it is.
    pub state: State,
    /// Of a done or failed one.
    pub result_code: Option<ResultCode>,
    /// Of a done or failed one.
    pub result_message: Option<String>,
    /// Digest of the first request.
    pub content_digest: Vec<u8>,
    /// Its first call.
    pub first_exchange: i64,
    /// Its final answer for the key that asks, as every retry gets it.
    pub answer: Option<AnswerBytes>,
}

impl OperationRow {
    /// Its first call; `None`: the purchase was taken over from the application, and this database has heard of no call.
    pub fn known_first_exchange(&self) -> Option<i64> {
        (self.first_exchange > 0).then_some(self.first_exchange)
    }
}

/// Everything of an operation, with its answer for the access key `?2`.
macro_rules! select {
    () => {
        "SELECT operation.id, operation_id, instance, state, result_code, result_message, content_digest, \
         first_exchange, instance.instance_id, answer.body, answer.body_sign, answer.shown IS NOT NULL \
         FROM operation JOIN instance ON instance.id = operation.instance \
         LEFT JOIN answer ON answer.operation = operation.id AND answer.access_key = ?2"
    };
}

impl Tx<'_> {
    /// The operation of an identity, with its final answer for an access key: all that a repeat needs.
    pub fn operation_of(&self, identity: &Identity, access_key: &str) -> Result<Option<OperationRow>, StoreError> {
        self.answered(concat!(select!(), " WHERE identity = ?1"), identity.as_str(), access_key)
    }

    /// The same of an operation by its row.
    pub fn operation_by_row(&self, row: i64, access_key: &str) -> Result<Option<OperationRow>, StoreError> {
        self.answered(concat!(select!(), " WHERE operation.id = ?1"), row, access_key)
    }

    fn answered(
        &self,
        sql: &str,
        which: impl rusqlite::ToSql,
        access_key: &str,
    ) -> Result<Option<OperationRow>, StoreError> {
        let found = self.first("look up the operation", sql, (which, access_key), |row| {
            Ok((read_row(row)?, row.get::<_, Option<bool>>(11)?.unwrap_or(false)))
        })?;
        let Some((mut operation, is_sealed)) = found else { return Ok(None) };
        if let Some(answer) = operation.answer.as_mut().filter(|_| is_sealed) {
            answer.body = self.open_answer(operation.row, access_key, std::mem::take(&mut answer.body))?;
        }
        Ok(Some(operation))
    }

    /// An operation by its row; without an answer, which belongs to a key.
    pub fn operation(&self, row: i64) -> Result<Option<OperationRow>, StoreError> {
        self.first("look up the operation", concat!(select!(), " WHERE operation.id = ?1"), (row, ""), read_row)
    }

    /// An unfinished operation on an instance, other than `except`.
    pub fn open_operation_on(&self, instance: i64, except: Option<i64>) -> Result<Option<i64>, StoreError> {
        self.first(
            "look for unfinished operations",
            "SELECT id FROM operation WHERE instance = ?1 AND state = 'open' AND id IS NOT ?2 LIMIT 1",
            (instance, except),
            |row| row.get(0),
        )
    }

    /// Records an operation that begins, or that was begun and done in this transaction.
    pub fn insert_operation(&self, new: &NewOperation<'_>, now: Timestamp) -> Result<i64, StoreError> {
        let done = new.state == State::Done;
        self.insert(
            "record the operation",
            "INSERT INTO operation (identity, operation_id, instance, state, content_digest, first_exchange, created_at, \
             result_code, result_message, done_at, order_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            (
                new.identity.as_str(),
                &new.operation_id,
                new.instance,
                word(new.state),
                new.content_digest,
                new.first_exchange,
                millis(now),
                done.then_some(ResultCode::SUCCESS.as_str()),
                done.then_some("success"),
                done.then_some(millis(now)),
                new.order_id,
            ),
        )
    }

    /// Ends the creation of an instance with success, a failed one too; returns the operations that ended.
    pub fn finish_creations(&self, instance: i64, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        self.all(
            "finish the creation",
            "UPDATE operation SET state = 'done', result_code = '000000', result_message = 'success', done_at = ?2 \
             WHERE instance = ?1 AND state <> 'done' AND identity ->> '$[2]' = 'create' RETURNING id",
            (instance, millis(now)),
            |row| row.get(0),
        )
    }

    /// Puts an operation into a state, with its result where it has one. What is
    /// done stays done.
    pub fn set_operation(
        &self,
        row: i64,
        state: State,
        result: Option<(ResultCode, &str)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "record the operation's end",
            "UPDATE operation SET state = ?2, result_code = ?3, result_message = ?4, done_at = ?5 \
             WHERE id = ?1 AND state <> 'done'",
            (
                row,
                word(state),
                result.as_ref().map(|(code, _)| code.as_str()),
                result.map(|(_, message)| message),
                (state == State::Done).then_some(millis(now)),
            ),
        )
        .map(drop)
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Done => "done",
        State::Failed => "failed",
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<OperationRow> {
    let state = match row.get_ref(3)?.as_str()? {
        "done" => State::Done,
        "failed" => State::Failed,
        // The schema's check leaves only this one.
        _ => State::Open,
    };
    Ok(OperationRow {
        row: row.get(0)?,
        operation_id: row.get(1)?,
        instance: row.get(2)?,
        state,
        result_code: row.get_ref(4)?.as_str_or_null()?.and_then(ResultCode::parse),
        result_message: row.get(5)?,
        content_digest: row.get(6)?,
        first_exchange: row.get(7)?,
        instance_id: row.get(8)?,
        answer: match row.get(9)? {
            Some(body) => Some(AnswerBytes { body, body_sign: row.get(10)? }),
            None => None,
        },
    })
}
