//! The lists of the status page: each piece comes from an index, and none of them takes longer because a table has grown.
//!
//! What a person filters by is not always what there is an index of. So a search has a *driver*, an index that the filter
//! narrows or else the order of the rows, and looks through at most [`LOOKED_THROUGH`] rows of it for one piece. Where that
//! is not enough, the piece says from where to look further back, and the person decides. Rows that come meanwhile are
//! neither skipped nor shown twice: pieces are continued from the place of a row.

mod exchanges;
mod instances;
mod jobs;
mod licenses;
mod stock;
mod traffic;
mod usage;

pub use exchanges::{ExchangeLine, ExchangePlace, ExchangeSearch, Outcome};
pub use instances::{InstancePlace, InstanceSearch, OperationLine};
pub use jobs::{JobPlace, JobsShown};
pub use licenses::LicenseSearch;
pub use stock::StockLine;
pub use traffic::{CallsOfTime, SampledCall};
pub use usage::{UsagePlace, UsageSearch};

/// So many rows are looked through for one piece.
pub const LOOKED_THROUGH: i64 = 20_000;

/// A piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<R, P> {
    /// The rows, in their order.
    pub rows: Vec<R>,
    /// What comes after them.
    pub next: Next<P>,
}

/// What comes after a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<P> {
    /// Nothing.
    End,
    /// More rows, after this place.
    More(P),
    /// Nobody knows: so many rows were looked through, and what comes after this place was not.
    Further(P),
}

impl<R, P> Piece<R, P> {
    /// From the rows that a search for one more than `limit` has found. `seen` is the place up to which rows were looked
    /// through, `None`: all.
    fn of(mut rows: Vec<R>, limit: i64, place: impl Fn(&R) -> P, seen: Option<P>) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map_or(Next::End, |last| Next::More(place(last)))
        } else {
            seen.map_or(Next::End, Next::Further)
        };
        Self { rows, next }
    }
}

/// The first text that is greater than every one that begins with `prefix`: with it a search for a beginning is one for a
/// range, which an index can do.
fn after_all_with(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_says_whether_more_rows_come_or_nobody_has_looked() {
        let piece = |found: i64, seen| Piece::of((0..found).collect(), 3, |row| *row, seen);
        assert_eq!(piece(2, None), Piece { rows: vec![0, 1], next: Next::End });
        assert_eq!(piece(3, None), Piece { rows: vec![0, 1, 2], next: Next::End });
        assert_eq!(piece(4, Some(9)), Piece { rows: vec![0, 1, 2], next: Next::More(2) });
        assert_eq!(piece(1, Some(9)), Piece { rows: vec![0], next: Next::Further(9) });
    }
}
