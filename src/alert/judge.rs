//! Which alarms follow from one read of the database and a look at the machine. Pure: what was found comes in, alarms go out.

use jiff::{SignedDuration, Timestamp};

use super::standing::{HalfDay, Standing};
use super::{Alarm, Ending, Kind, beijing};

/// An order is worth an alarm when KooGallery gives it up within so long. It retries hourly: two more calls.
const REFUND_NEAR: SignedDuration = SignedDuration::from_mins(90);

/// KooGallery's test calls come twice a day; after so long three are missing.
const TEST_CALLS_LATE: SignedDuration = SignedDuration::from_hours(36);

/// An installation that was off cannot have got any: it must have run for so long.
const TEST_CALLS_UP_FOR: SignedDuration = SignedDuration::from_hours(13);

/// After so long without any it does not get them any more: its products are off the shelf.
const TEST_CALLS_GONE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// An installation gets test calls when they came in so many half days of the last week in which there were any.
const TEST_CALLS_USUAL: usize = 4;

/// A certificate that ends sooner is worth an alarm, and so much sooner it is urgent.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(21 * 24);
const CERTIFICATE_NOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Calls are fresh for a minute: a clock that is so far off leaves half of it.
const CLOCK_OFF: i64 = 30;

/// What a look at the machine and the process found.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// How long this process has been up.
    pub up_for: SignedDuration,
    /// Commits fail.
    pub database_fails: bool,
    /// Size of the write-ahead log, in MiB.
    pub wal: u64,
    /// Its limit.
    pub wal_limit: u64,
    /// Free and wanted space on the disk of the database, in MiB; `None`: it cannot be told.
    pub disk: Option<(u64, u64)>,
    /// The limit that the snapshot's age has passed.
    pub snapshot_old: Option<u64>,
    /// The limit that the age of the series has passed.
    pub series_old: Option<u64>,
    /// By how many seconds this machine's clock is ahead of KooGallery's.
    pub clock_ahead: Option<i64>,
    /// The clock is behind what the database has seen.
    pub clock_doubtful: bool,
    /// The certificate that is shown, where HTTPS is spoken.
    pub certificate: Option<Certificate>,
    /// The watchdog's verdict is not good.
    pub is_ill: bool,
}

impl Machine {
    /// Whether the heart may beat: calls are answered, and what is answered is kept.
    pub fn is_well(&self) -> bool {
        !self.database_fails && !self.is_ill && self.snapshot_old.is_none() && self.series_old.is_none()
    }
}

/// A certificate, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its first name.
    pub name: String,
    /// When it begins to be valid.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// What the configuration says.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Stocks, and from how many left they are low.
    pub stocks: Vec<(String, i64)>,
    /// Usage that has been due for longer is overdue.
    pub usage_late: SignedDuration,
}

/// An alarm that was found, and since when it has stood, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The alarm.
    pub alarm: Alarm,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Whether a look decides about a kind. One without the database decides about those of the machine only.
pub fn covers(kind: Kind, database_was_read: bool) -> bool {
    let of_machine = matches!(
        kind,
        Kind::DatabaseUnwritable
            | Kind::WalGrows
            | Kind::DiskLow
            | Kind::SnapshotOld
            | Kind::SeriesOld
            | Kind::ClockOff
            | Kind::CertificateEnds
            | Kind::ServiceIll
    );
    matches!(kind.ending(), Ending::Looked | Ending::Faded) && (of_machine || database_was_read)
}

/// What stands.
pub fn judge(standing: Option<&Standing>, machine: &Machine, rules: &Rules, now: Timestamp) -> Vec<Found> {
    let mut found = of_machine(machine, now);
    if let Some(standing) = standing {
        of_orders(standing, now, &mut found);
        of_work(standing, rules, now, &mut found);
        if let Some(last) = test_calls_away(&standing.test_calls, machine.up_for, now) {
            found.push(Found { alarm: Alarm::TestCallsAway { last }, since: Some(last) });
        }
    }
    found
}

/// When the last test call came, if they stay away.
pub fn test_calls_away(calendar: &[HalfDay], up_for: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let newest = calendar.iter().max_by_key(|day| day.half_day)?;
    let week = calendar.iter().filter(|day| day.half_day > newest.half_day - 14).count();
    let silence = now.duration_since(newest.last);
    let is_away = week >= TEST_CALLS_USUAL
        && silence > TEST_CALLS_LATE
        && silence < TEST_CALLS_GONE
        && up_for >= TEST_CALLS_UP_FOR;
    is_away.then_some(newest.last)
}

fn of_orders(standing: &Standing, now: Timestamp, found: &mut Vec<Found>) {
    for order in &standing.open_orders {
        if order.refund_at.duration_since(now) <= REFUND_NEAR {
            let (instance_id, order_id) = (order.instance_id.clone(), order.order_id.clone());
            let alarm = Alarm::CreationOpen { instance_id, order_id, refund_at: order.refund_at };
            found.push(Found { alarm, since: Some(order.first_call) });
        }
    }
    let month = beijing::month(now).0;
    for failed in &standing.failed_orders {
        let alarm =
            Alarm::OrdersFailed { product_id: failed.product_id.clone(), count: failed.count, month: month.clone() };
        found.push(Found { alarm, since: None });
    }
    for (instance_id, expire_time) in &standing.frozen_paid {
        let alarm = Alarm::FrozenThoughPaid { instance_id: instance_id.clone(), expire_time: *expire_time };
        found.push(Found { alarm, since: None });
    }
    for instance_id in &standing.instances_waiting {
        found.push(Found { alarm: Alarm::InstanceWaiting { instance_id: instance_id.clone() }, since: None });
    }
    for (license, instance_id) in &standing.licenses_waiting {
        let alarm = Alarm::LicenseWaiting { license: *license, instance_id: instance_id.clone() };
        found.push(Found { alarm, since: None });
    }
}

fn of_work(standing: &Standing, rules: &Rules, now: Timestamp, found: &mut Vec<Found>) {
    for job in &standing.dead_jobs {
        let alarm = Alarm::JobDead {
            job: job.job,
            task: job.task.clone(),
            about: job.about.clone(),
            retry: format!("{} {}", job.retry, job.about),
        };
        found.push(Found { alarm, since: job.at });
    }
    for ((stock, left), (_, low)) in standing.stocks.iter().zip(&rules.stocks) {
        let stock = stock.clone();
        match *left {
            0 => found.push(Found { alarm: Alarm::StockEmpty { stock }, since: None }),
            left if left <= *low => found.push(Found { alarm: Alarm::StockLow { stock, left }, since: None }),
            _ => {}
        }
    }
    if let Some((since, records)) = standing.usage_due.filter(|(at, _)| now.duration_since(*at) > rules.usage_late) {
        found.push(Found { alarm: Alarm::UsageOverdue { since, records }, since: Some(since) });
    }
    if standing.usage_rejected > 0 {
        let alarm = Alarm::UsageRejected { records: standing.usage_rejected };
        found.push(Found { alarm, since: None });
    }
    if let Some(restored_at) = standing.restore_gap {
        found.push(Found { alarm: Alarm::RestoreGap { restored_at }, since: Some(restored_at) });
    }
    if let Some(until) = standing.open_api_locked {
        found.push(Found { alarm: Alarm::OpenApiLocked { until }, since: None });
    }
}

fn of_machine(machine: &Machine, now: Timestamp) -> Vec<Found> {
    let mut alarms = Vec::new();
    if machine.database_fails {
        alarms.push(Alarm::DatabaseUnwritable);
    }
    if machine.wal > machine.wal_limit {
        alarms.push(Alarm::WalGrows { mebibytes: machine.wal });
    }
    if let Some((free, wanted)) = machine.disk.filter(|(free, wanted)| free < wanted) {
        alarms.push(Alarm::DiskLow { free, wanted });
    }
    alarms.extend(machine.snapshot_old.map(|limit_minutes| Alarm::SnapshotOld { limit_minutes }));
    alarms.extend(machine.series_old.map(|limit_minutes| Alarm::SeriesOld { limit_minutes }));
    match machine.clock_ahead.filter(|seconds| seconds.abs() > CLOCK_OFF) {
        Some(seconds) => alarms.push(Alarm::ClockOff { seconds: Some(seconds) }),
        None if machine.clock_doubtful => alarms.push(Alarm::ClockOff { seconds: None }),
        None => {}
    }
    if let Some(Certificate { name, from, until }) = &machine.certificate {
        // One that never lasts so long is renewed in the last quarter of its time.
        let (left, lasts) = (until.duration_since(now), until.duration_since(*from));
        if left < CERTIFICATE_SOON.min(lasts / 4) {
            let urgent = left < CERTIFICATE_NOW.min(lasts / 12);
            alarms.push(Alarm::CertificateEnds { name: name.clone(), until: *until, urgent });
        }
    }
    if machine.is_ill {
        alarms.push(Alarm::ServiceIll);
    }
    alarms.into_iter().map(|alarm| Found { alarm, since: None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Severity;
    use crate::alert::standing::{DeadJob, FailedOrders, OpenOrder};

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn kinds(standing: &Standing, machine: &Machine) -> Vec<Kind> {
        let rules = Rules { stocks: vec![("a".to_owned(), 5)], usage_late: SignedDuration::from_hours(1) };
        judge(Some(standing), machine, &rules, at(0)).iter().map(|found| found.alarm.kind()).collect()
    }

    #[test]
    fn nothing_wrong_is_no_alarm() {
        let full = Standing { stocks: vec![("a".to_owned(), 6)], ..Standing::default() };
        assert_eq!(kinds(&full, &Machine::default()), []);
    }

    /// One that lasts so many days, and so many more.
    fn certificate(lasts: i64, left: i64) -> Certificate {
        Certificate { name: "a".to_owned(), from: at((left - lasts) * 24), until: at(left * 24) }
    }

    #[test]
    fn a_certificate_alarms_three_weeks_before_its_end_or_in_its_last_quarter() {
        for (lasts, left, expected) in [
            (90, 22, None),
            (90, 20, Some(Severity::Warning)),
            (90, 6, Some(Severity::Urgent)),
            (40, 11, None),
            (40, 9, Some(Severity::Warning)),
            (40, 3, Some(Severity::Urgent)),
            (6, 2, None),
        ] {
            let machine = Machine { certificate: Some(certificate(lasts, left)), ..Machine::default() };
            let found = judge(None, &machine, &Rules::default(), at(0));
            assert_eq!(found.first().map(|found| found.alarm.severity()), expected, "{left} of {lasts} days");
        }
    }

    #[test]
    fn an_order_alarms_when_its_refund_is_near() {
        let order = |minutes| OpenOrder {
            instance_id: "i".to_owned(),
            order_id: None,
            product_id: None,
            first_call: at(-2),
            refund_at: at(0) + SignedDuration::from_mins(minutes),
        };
        let open = |minutes| Standing { open_orders: vec![order(minutes)], ..Standing::default() };
        assert_eq!(kinds(&open(91), &Machine::default()), []);
        assert_eq!(kinds(&open(90), &Machine::default()), [Kind::CreationOpen]);
    }

    #[test]
    fn failed_orders_become_urgent_before_the_product_is_lost() {
        for (count, severity) in [(1, Severity::Warning), (2, Severity::Warning), (3, Severity::Urgent)] {
            let failed = FailedOrders { product_id: Some("P".to_owned()), count };
            let standing = Standing { failed_orders: vec![failed], ..Standing::default() };
            let found = judge(Some(&standing), &Machine::default(), &Rules::default(), at(0));
            assert_eq!(found[0].alarm.severity(), severity, "{count}");
        }
    }

    #[test]
    fn stocks_jobs_and_usage_alarm() {
        let stock = |left| Standing { stocks: vec![("a".to_owned(), left)], ..Standing::default() };
        assert_eq!(kinds(&stock(0), &Machine::default()), [Kind::StockEmpty]);
        assert_eq!(kinds(&stock(5), &Machine::default()), [Kind::StockLow]);
        let dead = DeadJob { job: 1, task: "t".to_owned(), about: "i".to_owned(), retry: "instance retry", at: None };
        let standing = Standing {
            dead_jobs: vec![dead],
            usage_due: Some((at(-2), 3)),
            usage_rejected: 1,
            frozen_paid: vec![("i".to_owned(), at(9))],
            restore_gap: Some(at(-9)),
            open_api_locked: Some(at(1)),
            ..Standing::default()
        };
        let expected = [
            Kind::FrozenThoughPaid,
            Kind::JobDead,
            Kind::UsageOverdue,
            Kind::UsageRejected,
            Kind::RestoreGap,
            Kind::OpenApiLocked,
        ];
        assert_eq!(kinds(&standing, &Machine::default()), expected);
    }

    #[test]
    fn the_machine_alarms_without_a_database() {
        let machine = Machine {
            database_fails: true,
            disk: Some((10, 300)),
            snapshot_old: Some(15),
            clock_ahead: Some(-31),
            certificate: Some(certificate(90, 20)),
            is_ill: true,
            ..Machine::default()
        };
        let found = judge(None, &machine, &Rules::default(), at(0));
        let kinds: Vec<_> = found.iter().map(|found| found.alarm.kind()).collect();
        let expected = [
            Kind::DatabaseUnwritable,
            Kind::DiskLow,
            Kind::SnapshotOld,
            Kind::ClockOff,
            Kind::CertificateEnds,
            Kind::ServiceIll,
        ];
        assert_eq!(kinds, expected);
        assert!(kinds.iter().all(|kind| covers(*kind, false)));
        assert!(!covers(Kind::JobDead, false) && covers(Kind::JobDead, true) && !covers(Kind::ReloadFailed, true));
    }

    #[test]
    fn the_heart_stops_when_calls_are_not_answered_or_nothing_is_kept() {
        let well = Machine::default();
        assert!(well.is_well() && Machine { disk: Some((1, 2)), ..well.clone() }.is_well());
        for ill in [
            Machine { database_fails: true, ..well.clone() },
            Machine { is_ill: true, ..well.clone() },
            Machine { snapshot_old: Some(15), ..well.clone() },
            Machine { series_old: Some(180), ..well },
        ] {
            assert!(!ill.is_well(), "{ill:?}");
        }
    }

    #[test]
    fn test_calls_that_used_to_come_are_missed_after_a_day_and_a_half() {
        let half = beijing::half_day(at(0));
        let days = |count: i64| -> Vec<HalfDay> {
            (0..count)
                .map(|back| HalfDay { half_day: half - back, calls: 1, failures: 0, last: at(-12 * back) })
                .collect()
        };
        let up = SignedDuration::from_hours(40);
        let away = |calendar: &[HalfDay], up_for, hours| test_calls_away(calendar, up_for, at(hours));
        assert_eq!(away(&days(8), up, 36), None);
        assert_eq!(away(&days(8), up, 37), Some(at(0)));
        assert_eq!(away(&days(3), up, 37), None, "it never got them regularly");
        assert_eq!(away(&days(8), SignedDuration::from_hours(12), 37), None, "koogate itself was away");
        assert_eq!(away(&days(8), up, 31 * 24), None, "nothing is sold any more");
        assert_eq!(away(&[], up, 37), None);
    }
}
