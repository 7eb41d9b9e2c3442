//! What the application says of one time of use, before anything is known about the instance.

use jiff::Timestamp;

use super::{Quantity, UsageFault};

/// Documented maximum of `instance_id`, in characters.
const MAX_ID: usize = 64;

/// A report in texts, as a body, a line of a file or a command tells it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawReport<'a> {
    /// `instanceId`.
    pub instance_id: &'a str,
    /// `beginTime`.
    pub begin_time: &'a str,
    /// `endTime`.
    pub end_time: &'a str,
    /// `usageValue`: a text, or the literal of a JSON number.
    pub usage_value: &'a str,
    /// `relatePkgInstance`; empty: none.
    pub relate_pkg_instance: &'a str,
}

/// A report that makes sense in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The on-demand instance.
    pub instance_id: String,
    /// When it was used.
    pub window: Window,
    /// How much, in this window alone.
    pub value: Quantity,
    /// The package instance to deduct it from.
    pub package: Option<String>,
}

/// A time of use, in whole seconds: from `begin` up to `end`, which is not before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// `begin_time`.
    pub begin: Timestamp,
    /// `end_time`.
    pub end: Timestamp,
}

impl Window {
    /// Whether the two share any time, or are the same. Windows that only touch share none, and one without length
    /// shares none with its neighbours.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || (self.begin < other.end && other.begin < self.end)
    }
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// What is wrong with it in itself.
    pub fn read(raw: &RawReport<'_>) -> Result<Self, UsageFault> {
        let window = Window { begin: time("beginTime", raw.begin_time)?, end: time("endTime", raw.end_time)? };
        if window.begin > window.end {
            return Err(UsageFault::Backwards { begin: window.begin, end: window.end });
        }
        let package = (!raw.relate_pkg_instance.is_empty()).then_some(raw.relate_pkg_instance);
        Ok(Self {
            instance_id: id("instanceId", raw.instance_id)?,
            window,
            value: raw.usage_value.parse().map_err(|fault| match raw.usage_value {
                "" => UsageFault::Missing("usageValue"),
                text => UsageFault::Value { text: UsageFault::shortened(text), fault },
            })?,
            package: package.map(|package| id("relatePkgInstance", package)).transpose()?,
        })
    }
}

fn id(name: &'static str, text: &str) -> Result<String, UsageFault> {
    match text.chars().count() {
        0 => Err(UsageFault::Missing(name)),
        length if length > MAX_ID => Err(UsageFault::LongId(name)),
        _ => Ok(text.to_owned()),
    }
}

/// RFC 3339 with an offset, or the wire's `yyyyMMdd'T'HHmmss'Z'`.
fn time(name: &'static str, text: &str) -> Result<Timestamp, UsageFault> {
    if text.is_empty() {
        return Err(UsageFault::Missing(name));
    }
    let instant: Timestamp = text.parse().map_err(|_| UsageFault::Time { name, text: UsageFault::shortened(text) })?;
    // Seconds and no less: the wire has no room for more, and a cut-off window would overlap its neighbour.
    if instant.subsec_nanosecond() != 0 {
        return Err(UsageFault::Fraction { name, text: UsageFault::shortened(text) });
    }
    Ok(instant)
}
