//! What a stock has left, entry by entry.

use jiff::Timestamp;

use super::Piece;
use crate::access::AccessParts;
use crate::store::stock::sealed_in;
use crate::store::{StockEntry, StoreError, Tx, instant};

/// An entry that nobody has, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockLine {
    /// Row id.
    pub row: i64,
    /// Where its buyer will go; `None`: it is a licence code.
    pub front_end_url: Option<String>,
    /// When it was imported.
    pub imported_at: Timestamp,
}

impl Tx<'_> {
    /// The entries of a stock that nobody has, the next one to be handed out first, at most `limit`, after the row `after`.
    pub fn unused_entries(
        &self,
        stock: &str,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Piece<StockLine, i64>, StoreError> {
        let sql = "SELECT id, front_end_url, imported_at FROM stock_entry INDEXED BY stock_unused \
                   WHERE stock = ?1 AND taken_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3";
        let values = (stock, after.unwrap_or(0), limit.saturating_add(1));
        let rows = self.all("list the stock's entries", sql, values, |row| {
            Ok(StockLine { row: row.get(0)?, front_end_url: row.get(1)?, imported_at: instant(row.get(2)?)? })
        })?;
        Ok(Piece::of(rows, limit, |line| line.row, None))
    }

    /// An entry that nobody has, with its secrets and the name of its stock; `None`: there is none, or somebody has it.
    pub fn unused_entry(&self, row: i64) -> Result<Option<(String, StockEntry)>, StoreError> {
        type Sealed = Option<Vec<u8>>;
        type Columns = (String, Vec<u8>, Option<String>, Option<String>, Option<String>, [Sealed; 3]);
        let sql = "SELECT stock, digest, front_end_url, admin_url, memo, user_name_sealed, password_sealed, \
                   license_sealed FROM stock_entry WHERE id = ?1 AND taken_at IS NULL";
        let found: Option<Columns> = self.first("read the stock", sql, [row], |row| {
            let sealed = [row.get(5)?, row.get(6)?, row.get(7)?];
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, sealed))
        })?;
        let Some((stock, digest, front_end_url, admin_url, memo, [user_name, password, license])) = found else {
            return Ok(None);
        };
        let open = |column: &str, sealed: Sealed| self.open_text(&sealed_in(&digest, column), sealed);
        let entry = match (front_end_url, open("license", license)?) {
            (Some(front_end_url), _) => StockEntry::Account(self.accepted(
                "stock_entry",
                AccessParts {
                    front_end_url,
                    admin_url,
                    memo,
                    user_name: open("user_name", user_name)?,
                    password: open("password", password)?,
                },
            )?),
            (None, Some(license)) => StockEntry::License(license),
            (None, None) => {
                let problem = format!("entry {row} of stock {stock:?} holds nothing");
                return Err(StoreError::BadRow { table: "stock_entry", problem });
            }
        };
        Ok(Some((stock, entry)))
    }

    /// Whether a stock holds an entry already.
    pub fn has_stock(&self, stock: &str, entry: &StockEntry) -> Result<bool, StoreError> {
        let digest = self.stock_digest(stock, entry);
        let sql = "SELECT 1 FROM stock_entry WHERE stock = ?1 AND digest = ?2";
        Ok(self.first("look into the stock", sql, (stock, digest), |_| Ok(()))?.is_some())
    }
}
