//! How much of the database its writer keeps in memory.

use rusqlite::Connection;

use super::StoreError;

/// The least that is kept, in KiB: a batch of many calls changes hundreds of pages.
const LEAST: i64 = 4 << 10;

/// The most, in KiB: it holds the inner pages of the indexes of ten million calls.
const MOST: i64 = 16 << 10;

/// The file is so many times what is kept of it, in between.
const SHARE: i64 = 64;

/// Lets the cache grow with the file, up to [`MOST`], which it comes to at 1 GiB.
///
/// More than a small file needs is no gift. When SQLite splits a page it numbers one of the parts beyond the end of the file
/// for a moment, by the page at 1 GiB, and at the commit it looks through the whole cache for pages beyond the end: with 16
/// MiB that is a twentieth of what the server does for a call. A file of more than 1 GiB has that page, and is not looked
/// through.
pub(super) fn fit(connection: &Connection) -> Result<(), StoreError> {
    let fit = || {
        let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let kib = size(pragma("page_count")?.saturating_mul(pragma("page_size")?) >> 10);
        if pragma("cache_size")? == -kib {
            return Ok(());
        }
        connection.execute_batch(&format!("PRAGMA cache_size = -{kib}"))
    };
    fit().map_err(StoreError::sqlite("fit the cache to the file"))
}

/// What is kept of a file, both in KiB.
fn size(file: i64) -> i64 {
    (file / SHARE).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_grows_with_the_file_within_its_bounds() {
        assert_eq!([0, 256 << 10, 512 << 10, 1 << 20, i64::MAX].map(size), [LEAST, LEAST, 8 << 10, MOST, MOST]);
    }

    #[test]
    fn a_connection_is_fitted_to_what_its_file_has_grown_to() {
        let connection = Connection::open_in_memory().unwrap();
        let cache = || connection.query_row("PRAGMA cache_size", [], |row| row.get::<_, i64>(0)).unwrap();
        fit(&connection).unwrap();
        assert_eq!(cache(), -LEAST);
        connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(300 << 20))").unwrap();
        fit(&connection).unwrap();
        assert_eq!(cache(), -(300 << 10) / 64 - 4);
    }
}
