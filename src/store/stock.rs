//! Rows of `stock_entry`: ready-made accounts and licence codes, handed out one by one.

use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::{InstanceRow, StoreError, Tx, millis};
use crate::access::{Access, AccessParts};
use crate::secret::Secret;

/// Something ready-made to be put into stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockEntry {
    /// An account, for an instance.
    Account(Access),
    /// A licence code.
    License(Secret<String>),
}

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
        let digest = self.stock_digest(stock, entry);
        let known = "SELECT 1 FROM stock_entry WHERE stock = ?1 AND digest = ?2";
        if self.first("look into the stock", known, (stock, &digest), |_| Ok(()))?.is_some() {
            return Ok(false);
        }
        // A row is known by its digest when its columns are sealed: it has no id yet.
        let context = |column| sealed_in(&digest, column);
        let (account, license) = match entry {
            StockEntry::Account(access) => (Some(access), None),
            StockEntry::License(code) => (None, Some(code)),
        };
        self.insert(
            "add to the stock",
            "INSERT INTO stock_entry (stock, digest, front_end_url, admin_url, memo, user_name_sealed, password_sealed, \
             license_sealed, imported_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                stock,
                &digest,
                account.map(Access::front_end_url),
                account.and_then(Access::admin_url),
                account.and_then(Access::memo),
                self.seal_text(&context("user_name"), account.and_then(Access::user_name))?,
                self.seal_text(&context("password"), account.and_then(Access::password))?,
                self.seal_text(&context("license"), license)?,
                millis(now),
            ),
        )?;
        Ok(true)
    }

    /// What an entry is known by.
    pub(super) fn stock_digest(&self, stock: &str, entry: &StockEntry) -> Vec<u8> {
        self.sealing.digest("stock_entry", &whole_text(stock, entry)).to_vec()
    }

    /// Hands the oldest unused account to an instance (the same one again if it has one); `None` when none is left.
    pub fn take_account(
        &self,
        stock: &str,
        instance: &InstanceRow,
        now: Timestamp,
    ) -> Result<Option<Access>, StoreError> {
        let Some(row) = self.take("instance", "front_end_url", stock, instance.row, now)? else { return Ok(None) };
        type Sealed = Option<Vec<u8>>;
        type Found = (Vec<u8>, String, Option<String>, Option<String>, Sealed, Sealed);
        let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Found> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        let sql = "SELECT digest, front_end_url, admin_url, memo, user_name_sealed, password_sealed FROM stock_entry \
                   WHERE id = ?1";
        let Some((digest, front_end_url, admin_url, memo, user_name, password)) =
            self.first("read the stock", sql, [row], read)?
        else {
            return Ok(None);
        };
        self.accepted(
            "stock_entry",
            AccessParts {
                front_end_url,
                admin_url,
                memo,
                user_name: self.open_text(&sealed_in(&digest, "user_name"), user_name)?,
                password: self.open_text(&sealed_in(&digest, "password"), password)?,
            },
        )
        .map(Some)
    }

    /// Makes the oldest unused licence code that of a licence (the same one again if it has one); `None` when none is
    /// left.
    pub fn take_license(
        &self,
        stock: &str,
        license: i64,
        now: Timestamp,
    ) -> Result<Option<Secret<String>>, StoreError> {
        let Some(row) = self.take("license", "license_sealed", stock, license, now)? else { return Ok(None) };
        let sql = "SELECT digest, license_sealed FROM stock_entry WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?));
        let Some((digest, sealed)) = self.first("read the stock", sql, [row], read)? else { return Ok(None) };
        self.open_text(&sealed_in(&digest, "license"), sealed)
    }

    /// The row that `taker` has or now gets. `column` says what takes it, `holds` what an entry must hold.
    fn take(
        &self,
        column: &'static str,
        holds: &'static str,
        stock: &str,
        taker: i64,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let doing = "take from the stock";
        let had = format!("SELECT id FROM stock_entry WHERE {column} = ?1");
        if let Some(row) = self.first(doing, &had, [taker], |row| row.get(0))? {
            return Ok(Some(row));
        }
        let next = format!(
            "SELECT id FROM stock_entry WHERE stock = ?1 AND taken_at IS NULL AND {holds} IS NOT NULL ORDER BY id LIMIT 1"
        );
        let Some(row) = self.first(doing, &next, [stock], |row| row.get::<_, i64>(0))? else { return Ok(None) };
        let sql = format!("UPDATE stock_entry SET {column} = ?2, taken_at = ?3 WHERE id = ?1");
        self.execute(doing, &sql, (row, taker, millis(now)))?;
        Ok(Some(row))
    }

    /// How many entries of a stock nobody has.
    pub fn unused_stock(&self, stock: &str) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM stock_entry WHERE stock = ?1 AND taken_at IS NULL";
        Ok(self.first("count the stock", sql, [stock], |row| row.get(0))?.unwrap_or(0))
    }

    /// All stocks with what is left of them.
    pub fn stocks(&self) -> Result<Vec<StockCount>, StoreError> {
        // Counted by indexes alone: looking each entry up would take minutes where very many were handed out.
        let sql = "SELECT stock, (SELECT count(*) FROM stock_entry AS unused WHERE unused.stock = every.stock \
                   AND unused.taken_at IS NULL), count(*) FROM stock_entry AS every GROUP BY stock ORDER BY stock";
        self.all("list the stock", sql, [], |row| {
            let (unused, all): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(StockCount { stock: row.get(0)?, unused, taken: all - unused })
        })
    }
}

/// A sealed value belongs to its entry and column and opens nowhere else.
pub(super) fn sealed_in(digest: &[u8], column: &str) -> String {
    format!("stock_entry.{column}:{}", HEXLOWER.encode(digest))
}

/// All of an entry as one unambiguous text, only ever digested under the sealing key.
fn whole_text(stock: &str, entry: &StockEntry) -> String {
    let secret = |text: Option<&Secret<String>>| text.map(|text| text.expose().clone());
    match entry {
        StockEntry::Account(access) => {
            let (user_name, password) = (secret(access.user_name()), secret(access.password()));
            let (url, admin_url, memo) = (Some(access.front_end_url()), access.admin_url(), access.memo());
            serde_json::json!([stock, [url, admin_url, memo, user_name.as_deref(), password.as_deref()]]).to_string()
        }
        StockEntry::License(code) => serde_json::json!([stock, code.expose()]).to_string(),
    }
}
