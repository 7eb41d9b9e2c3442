//! Licences that were asked for, newest first. Authorisation codes are KooGallery's own and stand among the instances.

use super::{LOOKED_THROUGH, Piece};
use crate::kind::Kind;
use crate::operation::Environment;
use crate::store::license::{SELECT_LICENSED, read_licensed};
use crate::store::{LicensedRow, StoreError, Tx};

/// Which licences are looked for; everything `None` finds all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LicenseSearch {
    /// In this state.
    pub state: Option<String>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of real or of test instances.
    pub environment: Option<Environment>,
}

impl Tx<'_> {
    /// Licences that a search finds, newest first, at most `limit`, before the row `before`.
    pub fn search_licenses(
        &self,
        search: &LicenseSearch,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Piece<LicensedRow, i64>, StoreError> {
        let before = before.unwrap_or(i64::MAX);
        let newest = "SELECT id FROM license WHERE id < ?1 ORDER BY id DESC LIMIT 1";
        let newest = self.first("look for a licence", newest, [before], |row| row.get::<_, i64>(0))?;
        // Rows are never deleted, so numbers have no gaps.
        let last = newest.map_or(0, |newest| newest - LOOKED_THROUGH + 1);
        let sql = format!(
            "{SELECT_LICENSED} JOIN license ON license.instance = instance.id WHERE license.id < ?1 AND license.id >= ?2 \
             AND (?3 IS NULL OR license.state = ?3) AND (?4 IS NULL OR instance.kind = ?4) \
             AND (?5 IS NULL OR instance.environment = ?5) ORDER BY license.id DESC LIMIT ?6"
        );
        let values = (
            before,
            last,
            &search.state,
            search.kind.map(Kind::as_str),
            search.environment.map(Environment::as_str),
            limit.saturating_add(1),
        );
        let rows = self.all("search licences", &sql, values, read_licensed)?;
        let number = |row: &LicensedRow| row.license.as_ref().map_or(0, |license| license.row);
        Ok(Piece::of(rows, limit, number, (last > 1).then_some(last)))
    }
}
