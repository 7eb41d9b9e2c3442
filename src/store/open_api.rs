//! Rows of `open_api_refusal`: access keys of the open API that KooGallery has refused.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};

/// KooGallery refused an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenApiRefusalRow {
    /// How often in a row.
    pub refusals: u32,
    /// When it did last.
    pub refused_at: Timestamp,
    /// When the next call may be made.
    pub not_before: Timestamp,
    /// What it said.
    pub message: String,
}

impl Tx<'_> {
    /// Whether and when an access key, named by its label, was refused last.
    pub fn open_api_refusal(&self, access_key: &str) -> Result<Option<OpenApiRefusalRow>, StoreError> {
        let sql = "SELECT refusals, refused_at, not_before, message FROM open_api_refusal WHERE access_key = ?1";
        self.first("look up the refusal", sql, [access_key], |row| {
            Ok(OpenApiRefusalRow {
                refusals: row.get(0)?,
                refused_at: instant(row.get(1)?)?,
                not_before: instant(row.get(2)?)?,
                message: row.get(3)?,
            })
        })
    }

    /// Records that an access key was refused, once more.
    pub fn put_open_api_refusal(&self, access_key: &str, refusal: &OpenApiRefusalRow) -> Result<(), StoreError> {
        self.execute(
            "record the refusal",
            "INSERT INTO open_api_refusal (access_key, refusals, refused_at, not_before, message) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (access_key) DO UPDATE SET refusals = excluded.refusals, \
             refused_at = excluded.refused_at, not_before = excluded.not_before, message = excluded.message",
            (access_key, refusal.refusals, millis(refusal.refused_at), millis(refusal.not_before), &refusal.message),
        )
        .map(drop)
    }

    /// Forgets that an access key was refused: it was accepted.
    pub fn remove_open_api_refusal(&self, access_key: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM open_api_refusal WHERE access_key = ?1";
        self.execute("forget the refusal", sql, [access_key]).map(drop)
    }
}
