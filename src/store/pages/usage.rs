//! Usage records by their state and instance.

use serde::{Deserialize, Serialize};

use super::{LOOKED_THROUGH, Piece};
use crate::store::usage::pushing::{SELECT_USAGE, read_usage};
use crate::store::{StoreError, Tx, UsageRow, millis};
use crate::usage::State;

/// Which records are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageSearch {
    /// In this state; `None`: in all.
    pub state: Option<State>,
    /// Of this on-demand instance.
    pub instance_id: Option<String>,
}

/// The place of a record in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlace {
    /// What the search goes by, Unix milliseconds.
    pub at: i64,
    /// Its row.
    pub row: i64,
}

/// What a search goes along.
struct Driver {
    index: &'static str,
    /// The rows of it; `?1` is the state, `?2` the instance.
    which: &'static str,
    /// What it is ordered by.
    key: &'static str,
    ascending: bool,
}

const NUMBER: Driver = Driver { index: "NOT INDEXED", which: "1", key: "id", ascending: false };

const DUE: Driver =
    Driver { index: "INDEXED BY usage_record_due", which: "state = 'waiting'", key: "due_at", ascending: true };

const SETTLED: Driver = Driver {
    index: "INDEXED BY usage_record_finished",
    which: "state = ?1 AND state <> 'waiting'",
    key: "finished_at",
    ascending: false,
};

/// Rejected records are not in it: their time may be reported anew.
const OF_INSTANCE: Driver = Driver {
    index: "INDEXED BY usage_record_window",
    which: "state <> 'rejected' AND instance = (SELECT id FROM instance WHERE instance_id = ?2 \
            AND environment = 'real' AND kind = 'saas')",
    key: "begin_time",
    ascending: false,
};

impl Tx<'_> {
    /// Records that a search finds, at most `limit`, after a place: those that wait in the order in which they are due, the
    /// settled ones those first that were settled last, all of an instance (but the rejected ones) those first that begin
    /// last, all others newest first.
    pub fn search_usage(
        &self,
        search: &UsageSearch,
        after: Option<UsagePlace>,
        limit: i64,
    ) -> Result<Piece<UsageRow, UsagePlace>, StoreError> {
        let driver = match (search.state, &search.instance_id) {
            (None, None) => NUMBER,
            (Some(State::Waiting), None) => DUE,
            (Some(State::Rejected), _) | (Some(State::Accepted), None) => SETTLED,
            (Some(State::Accepted | State::Waiting) | None, Some(_)) => OF_INSTANCE,
        };
        let Driver { index, which, key, ascending } = driver;
        let (beyond, within, down) = if ascending { (">", "<=", "") } else { ("<", ">=", " DESC") };
        let (start, end) = (UsagePlace { at: i64::MIN, row: i64::MIN }, UsagePlace { at: i64::MAX, row: i64::MAX });
        let (start, end) = if ascending { (start, end) } else { (end, start) };
        let (after, state) = (after.unwrap_or(start), search.state.map(State::as_str));
        let candidates =
            format!("usage_record {index} WHERE {which} AND {key} {beyond}= ?3 AND (+{key}, id) {beyond} (?3, ?4)");
        let order = format!("{key}{down}, id{down}");
        let sql = format!("SELECT {key}, id FROM {candidates} ORDER BY {order} LIMIT 1 OFFSET ?5");
        let read = |row: &rusqlite::Row<'_>| Ok(UsagePlace { at: row.get(0)?, row: row.get(1)? });
        let values = (state, &search.instance_id, after.at, after.row, LOOKED_THROUGH - 1);
        let seen = self.first("look how far to search usage", &sql, values, read)?;
        let until = seen.unwrap_or(end);
        let sql = format!(
            "{SELECT_USAGE} WHERE usage_record.id IN (SELECT id FROM {candidates} AND {key} {within} ?5 AND (+{key}, id) {within} (?5, ?6) \
             AND (?1 IS NULL OR +state = ?1) AND (?2 IS NULL OR +instance IN (SELECT id FROM instance \
             WHERE instance_id = ?2)) ORDER BY {order} LIMIT ?7) ORDER BY usage_record.{key}{down}, usage_record.id{down}"
        );
        let values = (state, &search.instance_id, after.at, after.row, until.at, until.row, limit.saturating_add(1));
        let rows = self.all("search usage", &sql, values, read_usage)?;
        let place = |row: &UsageRow| UsagePlace {
            at: match key {
                "due_at" => millis(row.due_at),
                "finished_at" => row.finished_at.map_or(i64::MIN, millis),
                "begin_time" => millis(row.window.begin),
                _ => row.row,
            },
            row: row.row,
        };
        Ok(Piece::of(rows, limit, place, seen))
    }
}
