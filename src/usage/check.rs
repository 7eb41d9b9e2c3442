//! The rules a report must keep (spec 5-open-api §6.1, §6.4), and when its record is due.
//!
//! What KooGallery would refuse is refused here, at once and with advice, while the application can still mend it.

use jiff::{SignedDuration, Timestamp};

use super::{Report, UsageFault, Window};
use crate::kind::Kind;

/// KooGallery takes records whose beginning is so old at most (`MKT.9004`).
const OLDEST: SignedDuration = SignedDuration::from_hours(21 * 24);

/// The application's clock may be ahead by so much: whoever reports right at the full hour must not be refused for a second.
/// Nothing is sent before it is over by this machine's clock ([`due_at`]).
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

const HOUR: i64 = 3600;

/// How an instance is charged, in the wire's words that matter here.
const ON_DEMAND: &str = "ON_DEMAND";
const ON_DEMAND_PACKAGE: &str = "ON_DEMAND_PKG";
const CHARGED_OTHERWISE: [&str; 2] = ["PERIOD", "ONE_TIME"];

/// What is known of an instance id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    No,
    /// A test instance has it.
    Test,
    /// Something else has it.
    Other(Kind),
    /// A real SaaS instance has it.
    Saas(Facts),
}

/// A real SaaS instance, as far as its usage is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `ON_DEMAND`, `PERIOD` …; `None`: not told.
    pub charging_mode: Option<String>,
    /// When its order came in.
    pub ordered_at: Timestamp,
    /// When it was released.
    pub released_at: Option<Timestamp>,
    /// The sum of its records that count, in ten-thousandths.
    pub total: i64,
}

/// A record of the same instance that counts, next in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Which.
    pub metering_sn: String,
    /// When.
    pub window: Window,
    /// How much.
    pub value: super::Quantity,
}

/// Whether usage of this charging mode is told in the answer to `queryInstance` whether or not there are any records
/// (spec 1-basic-v2 §4.2).
pub fn must_be_told(charging_mode: Option<&str>) -> bool {
    matches!(charging_mode, Some(ON_DEMAND | ON_DEMAND_PACKAGE))
}

/// Holds a report to the rules. `package` is what is known of the package it names; `neighbours` are the records of the
/// same window, the last that begins at or before it and the first that begins after it.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(
    report: &Report,
    instance: &Known,
    package: &Known,
    neighbours: &[Neighbour],
    now: Timestamp,
) -> Result<(), UsageFault> {
    let facts = on_demand(&report.instance_id, instance)?;
    let Window { begin, end } = report.window;
    if end.duration_since(now) > AHEAD {
        return Err(UsageFault::Future { end, now });
    }
    if let Some(released_at) = facts.released_at.filter(|released_at| end > *released_at) {
        return Err(UsageFault::AfterRelease { end, released_at });
    }
    // To the second, as reports are.
    if begin.as_second() < facts.ordered_at.as_second() {
        return Err(UsageFault::BeforeOrder { begin, ordered_at: facts.ordered_at });
    }
    if due_at(end).max(now).duration_since(begin) > OLDEST {
        return Err(UsageFault::TooOld { begin });
    }
    if let Some(id) = &report.package {
        let problem = package_problem(&report.instance_id, id, package);
        problem.map_or(Ok(()), |problem| Err(UsageFault::Package { id: id.clone(), problem }))?;
    }
    if let Some(other) = neighbours.iter().find(|other| other.window.overlaps(report.window)) {
        return Err(UsageFault::Overlap {
            metering_sn: other.metering_sn.clone(),
            begin: other.window.begin,
            end: other.window.end,
            value: other.value.to_string(),
        });
    }
    facts.total.checked_add(report.value.parts()).map(drop).ok_or(UsageFault::TotalTooLarge)
}

/// The facts of an instance that may have usage records.
fn on_demand<'k>(id: &str, known: &'k Known) -> Result<&'k Facts, UsageFault> {
    let id = id.to_owned();
    let facts = match known {
        Known::No => return Err(UsageFault::UnknownInstance(id)),
        Known::Test => return Err(UsageFault::TestInstance(id)),
        Known::Other(kind) => return Err(UsageFault::NotSaas { id, kind: *kind }),
        Known::Saas(facts) => facts,
    };
    match facts.charging_mode.as_deref() {
        // What is not told, or in words nobody knows, is for KooGallery to judge.
        Some(mode) if mode == ON_DEMAND_PACKAGE || CHARGED_OTHERWISE.contains(&mode) => {
            Err(UsageFault::NotOnDemand { id, mode: mode.to_owned() })
        }
        _ => Ok(facts),
    }
}

fn package_problem(instance: &str, package: &str, known: &Known) -> Option<String> {
    let facts = match known {
        Known::No => return Some("is no instance".to_owned()),
        Known::Test => return Some("is a test instance".to_owned()),
        Known::Other(kind) => return Some(format!("is of kind {kind}")),
        Known::Saas(facts) => facts,
    };
    match facts.charging_mode.as_deref() {
        _ if instance == package => Some("is the instance itself".to_owned()),
        Some(mode) if mode == ON_DEMAND || CHARGED_OTHERWISE.contains(&mode) => {
            Some(format!("is charged as {mode} and is no package"))
        }
        _ => None,
    }
}

/// When the record of a time that ends then is sent: at the first full hour, so that it goes out in its minutes 0 to 15,
/// when KooGallery collects (spec 5-open-api §6.4 rule 2). A record that comes later than that is due at once.
///
/// Daily billing collects from 00:00 to 00:15 in Beijing. A Beijing day ends at 16:00 UTC, a full hour too, so the sum
/// of a day that ends at midnight is due at that midnight, and the same rule does for both.
pub fn due_at(end: Timestamp) -> Timestamp {
    let second = end.as_second();
    let full_hour = second.div_euclid(HOUR) * HOUR + if second.rem_euclid(HOUR) == 0 { 0 } else { HOUR };
    // Beyond the end of time there is no hour; nothing that ends there is ever over.
    Timestamp::from_second(full_hour).unwrap_or(Timestamp::MAX)
}
