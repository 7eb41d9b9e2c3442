//! Rows of `license_heartbeat`: what KooGallery said last of authorisation codes.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};
use crate::protocol::open_api::license::CodeInfo;

/// What KooGallery said last of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRow {
    /// The code.
    pub code: String,
    /// What it said.
    pub said: Said,
    /// When.
    pub checked_at: Timestamp,
}

/// What KooGallery says of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// How it stands. Order and amount are no part of it.
    Info(CodeInfo),
    /// It does not know it, or not as this seller's, or not as active.
    Refused {
        /// KooGallery's code for it, without prefix.
        code: String,
        /// What it says besides.
        message: String,
    },
}

impl Tx<'_> {
    /// What was said last of a code.
    pub fn heartbeat(&self, code: &str) -> Result<Option<HeartbeatRow>, StoreError> {
        let sql = "SELECT license_code, status, activate_time, expire_time, product_name, product_id, refusal, \
                   refusal_message, checked_at FROM license_heartbeat WHERE license_code = ?1";
        self.first("look up the heartbeat", sql, [code], |row| {
            let time = |column: usize| row.get::<_, Option<i64>>(column)?.map(instant).transpose();
            let said = match row.get(6)? {
                Some(code) => Said::Refused { code, message: row.get(7)? },
                None => Said::Info(CodeInfo {
                    status: row.get(1)?,
                    activate_time: time(2)?,
                    expire_time: time(3)?,
                    product_name: row.get(4)?,
                    product_id: row.get(5)?,
                    order_id: None,
                    amount: None,
                }),
            };
            Ok(HeartbeatRow { code: row.get(0)?, said, checked_at: instant(row.get(8)?)? })
        })
    }

    /// Records what was said of a code, in the place of what was said before.
    pub fn put_heartbeat(&self, row: &HeartbeatRow) -> Result<(), StoreError> {
        let nothing = CodeInfo::default();
        let (info, refusal) = match &row.said {
            Said::Info(info) => (info, None),
            Said::Refused { code, message } => (&nothing, Some((code, message))),
        };
        self.execute(
            "record the heartbeat",
            "INSERT OR REPLACE INTO license_heartbeat (license_code, status, activate_time, expire_time, product_name, \
             product_id, refusal, refusal_message, checked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                &row.code,
                &info.status,
                info.activate_time.map(millis),
                info.expire_time.map(millis),
                &info.product_name,
                &info.product_id,
                refusal.map(|(code, _)| code),
                refusal.map(|(_, message)| message),
                millis(row.checked_at),
            ),
        )
        .map(drop)
    }

    /// Forgets that a code was refused.
    pub fn forget_refused_heartbeat(&self, code: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM license_heartbeat WHERE license_code = ?1 AND refusal IS NOT NULL";
        self.execute("forget the refused heartbeat", sql, [code]).map(drop)
    }

    /// Forgets what was said before a time, at most `limit` rows; returns how many.
    pub fn purge_heartbeats(&self, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let sql = "DELETE FROM license_heartbeat WHERE license_code IN \
                   (SELECT license_code FROM license_heartbeat WHERE checked_at < ?1 LIMIT ?2)";
        self.execute("purge heartbeats", sql, (millis(before), limit))
    }
}
