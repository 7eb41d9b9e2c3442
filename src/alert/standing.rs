//! What one read of the database finds to stand wrong; the store fills it in, the judge makes alarms of it, and the status
//! page shows it.

use jiff::{SignedDuration, Timestamp};

use super::beijing;

/// So many half days of the calendar are looked at: 37 days.
const CALENDAR: i64 = 74;

/// KooGallery gives an order up so long after its first call: hourly retries for three hours, then the order fails and is
/// refunded (2-basic-v1 §9; assumed for V2 and LO; L1 likewise). It stands in the index `operation_slow`, too.
pub const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(3);

/// What is asked.
#[derive(Debug, Clone)]
pub struct StandingQuery {
    /// The time.
    pub now: Timestamp,
    /// The first instant of the month, in Beijing.
    pub month: Timestamp,
    /// The first half day of the calendar that is told.
    pub calendar_from: i64,
    /// Stocks that products take from.
    pub stocks: Vec<String>,
}

impl StandingQuery {
    /// What the alarms are made of: this month, and the calendar of 37 days.
    pub fn new(now: Timestamp, stocks: Vec<String>) -> Self {
        Self { now, month: beijing::month(now).1, calendar_from: beijing::half_day(now) - CALENDAR, stocks }
    }
}

/// What stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Orders that are open and have not been given up, the oldest first.
    pub open_orders: Vec<OpenOrder>,
    /// Failed orders of the month, per product.
    pub failed_orders: Vec<FailedOrders>,
    /// The calendar of test calls; half days without any have no entry.
    pub test_calls: Vec<HalfDay>,
    /// Dead jobs, the oldest first.
    pub dead_jobs: Vec<DeadJob>,
    /// How many entries each stock has left, in the order asked.
    pub stocks: Vec<(String, i64)>,
    /// Frozen instances that are paid into the future.
    pub frozen_paid: Vec<(String, Timestamp)>,
    /// Usage that is to be sent now: since when the first, and how many records.
    pub usage_due: Option<(Timestamp, i64)>,
    /// Usage records that KooGallery rejected within a day.
    pub usage_rejected: i64,
    /// Licences that nobody works on.
    pub licenses_waiting: Vec<(i64, String)>,
    /// Instances being created that nobody works on.
    pub instances_waiting: Vec<String>,
    /// A restore whose report nobody has read.
    pub restore_gap: Option<Timestamp>,
    /// Until when an access key of the open API is not used.
    pub open_api_locked: Option<Timestamp>,
}

/// A purchase or an upgrade whose answer is not final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// The instance.
    pub instance_id: String,
    /// The order.
    pub order_id: Option<String>,
    /// The product.
    pub product_id: Option<String>,
    /// When KooGallery called first.
    pub first_call: Timestamp,
    /// When KooGallery gives it up.
    pub refund_at: Timestamp,
}

/// How many orders of a product failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOrders {
    /// The product; `None`: not known.
    pub product_id: Option<String>,
    /// So many.
    pub count: i64,
}

/// Half a day of the calendar of test calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfDay {
    /// See `alert::beijing`.
    pub half_day: i64,
    /// Calls.
    pub calls: i64,
    /// Those that failed.
    pub failures: i64,
    /// The last one.
    pub last: Timestamp,
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    /// Its row.
    pub job: i64,
    /// The event.
    pub task: String,
    /// What it is about: an instance, a tenant or an order.
    pub about: String,
    /// What tries it again: `instance retry`, `tenant retry` or `order show --refresh`, before what it is about.
    pub retry: &'static str,
    /// When it was given up.
    pub at: Option<Timestamp>,
}
