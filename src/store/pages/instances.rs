//! Instances by what a person has in hand: part of an id, a status, an expiry date.

use serde::{Deserialize, Serialize};

use super::{LOOKED_THROUGH, Piece, after_all_with};
use crate::instance::Status;
use crate::kind::Kind;
use crate::operation::Environment;
use crate::store::instance::{SELECT, read_row};
use crate::store::{InstanceRow, StoreError, Tx, millis};

/// Which instances are looked for; everything `None` finds all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceSearch {
    /// Whose id, or whose order's id, begins like this.
    pub text: Option<String>,
    /// In this status.
    pub status: Option<Status>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Real or test.
    pub environment: Option<Environment>,
}

/// The place of an instance in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePlace {
    /// When it expires, Unix milliseconds; `None`: it does not. Counts only where a search goes by expiry.
    pub expires: Option<i64>,
    /// Its row.
    pub row: i64,
}

impl Tx<'_> {
    /// Instances that a search finds, at most `limit`, after a place: those in a status that is not final by their expiry,
    /// the next one first and those without one last; all others newest first.
    pub fn search_instances(
        &self,
        search: &InstanceSearch,
        after: Option<InstancePlace>,
        limit: i64,
    ) -> Result<Piece<InstanceRow, InstancePlace>, StoreError> {
        match (&search.text, search.status) {
            (Some(text), _) => self.instances_like(search, text, after, limit),
            (None, Some(status)) if status != Status::Released => {
                self.instances_by_expiry(search, status, after, limit)
            }
            (None, _) => self.newest_instances(search, after, limit),
        }
    }

    /// Which begin like a text. The last candidates are those that are oldest; more of the text finds them.
    fn instances_like(
        &self,
        search: &InstanceSearch,
        text: &str,
        after: Option<InstancePlace>,
        limit: i64,
    ) -> Result<Piece<InstanceRow, InstancePlace>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE id IN (SELECT id FROM (SELECT id FROM instance WHERE instance_id >= ?1 AND instance_id < ?2 \
             LIMIT ?8) UNION ALL SELECT id FROM (SELECT id FROM instance WHERE order_id >= ?1 AND order_id < ?2 LIMIT ?8)) \
             AND id < ?3 AND (?4 IS NULL OR status = ?4) AND (?5 IS NULL OR kind = ?5) \
             AND (?6 IS NULL OR environment = ?6) ORDER BY id DESC LIMIT ?7"
        );
        let values = (
            text,
            after_all_with(text),
            after.map_or(i64::MAX, |after| after.row),
            search.status.map(Status::as_str),
            search.kind.map(Kind::as_str),
            search.environment.map(Environment::as_str),
            limit.saturating_add(1),
            LOOKED_THROUGH,
        );
        let rows = self.all("search instances", &sql, values, read_row)?;
        Ok(Piece::of(rows, limit, place, None))
    }

    /// Whether more ids, or orders' ids, begin like this than are looked at: then the oldest of them may be missing.
    pub fn has_too_many_like(&self, text: &str) -> Result<bool, StoreError> {
        let values = (text, after_all_with(text), LOOKED_THROUGH);
        let by_id = "SELECT 1 FROM instance WHERE instance_id >= ?1 AND instance_id < ?2 LIMIT 1 OFFSET ?3";
        let by_order = "SELECT 1 FROM instance WHERE order_id >= ?1 AND order_id < ?2 LIMIT 1 OFFSET ?3";
        for sql in [by_id, by_order] {
            if self.first("look how many begin like this", sql, values.clone(), |_| Ok(()))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn newest_instances(
        &self,
        search: &InstanceSearch,
        after: Option<InstancePlace>,
        limit: i64,
    ) -> Result<Piece<InstanceRow, InstancePlace>, StoreError> {
        let before = after.map_or(i64::MAX, |after| after.row);
        let newest = "SELECT id FROM instance WHERE id < ?1 ORDER BY id DESC LIMIT 1";
        let newest = self.first("look for an instance", newest, [before], |row| row.get::<_, i64>(0))?;
        // Rows are never deleted, so numbers have no gaps.
        let last = newest.map_or(0, |newest| newest - LOOKED_THROUGH + 1);
        let sql = format!(
            "{SELECT} WHERE id < ?1 AND id >= ?2 AND (?3 IS NULL OR +status = ?3) AND (?4 IS NULL OR kind = ?4) \
             AND (?5 IS NULL OR environment = ?5) ORDER BY id DESC LIMIT ?6"
        );
        let values = (
            before,
            last,
            search.status.map(Status::as_str),
            search.kind.map(Kind::as_str),
            search.environment.map(Environment::as_str),
            limit.saturating_add(1),
        );
        let rows = self.all("search instances", &sql, values, read_row)?;
        let seen = (last > 1).then_some(InstancePlace { expires: None, row: last });
        Ok(Piece::of(rows, limit, place, seen))
    }

    fn instances_by_expiry(
        &self,
        search: &InstanceSearch,
        status: Status,
        after: Option<InstancePlace>,
        limit: i64,
    ) -> Result<Piece<InstanceRow, InstancePlace>, StoreError> {
        let after = after.unwrap_or(InstancePlace { expires: Some(i64::MIN), row: 0 });
        let Some(expires) = after.expires else {
            return self.instances_without_expiry(search, status, after.row, limit);
        };
        let candidates = "status = ?1 AND status <> 'released' AND expire_time >= ?2 AND (+expire_time, id) > (?2, ?3)";
        let last = format!(
            "SELECT expire_time, id FROM instance INDEXED BY instance_by_status WHERE {candidates} \
             ORDER BY expire_time, id LIMIT 1 OFFSET ?4"
        );
        let read = |row: &rusqlite::Row<'_>| Ok(InstancePlace { expires: row.get(0)?, row: row.get(1)? });
        let values = (status.as_str(), expires, after.row, LOOKED_THROUGH - 1);
        let seen = self.first("look how far to search instances", &last, values, read)?;
        let until = seen.unwrap_or(InstancePlace { expires: Some(i64::MAX), row: i64::MAX });
        let sql = format!(
            "{SELECT} INDEXED BY instance_by_status WHERE {candidates} AND expire_time <= ?4 AND (+expire_time, id) <= (?4, ?5) \
             AND (?6 IS NULL OR kind = ?6) AND (?7 IS NULL OR environment = ?7) ORDER BY expire_time, id LIMIT ?8"
        );
        let values = (
            status.as_str(),
            expires,
            after.row,
            until.expires,
            until.row,
            search.kind.map(Kind::as_str),
            search.environment.map(Environment::as_str),
            limit.saturating_add(1),
        );
        let mut rows = self.all("search instances", &sql, values, read_row)?;
        let found = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if seen.is_some() || found > limit {
            return Ok(Piece::of(rows, limit, place, seen));
        }
        let rest = self.instances_without_expiry(search, status, 0, limit - found)?;
        rows.extend(rest.rows);
        Ok(Piece { rows, next: rest.next })
    }

    fn instances_without_expiry(
        &self,
        search: &InstanceSearch,
        status: Status,
        after: i64,
        limit: i64,
    ) -> Result<Piece<InstanceRow, InstancePlace>, StoreError> {
        let candidates = "status = ?1 AND status <> 'released' AND expire_time IS NULL AND id > ?2";
        let last = format!(
            "SELECT id FROM instance INDEXED BY instance_by_status WHERE {candidates} ORDER BY id LIMIT 1 OFFSET ?3"
        );
        let values = (status.as_str(), after, LOOKED_THROUGH - 1);
        let seen = self.first("look how far to search instances", &last, values, |row| row.get::<_, i64>(0))?;
        let sql = format!(
            "{SELECT} INDEXED BY instance_by_status WHERE {candidates} AND id <= ?3 AND (?4 IS NULL OR kind = ?4) \
             AND (?5 IS NULL OR environment = ?5) ORDER BY id LIMIT ?6"
        );
        let values = (
            status.as_str(),
            after,
            seen.unwrap_or(i64::MAX),
            search.kind.map(Kind::as_str),
            search.environment.map(Environment::as_str),
            limit.saturating_add(1),
        );
        let rows = self.all("search instances", &sql, values, read_row)?;
        // A full page and not one row of these: the next one begins with them.
        let place = |row: &InstanceRow| InstancePlace { expires: None, row: row.row };
        let more = limit == 0 && !rows.is_empty();
        let mut piece = Piece::of(rows, limit, place, seen.map(|row| InstancePlace { expires: None, row }));
        if more {
            piece.next = super::Next::More(InstancePlace { expires: None, row: after });
        }
        Ok(piece)
    }

    /// The operations on an instance, newest first, at most `limit`.
    pub fn operations_on(&self, instance: i64, limit: i64) -> Result<Vec<OperationLine>, StoreError> {
        let sql = "SELECT id, identity, operation_id, state, result_code, first_exchange, created_at, done_at \
                   FROM operation WHERE instance = ?1 ORDER BY id DESC LIMIT ?2";
        self.all("list the instance's operations", sql, (instance, limit), read_operation)
    }

    /// One operation, as lists show it.
    pub fn operation_line(&self, row: i64) -> Result<Option<OperationLine>, StoreError> {
        let sql = "SELECT id, identity, operation_id, state, result_code, first_exchange, created_at, done_at \
                   FROM operation WHERE id = ?1";
        self.first("look up the operation", sql, [row], read_operation)
    }
}

/// An operation in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLine {
    /// Row id.
    pub row: i64,
    /// What makes two calls the same: a JSON array of environment, kind, verb and the identity's fields.
    pub identity: String,
    /// What the merchant's application sees.
    pub operation_id: String,
    /// `open`, `done` or `failed`.
    pub state: String,
    /// Of a done or failed one.
    pub result_code: Option<String>,
    /// Its first call; `None`: the purchase was taken over from the application.
    pub first_exchange: Option<i64>,
    /// When it began.
    pub created_at: jiff::Timestamp,
    /// When it was done.
    pub done_at: Option<jiff::Timestamp>,
}

fn read_operation(row: &rusqlite::Row<'_>) -> rusqlite::Result<OperationLine> {
    use crate::store::instant;
    Ok(OperationLine {
        row: row.get(0)?,
        identity: row.get(1)?,
        operation_id: row.get(2)?,
        state: row.get(3)?,
        result_code: row.get(4)?,
        first_exchange: Some(row.get(5)?).filter(|first: &i64| *first > 0),
        created_at: instant(row.get(6)?)?,
        done_at: row.get::<_, Option<i64>>(7)?.map(instant).transpose()?,
    })
}

fn place(row: &InstanceRow) -> InstancePlace {
    InstancePlace { expires: row.life.expire_time.map(millis), row: row.row }
}
