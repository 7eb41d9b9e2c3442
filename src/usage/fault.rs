//! Why a report is not recorded, in words that say what to do.

use jiff::Timestamp;

use super::QuantityFault;
use crate::kind::Kind;

/// A report that is not recorded. Texts show what the application said, shortened and quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageFault {
    /// A member that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not the JSON of a report.
    #[error("not a usage record: {0}")]
    Malformed(String),
    /// More than the wire has room for.
    #[error("{0} has more than 64 characters; no instance has such an id")]
    LongId(&'static str),
    /// No instant.
    #[error("{name} {text:?} is no time; write it with its offset, 2026-01-15T08:00:00Z or 2026-01-15T16:00:00+08:00")]
    Time {
        /// The member.
        name: &'static str,
        /// What it held.
        text: String,
    },
    /// Finer than seconds.
    #[error("{name} {text:?} has fractions of a second; KooGallery counts whole seconds")]
    Fraction {
        /// The member.
        name: &'static str,
        /// What it held.
        text: String,
    },
    /// The amount.
    #[error("usageValue {text:?}: {fault}")]
    Value {
        /// What it held.
        text: String,
        /// What is wrong with it.
        fault: QuantityFault,
    },
    /// The end before the beginning.
    #[error("beginTime {begin} is after endTime {end}")]
    Backwards {
        /// From.
        begin: Timestamp,
        /// To.
        end: Timestamp,
    },
    /// Nobody bought it.
    #[error("there is no instance {0:?}; report with the instanceId of the instance.create event")]
    UnknownInstance(String),
    /// A test instance.
    #[error("{0:?} is a test instance; its usage is never reported to KooGallery")]
    TestInstance(String),
    /// A licence.
    #[error("{id:?} is of kind {kind}; only saas instances have usage records")]
    NotSaas {
        /// Which.
        id: String,
        /// What it is.
        kind: Kind,
    },
    /// It has been paid otherwise.
    #[error("{id:?} is charged as {mode}, not ON_DEMAND; {}", advice_for(.mode))]
    NotOnDemand {
        /// Which.
        id: String,
        /// How it is charged.
        mode: String,
    },
    /// Not over yet.
    #[error("endTime {end} is later than now, {now}; report a time when it is over, and check the clocks")]
    Future {
        /// To.
        end: Timestamp,
        /// The server's clock.
        now: Timestamp,
    },
    /// It was no more there.
    #[error("endTime {end} is after the instance was released, {released_at}; report what was used until then")]
    AfterRelease {
        /// To.
        end: Timestamp,
        /// When it was released.
        released_at: Timestamp,
    },
    /// It was not there yet.
    #[error("beginTime {begin} is before the instance was ordered, {ordered_at}; report what was used since then")]
    BeforeOrder {
        /// From.
        begin: Timestamp,
        /// When it was ordered.
        ordered_at: Timestamp,
    },
    /// KooGallery takes it no more.
    #[error("beginTime {begin} is more than 21 days old when it is sent; KooGallery takes no such record any more")]
    TooOld {
        /// From.
        begin: Timestamp,
    },
    /// Nobody bought the package, or it is something else.
    #[error("relatePkgInstance {id:?} {problem}; name the package instance that the usage is deducted from")]
    Package {
        /// Which.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Part of it has been reported.
    #[error(
        "the time overlaps that of record {metering_sn} ({begin} to {end}, {value}); KooGallery counts a time once: \
         report only what is not in it"
    )]
    Overlap {
        /// The record.
        metering_sn: String,
        /// From.
        begin: Timestamp,
        /// To.
        end: Timestamp,
        /// How much.
        value: String,
    },
    /// The sum of the instance.
    #[error("the instance's running total has no room for it; report in the unit that KooGallery bills")]
    TotalTooLarge,
}

impl UsageFault {
    /// As much of a text as is worth showing.
    pub(super) fn shortened(text: &str) -> String {
        const SHOWN: usize = 40;
        let shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() { format!("{shown}…") } else { shown }
    }
}

/// What to do about an instance that is not charged by usage.
fn advice_for(mode: &str) -> &'static str {
    match mode {
        "ON_DEMAND_PKG" => {
            "report for the on-demand instance and name this package as relatePkgInstance, if it stops when used up"
        }
        _ => "it is paid beforehand and its usage is not reported",
    }
}
