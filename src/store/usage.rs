//! Rows of `usage_record` and `usage_total`: what on-demand instances have used, and the sums of it.
//!
//! The records of an instance that count never share any time, so that the neighbours of a new one are all it can
//! overlap: three look-ups, however many there are.

pub(super) mod pushing;

use jiff::Timestamp;

pub use pushing::{UsageCounts, UsageFilter, UsageRow, WaitingUsage, Withdrawal};

use super::{InstanceRow, StoreError, Tx, instant, millis, word};
use crate::kind::Kind;
use crate::operation::Environment;
use crate::usage::check::{self, Facts, Known, Neighbour};
use crate::usage::desk::Recorded;
use crate::usage::{Quantity, Report, State, UsageFault, Window};

/// A running total, as `queryInstance` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageTotal {
    /// Of a package: the on-demand instance it was used by. `None`: the instance's own total.
    pub used_by: Option<String>,
    /// Ten-thousandths.
    pub total: i64,
    /// The latest end that was reported.
    pub statistical_time: Timestamp,
}

/// A record of the same window.
struct Same {
    recorded: Recorded,
    value: Quantity,
    package: Option<String>,
}

impl Tx<'_> {
    /// Holds a report to the rules and records it. Repeating one that counts gives back its record; one whose record was
    /// rejected is a new record, because reporting again is how it is mended.
    pub fn record_usage(
        &self,
        report: &Report,
        metering_sn: &str,
        now: Timestamp,
    ) -> Result<Result<Recorded, UsageFault>, StoreError> {
        let instance = self.instance(Environment::Real, Kind::Saas, &report.instance_id)?;
        let mut neighbours = Vec::new();
        if let Some(instance) = &instance {
            if let Some(same) = self.same_usage(instance.row, report.window)? {
                if same.value == report.value && same.package == report.package {
                    return Ok(Ok(same.recorded));
                }
                let (window, value) = (report.window, same.value);
                neighbours.push(Neighbour { metering_sn: same.recorded.metering_sn, window, value });
            }
            neighbours.extend(self.usage_neighbours(instance.row, report.window.begin)?);
        }
        let known = self.known(&report.instance_id, instance.as_ref())?;
        let (package, known_package) = match &report.package {
            Some(id) => {
                let package = self.instance(Environment::Real, Kind::Saas, id)?;
                let known = self.known(id, package.as_ref())?;
                (package, known)
            }
            None => (None, Known::No),
        };
        if let Err(fault) = check::check(report, &known, &known_package, &neighbours, now) {
            return Ok(Err(fault));
        }
        // Without an instance the check has said so.
        let Some(instance) = instance else {
            return Ok(Err(UsageFault::UnknownInstance(report.instance_id.clone())));
        };
        // What is reported later than that is due now: it has not been waiting before.
        let reported_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let Window { begin, end } = report.window;
        let due_at = check::due_at(end).max(reported_at);
        // KooGallery takes no report that is older than its time (spec 5-open-api §6.4 rule 3).
        let record_time = reported_at.max(end);
        self.insert(
            "record the usage",
            "INSERT INTO usage_record (metering_sn, instance, product_id, begin_time, end_time, record_time, usage_value, \
             relate_pkg_instance, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                metering_sn,
                instance.row,
                &instance.life.product_id,
                millis(begin),
                millis(end),
                millis(record_time),
                report.value.to_string(),
                package.as_ref().map(|package| package.row),
                millis(due_at),
            ),
        )?;
        for total in totals(instance.row, package.map(|package| package.row)) {
            self.add_usage(total, report.value, end)?;
        }
        let metering_sn = metering_sn.to_owned();
        Ok(Ok(Recorded { metering_sn, state: State::Waiting, due_at, repeated: false }))
    }

    /// The running totals of an instance; none of one without records.
    pub fn usage_totals(&self, instance: i64) -> Result<Vec<UsageTotal>, StoreError> {
        self.all(
            "read the usage totals",
            "SELECT CASE WHEN usage_total.used_by <> usage_total.instance THEN user.instance_id END, total, \
             statistical_time FROM usage_total JOIN instance AS user ON user.id = usage_total.used_by \
             WHERE usage_total.instance = ?1 ORDER BY usage_total.used_by",
            [instance],
            |row| {
                let statistical_time = instant(row.get(2)?)?;
                Ok(UsageTotal { used_by: row.get(0)?, total: row.get(1)?, statistical_time })
            },
        )
    }

    fn known(&self, id: &str, real_saas: Option<&InstanceRow>) -> Result<Known, StoreError> {
        if let Some(row) = real_saas {
            let sql = "SELECT total FROM usage_total WHERE instance = ?1 AND used_by = ?1";
            let total = self.first("read the usage total", sql, [row.row], |row| row.get(0))?.unwrap_or(0);
            let (ordered_at, released_at) = (row.created_at, row.released_at);
            return Ok(Known::Saas(Facts { charging_mode: row.charging_mode.clone(), ordered_at, released_at, total }));
        }
        let others = self.instances_named(id)?;
        let real = others.iter().find(|other| other.environment == Environment::Real);
        Ok(match real {
            Some(other) => Known::Other(other.kind),
            None if others.is_empty() => Known::No,
            None => Known::Test,
        })
    }

    fn same_usage(&self, instance: i64, window: Window) -> Result<Option<Same>, StoreError> {
        self.first(
            "look up the usage",
            "SELECT metering_sn, state, due_at, usage_value, package.instance_id FROM usage_record \
             LEFT JOIN instance AS package ON package.id = relate_pkg_instance \
             WHERE instance = ?1 AND begin_time = ?2 AND end_time = ?3 AND state <> 'rejected'",
            (instance, millis(window.begin), millis(window.end)),
            |row| {
                let due_at = instant(row.get(2)?)?;
                Ok(Same {
                    recorded: Recorded { metering_sn: row.get(0)?, state: word(row.get(1)?)?, due_at, repeated: true },
                    value: word(row.get(3)?)?,
                    package: row.get(4)?,
                })
            },
        )
    }

    /// The last record that begins at an instant or before it, and the first that begins after it.
    fn usage_neighbours(&self, instance: i64, begin: Timestamp) -> Result<Vec<Neighbour>, StoreError> {
        const SELECT: &str = "SELECT metering_sn, begin_time, end_time, usage_value FROM usage_record \
             WHERE instance = ?1 AND state <> 'rejected'";
        let read = |row: &rusqlite::Row<'_>| {
            let window = Window { begin: instant(row.get(1)?)?, end: instant(row.get(2)?)? };
            Ok(Neighbour { metering_sn: row.get(0)?, window, value: word(row.get(3)?)? })
        };
        // Of two that begin together one has no length, and the other is the one that can be in the way.
        let before = format!("{SELECT} AND begin_time <= ?2 ORDER BY begin_time DESC, end_time DESC LIMIT 1");
        let after = format!("{SELECT} AND begin_time > ?2 ORDER BY begin_time LIMIT 1");
        let values = (instance, millis(begin));
        let before = self.first("look up the usage", &before, values, read)?;
        let after = self.first("look up the usage", &after, values, read)?;
        Ok(before.into_iter().chain(after).collect())
    }

    fn add_usage(&self, (instance, used_by): (i64, i64), value: Quantity, end: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "add up the usage",
            "INSERT INTO usage_total (instance, used_by, total, statistical_time) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (instance, used_by) DO UPDATE SET total = total + excluded.total, \
             statistical_time = max(statistical_time, excluded.statistical_time)",
            (instance, used_by, value.parts(), millis(end)),
        )
        .map(drop)
    }
}

/// The totals that a record counts in: the instance's own, and what its package has given it.
fn totals(instance: i64, package: Option<i64>) -> impl Iterator<Item = (i64, i64)> {
    [instance].into_iter().chain(package).map(move |whose| (whose, instance))
}
