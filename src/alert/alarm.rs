//! An alarm with the facts that its texts are made of: no secret and no personal data, for it leaves the machine and stands
//! in the database in the clear.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Kind, Severity};

/// Failed orders in a month that KooGallery bears with; beyond them it takes the product from the shelf.
pub const FAILED_ORDERS_ALLOWED: i64 = 5;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[allow(missing_docs)] // The kinds say what each is, and the members are the wire's and the schema's own names.
pub enum Alarm {
    CreationOpen { instance_id: String, order_id: Option<String>, refund_at: Timestamp },
    OrdersFailed { product_id: Option<String>, count: i64, month: String },
    TestCallsAway { last: Timestamp },
    TestCallFailed { activity: String, result: String },
    JobDead { job: i64, task: String, about: String, retry: String },
    StockEmpty { stock: String },
    StockLow { stock: String, left: i64 },
    FrozenThoughPaid { instance_id: String, expire_time: Timestamp },
    NoProduct { product_kind: String, product_id: Option<String>, sku_code: Option<String> },
    Misconfigured { about: String },
    InstanceWaiting { instance_id: String },
    LicenseWaiting { license: i64, instance_id: String },
    DoByHand { instance_id: String, change: String },
    OrderUnread { instance_id: String, order_id: String },
    AccessNoRoom { instance_id: String },
    SecretUnreadable { app_id: String },
    LoginFailed,
    CallFailed,
    UsageOverdue { since: Timestamp, records: i64 },
    UsageStuck,
    UsageRejected { records: i64 },
    OpenApiLocked { until: Timestamp },
    ClockOff { seconds: Option<i64> },
    CertificateEnds { name: String, until: Timestamp, urgent: bool },
    CertificateNotReplaced,
    ReloadFailed,
    DatabaseUnwritable,
    DatabaseDamaged,
    WalGone,
    WalGrows { mebibytes: u64 },
    DiskLow { free: u64, wanted: u64 },
    SnapshotOld { limit_minutes: u64 },
    SeriesOld { limit_minutes: u64 },
    CopyDamaged,
    RestoreGap { restored_at: Timestamp },
    ServiceIll,
    FilesShort { allowed: u64, needed: u64 },
    ConnectionsRefused,
}

impl Alarm {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::CreationOpen { .. } => Kind::CreationOpen,
            Self::OrdersFailed { .. } => Kind::OrdersFailed,
            Self::TestCallsAway { .. } => Kind::TestCallsAway,
            Self::TestCallFailed { .. } => Kind::TestCallFailed,
            Self::JobDead { .. } => Kind::JobDead,
            Self::StockEmpty { .. } => Kind::StockEmpty,
            Self::StockLow { .. } => Kind::StockLow,
            Self::FrozenThoughPaid { .. } => Kind::FrozenThoughPaid,
            Self::NoProduct { .. } => Kind::NoProduct,
            Self::Misconfigured { .. } => Kind::Misconfigured,
            Self::InstanceWaiting { .. } => Kind::InstanceWaiting,
            Self::LicenseWaiting { .. } => Kind::LicenseWaiting,
            Self::DoByHand { .. } => Kind::DoByHand,
            Self::OrderUnread { .. } => Kind::OrderUnread,
            Self::AccessNoRoom { .. } => Kind::AccessNoRoom,
            Self::SecretUnreadable { .. } => Kind::SecretUnreadable,
            Self::LoginFailed => Kind::LoginFailed,
            Self::CallFailed => Kind::CallFailed,
            Self::UsageOverdue { .. } => Kind::UsageOverdue,
            Self::UsageStuck => Kind::UsageStuck,
            Self::UsageRejected { .. } => Kind::UsageRejected,
            Self::OpenApiLocked { .. } => Kind::OpenApiLocked,
            Self::ClockOff { .. } => Kind::ClockOff,
            Self::CertificateEnds { .. } => Kind::CertificateEnds,
            Self::CertificateNotReplaced => Kind::CertificateNotReplaced,
            Self::ReloadFailed => Kind::ReloadFailed,
            Self::DatabaseUnwritable => Kind::DatabaseUnwritable,
            Self::DatabaseDamaged => Kind::DatabaseDamaged,
            Self::WalGone => Kind::WalGone,
            Self::WalGrows { .. } => Kind::WalGrows,
            Self::DiskLow { .. } => Kind::DiskLow,
            Self::SnapshotOld { .. } => Kind::SnapshotOld,
            Self::SeriesOld { .. } => Kind::SeriesOld,
            Self::CopyDamaged => Kind::CopyDamaged,
            Self::RestoreGap { .. } => Kind::RestoreGap,
            Self::ServiceIll => Kind::ServiceIll,
            Self::FilesShort { .. } => Kind::FilesShort,
            Self::ConnectionsRefused => Kind::ConnectionsRefused,
        }
    }

    /// What it is about, for people and as its key within the kind; empty: koogate as a whole.
    pub fn subject(&self) -> String {
        let product = |id: &Option<String>| id.clone().unwrap_or_else(|| "?".to_owned());
        match self {
            Self::CreationOpen { instance_id, .. }
            | Self::FrozenThoughPaid { instance_id, .. }
            | Self::InstanceWaiting { instance_id }
            | Self::DoByHand { instance_id, .. }
            | Self::OrderUnread { instance_id, .. }
            | Self::AccessNoRoom { instance_id } => instance_id.clone(),
            Self::OrdersFailed { product_id, month, .. } => format!("{} {month}", product(product_id)),
            Self::JobDead { job, .. } => job.to_string(),
            Self::StockEmpty { stock } | Self::StockLow { stock, .. } => stock.clone(),
            Self::NoProduct { product_kind, product_id, sku_code } => match sku_code {
                Some(sku) => format!("{product_kind} {} {sku}", product(product_id)),
                None => format!("{product_kind} {}", product(product_id)),
            },
            Self::TestCallFailed { activity, .. } => activity.clone(),
            Self::Misconfigured { about } => about.clone(),
            Self::LicenseWaiting { license, .. } => license.to_string(),
            Self::SecretUnreadable { app_id } => app_id.clone(),
            Self::CertificateEnds { name, .. } => name.clone(),
            _ => String::new(),
        }
    }

    /// How soon somebody should look.
    pub fn severity(&self) -> Severity {
        match self {
            Self::OrdersFailed { count, .. } if *count + 2 >= FAILED_ORDERS_ALLOWED => Severity::Urgent,
            Self::CertificateEnds { urgent: true, .. } => Severity::Urgent,
            _ => self.kind().severity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    fn all() -> Vec<Alarm> {
        let (at, text) = (Timestamp::UNIX_EPOCH, || "x".to_owned());
        vec![
            Alarm::CreationOpen { instance_id: text(), order_id: None, refund_at: at },
            Alarm::OrdersFailed { product_id: None, count: 1, month: text() },
            Alarm::TestCallsAway { last: at },
            Alarm::TestCallFailed { activity: text(), result: text() },
            Alarm::JobDead { job: 1, task: text(), about: text(), retry: text() },
            Alarm::StockEmpty { stock: text() },
            Alarm::StockLow { stock: text(), left: 1 },
            Alarm::FrozenThoughPaid { instance_id: text(), expire_time: at },
            Alarm::NoProduct { product_kind: text(), product_id: None, sku_code: Some(text()) },
            Alarm::Misconfigured { about: text() },
            Alarm::InstanceWaiting { instance_id: text() },
            Alarm::LicenseWaiting { license: 1, instance_id: text() },
            Alarm::DoByHand { instance_id: text(), change: text() },
            Alarm::OrderUnread { instance_id: text(), order_id: text() },
            Alarm::AccessNoRoom { instance_id: text() },
            Alarm::SecretUnreadable { app_id: text() },
            Alarm::LoginFailed,
            Alarm::CallFailed,
            Alarm::UsageOverdue { since: at, records: 1 },
            Alarm::UsageStuck,
            Alarm::UsageRejected { records: 1 },
            Alarm::OpenApiLocked { until: at },
            Alarm::ClockOff { seconds: Some(-40) },
            Alarm::CertificateEnds { name: text(), until: at, urgent: true },
            Alarm::CertificateNotReplaced,
            Alarm::ReloadFailed,
            Alarm::DatabaseUnwritable,
            Alarm::DatabaseDamaged,
            Alarm::WalGone,
            Alarm::WalGrows { mebibytes: 1 },
            Alarm::DiskLow { free: 1, wanted: 2 },
            Alarm::SnapshotOld { limit_minutes: 15 },
            Alarm::SeriesOld { limit_minutes: 180 },
            Alarm::CopyDamaged,
            Alarm::RestoreGap { restored_at: at },
            Alarm::ServiceIll,
            Alarm::FilesShort { allowed: 1, needed: 2 },
            Alarm::ConnectionsRefused,
        ]
    }

    #[test]
    fn every_alarm_is_kept_under_its_kinds_name_and_read_again() {
        let kinds: Vec<Kind> = all().iter().map(Alarm::kind).collect();
        assert_eq!(kinds, Kind::ALL);
        for alarm in all() {
            let text = serde_json::to_value(&alarm).unwrap();
            assert_eq!(text["kind"], alarm.kind().as_str());
            assert_eq!(serde_json::from_value::<Alarm>(text).unwrap(), alarm);
            let what = alarm.what();
            assert!(!what.zh.is_empty() && !what.en.is_empty(), "{what:?}");
            assert!(what.en.chars().all(|c| c.is_ascii() || c == '…'), "{what:?}");
        }
    }

    #[test]
    fn every_kind_stands_in_the_documentation() {
        let page = include_str!("../../docs/alerts.md");
        let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
        assert_eq!(missing, Vec::<&Kind>::new());
    }
}
