//! Rows of `operation`: what a call means and how far it is.

use jiff::Timestamp;

use super::{StoreError, Tx, millis};
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
    /// Digest of the first request.
    pub content_digest: [u8; 16],
    /// Its first call.
    pub first_exchange: i64,
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
}

impl Tx<'_> {
    /// The operation of an identity.
    pub fn operation_of(&self, identity: &Identity) -> Result<Option<OperationRow>, StoreError> {
        self.first(
            "look up the operation",
            "SELECT id, operation_id, instance, state, result_code, result_message, content_digest, first_exchange \
             FROM operation WHERE identity = ?1",
            [identity.as_str()],
            read_row,
        )
    }

    /// An operation by its row.
    pub fn operation(&self, row: i64) -> Result<Option<OperationRow>, StoreError> {
        self.first(
            "look up the operation",
            "SELECT id, operation_id, instance, state, result_code, result_message, content_digest, first_exchange \
             FROM operation WHERE id = ?1",
            [row],
            read_row,
        )
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

    /// Begins an operation.
    pub fn insert_operation(&self, new: &NewOperation<'_>, now: Timestamp) -> Result<i64, StoreError> {
        self.insert(
            "record the operation",
            "INSERT INTO operation (identity, operation_id, instance, state, content_digest, first_exchange, created_at) \
             VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6)",
            (
                new.identity.as_str(),
                &new.operation_id,
                new.instance,
                new.content_digest,
                new.first_exchange,
                millis(now),
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

    /// Puts an operation into a state, with its result where it has one.
    pub fn set_operation(
        &self,
        row: i64,
        state: State,
        result: Option<(ResultCode, &str)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "record the operation's end",
            "UPDATE operation SET state = ?2, result_code = ?3, result_message = ?4, done_at = ?5 WHERE id = ?1",
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
    })
}
