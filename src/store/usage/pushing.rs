//! What becomes of recorded usage: taken to be sent, settled, listed and in the end purged.

use jiff::Timestamp;

use super::{totals, word};
use crate::store::{StoreError, Tx, instant, millis};
use crate::usage::batch::Record;
use crate::usage::judge::Verdict;
use crate::usage::{Quantity, State, Window};

/// A record, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Row id; listings go by it.
    pub row: i64,
    /// Its id on the wire.
    pub metering_sn: String,
    /// The on-demand instance.
    pub instance_id: String,
    /// When it was used.
    pub window: Window,
    /// How much.
    pub value: Quantity,
    /// The package instance it is deducted from.
    pub package: Option<String>,
    /// Where it stands.
    pub state: State,
    /// When it was reported.
    pub record_time: Timestamp,
    /// Not sent before.
    pub due_at: Timestamp,
    /// Attempts begun.
    pub sent: i64,
    /// When it was accepted or rejected.
    pub finished_at: Option<Timestamp>,
    /// Why it was rejected: the code.
    pub result_code: Option<String>,
    /// KooGallery's words.
    pub message: Option<String>,
    /// The raw data of its answer.
    pub data: Option<String>,
}

/// Which records a listing shows.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// In this state.
    pub state: Option<State>,
    /// Of this instance.
    pub instance_id: Option<String>,
}

/// How many records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageCounts {
    /// Waiting, due or not.
    pub waiting: i64,
    /// Waiting and due.
    pub due: i64,
    /// Accepted since the instant asked for.
    pub accepted: i64,
    /// Rejected since then.
    pub rejected: i64,
}

/// Records that KooGallery does not have yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitingUsage {
    /// Due or not.
    pub waiting: i64,
    /// Due.
    pub due: i64,
    /// When the first of them became due.
    pub due_since: Option<Timestamp>,
}

/// What became of a record that somebody wants to take out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// It counts no more.
    Done,
    /// It does not count anyway.
    Already,
    /// It may have arrived at KooGallery, which has not said so.
    OnItsWay,
    /// There is no such record.
    Unknown,
}

impl Tx<'_> {
    /// Takes at most `limit` records that are due but the rows `left_out`, those that have been due longest first, and
    /// counts the attempt. It must be committed before they are sent: a record that may have arrived must be known for one.
    pub fn take_due_usage(&self, now: Timestamp, limit: usize, left_out: &[i64]) -> Result<Vec<Record>, StoreError> {
        let mut records = self.all(
            "take usage that is due",
            "SELECT usage_record.id, metering_sn, used.instance_id, coalesce(usage_record.product_id, used.product_id), \
             begin_time, end_time, record_time, usage_value, package.instance_id, sent + 1 FROM usage_record \
             JOIN instance AS used ON used.id = usage_record.instance \
             LEFT JOIN instance AS package ON package.id = relate_pkg_instance \
             WHERE usage_record.state = 'waiting' AND due_at <= ?1 ORDER BY due_at, usage_record.id LIMIT ?2",
            (millis(now), i64::try_from(limit.saturating_add(left_out.len())).unwrap_or(i64::MAX)),
            |row| {
                Ok(Record {
                    row: row.get(0)?,
                    metering_sn: row.get(1)?,
                    instance_id: row.get(2)?,
                    product_id: row.get(3)?,
                    window: Window { begin: instant(row.get(4)?)?, end: instant(row.get(5)?)? },
                    record_time: instant(row.get(6)?)?,
                    value: word(row.get(7)?)?,
                    package: row.get(8)?,
                    sent: row.get(9)?,
                })
            },
        )?;
        records.retain(|record| !left_out.contains(&record.row));
        records.truncate(limit);
        for record in &records {
            let sql = "UPDATE usage_record SET sent = ?2 WHERE id = ?1";
            self.execute("count the attempt", sql, (record.row, record.sent))?;
        }
        Ok(records)
    }

    /// Takes the count of an attempt back: nothing arrived at KooGallery.
    pub fn untake_usage(&self, records: &[Record]) -> Result<(), StoreError> {
        let sql = "UPDATE usage_record SET sent = sent - 1 WHERE id = ?1 AND state = 'waiting' AND sent > 0";
        records.iter().try_for_each(|record| self.execute("take the attempt back", sql, [record.row]).map(drop))
    }

    /// When the next record is due; `None` while none waits.
    pub fn next_usage_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT due_at FROM usage_record WHERE state = 'waiting' ORDER BY due_at LIMIT 1";
        self.first("look for usage that is due", sql, [], |row| instant(row.get(0)?))
    }

    /// Stores what KooGallery's answer means for a record. One that is settled already stays as it is; what is rejected
    /// counts in no total any more. Returns whether anything changed.
    pub fn settle_usage(&self, row: i64, verdict: &Verdict, now: Timestamp) -> Result<bool, StoreError> {
        match verdict {
            Verdict::Again => Ok(false),
            Verdict::Accepted => {
                let sql = "UPDATE usage_record SET state = 'accepted', finished_at = ?2 \
                           WHERE id = ?1 AND state = 'waiting'";
                Ok(self.execute("settle the usage", sql, (row, millis(now)))? > 0)
            }
            Verdict::Rejected(why) => {
                let why = (why.code.as_str(), why.message.as_str(), why.data.as_deref());
                self.reject_usage(row, State::Waiting, why, now)
            }
        }
    }

    /// Takes out an accepted record that KooGallery has marked as abnormal since (spec 5-open-api §6.4 rule 1), or one
    /// that was never sent, so that its time can be reported anew.
    pub fn withdraw_usage(&self, metering_sn: &str, now: Timestamp) -> Result<Withdrawal, StoreError> {
        let sql = "SELECT id, state, sent FROM usage_record WHERE metering_sn = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, word::<State>(row.get(1)?)?, row.get::<_, i64>(2)?));
        let withdrawn = match self.first("look up the usage", sql, [metering_sn], read)? {
            None => return Ok(Withdrawal::Unknown),
            Some((_, State::Rejected, _)) => return Ok(Withdrawal::Already),
            Some((_, State::Waiting, sent)) if sent > 0 => return Ok(Withdrawal::OnItsWay),
            Some((row, state, _)) => {
                self.reject_usage(row, state, ("WITHDRAWN", "taken out by the operator", None), now)?
            }
        };
        Ok(if withdrawn { Withdrawal::Done } else { Withdrawal::Unknown })
    }

    fn reject_usage(
        &self,
        row: i64,
        from: State,
        (code, message, data): (&str, &str, Option<&str>),
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = self.first(
            "look up the usage",
            "SELECT instance, relate_pkg_instance, usage_value FROM usage_record WHERE id = ?1 AND state = ?2",
            (row, from.as_str()),
            |row| Ok((row.get(0)?, row.get(1)?, word::<Quantity>(row.get(2)?)?)),
        )?;
        let Some((instance, package, value)) = found else { return Ok(false) };
        self.execute(
            "settle the usage",
            "UPDATE usage_record SET state = 'rejected', result_code = ?2, message = ?3, data = ?4, finished_at = ?5 \
             WHERE id = ?1",
            (row, code, message, data, millis(now)),
        )?;
        for (whose, used_by) in totals(instance, package) {
            let sql = "UPDATE usage_total SET total = total - ?3 WHERE instance = ?1 AND used_by = ?2";
            self.execute("add up the usage", sql, (whose, used_by, value.parts()))?;
        }
        Ok(true)
    }

    /// What waits: how many records, how many of them are due, and since when the first of them has been.
    pub fn waiting_usage(&self, now: Timestamp) -> Result<WaitingUsage, StoreError> {
        let count = |until: i64| {
            let sql = "SELECT count(*) FROM usage_record WHERE state = 'waiting' AND due_at <= ?1";
            Ok::<i64, StoreError>(self.first("count the usage", sql, [until], |row| row.get(0))?.unwrap_or(0))
        };
        let due_since = self.next_usage_at()?.filter(|at| *at <= now);
        Ok(WaitingUsage { waiting: count(i64::MAX)?, due: count(millis(now))?, due_since })
    }

    /// Makes records that wait due at once, but for those whose time is not over by this clock, at most `limit`; returns
    /// how many.
    pub fn hasten_usage(&self, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "make usage due",
            "UPDATE usage_record SET due_at = ?1 WHERE id IN (SELECT id FROM usage_record \
             WHERE state = 'waiting' AND due_at > ?1 AND end_time <= ?1 LIMIT ?2)",
            (millis(now), limit),
        )
    }

    /// How many records wait, and how many were settled since an instant.
    pub fn usage_counts(&self, now: Timestamp, since: Timestamp) -> Result<UsageCounts, StoreError> {
        let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            Ok::<i64, StoreError>(self.first("count the usage", sql, values, |row| row.get(0))?.unwrap_or(0))
        };
        let due = "SELECT count(*) FROM usage_record WHERE state = 'waiting' AND due_at <= ?1";
        let settled = "SELECT count(*) FROM usage_record WHERE state = ?1 AND state <> 'waiting' AND finished_at >= ?2";
        let settled = |state: State| count(settled, &[&state.as_str(), &millis(since)]);
        Ok(UsageCounts {
            waiting: count(due, &[&i64::MAX])?,
            due: count(due, &[&millis(now)])?,
            accepted: settled(State::Accepted)?,
            rejected: settled(State::Rejected)?,
        })
    }

    /// Records, newest first, at most `limit`, before the row `before`.
    pub fn usage_records(
        &self,
        filter: &UsageFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let sql = format!(
            "{SELECT_USAGE} WHERE (?1 IS NULL OR usage_record.state = ?1) AND (?2 IS NULL OR used.instance_id = ?2) \
             AND usage_record.id < ?4 ORDER BY usage_record.id DESC LIMIT ?3"
        );
        let values = (filter.state.map(State::as_str), &filter.instance_id, limit, before.unwrap_or(i64::MAX));
        self.all("list usage", &sql, values, read_usage)
    }

    /// Removes at most `limit` records that were settled before an instant, but none that were settled in the last 22
    /// days: a report may begin 21 days ago, and what it could overlap must be there. The totals stay. Returns how many
    /// went.
    pub fn purge_usage(&self, before: Timestamp, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        const YOUNGEST: jiff::SignedDuration = jiff::SignedDuration::from_hours(22 * 24);
        let before = now.checked_sub(YOUNGEST).unwrap_or(Timestamp::MIN).min(before);
        let mut removed = 0;
        for state in [State::Accepted, State::Rejected] {
            // A record is settled after it is reported, and reported after its time: what was settled so long ago ended
            // before that.
            removed += self.execute(
                "purge usage",
                "DELETE FROM usage_record WHERE id IN (SELECT id FROM usage_record \
                 WHERE state = ?1 AND state <> 'waiting' AND finished_at < ?2 LIMIT ?3)",
                (state.as_str(), millis(before), limit.saturating_sub(i64::try_from(removed).unwrap_or(i64::MAX))),
            )?;
        }
        Ok(removed)
    }
}

pub(in crate::store) const SELECT_USAGE: &str = "SELECT metering_sn, used.instance_id, begin_time, end_time, usage_value, \
    package.instance_id, usage_record.state, record_time, due_at, sent, finished_at, result_code, message, data, \
    usage_record.id FROM usage_record JOIN instance AS used ON used.id = usage_record.instance \
    LEFT JOIN instance AS package ON package.id = relate_pkg_instance";

pub(in crate::store) fn read_usage(row: &rusqlite::Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        metering_sn: row.get(0)?,
        instance_id: row.get(1)?,
        window: Window { begin: instant(row.get(2)?)?, end: instant(row.get(3)?)? },
        value: word(row.get(4)?)?,
        package: row.get(5)?,
        state: word(row.get(6)?)?,
        record_time: instant(row.get(7)?)?,
        due_at: instant(row.get(8)?)?,
        sent: row.get(9)?,
        finished_at: row.get::<_, Option<i64>>(10)?.map(instant).transpose()?,
        result_code: row.get(11)?,
        message: row.get(12)?,
        data: row.get(13)?,
        row: row.get(14)?,
    })
}
