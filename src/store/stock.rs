//! Rows of `stock_entry`: ready-made accounts, handed out one by one.

use jiff::Timestamp;

use super::{InstanceRow, StoreError, Tx, millis};
use crate::access::{Access, AccessParts};
use crate::secret::Secret;

/// An account to be put into stock.
pub type StockEntry = Access;

/// How much of a stock is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockCount {
    /// The stock's name.
    pub stock: String,
    /// Entries nobody has.
    pub unused: i64,
    /// Entries handed out.
    pub taken: i64,
}

impl Tx<'_> {
    /// Adds an entry; `false` if the same one is there already.
    pub fn insert_stock(&self, stock: &str, entry: &StockEntry, now: Timestamp) -> Result<bool, StoreError> {
        let digest = self.sealing.digest("stock_entry", &whole_text(stock, entry));
        let changed = self.execute(
            "add to the stock",
            "INSERT INTO stock_entry (stock, digest, front_end_url, admin_url, memo, imported_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (stock, digest) DO NOTHING",
            (stock, digest, entry.front_end_url(), entry.admin_url(), entry.memo(), millis(now)),
        )?;
        if changed == 0 {
            return Ok(false);
        }
        let row = self.connection.last_insert_rowid();
        let user_name = self.seal_text(&sealed_in(row, "user_name"), entry.user_name())?;
        let password = self.seal_text(&sealed_in(row, "password"), entry.password())?;
        self.execute(
            "add to the stock",
            "UPDATE stock_entry SET user_name_sealed = ?2, password_sealed = ?3 WHERE id = ?1",
            (row, user_name, password),
        )?;
        Ok(true)
    }

    /// Hands the oldest unused entry to an instance (the same one again if it has one); `None` when none is left.
    pub fn take_stock(
        &self,
        stock: &str,
        instance: &InstanceRow,
        now: Timestamp,
    ) -> Result<Option<StockEntry>, StoreError> {
        type Sealed = Option<Vec<u8>>;
        type Found = (i64, String, Option<String>, Option<String>, Sealed, Sealed);
        let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Found> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        let doing = "take from the stock";
        let columns = "SELECT id, front_end_url, admin_url, memo, user_name_sealed, password_sealed FROM stock_entry";
        let mut found = self.first(doing, &format!("{columns} WHERE instance = ?1"), [instance.row], read)?;
        if found.is_none() {
            let sql = format!("{columns} WHERE stock = ?1 AND instance IS NULL ORDER BY id LIMIT 1");
            found = self.first(doing, &sql, [stock], read)?;
        }
        let Some((row, front_end_url, admin_url, memo, user_name, password)) = found else { return Ok(None) };
        self.execute(
            doing,
            "UPDATE stock_entry SET instance = ?2, taken_at = coalesce(taken_at, ?3) WHERE id = ?1",
            (row, instance.row, millis(now)),
        )?;
        self.accepted(
            "stock_entry",
            AccessParts {
                front_end_url,
                admin_url,
                memo,
                user_name: self.open_text(&sealed_in(row, "user_name"), user_name)?,
                password: self.open_text(&sealed_in(row, "password"), password)?,
            },
        )
        .map(Some)
    }

    /// How many entries of a stock nobody has.
    pub fn unused_stock(&self, stock: &str) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM stock_entry WHERE stock = ?1 AND instance IS NULL";
        Ok(self.first("count the stock", sql, [stock], |row| row.get(0))?.unwrap_or(0))
    }

    /// All stocks with what is left of them.
    pub fn stocks(&self) -> Result<Vec<StockCount>, StoreError> {
        self.all(
            "list the stock",
            "SELECT stock, count(*) FILTER (WHERE instance IS NULL), count(instance) FROM stock_entry \
             GROUP BY stock ORDER BY stock",
            [],
            |row| Ok(StockCount { stock: row.get(0)?, unused: row.get(1)?, taken: row.get(2)? }),
        )
    }
}

/// A sealed value belongs to its row and column and opens nowhere else.
fn sealed_in(row: i64, column: &str) -> String {
    format!("stock_entry.{column}:{row}")
}

/// All of an entry as one unambiguous text, only ever digested under the sealing key.
fn whole_text(stock: &str, entry: &StockEntry) -> String {
    let secret = |text: Option<&Secret<String>>| text.map(|text| text.expose().clone());
    let (user_name, password) = (secret(entry.user_name()), secret(entry.password()));
    let whole =
        [Some(entry.front_end_url()), entry.admin_url(), entry.memo(), user_name.as_deref(), password.as_deref()];
    serde_json::json!([stock, whole]).to_string()
}
