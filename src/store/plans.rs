//! For tests: the statements that ran on this thread, and how SQLite carries them out.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Tx;

thread_local! {
    static SEEN: RefCell<BTreeMap<String, &'static str>> = const { RefCell::new(BTreeMap::new()) };
}

/// Remembers a statement.
pub(super) fn note(doing: &'static str, sql: &str) {
    SEEN.with_borrow_mut(|seen| seen.insert(sql.to_owned(), doing));
}

/// The statements seen on this thread: what each is for, its text, and the steps of its plan.
pub(super) fn seen(tx: &Tx<'_>) -> Vec<(&'static str, String, Vec<String>)> {
    let seen = SEEN.with_borrow(Clone::clone);
    let plan = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = tx.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
        statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))?.collect()
    };
    seen.into_iter().map(|(sql, doing)| (doing, plan(&sql).unwrap(), sql)).map(|(d, p, s)| (d, s, p)).collect()
}
