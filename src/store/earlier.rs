//! Earlier calls about an instance, as the journal has them: whether a call that comes again was carried out before.

use jiff::Timestamp;

use super::{InstanceRow, StoreError, Tx, instant, millis};

/// Which calls are looked for.
#[derive(Debug, Clone, Copy)]
pub struct EarlierCalls<'a> {
    /// Of this family.
    pub family: &'static str,
    /// Of this activity.
    pub activity: &'a str,
    /// Received at or after.
    pub from: Timestamp,
    /// Received at or before.
    pub until: Timestamp,
    /// With a smaller number.
    pub before: i64,
    /// At most so many.
    pub most: i64,
}

/// An earlier call.
#[derive(Debug, Clone)]
pub struct EarlierCall {
    /// When it was received.
    pub received_at: Timestamp,
    /// Method and target as received.
    pub request_line: String,
    /// How it was answered; `None`: not yet, or never.
    pub result_code: Option<String>,
    /// The operation it belongs to, if that is done.
    pub done: Option<i64>,
}

/// The first number that is looked at. Numbers follow the order in which calls were recorded, which is that of their times
/// but for moments: times are turned into numbers, because calls of one operation or instance stand by their numbers.
macro_rules! first {
    () => {
        "(SELECT id FROM exchange WHERE received_at >= ?2 ORDER BY received_at LIMIT 1)"
    };
}

/// The first number that is not looked at any more.
macro_rules! end {
    () => {
        "min(?4, 1 + (SELECT id FROM exchange WHERE received_at <= ?3 ORDER BY received_at DESC LIMIT 1))"
    };
}

impl Tx<'_> {
    /// Calls of operations on an instance, then those that only name it, each oldest first for one operation.
    pub fn earlier_calls(&self, about: &InstanceRow, wanted: EarlierCalls<'_>) -> Result<Vec<EarlierCall>, StoreError> {
        let EarlierCalls { family, activity, from, until, before, most } = wanted;
        let (from, until) = (millis(from), millis(until));
        let mut found = self.all(
            "look for earlier calls",
            concat!(
                with_stretches!(first!(), end!()),
                "SELECT received_at, request_line, exchange.result_code, \
                 CASE state WHEN 'done' THEN operation.id END FROM operation ",
                calls_of_operations!(),
                " WHERE operation.instance = ?1 AND ",
                within!(first!(), end!()),
                " AND family = ?5 AND activity = ?6 LIMIT ?7"
            ),
            (about.row, from, until, before, family, activity, most),
            read_row,
        )?;
        found.extend(self.all(
            "look for earlier calls",
            concat!(
                with_stretches!(first!(), end!()),
                "SELECT received_at, request_line, result_code, NULL FROM ",
                calls_naming_instance!(),
                " WHERE ",
                within!(first!(), end!()),
                " AND environment = ?8 AND family = ?5 AND activity = ?6 LIMIT ?7"
            ),
            (&about.instance_id, from, until, before, family, activity, most, about.environment.as_str()),
            read_row,
        )?);
        Ok(found)
    }

    /// When an instance changed last.
    pub fn changed_at(&self, instance: i64) -> Result<Option<Timestamp>, StoreError> {
        self.first(
            "read the instance's history",
            "SELECT at FROM instance_history WHERE instance = ?1 ORDER BY serial DESC LIMIT 1",
            [instance],
            |row| instant(row.get(0)?),
        )
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<EarlierCall> {
    Ok(EarlierCall {
        received_at: instant(row.get(0)?)?,
        request_line: row.get(1)?,
        result_code: row.get(2)?,
        done: row.get(3)?,
    })
}
