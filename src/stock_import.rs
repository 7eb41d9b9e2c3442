//! How a stock is filled, by the command and on the status page alike: what a file must hold for the products that take from
//! the stock, and adding it in parts.

use jiff::Timestamp;

use crate::config::{Fulfilment, Product};
use crate::kind::Kind;
use crate::stock_file::{self, StockFile, StockFileError};
use crate::store::{StockEntry, Store, StoreError};

/// Entries added in one commit: a running server answers between two of them.
const AT_ONCE: usize = 500;

/// Why a file is no stock.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockImportError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] StockFileError),
    /// It holds accounts, and the product hands out codes.
    #[error("the stock is for a product of kind {0}: it needs a column license")]
    NeedsCodes(Kind),
    /// It holds codes, and the product hands out accounts.
    #[error("the stock is for a product of kind {0}: it needs accounts")]
    NeedsAccounts(Kind),
}

/// Whether a product takes from a stock of this name.
pub fn takes_from(product: &Product, stock: &str) -> bool {
    matches!(&product.fulfilment, Fulfilment::Stock { name, .. } if name == stock)
}

/// What is in a file, which must be what products of a kind hand out.
///
/// # Errors
/// See [`StockImportError`]; no text shows what is in the file.
pub fn read(bytes: &[u8], kind: Kind) -> Result<Vec<StockEntry>, StockImportError> {
    match (stock_file::read(bytes)?, kind) {
        (StockFile::Accounts(accounts), Kind::Saas) => Ok(accounts.into_iter().map(StockEntry::Account).collect()),
        (StockFile::Licenses(codes), Kind::License | Kind::LicenseOnline) => {
            Ok(codes.into_iter().map(StockEntry::License).collect())
        }
        (StockFile::Accounts(_), kind) => Err(StockImportError::NeedsCodes(kind)),
        (StockFile::Licenses(_), kind) => Err(StockImportError::NeedsAccounts(kind)),
    }
}

/// Adds entries to a stock, but for those that are there already; returns how many were added. `done` is told how many
/// more were looked at.
///
/// # Errors
/// When the rows cannot be written: the parts before are added then.
pub fn add(
    store: &Store,
    stock: &str,
    entries: &[StockEntry],
    mut done: impl FnMut(usize),
) -> Result<usize, StoreError> {
    let mut added = 0;
    for part in entries.chunks(AT_ONCE) {
        let (name, part, count) = (stock.to_owned(), part.to_vec(), part.len());
        added += store.write(None, move |tx| {
            let now = Timestamp::now();
            let mut added = 0;
            for entry in &part {
                added += usize::from(tx.insert_stock(&name, entry, now)?);
            }
            Ok(added)
        })?;
        done(count);
    }
    Ok(added)
}
