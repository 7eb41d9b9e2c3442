//! Rows of `operator_action`: what was done on the status page.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};

/// A recorded action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorAction {
    /// Row id.
    pub row: i64,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub peer: String,
    /// What: retry, ready, import, export, reveal …
    pub action: String,
    /// To what.
    pub subject: String,
    /// What else there is to say; no secret, no personal data.
    pub detail: Option<String>,
}

impl Tx<'_> {
    /// Records an action; returns its number.
    pub fn add_operator_action(
        &self,
        peer: &str,
        action: &str,
        subject: &str,
        detail: Option<&str>,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        self.insert(
            "record the action",
            "INSERT INTO operator_action (at, peer, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            (millis(now), peer, action, subject, detail),
        )
    }

    /// Actions, newest first; with `before` only those with a smaller number.
    pub fn operator_actions(&self, before: Option<i64>, limit: i64) -> Result<Vec<OperatorAction>, StoreError> {
        let sql = "SELECT id, at, peer, action, subject, detail FROM operator_action WHERE id < ?1 \
                   ORDER BY id DESC LIMIT ?2";
        self.all("list actions", sql, (before.unwrap_or(i64::MAX), limit), |row| {
            Ok(OperatorAction {
                row: row.get(0)?,
                at: instant(row.get(1)?)?,
                peer: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
                detail: row.get(5)?,
            })
        })
    }

    /// Removes actions before `before`, at most `limit`; returns how many.
    pub fn purge_operator_actions(&self, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "purge actions",
            "DELETE FROM operator_action WHERE id IN (SELECT id FROM operator_action WHERE at < ?1 LIMIT ?2)",
            (millis(before), limit),
        )
    }
}
